// Package proc runs programs inside a lab's nodes.
//
// It knows what a program sees that is not the network: its mounts, user,
// directory and environment, and how its end is told. It must not know
// topologies, nor what is in a namespace.
package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nslab/netsetup/netns"
)

// Command is a program to be run in a namespace, with a /sys of its own where
// that is permitted, so that /sys/class/net shows the namespace's interfaces.
type Command struct {
	Namespace *netns.Handle
	Argv      []string // the program and its arguments; at least one
	Dir       string   // "" is the current one
	Env       []string // "NAME=value"; nil is the environment of this process
	User      string   // name, number, or either with ":GROUP"; "" is the current one

	// For Run, as in os/exec; Exec takes over those of this process.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// waitDelay is how long Run still waits for output after the program has ended,
// where something outside of its process group holds on to it.
const waitDelay = time.Second

// Exit statuses of those who run programs for others, as env(1) has them.
const (
	StatusFailed        = 125 // we failed, not the program
	StatusNotExecutable = 126
	StatusNotFound      = 127
)

// StartError is a program that cannot be run. Other errors of this package are
// our own failures, StatusFailed.
type StartError struct {
	Program string
	Status  int // StatusNotExecutable or StatusNotFound
	Err     error
}

func (e *StartError) Error() string { return fmt.Sprintf("run %s: %v", e.Program, e.Err) }

func (e *StartError) Unwrap() error { return e.Err }

// Exec becomes the program: it returns only if that fails, and then nothing of
// this process has changed but the limit of open files, which is the program's.
func (c *Command) Exec() error {
	return netns.DoPrivate(c.Namespace, func() error {
		path, err := c.prepare()
		if err != nil {
			return err
		}
		if err := netns.RestoreFileLimit(0); err != nil {
			return err
		}
		return c.startError(syscall.Exec(path, c.Argv, c.env()))
	})
}

// Run runs the program and waits for its end. exit is its exit status, and 128+n
// where signal n killed it. When ctx ends, the program is killed and err is the
// cause. What the program leaves running in its process group is killed.
func (c *Command) Run(ctx context.Context) (exit int, err error) {
	if err := ctx.Err(); err != nil {
		return StatusFailed, context.Cause(ctx)
	}
	cmd := &exec.Cmd{
		Args:        c.Argv,
		Env:         c.env(),
		Stdin:       c.Stdin,
		Stdout:      c.Stdout,
		Stderr:      c.Stderr,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
		WaitDelay:   waitDelay,
	}
	err = netns.DoPrivate(c.Namespace, func() error {
		path, err := c.prepare()
		if err != nil {
			return err
		}
		cmd.Path = path
		if err := c.startError(cmd.Start()); err != nil {
			return err
		}
		// It has hardly begun.
		return netns.RestoreFileLimit(cmd.Process.Pid)
	})
	if err != nil {
		return StatusFailed, err
	}
	// Until it is reaped its number, which is its group's too, is not given to
	// another.
	ended := make(chan error, 1)
	go func() { ended <- waitUnreaped(cmd.Process.Pid) }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		err = <-ended
	}
	if err != nil {
		return StatusFailed, fmt.Errorf("wait for %s: %w", c.Argv[0], err)
	}
	unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // fails where no other is left
	err = cmd.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	} else if errors.As(err, new(*exec.ExitError)) || errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal()), err
	}
	return status.ExitStatus(), err
}

// waitUnreaped waits for the end of a child and leaves it a zombie.
func waitUnreaped(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err
		}
	}
}

// env is the environment of the program, which tells whose it is.
func (c *Command) env() []string {
	env := c.Env
	if env == nil {
		env = os.Environ()
	}
	mark := netns.InodeEnv + "="
	// Of two of one name programs take the one or the other.
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, mark) })
	return append(env, mark+strconv.FormatUint(c.Namespace.Inode(), 10))
}

// prepare makes the calling thread, which is DoPrivate's, what the program is to
// start from, and finds the program.
func (c *Command) prepare() (path string, err error) {
	if len(c.Argv) == 0 {
		return "", errors.New("run a program: none is given")
	}
	if err := mountSys(); err != nil {
		return "", err
	}
	if err := becomeUser(c.User); err != nil {
		return "", err
	}
	if c.Dir != "" {
		if err := unix.Chdir(c.Dir); err != nil {
			return "", fmt.Errorf("change to directory %s: %w", c.Dir, err)
		}
	}
	path, status, err := c.find()
	if err != nil {
		return "", &StartError{Program: c.Argv[0], Status: status, Err: err}
	}
	return path, nil
}

// mountSys covers /sys, as ip-netns(8) does for exec: an instance of sysfs shows
// the network namespace that it was mounted in. A user namespace in a container
// may not mount one; the program then sees the old one.
func mountSys() error {
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	var sfs unix.Statfs_t
	if unix.Statfs("/sys", &sfs) == nil && sfs.Flags&unix.ST_RDONLY != 0 {
		flags |= unix.MS_RDONLY
	}
	switch err := unix.Mount("sysfs", "/sys", "sysfs", flags, ""); err {
	case nil, unix.EPERM, unix.EACCES, unix.ENOENT, unix.ENODEV:
		return nil
	default:
		return fmt.Errorf("mount the node's own /sys: %w", err)
	}
}

// find looks for the program as a shell does, with the PATH of its own
// environment: folders that the user may not search hold nothing. status goes
// with err.
func (c *Command) find() (path string, status int, err error) {
	name := c.Argv[0]
	if strings.Contains(name, "/") {
		status, err = executable(name)
		return name, status, err
	}
	status, err = StatusNotFound, errors.New("not found in PATH")
	for _, dir := range filepath.SplitList(c.path()) {
		path := filepath.Join(dir, name)
		if !filepath.IsAbs(path) {
			path = "./" + path
		}
		s, e := executable(path)
		if e == nil {
			return path, 0, nil
		}
		if unix.Access(filepath.Dir(path), unix.X_OK) != nil {
			continue
		}
		if s == StatusNotExecutable && status == StatusNotFound {
			status, err = s, fmt.Errorf("%s: %w", path, e)
		}
	}
	return "", status, err
}

// path is the PATH of the program's environment; without one, what execvp(3)
// has.
func (c *Command) path() string {
	path := "/bin:/usr/bin"
	for _, v := range c.env() {
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			path = value
		}
	}
	return path
}

func executable(path string) (status int, err error) {
	var st unix.Stat_t
	switch err := unix.Stat(path, &st); err {
	case nil:
	case unix.ENOENT, unix.ENOTDIR:
		return StatusNotFound, err
	default:
		return StatusNotExecutable, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return StatusNotExecutable, errors.New("not a file that can be run")
	}
	if err := unix.Access(path, unix.X_OK); err != nil {
		return StatusNotExecutable, err
	}
	return 0, nil
}

// startError tells the program's faults from ours.
func (c *Command) startError(err error) error {
	var errno syscall.Errno
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &errno), errno == unix.EAGAIN, errno == unix.ENOMEM, errno == unix.EMFILE, errno == unix.ENFILE:
		return fmt.Errorf("run %s: %w", c.Argv[0], netns.TaskLimit(err))
	case errno == unix.ENOENT:
		// The file is there: it is what the file asks for that is not.
		err = fmt.Errorf("its interpreter: %w", errno)
	case errno == unix.ENOEXEC:
		err = fmt.Errorf("neither a program nor a script that begins with #!: %w", errno)
	default:
		err = errno
	}
	return &StartError{Program: c.Argv[0], Status: StatusNotExecutable, Err: err}
}
