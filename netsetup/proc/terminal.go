package proc

import (
	"os/signal"

	"golang.org/x/sys/unix"
)

// terminal is the one that controls this process; fd is negative where there is
// none, or this process is in the background of it.
type terminal struct {
	fd    int
	group int
}

func openTerminal() terminal {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return terminal{fd: -1}
	}
	group := unix.Getpgrp()
	if foreground, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err != nil || foreground != group {
		unix.Close(fd)
		return terminal{fd: -1}
	}
	return terminal{fd, group}
}

// giveBack makes this process's group be in the foreground again: a shell that
// ran as a child has put its own there, which ended with it.
func (t terminal) giveBack() {
	if t.fd < 0 {
		return
	}
	defer unix.Close(t.fd)
	if group, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP); err != nil || group == t.group {
		return
	}
	signal.Ignore(unix.SIGTTOU) // which who is in the background gets for it
	defer signal.Reset(unix.SIGTTOU)
	unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, t.group)
}
