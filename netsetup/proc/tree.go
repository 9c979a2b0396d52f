package proc

import (
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
)

// openTrees opens the directories that the layers of a node will be over, where it
// is in a user namespace of its own. There all mounts are locked to those that they
// are on, see mount_namespaces(7), and the kernel takes no directory with others
// mounted below it for the lower one of a layer; a clone from outside has none
// below it. Who is in a user namespace already is refused that clone, too, and gets
// a layer only over what has nothing mounted below it.
func openTrees(m *netsetup.Machine) ([]*os.File, error) {
	if !m.Isolation.User || !m.Isolation.Mount {
		return nil, nil
	}
	dirs := []string{m.RootFS}
	if m.RootFS == "" {
		dirs = nil
		for _, o := range (&furnisher{m: m}).owns() {
			if dir := nearest(o.path); dir != o.path && !slices.Contains(dirs, dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	var trees []*os.File
	for _, dir := range dirs {
		fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		switch err {
		case nil:
			trees = append(trees, os.NewFile(uintptr(fd), dir))
		case unix.EINVAL, unix.EPERM:
		default:
			closeFiles(trees)
			return nil, &os.PathError{Op: "clone the mount of", Path: dir, Err: err}
		}
	}
	return trees, nil
}

// passedTrees are what openTrees opened for this keeper: its files from treeFD on
// that are directories.
func passedTrees() []*os.File {
	var trees []*os.File
	for fd := treeFD; ; fd++ {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return trees
		}
		unix.CloseOnExec(fd)
		trees = append(trees, os.NewFile(uintptr(fd), "tree"))
	}
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// tree is where dir is without what is mounted below it, if this keeper was given
// that, and dir if not.
func (f *furnisher) tree(dir string) (string, error) {
	var want, have unix.Stat_t
	if err := unix.Stat(dir, &want); err != nil {
		return "", &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	for i, t := range f.trees {
		if err := unix.Fstat(int(t.Fd()), &have); err != nil {
			return "", err
		}
		if have.Dev != want.Dev || have.Ino != want.Ino {
			continue
		}
		at := fmt.Sprintf("%s/tree%d", stage, i)
		if err := os.Mkdir(at, 0o755); err != nil {
			return "", err
		}
		if err := unix.MoveMount(int(t.Fd()), "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return "", &os.PathError{Op: "mount", Path: dir, Err: err}
		}
		return at, nil
	}
	return dir, nil
}
