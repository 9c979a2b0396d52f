package netns

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Way is what a process does to get into namespaces, and what it sees to there:
// system calls in order, then a program. A fresh child goes it (Start), or the
// process itself (Become). It is made beforehand, down to the last byte: setns(2)
// into a user or time namespace is refused to a process with several threads, as
// every Go program is, and the child, which has one, has no runtime.
type Way struct {
	calls []call
	what  []string // what each call does, for messages
	keep  []any    // what the calls point to
	paths []string // of the program
	err   error    // of an argument that cannot be passed
}

// call is one step of a way.
type call struct {
	kind     uintptr
	nr       uintptr
	args     [6]uintptr
	harmless [6]uintptr // errors that do no harm
	skip     uintptr    // how many calls behind it are left out if it succeeds
}

const (
	callSystem = iota
	callFork   // the way goes on in a child, of the same parent
	callWrite  // args: path, data, length
	callExec
)

// Harmless is for Call: no error of the call ends the way.
const Harmless = syscall.Errno(^uint32(0) >> 1)

// Call adds a system call. Arguments are int, uintptr, string, []byte (its
// address) and unsafe.Pointer. what is for messages, such as "mount /proc".
func (w *Way) Call(what string, harmless []syscall.Errno, nr uintptr, args ...any) {
	c := call{nr: nr}
	for i, errno := range harmless {
		c.harmless[i] = uintptr(errno)
	}
	for i, arg := range args {
		c.args[i] = w.argument(arg)
	}
	w.add(what, c)
}

func (w *Way) add(what string, c call) {
	w.calls = append(w.calls, c)
	w.what = append(w.what, what)
}

func (w *Way) argument(arg any) uintptr {
	switch x := arg.(type) {
	case int:
		return uintptr(x)
	case uintptr:
		return x
	case unsafe.Pointer:
		w.keep = append(w.keep, x)
		return uintptr(x)
	case []byte:
		if len(x) == 0 {
			return 0
		}
		w.keep = append(w.keep, x)
		return uintptr(unsafe.Pointer(&x[0]))
	case string:
		p, err := unix.BytePtrFromString(x)
		if err != nil {
			w.err = errors.Join(w.err, fmt.Errorf("%q: %w", x, err))
			return 0
		}
		w.keep = append(w.keep, p)
		return uintptr(unsafe.Pointer(p))
	}
	panic(fmt.Sprintf("system call with a %T", arg))
}

// Skip leaves out the next n calls where the last one succeeds.
func (w *Way) Skip(n int) { w.calls[len(w.calls)-1].skip = uintptr(n) }

// EnterAll adds setns(2) for the namespaces of a process, given by its pidfd:
// kinds are CLONE_NEW*, together.
func (w *Way) EnterAll(kinds, pidfd int) {
	w.Call("enter the node's namespaces", nil, unix.SYS_SETNS, pidfd, kinds)
}

// Enter adds setns(2): kind is one of CLONE_NEW*, fd such a namespace.
func (w *Way) Enter(kind, fd int) {
	w.Call("enter the "+kindName(kind)+" namespace", nil, unix.SYS_SETNS, fd, kind)
}

// Unshare adds unshare(2) for one of CLONE_NEW*.
func (w *Way) Unshare(kind int) {
	w.Call("make a "+kindName(kind)+" namespace", nil, unix.SYS_UNSHARE, kind)
	if kind == unix.CLONE_NEWNS {
		// Slaves, not private: a copy of a namespace's mount that no unmount
		// reaches would keep that namespace alive.
		w.Call("keep mounts from spreading to the host", nil,
			unix.SYS_MOUNT, "none", "/", 0, unix.MS_SLAVE|unix.MS_REC, 0)
	}
}

// Fork makes a child go on, as is needed to get into a PID namespace. It is a
// child of who starts the way.
func (w *Way) Fork() {
	w.add("fork", call{kind: callFork})
}

// Write writes data to a file that is there.
func (w *Way) Write(what, path, data string) {
	w.add(what, call{kind: callWrite, args: [6]uintptr{w.argument(path), w.argument(data), uintptr(len(data))}})
}

