package netns

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"nslab/netsetup/bug"
	"nslab/netsetup/failpoint"
)

// dirMark is the extended attribute of a Dir that was made here, and that goes
// with its last name. A Dir that was there, or that ip-netns(8) made, stays.
const dirMark = "trusted.nslab"

// newDir is Dir before it is marked.
const newDir = Dir + ".nslab"

// shareDir makes Dir a shared mount, so that what is mounted and unmounted
// there is so in every mount namespace. Like ip-netns(8), it does so under a
// lock on Dir itself: two programs that each bind it to itself would hide one
// another's namespaces. It gives a descriptor that, until it is closed, keeps
// others from removing Dir.
func shareDir() (held int, err error) {
	for {
		if err := makeDir(); err != nil {
			return -1, err
		}
		held, err := lockDir(unix.LOCK_EX)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed this moment
		}
		if err != nil {
			return -1, err
		}
		err = bug.Guard(func() error {
			if err := mountDir(); err != nil {
				return err
			}
			return flock(held, unix.LOCK_SH)
		})
		// To weaken a lock is to give it up for a moment.
		if err == nil && isDir(held) {
			return held, nil
		}
		unix.Close(held)
		if err != nil {
			return -1, err
		}
	}
}

func makeDir() error {
	if _, err := os.Lstat(Dir); err == nil {
		return nil
	}
	err := failpoint.Around("netns.dir.make", func() error { return os.Mkdir(newDir, 0o755) })
	if err == nil || errors.Is(err, fs.ErrExist) {
		// Where this is refused, as in a user namespace, Dir stays.
		_ = unix.Setxattr(newDir, dirMark, []byte("1"), 0)
		err = failpoint.Around("netns.dir.name", nameDir)
	}
	if errors.Is(err, fs.ErrPermission) {
		return needRoot("making "+Dir+" is not permitted", err)
	}
	return NoSpace("/run", err)
}

// nameDir gives newDir its name. That another was faster is no error.
func nameDir() error {
	err := unix.Renameat2(unix.AT_FDCWD, newDir, unix.AT_FDCWD, Dir, unix.RENAME_NOREPLACE)
	switch err {
	case nil, unix.ENOENT:
		return nil
	case unix.EEXIST:
		_ = unix.Rmdir(newDir)
		return nil
	}
	return &fs.PathError{Op: "make", Path: Dir, Err: err}
}

// lockDir opens and locks Dir as it is now; how is as in flock(2).
func lockDir(how int) (int, error) {
	for {
		fd, err := unix.Open(Dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, Limit(&fs.PathError{Op: "open", Path: Dir, Err: err})
		}
		if err := flock(fd, how); err != nil {
			unix.Close(fd)
			return -1, err
		}
		if isDir(fd) {
			return fd, nil
		}
		unix.Close(fd)
	}
}

func flock(fd, how int) error {
	err := unix.Flock(fd, how)
	for err == unix.EINTR {
		err = unix.Flock(fd, how)
	}
	if err != nil {
		return &fs.PathError{Op: "lock", Path: Dir, Err: err}
	}
	return nil
}

// isDir reports whether fd is what Dir leads to.
func isDir(fd int) bool {
	var open, there unix.Stat_t
	return unix.Fstat(fd, &open) == nil && unix.Stat(Dir, &there) == nil &&
		open.Dev == there.Dev && open.Ino == there.Ino
}

func mountDir() error {
	share := func() error { return unix.Mount("", Dir, "none", unix.MS_SHARED, "") }
	err := share()
	if err == unix.EINVAL { // it is not a mount
		err = failpoint.Around("netns.dir.mount", func() error {
			return unix.Mount(Dir, Dir, "none", unix.MS_BIND|unix.MS_REC, "")
		})
		if err == nil {
			err = failpoint.Around("netns.dir.share", share)
		}
	}
	if err != nil {
		return mountError(&fs.PathError{Op: "make a shared mount of", Path: Dir, Err: err})
	}
	return nil
}

// removeDir takes Dir away where it was made here, is empty, and nobody is about
// to use it. That it stays in any other case is no error: the next to need it
// finds it.
func removeDir() error {
	_ = unix.Rmdir(newDir) // of a crash
	if _, err := unix.Getxattr(Dir, dirMark, nil); err != nil {
		return nil
	}
	fd, err := lockDir(unix.LOCK_EX | unix.LOCK_NB)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	if names, err := os.ReadDir(Dir); err != nil || len(names) > 0 {
		return nil
	}
	err = failpoint.Around("netns.dir.unmount", func() error {
		// EINVAL: a crash came between this and the next step.
		if err := unix.Unmount(Dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && err != unix.EINVAL {
			return mountError(&fs.PathError{Op: "unmount", Path: Dir, Err: err})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return failpoint.Around("netns.dir.remove", func() error {
		if err := unix.Rmdir(Dir); err != nil && err != unix.ENOTEMPTY && err != unix.ENOENT {
			return &fs.PathError{Op: "remove", Path: Dir, Err: err}
		}
		return nil
	})
}
