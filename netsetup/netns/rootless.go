package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"nslab/netsetup/bug"
	"nslab/netsetup/failpoint"
)

// RootlessEnv is set to 1 in the environment of the program that EnterRootless
// runs.
const RootlessEnv = "NSLAB_ROOTLESS"

// EnterRootless runs this very program with args (without its name) inside the
// namespaces that are kept for this user, where it has privilege, and gives its
// exit status, 128+n where signal n killed it. The namespaces are made if they
// are not there, and go at the end if no lab is in them (StopHolder). Signals
// are passed on; those that a terminal sends reach the program by themselves.
// What comes while the namespaces are made or ended does not stop that, as it
// would leave them behind.
// err, with exit status 1, is our own failure: a *PrivilegeError or *LimitError
// where this host forbids it.
func EnterRootless(args []string) (exitCode int, err error) {
	signals := PassSignals()
	defer signals.Stop()
	err = bug.Guard(func() error {
		h, inUse, err := userRunDir().enter()
		if err != nil {
			return err
		}
		defer inUse.Close()
		defer h.close()
		exitCode, err = runInside(h, args, signals)
		return err
	})
	if err != nil {
		exitCode, err = 1, fmt.Errorf("work without root: %w", err)
	}
	return exitCode, errors.Join(err, StopHolder())
}

// StopHolder ends the process that keeps this user's namespaces, unless there
// is a lab in them or a program at work there. That it is not there is no
// error.
func StopHolder() error {
	if err := userRunDir().stop(); err != nil {
		return fmt.Errorf("end the process that keeps the namespaces: %w", err)
	}
	return nil
}

// runInside starts the program and passes signals on until it has ended.
func runInside(h *holder, args []string, signals *Signals) (exitCode int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, err := startInside(h, append([]string{os.Args[0]}, args...), append(cleanEnv(), RootlessEnv+"=1"))
	if err != nil {
		return 0, err
	}
	inside, err := os.FindProcess(pid)
	if err != nil {
		return 0, err
	}
	signals.To(pid)
	state, err := inside.Wait()
	if err != nil {
		return 0, fmt.Errorf("wait for the program inside: %w", err)
	}
	status := state.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// startInside runs this very program, with args and env, in the namespaces of h.
// It has this one's standard files, terminal, process group and current
// directory. The calling goroutine must be locked to its thread, whose end sends
// SIGTERM to the child.
func startInside(h *holder, args, env []string) (pid int, err error) {
	here, err := unix.Open(".", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open the current directory: %w", Limit(err))
	}
	defer unix.Close(here)
	path, err := os.Getwd()
	if err != nil {
		path = "" // it was removed; the descriptor still leads there
	}
	w := &Way{}
	w.Enter(unix.CLONE_NEWUSER, h.user)
	w.Enter(unix.CLONE_NEWNS, h.mnt)
	w.Enter(unix.CLONE_NEWNET, h.net)
	const chdir = "change to the current directory"
	w.Call(chdir, []syscall.Errno{Harmless}, unix.SYS_CHDIR, path)
	w.Skip(1)
	w.Call(chdir, nil, unix.SYS_FCHDIR, here)
	// After setns, which clears it.
	w.Call("end with this process", nil, unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGTERM))
	return w.Start(&Program{Paths: []string{"/proc/self/exe"}, Argv: args, Env: env})
}

// cleanEnv is the environment without RootlessEnv: of two that are the same the
// first would count.
func cleanEnv() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, RootlessEnv+"=") {
			env = append(env, v)
		}
	}
	return env
}

// runDir is where a user's holder is recorded. Its files: lock, held while the
// holder is looked for, made or ended; holder, the record; in-use, held shared
// by who runs programs inside. With the holder all of them go.
type runDir string

// userRunDir is the directory of this process's user: below XDG_RUNTIME_DIR (XDG Base Directory
// Specification) where that is this user's, else in /tmp.
func userRunDir() runDir {
	uid := os.Geteuid()
	dir := fmt.Sprintf("/tmp/nslab-%d", uid)
	if xdg := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(xdg) {
		var st unix.Stat_t
		if unix.Stat(xdg, &st) == nil && int(st.Uid) == uid && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			dir = filepath.Join(xdg, "nslab")
		}
	}
	return runDir(dir)
}

func (r runDir) path(name string) string { return filepath.Join(string(r), name) }

// enter gives the holder, made if need be, and what to close when nothing runs
// inside any more.
func (r runDir) enter() (h *holder, inUse *os.File, err error) {
	lock, err := r.lock()
	if err != nil {
		return nil, nil, err
	}
	defer lock.Close()
	h, err = findHolder(r.path("holder"))
	if err != nil {
		return nil, nil, err
	}
	if h == nil {
		if h, err = startHolder(r.path("holder")); err != nil {
			return nil, nil, err
		}
	}
	// Who wants it for itself has the lock, too, and does not wait.
	if inUse, err = openLocked(r.path("in-use"), unix.LOCK_SH); err != nil {
		h.close()
		return nil, nil, err
	}
	return h, inUse, nil
}

func (r runDir) stop() error {
	if _, err := os.Lstat(string(r)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	lock, err := r.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	inUse, err := openLocked(r.path("in-use"), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	}
	if err != nil {
		return err
	}
	defer inUse.Close()
	h, err := findHolder(r.path("holder"))
	if err != nil {
		return err
	}
	if h != nil {
		defer h.close()
		if empty, err := h.empty(); err != nil || !empty {
			return err
		}
		if err := h.stop(); err != nil {
			return err
		}
	}
	for _, name := range []string{"holder", "in-use", "lock"} {
		err := failpoint.Around("holder.remove."+name, func() error { return os.Remove(r.path(name)) })
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	// Another may have begun to use it meanwhile.
	err = failpoint.Around("holder.remove", func() error { return os.Remove(string(r)) })
	if err != nil && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// lock makes the directory and takes its lock, which ends with Close. As the
// lock's file can go, it is the right one only if it is still there under its
// name.
func (r runDir) lock() (*os.File, error) {
	for {
		err := failpoint.Around("holder.dir", func() error { return os.Mkdir(string(r), 0o700) })
		if err != nil && !errors.Is(err, os.ErrExist) {
			return nil, err
		}
		var st unix.Stat_t
		err = unix.Lstat(string(r), &st)
		if err == unix.ENOENT {
			continue
		}
		if err != nil {
			return nil, &os.PathError{Op: "stat", Path: string(r), Err: err}
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() || st.Mode&0o077 != 0 {
			return nil, fmt.Errorf("%s is not a directory of this user alone (mode 0700); remove it", string(r))
		}
		f, err := openLocked(r.path("lock"), unix.LOCK_EX)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		ours, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, err
		}
		if named, err := os.Stat(r.path("lock")); err == nil && os.SameFile(ours, named) {
			return f, nil
		}
		f.Close()
	}
}

func openLocked(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, Limit(err)
	}
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Flock(int(f.Fd()), how)
	}
	if err != nil {
		f.Close()
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return f, nil
}
