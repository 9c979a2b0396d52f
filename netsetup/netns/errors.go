package netns

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// LimitError is a limit of this host that was met.
type LimitError struct {
	Limit string // such as user.max_net_namespaces
	Value string // what it is now
	Hint  string // how to raise it
	Err   error  // the errno
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the limit %s is reached (%s): %v", e.Limit, e.Value, e.Err)
}

func (e *LimitError) Unwrap() error { return e.Err }

// ErrPrivilege is what every *PrivilegeError is, for errors.Is.
var ErrPrivilege = errors.New("privilege is missing")

// PrivilegeError says that this process may not do something.
type PrivilegeError struct {
	What string // what it may not do
	Hint string // what to do about it
	Err  error  // the errno, or nil
}

func (e *PrivilegeError) Error() string {
	if e.Err == nil {
		return e.What
	}
	return fmt.Sprintf("%s: %v", e.What, e.Err)
}

func (e *PrivilegeError) Unwrap() error { return e.Err }

// Is makes every PrivilegeError an ErrPrivilege.
func (e *PrivilegeError) Is(target error) bool { return target == ErrPrivilege }

// Sysctl reads a setting of the host; "" where there is none.
func Sysctl(name string) string {
	b, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func sysctlLimit(name string, err error) error {
	value := Sysctl(name)
	n, _ := strconv.ParseUint(value, 10, 32)
	return &LimitError{
		Limit: name,
		Value: value,
		Hint:  fmt.Sprintf("raise it: sudo sysctl -w %s=%d", name, max(2*n, enough)),
		Err:   err,
	}
}

// enough is what a limit is advised to be raised to at least.
const enough = 65536

// NoSpace turns the error of a file to be written into a *LimitError where the
// file system of dir is full: of bytes or, with some free, of files.
func NoSpace(dir string, err error) error {
	var fs unix.Statfs_t
	if !errors.Is(err, unix.ENOSPC) || unix.Statfs(dir, &fs) != nil {
		return Limit(err)
	}
	if fs.Files > 0 && fs.Ffree == 0 {
		return &LimitError{Limit: "files in " + dir, Value: strconv.FormatUint(fs.Files, 10),
			Hint: fmt.Sprintf("remove some, or, if it is a tmpfs, raise it: sudo mount -o remount,nr_inodes=%d %s", max(2*fs.Files, enough), dir), Err: err}
	}
	size := fs.Blocks * uint64(fs.Bsize) >> 10
	return &LimitError{Limit: "space in " + dir, Value: fmt.Sprintf("%d KiB", size),
		Hint: fmt.Sprintf("free some, or, if it is a tmpfs, raise it: sudo mount -o remount,size=%dk %s", max(2*size, enough), dir), Err: err}
}

// Limit turns the errors of open(2) and socket(2) that come from limits into a
// *LimitError; others come back as they are.
func Limit(err error) error {
	switch {
	case errors.Is(err, unix.EMFILE):
		var r unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
			return err
		}
		b := Bound{Name: "open files of a process", Value: r.Cur, Raise: "ulimit -n NUMBER, beyond the hard limit as root or in /etc/security/limits.conf"}
		return b.reached(err)
	case errors.Is(err, unix.ENFILE):
		return sysctlLimit("fs.file-max", err)
	}
	return err
}

// unshareError explains why a namespace could not be made, see unshare(2).
func unshareError(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return sysctlLimit("user.max_net_namespaces", err)
	case errors.Is(err, unix.EPERM):
		return needRoot("making a network namespace is not permitted", err)
	}
	return Limit(err)
}

// mountError explains why a namespace could not be published, see mount(2).
func mountError(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return sysctlLimit("fs.mount-max", err)
	case errors.Is(err, unix.EPERM):
		return needRoot("mounting under "+Dir+" is not permitted", err)
	}
	return err
}

func needRoot(what string, err error) error {
	return &PrivilegeError{What: what, Hint: "run it as root (CAP_SYS_ADMIN and CAP_NET_ADMIN), or with --rootless", Err: err}
}

// UserNamespaceError explains why the kernel refused a user namespace, or took
// its privilege away, with what mends it. Errors of other kinds come back as
// they are.
func UserNamespaceError(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return sysctlLimit("user.max_user_namespaces", err)
	case !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EINVAL):
		return err
	}
	hint := "run it as root; in a container, give that CAP_SYS_ADMIN and CAP_NET_ADMIN (docker run --privileged)"
	if os.Geteuid() != 0 {
		switch {
		case Sysctl("kernel.unprivileged_userns_clone") == "0": // Debian's
			hint = "allow it: sudo sysctl -w kernel.unprivileged_userns_clone=1"
		case Sysctl("kernel.apparmor_restrict_unprivileged_userns") == "1": // Ubuntu's
			hint = "allow it: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or give this program an AppArmor profile with the rule \"userns,\""
		}
	}
	return &PrivilegeError{What: "making a user namespace is not permitted", Hint: hint, Err: err}
}
