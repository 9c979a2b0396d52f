package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nslab/netsetup/failpoint"
)

// unmounters is how many unmounts are under way at once. Each waits for an RCU
// grace period (fs/namespace.c, namespace_unlock), which those beside it share.
const unmounters = 8

// Delete takes namespaces away from Dir, all together, and the empty plain files
// that a crash leaves there; with the last of all, Dir goes, where Make made it. A
// name that is not there is no error; something else of that name is an error and
// stays as it is. Who still has a namespace open, or runs in it, keeps it.
func Delete(names ...string) error {
	errs := make([]error, len(names))
	err := spread(len(names), unmounters, func(i int) bool {
		if errs[i] = deleteOne(names[i]); errs[i] != nil {
			errs[i] = fmt.Errorf("delete network namespace %s: %w", names[i], errs[i])
		}
		return true
	})
	return errors.Join(append(errs, err, Tidy(""))...)
}

// Tidy removes what a crash of this program can leave in the place of
// namespaces whose names begin with prefix: the files that Make had not yet
// mounted them on, or Delete no longer. Where nothing is in Dir then, and Make
// made it, it goes as well. It must not run beside a Make of such names.
func Tidy(prefix string) error {
	var errs []error
	if prefix != "" {
		names, err := Unfinished(prefix)
		errs = append(errs, err)
		for _, name := range names {
			errs = append(errs, deleteOne(name))
		}
	}
	return errors.Join(append(errs, removeDir())...)
}

// Unfinished gives the names of those of Stale whose files Make made.
func Unfinished(prefix string) ([]string, error) {
	names, err := Names(prefix)
	return slices.DeleteFunc(names, func(name string) bool {
		var st unix.Stat_t
		return unix.Lstat(Dir+"/"+name, &st) != nil || st.Mode != unix.S_IFREG|fileMode || st.Size != 0
	}), err
}

func deleteOne(name string) error {
	path, err := namePath(name)
	if err != nil {
		return err
	}
	return unpublish(path)
}

// unpublish takes away what is mounted at path, and the file below.
func unpublish(path string) error {
	// Mounts can be stacked.
	for {
		kind, err := lookAt(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case kind == plain:
			return failpoint.Around("netns.unlink", func() error {
				if err := unix.Unlink(path); err != nil && err != unix.ENOENT {
					return &fs.PathError{Op: "unlink", Path: path, Err: err}
				}
				return nil
			})
		}
		err = failpoint.Around("netns.unmount", func() error {
			// EINVAL: somebody else unmounted it meanwhile.
			err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
			if err != nil && err != unix.EINVAL && err != unix.ENOENT {
				return mountError(&fs.PathError{Op: "unmount", Path: path, Err: err})
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// entry is what can be under Dir.
type entry uint8

const (
	mounted entry = iota // a network namespace
	plain                // an empty plain file: not published yet, or left by a crash
)

// lookAt says what is at path; anything else than an entry is an error.
func lookAt(path string) (entry, error) {
	h, err := openPath(path, unix.O_NOFOLLOW)
	if err == nil {
		return mounted, h.Close()
	}
	if !errors.Is(err, ErrNotNetwork) {
		return 0, err
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return 0, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	notOurs := fmt.Errorf("%s %w", path, ErrNotNetwork)
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != 0 {
		return 0, notOurs
	}
	// A namespace of another kind is an empty regular file, too.
	var sfs unix.Statfs_t
	if err := unix.Statfs(path, &sfs); err != nil {
		return 0, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if sfs.Type == unix.NSFS_MAGIC {
		return 0, notOurs
	}
	return plain, nil
}

// Count is how many network namespaces can be seen: those of processes, and those
// under Dir.
func Count() (uint64, error) {
	seen := map[uint64]bool{}
	var st unix.Stat_t
	names, err := Names("")
	for _, name := range names {
		if unix.Stat(Dir+"/"+name, &st) == nil {
			seen[st.Ino] = true
		}
	}
	pids, err2 := processIDs()
	for _, pid := range pids {
		if unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &st) == nil {
			seen[st.Ino] = true
		}
	}
	return uint64(len(seen)), errors.Join(err, err2)
}

// List gives the names of the namespaces under Dir that begin with prefix,
// sorted.
func List(prefix string) ([]string, error) { return entries(prefix, mounted) }

// Stale gives the names of the empty plain files under Dir that begin with
// prefix, sorted. Such a file is a namespace that is being published this
// moment, or what a crash left.
func Stale(prefix string) ([]string, error) { return entries(prefix, plain) }

// Names gives all names under Dir that begin with prefix, sorted, without a look
// at what they are: for those who open each and heed ErrNotNetwork.
func Names(prefix string) ([]string, error) {
	all, err := os.ReadDir(Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range all {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func entries(prefix string, want entry) ([]string, error) {
	all, err := Names(prefix)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range all {
		if kind, err := lookAt(Dir + "/" + name); err == nil && kind == want {
			names = append(names, name)
		} else if errors.As(err, new(*LimitError)) {
			return nil, err
		}
	}
	return names, nil
}