var kinds = []struct {
	flag int
	name string // as in lsns(8) and /proc/PID/ns
}{
	{unix.CLONE_NEWUSER, "user"},
	{unix.CLONE_NEWCGROUP, "cgroup"},
	{unix.CLONE_NEWIPC, "ipc"},
	{unix.CLONE_NEWUTS, "uts"},
	{unix.CLONE_NEWNET, "net"},
	{unix.CLONE_NEWPID, "pid"},
	{unix.CLONE_NEWTIME, "time"},
	{unix.CLONE_NEWNS, "mnt"},
}

func kindName(flag int) string {
	for _, k := range kinds {
		if k.flag == flag {
			return k.name
		}
	}
	panic(fmt.Sprintf("no kind of namespace is %#x", flag))
}

// Program is what a way leads to.
type Program struct {
	Paths     []string // tried in order, as a shell does with PATH
	Argv, Env []string
	Files     []*os.File // its files, from descriptor 0 on; nil, or none: this process's
}

// WayError is a step that was refused.
type WayError struct {
	Step string
	Err  error // errno; or a *LimitError or *PrivilegeError that explains it
}

func (e *WayError) Error() string { return e.Step + ": " + e.Err.Error() }

func (e *WayError) Unwrap() error { return e.Err }

// ProgramError is a program that could not be run at the end of a way. Found:
// it is there and may be run, but the kernel refuses it.
type ProgramError struct {
	Path  string
	Found bool
	Err   syscall.Errno
}

func (e *ProgramError) Error() string { return fmt.Sprintf("run %s: %v", e.Path, e.Err) }

func (e *ProgramError) Unwrap() error { return e.Err }

// finish adds what every program needs, and the program.
func (w *Way) finish(p *Program) (*program, []*os.File, error) {
	files, err := w.files(p.Files)
	if err != nil {
		return nil, files, err
	}
	w.restoreFileLimit()
	if len(p.Paths) == 0 {
		return nil, files, &ProgramError{Err: unix.ENOENT}
	}
	w.paths = p.Paths
	end := &program{count: uintptr(len(p.Paths))}
	paths, dirs := make([]uintptr, len(p.Paths)), make([]uintptr, len(p.Paths))
	for i, path := range p.Paths {
		paths[i] = w.argument(path)
		if len(p.Paths) > 1 {
			dirs[i] = w.argument(path[:strings.LastIndexByte(path, '/')+1])
		}
	}
	end.paths, end.dirs = &paths[0], &dirs[0]
	argv, err := syscall.SlicePtrFromStrings(p.Argv)
	if err == nil && w.err != nil {
		err = unix.EINVAL
	}
	if err != nil {
		return nil, files, &ProgramError{Path: p.Argv[0], Found: true, Err: unix.EINVAL}
	}
	env, err := syscall.SlicePtrFromStrings(p.Env)
	if err != nil {
		return nil, files, fmt.Errorf("environment: %w", err)
	}
	end.argv, end.env = &argv[0], &env[0]
	w.keep = append(w.keep, end, paths, dirs, argv, env)
	w.add("run "+p.Argv[0], call{kind: callExec})
	return end, files, nil
}

// files puts the program's files in their places. Those given back are to be
// closed.
func (w *Way) files(files []*os.File) (opened []*os.File, err error) {
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = i
		if f == nil {
			continue
		}
		fds[i] = int(f.Fd())
		if fds[i] < len(fds) {
			// It may be overwritten.
			fd, err := unix.FcntlInt(uintptr(fds[i]), unix.F_DUPFD_CLOEXEC, len(fds))
			if err != nil {
				return opened, Limit(err)
			}
			opened = append(opened, os.NewFile(uintptr(fd), f.Name()))
			fds[i] = fd
		}
	}
	for i, fd := range fds {
		if fd != i {
			w.Call("pass on files", nil, unix.SYS_DUP3, fd, i, 0)
		}
	}
	return opened, nil
}

