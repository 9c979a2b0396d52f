package proc

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// identity is whom a program runs as.
type identity struct {
	uid, gid uint32
	groups   []uint32
}

// lookUp reads USER or USER:GROUP, names or numbers. A number that the host does
// not know needs its group.
func lookUp(spec string) (identity, error) {
	name, group, grouped := strings.Cut(spec, ":")
	var id identity
	u, err := user.Lookup(name)
	if err != nil {
		u, err = user.LookupId(name)
	}
	if err == nil {
		id.uid, err = number(u.Uid)
	} else if id.uid, err = number(name); err != nil {
		return id, fmt.Errorf("there is no user %s", name)
	} else if !grouped {
		return id, fmt.Errorf("user %s is not known here; say which group, %s:GROUP", name, name)
	}
	if err != nil {
		return id, err
	}
	if grouped {
		id.gid, err = lookUpGroup(group)
		id.groups = []uint32{id.gid}
		return id, err
	}
	if id.gid, err = number(u.Gid); err != nil {
		return id, err
	}
	groups, err := u.GroupIds()
	if err != nil {
		return id, fmt.Errorf("groups of user %s: %w", name, err)
	}
	for _, g := range groups {
		n, err := number(g)
		if err != nil {
			return id, err
		}
		id.groups = append(id.groups, n)
	}
	return id, nil
}

func lookUpGroup(name string) (uint32, error) {
	if g, err := user.LookupGroup(name); err == nil {
		return number(g.Gid)
	}
	gid, err := number(name)
	if err != nil {
		return 0, fmt.Errorf("there is no group %s", name)
	}
	return gid, nil
}

// number reads a user or group number; 2^32-1 means "leave it" in setresuid(2).
func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 1<<32-1 {
		return 0, fmt.Errorf("%q is not the number of a user or group", s)
	}
	return uint32(n), nil
}

// becomeUser changes the calling thread alone: the functions of package syscall
// would change all of the process.
func becomeUser(spec string) error {
	if spec == "" {
		return nil
	}
	id, err := lookUp(spec)
	if err != nil {
		return err
	}
	if int(id.uid) == unix.Geteuid() && int(id.gid) == unix.Getegid() {
		return nil
	}
	var first unsafe.Pointer
	if len(id.groups) > 0 {
		first = unsafe.Pointer(&id.groups[0])
	}
	_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(id.groups)), uintptr(first), 0)
	if errno == 0 {
		_, _, errno = unix.RawSyscall(unix.SYS_SETRESGID, uintptr(id.gid), uintptr(id.gid), uintptr(id.gid))
	}
	if errno == 0 {
		_, _, errno = unix.RawSyscall(unix.SYS_SETRESUID, uintptr(id.uid), uintptr(id.uid), uintptr(id.uid))
	}
	if errno != 0 {
		err := error(errno)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w (without root there is only the user that nslab was started by, as root)", err)
		}
		return fmt.Errorf("become user %s: %w", spec, err)
	}
	return nil
}
