package proc

import (
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/netns"
)

// trees are mounts without those below them, attached nowhere, that a keeper in a
// user namespace gets: there all mounts are locked to those that they are on, see
// mount_namespaces(7), and the kernel takes no directory with locked ones below it
// for the lower one of a layer. Who is in a user namespace already is refused that
// clone, too, and gets a layer only over what has nothing mounted below it.
type trees struct {
	paths []string
	files []*os.File // of the same number
}

func (t *trees) close() {
	for _, f := range t.files {
		f.Close()
	}
}

// openTrees opens the directories that the keeper of a node makes layers over.
func openTrees(net *netns.Handle, m *netsetup.Machine) (*trees, error) {
	t := &trees{}
	if !m.Isolation.User || !m.Isolation.Mount {
		return t, nil
	}
	dirs := []string{m.RootFS}
	if m.RootFS == "" {
		dirs = nil
		for _, o := range (&furnisher{m: m}).owns() {
			if there := o.there(); there != o.path && !slices.Contains(dirs, there) {
				dirs = append(dirs, there)
			}
		}
	}
	for _, dir := range dirs {
		fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err == unix.EINVAL || err == unix.EPERM {
			continue // the keeper's mount tells
		}
		if err != nil {
			return t, &os.PathError{Op: "clone the mount of", Path: dir, Err: err}
		}
		t.paths = append(t.paths, dir)
		t.files = append(t.files, os.NewFile(uintptr(fd), dir))
		if dir == m.RootFS {
			if err := shift(fd, net, m.Isolation.UIDs); err != nil {
				return t, &os.PathError{Op: "map the owners of", Path: dir, Err: err}
			}
		}
	}
	return t, nil
}

// shift makes a tree whose owner has no number in the node's user namespace show
// its owners by the numbers that they have in the file system: root of the tree is
// root of the node, as in an image that somebody unpacked. A file system that cannot
// stays as it is.
func shift(tree int, net *netns.Handle, maps []netsetup.IDMap) error {
	var st unix.Stat_t
	if err := unix.Fstat(tree, &st); err != nil {
		return err
	}
	mapped := func(m netsetup.IDMap) bool { return m.Outside <= st.Uid && st.Uid-m.Outside < m.Count }
	if len(maps) == 0 || slices.ContainsFunc(maps, mapped) {
		return nil
	}
	owner, err := net.Owner()
	if err != nil {
		return err
	}
	defer unix.Close(owner)
	err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &unix.MountAttr{
		Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(owner),
	})
	if err == unix.EINVAL || err == unix.EPERM || err == unix.ENOSYS {
		err = nil
	}
	return err
}

// given is where the files of a directory are without what is mounted below it: the tree that
// the keeper was given, mounted in its layer, or the directory itself.
func (f *furnisher) given(dir, layer string) (string, error) {
	i := slices.Index(f.trees, dir)
	if i < 0 {
		return dir, nil
	}
	lower := layer + "/lower"
	if err := os.Mkdir(lower, 0o755); err != nil {
		return "", err
	}
	if err := unix.MoveMount(treeFD+i, "", unix.AT_FDCWD, lower, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return "", &os.PathError{Op: fmt.Sprintf("mount %s at", dir), Path: lower, Err: err}
	}
	return lower, nil
}
