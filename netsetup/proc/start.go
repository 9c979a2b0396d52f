package proc

import (
	"os"

	"golang.org/x/sys/unix"
)

// Start starts the program in a session of its own, with nothing to read and with
// output, an open file, for what it writes. It does not wait for its end: the
// process is the caller's to reap.
func (c *Command) Start(output *os.File) (pid int, err error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	return c.child(unix.SYS_SETSID, []*os.File{null, output, output})
}

// child starts the program as a child: in a session or a process group of its
// own, as the system call own says. files are its standard files, none: those of
// this process.
func (c *Command) child(own uintptr, files []*os.File) (pid int, err error) {
	if len(c.Argv) == 0 {
		return 0, errNoProgram
	}
	e, err := c.enter()
	if err != nil {
		return 0, err
	}
	defer e.close()
	e.Call("leave the process group", nil, own, 0, 0)
	return c.start(e, files)
}
