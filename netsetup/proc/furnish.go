package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/netns"
)

// stage is where the keeper has a file system of the node's own while it makes
// the mounts that lead there. It is a directory that is there wherever a lab is,
// and what is mounted on it, in the node's mount namespace, is not seen outside.
const stage = netns.Dir

// furnish makes the fresh namespaces of a keeper what the Machine says; it runs in
// them.
func furnish(m *spec) error {
	if m.Isolation.UTS {
		if err := unix.Sethostname([]byte(m.Hostname)); err != nil {
			return fmt.Errorf("set the host name: %w", err)
		}
	}
	for _, s := range m.Sysctls {
		if err := setSysctl(s); err != nil {
			return err
		}
	}
	if !m.Isolation.Mount {
		return nil
	}
	f := &furnisher{m: &m.Machine, hosts: m.hosts, trees: m.Trees}
	steps := []func() error{f.openStage, f.inHost, f.closeStage}
	if m.RootFS != "" {
		steps = []func() error{f.openStage, f.inRootFS}
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// setSysctl writes a setting of the uts or ipc namespace that this process is in.
func setSysctl(s netsetup.Setting) error {
	err := os.WriteFile(filepath.Join("/proc/sys", s.Name), []byte(s.Value), 0)
	if path := new(fs.PathError); errors.As(err, &path) {
		err = path.Err
	}
	if err != nil {
		return fmt.Errorf("%s: set %s to %q: %w", s.Pos, s.Name, s.Value, err)
	}
	return nil
}

type furnisher struct {
	m       *netsetup.Machine
	hosts   string   // the part of /etc/hosts that the lab's nodes share
	devices []uint64 // of the layers
	trees   []string // spec.Trees
}

func (f *furnisher) openStage() error {
	return do("mount a file system in memory", func(c caller) {
		mount(c, "mount a file system in memory", nil, "nslab", stage, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755")
	})
}

func (f *furnisher) closeStage() error {
	if err := unix.Unmount(stage, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", stage, err)
	}
	return nil
}

// do makes system calls at once.
func do(what string, calls func(c caller)) error {
	w := &netns.Way{}
	calls(w)
	err := w.Go()
	var step *netns.WayError
	if errors.As(err, &step) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// own is a path that the node has of its own.
type own struct {
	path    string
	content []byte
	mode    uint32
	dir     bool
}

// owns are the node's own paths, those that are within others behind them.
func (f *furnisher) owns() []own {
	list := []own{{path: "/etc/hosts", content: []byte(f.hosts + f.m.Hosts), mode: 0o644}}
	if f.m.ResolvConf != "" {
		list = append(list, own{path: "/etc/resolv.conf", content: []byte(f.m.ResolvConf), mode: 0o644})
	}
	for _, dir := range f.m.Private {
		list = append(list, own{path: filepath.Clean(dir), mode: 0o755, dir: true})
	}
	for _, file := range f.m.Files {
		list = slices.DeleteFunc(list, func(o own) bool { return o.path == file.Path })
		list = append(list, own{path: filepath.Clean(file.Path), content: file.Content, mode: file.Mode})
	}
	slices.SortFunc(list, func(a, b own) int { return strings.Compare(a.path, b.path) })
	return list
}

// inHost shows the node's own paths in the tree of the host. A path that is there
// is covered. For one that is not, the directory that it would be in is covered with itself
// and a layer over it (an overlay), which has the path: nothing is written to the
// host.
func (f *furnisher) inHost() error {
	if f.m.Isolation.PID {
		if err := do("mount /proc", func(c caller) { mountProc(c) }); err != nil {
			return err
		}
	}
	if err := do("mount /sys", func(c caller) { mountSys(c) }); err != nil {
		return err
	}
	for i, o := range f.owns() {
		there := o.there()
		if there != o.path {
			if !f.layered(there) {
				if err := f.layer(there); err != nil {
					return fmt.Errorf("show %s: %w", o.path, err)
				}
			}
			if err := os.MkdirAll(filepath.Dir(o.path), 0o755); err != nil {
				return err
			}
			if err := o.create(o.path); err != nil {
				return err
			}
			continue
		}
		source := fmt.Sprintf("%s/own%d", stage, i)
		if err := o.create(source); err != nil {
			return err
		}
		if err := o.like(source); err != nil {
			return err
		}
		what := "show " + o.path
		if err := do(what, func(c caller) { mount(c, what, nil, source, o.path, "", unix.MS_BIND, "") }); err != nil {
			return err
		}
	}
	return nil
}

// there is the path, or the nearest one on the way to it that there is.
func (o *own) there() string {
	for path := o.path; ; path = filepath.Dir(path) {
		if _, err := os.Stat(path); err == nil || path == "/" {
			return path
		}
	}
}

// create makes the file or directory at path.
func (o *own) create(path string) error {
	if o.dir {
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
		return os.Chmod(path, os.FileMode(o.mode))
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(o.content)
	// Not os.Chmod: o.mode has setuid and sticky bits where the kernel has them.
	return errors.Join(err, unix.Fchmod(int(file.Fd()), o.mode), file.Close())
}

// like gives a private directory the owner and mode of the one that it covers,
// such as those of /tmp.
func (o *own) like(source string) error {
	if !o.dir {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Stat(o.path, &st); err != nil {
		return &os.PathError{Op: "stat", Path: o.path, Err: err}
	}
	// In a user namespace its owner may have no number.
	if err := unix.Chown(source, int(st.Uid), int(st.Gid)); err != nil && err != unix.EINVAL && err != unix.EPERM {
		return &os.PathError{Op: "chown", Path: source, Err: err}
	}
	return unix.Chmod(source, st.Mode&0o7777)
}
