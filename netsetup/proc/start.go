package proc

import (
	"os"
	"os/exec"
	"syscall"

	"nslab/netsetup/netns"
	"nslab/netsetup/proc/cgroup"
)

// Start starts the program in a session of its own, and in group where that is
// not nil, with nothing to read and with output, an open file, for what it
// writes. It does not wait for its end: the process is the caller's to reap.
func (c *Command) Start(output *os.File, group *cgroup.Group) (pid int, err error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	cmd := &exec.Cmd{
		Args: c.Argv, Env: c.env(), Stdin: null, Stdout: output, Stderr: output,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	err = netns.DoPrivate(c.Namespace, func() error {
		if group != nil {
			done, err := group.Enter(cmd.SysProcAttr)
			if err != nil {
				return err
			}
			defer done()
		}
		path, err := c.prepare()
		if err != nil {
			return err
		}
		cmd.Path = path
		return c.startError(cmd.Start())
	})
	if err != nil {
		return 0, err
	}
	pid = cmd.Process.Pid
	return pid, cmd.Process.Release()
}
