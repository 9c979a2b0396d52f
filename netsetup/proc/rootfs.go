package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// inRootFS makes a layer over the node's root file system the root, with what
// programs expect of a container: /proc, /sys and /dev.
func (f *furnisher) inRootFS() error {
	root := stage + "/root"
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	if err := f.overlay(f.m.RootFS, root); err != nil {
		return err
	}
	for _, name := range []string{"proc", "sys", "dev"} {
		dir := root + "/" + name
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if st, err := os.Lstat(dir); err != nil || !st.IsDir() {
			return fmt.Errorf("/%s of the root file system is no directory", name)
		}
	}
	for _, step := range []func(root string) error{rootProc, rootSys, rootDev, protect, pivot} {
		if err := step(root); err != nil {
			return err
		}
	}
	return f.fill()
}

func mountAt(target, fstype, source string, flags int, data string) error {
	return do("", func(c caller) { mount(c, "mount "+target, nil, source, target, fstype, flags, data) })
}

const noPrograms = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

func rootProc(root string) error { return mountAt(root+"/proc", "proc", "proc", noPrograms, "") }

func rootSys(root string) error {
	return mountAt(root+"/sys", "sysfs", "sysfs", noPrograms|unix.MS_RDONLY, "")
}

// rootDev makes what the OCI runtime specification has for Linux. Devices are
// the host's, bound: in a user namespace none can be made.
func rootDev(root string) error {
	dev := root + "/dev"
	if err := mountAt(dev, "tmpfs", "tmpfs", unix.MS_NOSUID|unix.MS_STRICTATIME, "mode=0755"); err != nil {
		return err
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		path := dev + "/" + name
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			return err
		}
		if err := mountAt(path, "", "/dev/"+name, unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	for name, to := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
		"ptmx": "pts/ptmx", "core": "/proc/kcore",
	} {
		if err := os.Symlink(to, dev+"/"+name); err != nil {
			return err
		}
	}
	for _, name := range []string{"pts", "shm", "mqueue"} {
		if err := os.Mkdir(dev+"/"+name, 0o755); err != nil {
			return err
		}
	}
	// Group 5 is tty; a user namespace may not have it.
	const pts = "newinstance,ptmxmode=0666,mode=0620"
	err := mountAt(dev+"/pts", "devpts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, pts+",gid=5")
	if errors.Is(err, unix.EINVAL) {
		err = mountAt(dev+"/pts", "devpts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, pts)
	}
	if err == nil {
		err = mountAt(dev+"/shm", "tmpfs", "shm", noPrograms, "mode=1777")
	}
	if err == nil {
		err = mountAt(dev+"/mqueue", "mqueue", "mqueue", noPrograms, "")
		if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EPERM) {
			err = nil // a kernel without POSIX queues, or another's IPC namespace
		}
	}
	return err
}

// protect covers the parts of /proc and /sys that tell of the host or change it;
// what of it is the network's stays writable.
func protect(root string) error {
	for _, path := range []string{
		"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/latency_stats",
	} {
		if _, err := os.Lstat(root + path); err != nil {
			continue
		}
		if err := mountAt(root+path, "", "/dev/null", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	for _, path := range []string{"/proc/acpi", "/proc/scsi", "/sys/firmware"} {
		if st, err := os.Lstat(root + path); err != nil || !st.IsDir() {
			continue
		}
		if err := mountAt(root+path, "tmpfs", "tmpfs", noPrograms|unix.MS_RDONLY, "mode=0555"); err != nil {
			return err
		}
	}
	net, err := unix.OpenTree(unix.AT_FDCWD, root+"/proc/sys/net", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return &os.PathError{Op: "clone the mount of", Path: "/proc/sys/net", Err: err}
	}
	defer unix.Close(net)
	for _, path := range []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"} {
		if _, err := os.Lstat(root + path); err != nil {
			continue
		}
		if err := mountAt(root+path, "", root+path, unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return err
		}
		if err := mountAt(root+path, "", "", unix.MS_BIND|unix.MS_REMOUNT|noPrograms|unix.MS_RDONLY, ""); err != nil {
			return err
		}
	}
	if err := unix.MoveMount(net, "", unix.AT_FDCWD, root+"/proc/sys/net", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return &os.PathError{Op: "mount again", Path: "/proc/sys/net", Err: err}
	}
	return nil
}

// fill puts the node's own paths into the root that it has by now. All of it is in
// the node's layer, so that nothing is written to the tree below.
func (f *furnisher) fill() error {
	for _, o := range f.owns() {
		if err := os.MkdirAll(filepath.Dir(o.path), 0o755); err != nil {
			return err
		}
		st, err := os.Lstat(o.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case o.dir && st.IsDir():
			data := fmt.Sprintf("mode=%o", st.Mode().Perm()|stickyBit(st.Mode()))
			if err := mountAt(o.path, "tmpfs", "nslab", unix.MS_NOSUID|unix.MS_NODEV, data); err != nil {
				return err
			}
			continue
		default:
			if err := os.Remove(o.path); err != nil {
				return err
			}
		}
		if err := o.create(o.path); err != nil {
			return err
		}
	}
	return nil
}

func stickyBit(m fs.FileMode) fs.FileMode {
	if m&fs.ModeSticky != 0 {
		return unix.S_ISVTX
	}
	return 0
}
