package netns

import (
	"fmt"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// manyFiles is what container engines and systemd give as hard limit of open
// files; a lab of 10 000 namespaces needs some tens of thousands.
const manyFiles = 1 << 20

// files are the limits of open files, soft and hard, that this process had before
// RaiseFileLimit; zero where that raised none.
var files unix.Rlimit

// RaiseFileLimit lets this process have manyFiles files open, where it may raise
// its hard limit so far (CAP_SYS_RESOURCE and fs.nr_open). Up to the hard limit
// Go's runtime has raised the soft one already. Programs that it starts get the
// limits back that were there before: some close every file that there could be.
func RaiseFileLimit() error {
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	if now.Max >= manyFiles {
		return nil
	}
	most := uint64(manyFiles)
	if n, err := strconv.ParseUint(Sysctl("fs.nr_open"), 10, 64); err == nil {
		most = min(most, n)
	}
	err := setFileLimit(0, unix.Rlimit{Cur: most, Max: most})
	if err != nil && err != unix.EPERM {
		return fmt.Errorf("raise the limit of open files from %d to %d: %w", now.Max, most, err)
	}
	if err == nil {
		files = now
	}
	return nil
}

// KeepFiles keeps what this process was given open, such as the end of a pipe or
// somebody's lock, from the processes that it starts: those that live on with a lab
// would hold it as long. Standard files, and those passed on by their place, are
// theirs all the same.
func KeepFiles() {
	unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) // since Linux 5.11
}

// MostFiles is how many files this process can have open after RaiseFileLimit.
func MostFiles() (uint64, error) {
	if err := RaiseFileLimit(); err != nil {
		return 0, err
	}
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		return 0, fmt.Errorf("read the limit of open files: %w", err)
	}
	return now.Max, nil
}

// RestoreFileLimit gives a program that was started the limits of open files back
// that were there before RaiseFileLimit. Those of a soft limit below the hard one it
// has of Go's runtime.
func RestoreFileLimit(pid int) error {
	if files.Max == 0 {
		return nil
	}
	if err := setFileLimit(pid, files); err != nil && err != unix.ESRCH {
		return fmt.Errorf("set the limit of open files to %d: %w", files.Max, err)
	}
	return nil
}

// setFileLimit goes past Go's runtime, which after a call of its own function
// would no longer give programs the soft limit back that it found.
func setFileLimit(pid int, r unix.Rlimit) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_PRLIMIT64, uintptr(pid), unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(&r)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
