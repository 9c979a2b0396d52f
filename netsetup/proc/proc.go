// Package proc is what a node is beside its network, and runs programs in it.
//
// It knows the namespaces that a node owns and the process that keeps them, what
// a program sees (mounts, host name, user, directory, environment), how it gets
// there and how its end is told. It must not know topologies, nor what is in a
// network namespace.
package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nslab/netsetup/netns"
)

// Command is a program to be run in a node. It sees the node's host name,
// /etc/hosts, /etc/resolv.conf and a /sys of its network, and what else the node
// owns; of that nothing is seen on the host.
type Command struct {
	Node *Node
	Argv []string // the program and its arguments; at least one
	Dir  string   // "" is the current one, or / of a root file system of the node's own
	Base []string // "NAME=value"; nil is the environment of this process
	Env  []string // "NAME=value", over Base and the node's own
	User string   // name or number of the node's, or either with ":GROUP"; "" is the current one, or root

	// For Run, as in os/exec; Exec takes over those of this process.
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	death syscall.Signal // what it gets when this process ends; 0 is nothing
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

var errNoProgram = errors.New("run a program: none is given")

// Exec runs the program with the files, the terminal and the process group of
// this process, and gives its exit status. Where the node owns no namespaces,
// this process becomes the program, and Exec returns only if that fails; then
// nothing of this process has changed.
func (c *Command) Exec() (exit int, err error) {
	if len(c.Argv) == 0 {
		return StatusFailed, errNoProgram
	}
	if c.Node.keeper != nil {
		return c.attend()
	}
	e, err := c.enter()
	if err != nil {
		return StatusFailed, err
	}
	defer e.close()
	env := c.env()
	return StatusFailed, c.startError(e.Become(&netns.Program{Paths: c.paths(env), Argv: c.Argv, Env: env}))
}

func (c *Command) start(e *entry, files []*os.File) (pid int, err error) {
	env := c.env()
	pid, err = e.Way.Start(&netns.Program{Paths: c.paths(env), Argv: c.Argv, Env: env, Files: files})
	return pid, c.startError(err)
}

// Run runs the program and waits for its end. exit is its exit status, and 128+n
// where signal n killed it. When ctx ends, the program is killed and err is the
// cause. What the program leaves running in its process group is killed.
func (c *Command) Run(ctx context.Context) (exit int, err error) {
	if err := ctx.Err(); err != nil {
		return StatusFailed, context.Cause(ctx)
	}
	s, err := c.streams()
	if err != nil {
		return StatusFailed, err
	}
	pid, err := c.child(unix.SYS_SETPGID, s.theirs[:])
	s.started()
	if err != nil {
		s.end(0)
		return StatusFailed, err
	}
	// Until it is reaped its number, which is its group's too, is not given to
	// another.
	ended := make(chan error, 1)
	go func() { ended <- waitUnreaped(pid) }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		unix.Kill(-pid, unix.SIGKILL)
		err = <-ended
	}
	unix.Kill(-pid, unix.SIGKILL) // fails where no other is left
	if err != nil {
		s.end(0)
		return StatusFailed, fmt.Errorf("wait for %s: %w", c.Argv[0], err)
	}
	exit, err = reap(pid)
	s.end(waitDelay)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return exit, err
}

