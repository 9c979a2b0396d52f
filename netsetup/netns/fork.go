package netns

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forkCall is a way into other namespaces, as the child of fork takes it.
// setns(2) into a user namespace is refused to a process with several threads,
// as every Go program is, and only a fresh child has one.
type forkCall struct {
	user, mnt, net int // descriptors of the namespaces
	cwd            int // of the current directory, should its path not be there
	report         int // where the child writes why it failed: step and errno
	cwdPath, exe   *byte
	argv, env      **byte
	mask           unix.Sigset_t // the signals blocked before
}

// The steps of the child that can fail.
const (
	stepUser = iota
	stepMount
	stepNet
	stepDir
	stepExec
)

var stepNames = [...]string{
	stepUser:  "enter the user namespace",
	stepMount: "enter the mount namespace",
	stepNet:   "enter the network namespace",
	stepDir:   "change to the current directory",
	stepExec:  "run this program again",
}

// startInside runs this very program, with args and env, in the namespaces of h.
// It has this one's standard files, terminal, process group and current
// directory. The calling goroutine must be locked to its thread, whose end sends
// SIGTERM to the child.
func startInside(h *holder, args, env []string) (pid int, err error) {
	c := forkCall{user: h.user, mnt: h.mnt, net: h.net}
	if c.cwd, err = unix.Open(".", unix.O_PATH|unix.O_CLOEXEC, 0); err != nil {
		return 0, fmt.Errorf("open the current directory: %w", Limit(err))
	}
	defer unix.Close(c.cwd)
	path, err := os.Getwd()
	if err != nil {
		path = "" // it was removed; the descriptor still leads there
	}
	if c.cwdPath, err = unix.BytePtrFromString(path); err != nil {
		return 0, err
	}
	if c.exe, err = unix.BytePtrFromString("/proc/self/exe"); err != nil {
		return 0, err
	}
	argv, err := syscall.SlicePtrFromStrings(args)
	if err != nil {
		return 0, fmt.Errorf("arguments: %w", err)
	}
	envv, err := syscall.SlicePtrFromStrings(env)
	if err != nil {
		return 0, fmt.Errorf("environment: %w", err)
	}
	c.argv, c.env = &argv[0], &envv[0]

	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return 0, Limit(err)
	}
	defer unix.Close(pipe[0])
	c.report = pipe[1]
	pid, err = fork(&c)
	unix.Close(pipe[1])
	if err != nil {
		return 0, fmt.Errorf("fork: %w", TaskLimit(err))
	}
	// The pipe ends without a word when the child runs the program.
	var failure [2]int32
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&failure)), unsafe.Sizeof(failure))
	for {
		n, err := unix.Read(pipe[0], raw)
		if err == unix.EINTR {
			continue
		}
		if err == nil && n == len(raw) {
			unix.Wait4(pid, nil, 0, nil)
			return 0, fmt.Errorf("%s: %w", stepNames[failure[0]], syscall.Errno(failure[1]))
		}
		return pid, nil
	}
}

// fork blocks all signals around the fork, so that no handler of the Go runtime
// runs in the child.
func fork(c *forkCall) (pid int, err error) {
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	var all unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &c.mask); err != nil {
		return 0, err
	}
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
func forkInto(c *forkCall) (pid uintptr, errno syscall.Errno) {
	pid, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		return pid, errno
	}

	// Handlers of the runtime must not run here once signals are unblocked;
	// what is ignored stays so. The handler is the first word of the kernel's
	// struct sigaction, whose size is at most this.
	for sig := uintptr(1); sig <= 64; sig++ {
		var old, reset [8]uint64
		syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, sig, 0, uintptr(unsafe.Pointer(&old)), 8, 0, 0)
		if old[0] > 1 { // neither SIG_DFL nor SIG_IGN
			syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&reset)), 0, 8, 0, 0)
		}
	}
	step := int32(stepUser)
	_, _, errno = syscall.RawSyscall(unix.SYS_SETNS, uintptr(c.user), unix.CLONE_NEWUSER, 0)
	if errno == 0 {
		step = stepMount
		_, _, errno = syscall.RawSyscall(unix.SYS_SETNS, uintptr(c.mnt), unix.CLONE_NEWNS, 0)
	}
	if errno == 0 {
		step = stepNet
		_, _, errno = syscall.RawSyscall(unix.SYS_SETNS, uintptr(c.net), unix.CLONE_NEWNET, 0)
	}
	if errno == 0 {
		step = stepDir
		_, _, errno = syscall.RawSyscall(syscall.SYS_CHDIR, uintptr(unsafe.Pointer(c.cwdPath)), 0, 0)
		if errno != 0 {
			_, _, errno = syscall.RawSyscall(syscall.SYS_FCHDIR, uintptr(c.cwd), 0, 0)
		}
	}
	if errno == 0 {
		step = stepExec
		// After setns, which clears it.
		syscall.RawSyscall6(syscall.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0, 0, 0, 0)
		syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&c.mask)), 0, 8, 0, 0)
		_, _, errno = syscall.RawSyscall(syscall.SYS_EXECVE,
			uintptr(unsafe.Pointer(c.exe)), uintptr(unsafe.Pointer(c.argv)), uintptr(unsafe.Pointer(c.env)))
	}
	failure := [2]int32{step, int32(errno)}
	syscall.RawSyscall(syscall.SYS_WRITE, uintptr(c.report), uintptr(unsafe.Pointer(&failure)), unsafe.Sizeof(failure))
	for {
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 1, 0, 0)
	}
}
