package netns

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// walk is a way as the child of fork takes it.
type walk struct {
	calls   *call
	count   uintptr
	program *program
	forked  bool
	look    bool          // for the program, without becoming it
	out     uintptr       // where a child writes what became of it
	mask    unix.Sigset_t // the signals blocked before

	report
}

// report says where a walk ended.
type report struct {
	at    uintptr // which call; reportForked
	errno uintptr // or the number of the child
	path  uintptr // which of the program's
	found uintptr // the path is there and may be run
}

const reportForked = ^uintptr(0)

const atCwd = ^uintptr(99) // unix.AT_FDCWD

// program is the end of a way.
type program struct {
	paths, dirs *uintptr // each a string; its directory, nil where that does not matter
	count       uintptr
	argv, env   **byte
}

// fork blocks all signals around the fork, so that no handler of the Go runtime
// runs in the child.
func fork(c *walk) (pid int, err error) {
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	// The mask is the thread's. Were the goroutine to change threads meanwhile, one
	// would be left with all blocked, and so would what it starts.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &c.mask); err != nil {
		return 0, err
	}
	c.forked = true
	p, errno := forkInto(c)
	runtime.KeepAlive(c)
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &c.mask, nil); err != nil {
		return 0, err
	}
	if errno != 0 {
		return 0, errno
	}
	return int(p), nil
}

// forkInto forks. The child has one thread and no runtime: it may make raw
// system calls alone, neither grow its stack nor allocate, and never returns.
//
//go:nosplit
//go:norace
//go:noinline
func forkInto(c *walk) (pid uintptr, errno syscall.Errno) {
	pid, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	resetSignals()
	c.run()
	c.tell()
	for {
		syscall.RawSyscall6(syscall.SYS_EXIT_GROUP, 1, 0, 0, 0, 0, 0)
	}
}

// resetSignals takes the handlers of the runtime away, which must not run in the
// child once signals are unblocked; what is ignored stays so. The handler is the
// first word of the kernel's struct sigaction, whose size is at most this.
//
//go:nosplit
//go:norace
//go:noinline
func resetSignals() {
	for sig := uintptr(1); sig <= 64; sig++ {
		var old, reset [8]uint64
		syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, sig, 0, uintptr(unsafe.Pointer(&old)), 8, 0, 0)
		if old[0] > 1 { // neither SIG_DFL nor SIG_IGN
			syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&reset)), 0, 8, 0, 0)
		}
	}
}

//go:nosplit
//go:norace
//go:noinline
func (c *walk) tell() {
	syscall.RawSyscall6(syscall.SYS_WRITE, c.out, uintptr(unsafe.Pointer(&c.report)), unsafe.Sizeof(c.report), 0, 0, 0)
}

// run makes the calls. It returns where one fails, with its report.
//
//go:nosplit
//go:norace
//go:noinline
func (c *walk) run() {
	for c.at = 0; c.at < c.count; c.at++ {
		s := (*call)(unsafe.Add(unsafe.Pointer(c.calls), c.at*unsafe.Sizeof(call{})))
		var value uintptr
		var errno syscall.Errno
		switch s.kind {
		case callFork:
			value, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD)|unix.CLONE_PARENT, 0, 0, 0, 0, 0)
			if errno == 0 && value != 0 {
				c.at, c.errno = reportForked, value
				c.tell()
				for {
					syscall.RawSyscall6(syscall.SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0)
				}
			}
		case callExec:
			c.exec()
			return
		case callWrite:
			value, _, errno = syscall.RawSyscall6(syscall.SYS_OPENAT, atCwd, s.args[0], unix.O_WRONLY|unix.O_CLOEXEC, 0, 0, 0)
			if errno == 0 {
				_, _, errno = syscall.RawSyscall6(syscall.SYS_WRITE, value, s.args[1], s.args[2], 0, 0, 0)
				syscall.RawSyscall6(syscall.SYS_CLOSE, value, 0, 0, 0, 0, 0)
			}
		default:
			_, _, errno = syscall.RawSyscall6(s.nr, s.args[0], s.args[1], s.args[2], s.args[3], s.args[4], s.args[5])
		}
		if errno == 0 {
			c.at += s.skip
			continue
		}
		if !s.forgives(uintptr(errno)) {
			c.errno = uintptr(errno)
			return
		}
	}
	c.errno = 0
}

//go:nosplit
//go:norace
//go:noinline
func (s *call) forgives(errno uintptr) bool {
	for i := uintptr(0); i < uintptr(len(s.harmless)); i++ {
		if h := s.harmless[i]; h == errno || h == uintptr(Harmless) {
			return true
		}
	}
	return false
}

// exec looks for the program as a shell does, and becomes it: folders that may
// not be searched hold nothing.
//
//go:nosplit
//go:norace
//go:noinline
func (c *walk) exec() {
	if c.forked {
		syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&c.mask)), 0, 8, 0, 0)
	}
	p := c.program
	c.errno, c.path = uintptr(syscall.ENOENT), p.count
	if p.count == 1 {
		c.path = 0
	}
	for i := uintptr(0); i < p.count; i++ {
		path := *(*uintptr)(unsafe.Add(unsafe.Pointer(p.paths), i*unsafe.Sizeof(i)))
		dir := *(*uintptr)(unsafe.Add(unsafe.Pointer(p.dirs), i*unsafe.Sizeof(i)))
		_, _, errno := syscall.RawSyscall6(syscall.SYS_FACCESSAT, atCwd, path, unix.X_OK, 0, 0, 0)
		found := errno == 0
		if found && c.look {
			c.errno, c.path, c.found = 0, i, 1
			return
		}
		if found {
			_, _, errno = syscall.RawSyscall6(syscall.SYS_EXECVE, path, uintptr(unsafe.Pointer(p.argv)), uintptr(unsafe.Pointer(p.env)), 0, 0, 0)
		}
		switch {
		case found && (errno != syscall.EACCES || p.count == 1):
			c.errno, c.path, c.found = uintptr(errno), i, 1
			return
		case errno == syscall.ENOENT || errno == syscall.ENOTDIR:
			if p.count == 1 {
				c.errno = uintptr(errno)
			}
			continue
		case dir != 0 && !found:
			if _, _, no := syscall.RawSyscall6(syscall.SYS_FACCESSAT, atCwd, dir, unix.X_OK, 0, 0, 0); no != 0 {
				continue
			}
		}
		if c.errno == uintptr(syscall.ENOENT) {
			c.errno, c.path, c.found = uintptr(errno), i, 0
			if found {
				c.found = 1
			}
		}
	}
}
