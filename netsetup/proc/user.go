package proc

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"nslab/netsetup/netns"
)

// identity is whom a program runs as.
type identity struct {
	uid, gid uint32
	groups   []uint32
}

// accounts are the users and groups of a node: passwd(5) and group(5), as its
// root directory has them.
type accounts struct{ root string }

// lookUp reads USER or USER:GROUP, names or numbers. A number that is not known
// there needs its group.
func (a accounts) lookUp(spec string) (identity, error) {
	name, group, grouped := strings.Cut(spec, ":")
	var id identity
	known := false
	// A name counts before a number that is the same.
	for _, field := range []int{0, 2} {
		err := a.each("passwd", func(f []string) error {
			if known || len(f) < 4 || f[field] != name {
				return nil
			}
			known, name = true, f[0]
			uid, err1 := number(f[2])
			gid, err2 := number(f[3])
			id.uid, id.gid = uid, gid
			return errors.Join(err1, err2)
		})
		if err != nil {
			return id, fmt.Errorf("user %s: %w", name, err)
		}
	}
	if !known {
		uid, err := number(name)
		if err != nil {
			return id, fmt.Errorf("there is no user %s", name)
		}
		if !grouped {
			return id, fmt.Errorf("user %s is not known here; say which group, %s:GROUP", name, name)
		}
		id.uid = uid
	}
	var err error
	if grouped {
		id.gid, err = a.group(group)
		id.groups = []uint32{id.gid}
		return id, err
	}
	id.groups = []uint32{id.gid}
	err = a.each("group", func(f []string) error {
		if len(f) < 4 || !slices.Contains(strings.Split(f[3], ","), name) {
			return nil
		}
		gid, err := number(f[2])
		if !slices.Contains(id.groups, gid) {
			id.groups = append(id.groups, gid)
		}
		return err
	})
	if err != nil {
		return id, fmt.Errorf("groups of user %s: %w", name, err)
	}
	return id, nil
}

func (a accounts) group(name string) (gid uint32, err error) {
	known := false
	err = a.each("group", func(f []string) (err error) {
		if !known && len(f) > 2 && f[0] == name {
			known = true
			gid, err = number(f[2])
		}
		return err
	})
	if err != nil || known {
		return gid, err
	}
	if gid, err = number(name); err != nil {
		return 0, fmt.Errorf("there is no group %s", name)
	}
	return gid, nil
}

// each calls f with the fields of each line of a file in /etc; one that is not
// there is empty. Links lead nowhere outside of the node's root.
func (a accounts) each(name string, f func(fields []string) error) error {
	root, err := unix.Open(a.root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, "etc/"+name, &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK, Resolve: unix.RESOLVE_IN_ROOT,
	})
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return fmt.Errorf("/etc/%s: %w", name, err)
	}
	file := os.NewFile(uintptr(fd), "/etc/"+name)
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if err := f(strings.Split(lines.Text(), ":")); err != nil {
			return fmt.Errorf("/etc/%s: %w", name, err)
		}
	}
	return nil
}

// number reads a user or group number; 2^32-1 means "leave it" in setresuid(2).
func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 1<<32-1 {
		return 0, fmt.Errorf("%q is not the number of a user or group", s)
	}
	return uint32(n), nil
}

// become adds to a way what makes a process id. With lenient it keeps its groups
// where it may not choose them (setgroups is denied, user_namespaces(7)).
func (id identity) become(w *netns.Way, spec string, lenient bool) {
	what := "become user " + spec
	var harmless []unix.Errno
	if lenient {
		harmless = []unix.Errno{unix.EPERM}
	}
	var first unsafe.Pointer
	if len(id.groups) > 0 {
		first = unsafe.Pointer(&id.groups[0])
	}
	w.Call(what, harmless, unix.SYS_SETGROUPS, len(id.groups), first)
	w.Call(what, nil, unix.SYS_SETRESGID, int(id.gid), int(id.gid), int(id.gid))
	w.Call(what, nil, unix.SYS_SETRESUID, int(id.uid), int(id.uid), int(id.uid))
}
