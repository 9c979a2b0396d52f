package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// layered says whether a path is in a layer of the node's own already.
func (f *furnisher) layered(path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && slices.Contains(f.devices, st.Dev)
}

// layer covers a directory with itself and an empty layer over it, which takes
// what is written from now on. Mounts below the directory stay. The root
// directory cannot be covered: there the layered one becomes the root.
func (f *furnisher) layer(dir string) error {
	below, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	var kept []tree
	defer func() {
		for _, t := range kept {
			unix.Close(t.fd)
		}
	}()
	for _, path := range below {
		fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if err == unix.ENOENT || err == unix.EINVAL {
			continue // another mount is over it, or it may not be cloned
		}
		if err != nil {
			return &os.PathError{Op: "clone the mount of", Path: path, Err: err}
		}
		kept = append(kept, tree{fd, path})
	}
	target := dir
	if dir == "/" {
		target = stage + "/root"
		if err := os.Mkdir(target, 0o755); err != nil {
			return err
		}
	}
	if err := f.overlay(dir, target); err != nil {
		return err
	}
	for _, t := range kept {
		if err := unix.MoveMount(t.fd, "", unix.AT_FDCWD, filepath.Join(target, strings.TrimPrefix(t.path, dir)), unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return &os.PathError{Op: "mount again", Path: t.path, Err: err}
		}
	}
	if dir == "/" {
		return pivot(target)
	}
	return nil
}

// tree is a mount that is attached nowhere, with all that are below it.
type tree struct {
	fd   int
	path string // where it was
}

// overlay mounts lower with a layer of the node's own at target.
func (f *furnisher) overlay(lower, target string) error {
	layer := fmt.Sprintf("%s/layer%d", stage, len(f.devices))
	upper, work := layer+"/upper", layer+"/work"
	for _, dir := range []string{layer, upper, work} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	// The layer's root is what the directory looks like.
	o := own{path: lower, dir: true}
	if err := o.like(upper); err != nil {
		return err
	}
	// See the kernel's filesystems/overlayfs.rst on the characters.
	from, err := f.given(lower, layer)
	if err != nil {
		return err
	}
	escaped := strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`).Replace(from)
	err = do("", func(c caller) {
		mount(c, "mount a layer over "+lower, nil, "overlay", target, "overlay", 0, "lowerdir="+escaped+",upperdir="+upper+",workdir="+work)
	})
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(target, &st); err != nil {
		return &os.PathError{Op: "stat", Path: target, Err: err}
	}
	f.devices = append(f.devices, st.Dev)
	return nil
}

// pivot makes dir, which is a mount, the root; the old one is gone.
func pivot(dir string) error {
	if err := unix.Chdir(dir); err != nil {
		return &os.PathError{Op: "change to", Path: dir, Err: err}
	}
	// pivot_root(2): the new root and the place of the old one may be the same.
	if err := unix.PivotRoot(".", "."); err != nil {
		return &os.PathError{Op: "make the root", Path: dir, Err: err}
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the old root: %w", err)
	}
	return os.Chdir("/")
}

// mountsBelow gives the mounts strictly below a directory, but for those that are
// below others.
func mountsBelow(dir string) ([]string, error) {
	info, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, err
	}
	prefix := strings.TrimSuffix(dir, "/") + "/"
	var list []string
	for line := range strings.Lines(string(info)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			return nil, errors.New("/proc/thread-self/mountinfo: unexpected line")
		}
		if path := unescape(fields[4]); path != dir && strings.HasPrefix(path, prefix) {
			list = append(list, path)
		}
	}
	slices.Sort(list)
	top := list[:0]
	for _, path := range list {
		if n := len(top); n == 0 || path != top[n-1] && !strings.HasPrefix(path, top[n-1]+"/") {
			top = append(top, path)
		}
	}
	return top, nil
}

// unescape reads the octal numbers that proc_pid_mountinfo(5) has for blanks and
// the like.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