// restoreFileLimit undoes what Go's runtime does to the soft limit of open files
// of this process, and RaiseFileLimit to both: programs such as those that use
// select(2) count on a small one. Who started this process has the soft one to go
// back to.
func (w *Way) restoreFileLimit() {
	var now, parent unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &now) != nil {
		return
	}
	old := now
	if files.Max != 0 {
		old = files
	}
	if unix.Prlimit(unix.Getppid(), unix.RLIMIT_NOFILE, nil, &parent) == nil {
		old.Cur = min(old.Cur, parent.Cur)
	}
	if old != now {
		w.Call("limit open files", nil, unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, unsafe.Pointer(&old), 0)
	}
}

// Become goes the way and becomes the program: it returns only if that fails,
// and then nothing of this process has changed. The way has no Fork.
func (w *Way) Become(p *Program) error {
	end, opened, err := w.finish(p)
	if err == nil {
		err = w.err
	}
	if err != nil {
		return err
	}
	c := &walk{calls: &w.calls[0], count: uintptr(len(w.calls)), program: end, look: true}
	done := make(chan error, 1)
	lockedThread(func() {
		c.run()
		runtime.KeepAlive(w)
		if c.errno == 0 {
			// Go's own gives the program back the soft limit of open files.
			var errno syscall.Errno
			errors.As(syscall.Exec(p.Paths[c.path], p.Argv, p.Env), &errno)
			c.errno = uintptr(errno)
		}
		done <- w.failure(&c.report)
	})
	err = <-done
	for _, f := range opened {
		f.Close()
	}
	return err
}

// Go makes the calls in the calling thread. The way leads to no program and has
// no Fork.
func (w *Way) Go() error {
	if w.err != nil || len(w.calls) == 0 {
		return w.err
	}
	c := &walk{calls: &w.calls[0], count: uintptr(len(w.calls))}
	c.run()
	runtime.KeepAlive(w)
	if c.errno != 0 {
		return w.failure(&c.report)
	}
	return nil
}

// Start makes a child go the way and run the program. The child is this
// process's, to be waited for by its number; the calling goroutine is to be locked to its
// thread where the way asks for a signal at the parent's death.
func (w *Way) Start(p *Program) (pid int, err error) {
	end, opened, err := w.finish(p)
	defer func() {
		for _, f := range opened {
			f.Close()
		}
	}()
	if err == nil {
		err = w.err
	}
	if err != nil {
		return 0, err
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return 0, Limit(err)
	}
	defer unix.Close(pipe[0])
	c := &walk{calls: &w.calls[0], count: uintptr(len(w.calls)), program: end, out: uintptr(pipe[1])}
	pid, err = fork(c)
	unix.Close(pipe[1])
	if err != nil {
		return 0, fmt.Errorf("fork: %w", TaskLimit(err))
	}
	// The pipe ends without a word when the child runs the program.
	for {
		var r report
		raw := unsafe.Slice((*byte)(unsafe.Pointer(&r)), unsafe.Sizeof(r))
		n, readErr := unix.Read(pipe[0], raw)
		switch {
		case readErr == unix.EINTR:
			continue
		case readErr != nil || n != len(raw):
		case r.at == reportForked:
			waitFor(pid)
			pid = int(r.errno)
			continue
		default:
			waitFor(pid)
			return 0, w.failure(&r)
		}
		runtime.KeepAlive(w)
		return pid, nil
	}
}

// waitFor collects a child that ends by itself.
func waitFor(pid int) {
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
			return
		}
	}
}

// failure puts a step's error into words.
func (w *Way) failure(r *report) error {
	errno := syscall.Errno(r.errno)
	c := &w.calls[r.at]
	if c.kind == callExec {
		e := &ProgramError{Found: r.found != 0, Err: errno}
		if r.path < uintptr(len(w.paths)) {
			e.Path = w.paths[r.path]
		}
		return e
	}
	err := error(errno)
	switch {
	case errno == unix.ENOSPC && c.nr == unix.SYS_UNSHARE:
		err = sysctlLimit("user.max_"+kindName(int(c.args[0]))+"_namespaces", err)
	case errno == unix.EPERM && (c.nr == unix.SYS_UNSHARE || c.nr == unix.SYS_SETNS):
		err = needRoot("it is not permitted", err)
	}
	return &WayError{Step: w.what[r.at], Err: err}
}