// reap collects a child that has ended, or waits for its end.
func reap(pid int) (exit int, err error) {
	var status unix.WaitStatus
	for err = unix.EINTR; err == unix.EINTR; {
		_, err = unix.Wait4(pid, &status, 0, nil)
	}
	switch {
	case err != nil:
		return StatusFailed, err
	case status.Signaled():
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
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

// streams are the standard files of a program whose other ends are ours.
type streams struct {
	theirs  [3]*os.File
	ours    []*os.File
	copying sync.WaitGroup
	copies  []func()
}

// streams makes a pipe for each stream that is no file; none is /dev/null.
func (c *Command) streams() (s *streams, err error) {
	s = &streams{}
	defer func() {
		if err != nil {
			s.started()
			s.end(0)
		}
	}()
	if c.Stdin == nil {
		s.theirs[0], err = os.Open(os.DevNull)
	} else {
		var write *os.File
		if s.theirs[0], write, err = os.Pipe(); err == nil {
			s.ours = append(s.ours, write)
			s.copies = append(s.copies, func() {
				io.Copy(write, c.Stdin) // the program need not read it
				write.Close()
			})
		}
	}
	for i, w := range []io.Writer{c.Stdout, c.Stderr} {
		if err != nil {
			break
		}
		if i == 1 && same(c.Stdout, c.Stderr) {
			s.theirs[2] = s.theirs[1] // two copies at a time would be too many for it
			continue
		}
		if w == nil {
			s.theirs[i+1], err = os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			continue
		}
		var read *os.File
		if read, s.theirs[i+1], err = os.Pipe(); err == nil {
			s.ours = append(s.ours, read)
			s.copies = append(s.copies, func() { io.Copy(w, read) })
		}
	}
	return s, err
}

// same reports whether both are one; of some types that cannot be told.
func same(a, b io.Writer) bool {
	return a != nil && b != nil && reflect.TypeOf(a).Comparable() && reflect.TypeOf(b).Comparable() && a == b
}

// started lets go of the program's ends and begins to copy.
func (s *streams) started() {
	for _, f := range s.theirs {
		if f != nil {
			f.Close()
		}
	}
	for _, copyAll := range s.copies {
		s.copying.Add(1)
		go func() {
			defer s.copying.Done()
			copyAll()
		}()
	}
}

// end waits at most that long for what is still on the way.
func (s *streams) end(wait time.Duration) {
	done := make(chan struct{})
	go func() { s.copying.Wait(); close(done) }()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
	for _, f := range s.ours {
		f.Close()
	}
	<-done
}

// startError tells the program's faults from ours.
func (c *Command) startError(err error) error {
	var refused *netns.ProgramError
	if !errors.As(err, &refused) {
		return err
	}
	e := &StartError{Program: c.Argv[0], Status: StatusNotExecutable, Err: refused.Err}
	switch errno := refused.Err; {
	case errno == unix.EAGAIN, errno == unix.ENOMEM, errno == unix.EMFILE, errno == unix.ENFILE:
		return fmt.Errorf("run %s: %w", c.Argv[0], netns.TaskLimit(errno))
	case !refused.Found && !strings.Contains(c.Argv[0], "/") && errno == unix.ENOENT:
		e.Status, e.Err = StatusNotFound, errors.New("not found in PATH")
	case !refused.Found && (errno == unix.ENOENT || errno == unix.ENOTDIR):
		e.Status = StatusNotFound
	case !refused.Found && refused.Path != c.Argv[0]:
		e.Err = fmt.Errorf("%s: %w", refused.Path, errno)
	case !refused.Found:
	case errno == unix.EACCES:
		e.Err = errors.New("not a file that can be run")
	case errno == unix.ENOENT:
		// The file is there: it is what the file asks for that is not.
		e.Err = fmt.Errorf("its interpreter: %w", errno)
	case errno == unix.ENOEXEC:
		e.Err = fmt.Errorf("neither a program nor a script that begins with #!: %w", errno)
	}
	return e
}

// attend starts the program as a child and waits for it: into some namespaces
// only a child gets.
func (c *Command) attend() (exit int, err error) {
	runtime.LockOSThread() // whose end the program would take for ours
	defer runtime.UnlockOSThread()
	attended := *c
	attended.death = unix.SIGKILL
	e, err := attended.enter()
	if err != nil {
		return StatusFailed, err
	}
	defer e.close()
	terminal := openTerminal()
	defer terminal.giveBack()
	pass := netns.PassSignals()
	defer pass.Stop()
	pid, err := attended.start(e, nil)
	if err != nil {
		return StatusFailed, err
	}
	pass.To(pid)
	// As long as it is not reaped, signals reach no other.
	if err := waitUnreaped(pid); err != nil {
		return StatusFailed, fmt.Errorf("wait for %s: %w", c.Argv[0], err)
	}
	pass.Stop()
	return reap(pid)
}
