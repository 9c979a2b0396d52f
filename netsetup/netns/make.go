package netns

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"nslab/netsetup/bug"
	"nslab/netsetup/failpoint"
)

// Make makes a namespace and publishes it under Dir. prepare (nil is allowed)
// runs inside before anybody else can see it. The error wraps fs.ErrExist where
// something of that name is there; after an error nothing is left.
func Make(name string, prepare func() error) (*Handle, error) {
	hs, err := MakeEach([]string{name}, 1, func(int) error {
		if prepare == nil {
			return nil
		}
		return prepare()
	})
	if err != nil {
		return nil, err
	}
	return hs[0], nil
}

// MakeEach makes many namespaces, on as many threads as workers says (at least
// one). prepare(i) (nil is allowed) runs inside the i-th before it is published.
// The handles are in the order of names. After an error, which is the first with
// those that came beside it, none of them is left.
func MakeEach(names []string, workers int, prepare func(i int) error) ([]*Handle, error) {
	return MakeEachOwned(names, func(int) *IDMaps { return nil }, workers, prepare)
}

// MakeEachOwned is MakeEach for namespaces that belong to new user namespaces,
// where owner says so: root of such a one has privilege over its network, and
// none outside. The user namespace lives as long as the network.
func MakeEachOwned(names []string, owner func(i int) *IDMaps, workers int, prepare func(i int) error) ([]*Handle, error) {
	held, err := shareDir()
	if err != nil {
		return nil, errors.Join(err, removeDir())
	}
	hs := make([]*Handle, len(names))
	errs := make([]error, len(names))
	err = spread(len(names), workers, func(i int) bool {
		var inside func() error
		if prepare != nil {
			inside = func() error { return prepare(i) }
		}
		if hs[i], errs[i] = makeHere(names[i], owner(i), inside); errs[i] != nil {
			errs[i] = fmt.Errorf("make network namespace %s: %w", names[i], errs[i])
		}
		return errs[i] == nil
	})
	unix.Close(held)
	if err = errors.Join(append(errs, err)...); err == nil {
		return hs, nil
	}
	var made []string
	for i, h := range hs {
		if h != nil {
			h.Close()
			made = append(made, names[i])
		}
	}
	return nil, errors.Join(err, Delete(made...))
}

// Try runs fn in a new namespace that is published nowhere: it goes with fn, and
// with the sockets that fn leaves open.
func Try(fn func() error) error {
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return unshareError(err)
		}
		return fn()
	})
}

// makeHere leaves the calling thread in a new namespace, whether it fails or
// not; that is for the pool to mend.
func makeHere(name string, owner *IDMaps, prepare func() error) (h *Handle, err error) {
	path, err := namePath(name)
	if err != nil {
		return nil, err
	}
	if owner != nil {
		err = failpoint.Around("netns.unshare", func() error { return enterOwned(owner) })
	} else if err = failpoint.Around("netns.unshare", func() error { return unix.Unshare(unix.CLONE_NEWNET) }); err != nil {
		err = unshareError(err)
	}
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, Limit(err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	h, err = newHandle(fd)
	if err != nil {
		return nil, err
	}
	err = bug.Guard(func() error {
		if prepare != nil {
			if err := prepare(); err != nil {
				return err
			}
		}
		return publish(path)
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// fileMode is that of the files on which Make mounts namespaces: other than
// those of ip-netns(8), so that what a crash leaves can be told from a file on
// which another program is about to mount.
const fileMode = unix.S_ISVTX

// publish binds the calling thread's namespace to path, as ip-netns(8) does.
// After an error, or a panic, the name is not there.
func publish(path string) (err error) {
	var created, published bool
	defer func() {
		if created && !published {
			err = errors.Join(err, unpublish(path))
		}
	}()
	err = failpoint.Around("netns.create", func() error {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, fileMode)
		if err != nil {
			return NoSpace(Dir, &fs.PathError{Op: "create", Path: path, Err: err})
		}
		created = true
		return unix.Close(fd)
	})
	if err != nil {
		return err
	}
	err = failpoint.Around("netns.mount", func() error {
		if err := unix.Mount("/proc/thread-self/ns/net", path, "none", unix.MS_BIND, ""); err != nil {
			return mountError(&fs.PathError{Op: "mount on", Path: path, Err: err})
		}
		return nil
	})
	published = err == nil
	return err
}
