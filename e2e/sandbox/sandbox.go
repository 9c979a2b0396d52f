// Package sandbox runs the tests of a package in mount, network and PID
// namespaces of their own, and fails them if they leave anything behind.
//
// It knows test binaries and what can be left over in a kernel. It must not
// know what the tests test.
package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nslab/netsetup/netns"
)

// stage is the environment variable that tells a re-executed test binary what
// it is: "init", process 1 of the sandbox, or "tests", which runs them.
const stage = "NSLAB_SANDBOX"

// settle is how long what the tests left may take to vanish: the kernel takes
// down a namespace's interfaces some time after its last user went.
const settle = 3 * time.Second

// Main is for the TestMain of every package whose tests change the kernel. It
// runs the test binary again in mount, network and PID namespaces of its own
// (and, for an ordinary user, a user namespace), where no mount reaches the
// host, /proc and /sys are fresh, /run is empty but for /run/netns
// and $XDG_RUNTIME_DIR, and lo is up. When the tests have ended it
// compares Snapshots of before and after, and fails the run where they differ;
// so it does where the tests left goroutines or open files in their process.
// Main does not return. Where namespaces are not permitted it fails, with what
// to do about it.
func Main(m *testing.M) {
	switch s := os.Getenv(stage); s {
	case "":
		os.Exit(outside())
	case "init":
		os.Exit(inside())
	case "tests":
		os.Exit(runTests(m.Run))
	default:
		os.Exit(fail(fmt.Errorf("%s=%q is neither init nor tests", stage, s)))
	}
}

// fail reports on the error output, since no test is there to report it.
func fail(err error) int {
	fmt.Fprintf(os.Stderr, "sandbox: %v\n", err)
	var privilege *netns.PrivilegeError
	var limit *netns.LimitError
	switch {
	case errors.As(err, &privilege):
		fmt.Fprintf(os.Stderr, "hint: %s\n", privilege.Hint)
	case errors.As(err, &limit):
		fmt.Fprintf(os.Stderr, "hint: %s\n", limit.Hint)
	}
	return 1
}

// passedOn are the signals that reach the tests.
var passedOn = []os.Signal{
	unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2,
}

// outside starts the sandbox and waits for it.
func outside() int {
	// Pdeathsig comes when the thread that started the child ends.
	runtime.LockOSThread()
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, passedOn...)
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), stage+"=init")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID,
		Pdeathsig:  unix.SIGKILL,
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		return fail(fmt.Errorf("run the tests in namespaces of their own: %w", netns.UserNamespaceError(err)))
	}
	go func() {
		for s := range signals {
			cmd.Process.Signal(s) // an error means that it has ended
		}
	}()
	cmd.Wait()
	return exitStatus(cmd.ProcessState.Sys().(syscall.WaitStatus))
}

// exitStatus is what a shell makes of a wait status.
func exitStatus(s syscall.WaitStatus) int {
	if s.Signaled() {
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}

// inside is process 1 of the sandbox.
func inside() int {
	if os.Getpid() != 1 {
		return fail(fmt.Errorf("%s=init is for process 1 of a PID namespace", stage))
	}
	if err := os.Setenv(stage, "tests"); err != nil {
		return fail(err)
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, passedOn...)
	if err := setUp(); err != nil {
		return fail(err)
	}
	before, err := Snapshot()
	if err != nil {
		return fail(err)
	}
	tests, err := os.StartProcess("/proc/self/exe", os.Args, &os.ProcAttr{
		Env:   os.Environ(),
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return fail(err)
	}
	go func() {
		for s := range signals {
			tests.Signal(s)
		}
	}()
	status, err := reap(tests.Pid)
	if err != nil {
		return fail(err)
	}
	left, err := leftOver(before)
	if err != nil {
		return fail(err)
	}
	if len(left) == 0 {
		return exitStatus(status)
	}
	fmt.Fprintf(os.Stderr, "sandbox: what was there before the tests (-) and after them (+) differs:\n\t%s\n", strings.Join(left, "\n\t"))
	if status := exitStatus(status); status != 0 {
		return status
	}
	return 1
}

// reap collects every process that ends until the one with number pid does.
func reap(pid int) (syscall.WaitStatus, error) {
	for {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 0, fmt.Errorf("wait for the tests: %w", err)
		case got == pid:
			return status, nil
		}
	}
}

// leftOver gives the differences to before that do not go away by themselves.
func leftOver(before *State) ([]string, error) {
	for end := time.Now().Add(settle); ; time.Sleep(20 * time.Millisecond) {
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 && err != syscall.EINTR {
				break
			}
		}
		after, err := Snapshot()
		if err != nil {
			return nil, err
		}
		if d := before.Diff(after); len(d) == 0 || time.Now().After(end) {
			return d, nil
		}
	}
}

// setUp makes the sandbox what Main says.
func setUp() error {
	const runtimeDir = "/run/user/sandbox"
	steps := []struct {
		what string
		do   func() error
	}{
		{"keep mounts from spreading to the host", func() error {
			return unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, "")
		}},
		{"mount a fresh /proc", func() error {
			return unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
		}},
		{"mount an empty /run", func() error {
			return unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755")
		}},
		{"make directories in /run", func() error {
			// mount(8) makes and leaves /run/mount where it is not there.
			return errors.Join(os.MkdirAll(netns.Dir, 0o755), os.MkdirAll(runtimeDir, 0o700), os.Mkdir("/run/mount", 0o755))
		}},
		{"make " + netns.Dir + " a shared mount", func() error {
			if err := unix.Mount(netns.Dir, netns.Dir, "", unix.MS_BIND, ""); err != nil {
				return err
			}
			return unix.Mount("", netns.Dir, "", unix.MS_SHARED, "")
		}},
		{"take lo up", func() error {
			lo, err := netlink.LinkByName("lo")
			if err != nil {
				return err
			}
			return netlink.LinkSetUp(lo)
		}},
		{"set XDG_RUNTIME_DIR", func() error { return os.Setenv("XDG_RUNTIME_DIR", runtimeDir) }},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
				err = netns.UserNamespaceError(err)
			}
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	// A container's masked /sys forbids a fresh one, and the tests can do
	// without.
	unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	return nil
}
