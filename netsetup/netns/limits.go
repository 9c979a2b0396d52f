package netns

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// manyFiles is what container engines and systemd give as hard limit of open
// files; a lab of 10 000 namespaces needs some tens of thousands.
const manyFiles = 1 << 20

// RaiseFileLimit lets this process, and those that it starts, have manyFiles
// files open, where it may raise its hard limit so far (CAP_SYS_RESOURCE and
// fs.nr_open). Up to the hard limit Go's runtime has raised the soft one
// already, for this process alone.
func RaiseFileLimit() error {
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	if now.Max >= manyFiles {
		return nil
	}
	most := uint64(manyFiles)
	if n, err := strconv.ParseUint(sysctl("fs.nr_open"), 10, 64); err == nil {
		most = min(most, n)
	}
	err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: most, Max: most})
	if err != nil && err != unix.EPERM {
		return fmt.Errorf("raise the limit of open files from %d to %d: %w", now.Max, most, err)
	}
	return nil
}
