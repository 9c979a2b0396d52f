// Package e2e tests the built program against a real kernel: scripts of what
// people do with it, every lab that it carries, and every example of the
// documents. All of it runs in namespaces of its own and must leave nothing
// behind, not even in there.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"nslab/e2e/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// TestProgram builds nslab once and runs everything with it, one after the
// other: the names under /run/netns are one for all.
func TestProgram(t *testing.T) {
	dir := commonDir(t)
	build(t, dir)
	if undo, err := sandbox.MountCgroups(); err == nil {
		defer func() {
			if err := undo(); err != nil {
				t.Error(err)
			}
		}()
	} else if err != syscall.EPERM {
		t.Fatal(err)
	}
	t.Run("scripts", func(t *testing.T) { runScripts(t, dir) })
	t.Run("labs", testLabs)
	t.Run("known", testKnown)
	t.Run("documents", testDocuments)
	t.Run("drift", testDrift)
	t.Run("walk", testWalk)
	t.Run("mutants", testMutants)
}

// commonDir is a temporary directory that every user can enter, as the scripts
// that become an ordinary user must.
func commonDir(t *testing.T) string {
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// build puts nslab first in the PATH.
func build(t *testing.T, dir string) {
	bin := filepath.Join(dir, "bin")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(bin, "nslab"), "nslab/cmd/nslab")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	// What nslab reports is to be the same in GitHub Actions.
	t.Setenv("GITHUB_ACTIONS", "")
	t.Setenv("GITHUB_STEP_SUMMARY", "")
	// Debian keeps ip where ordinary users do not look.
	t.Setenv("PATH", bin+":"+os.Getenv("PATH")+":/usr/sbin:/sbin")
}

func runScripts(t *testing.T, dir string) {
	testscript.RunT(oneByOne{t}, testscript.Params{
		Dir:                 "testdata",
		WorkdirRoot:         dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_RUNTIME_DIR", os.Getenv("XDG_RUNTIME_DIR"))
			env.Setenv("HOME", env.WorkDir)
			before, err := sandbox.Snapshot()
			env.Defer(func() {
				if left := remaining(before); left != "" {
					removeAll()
					env.T().Fatal("left behind:\n" + left)
				}
			})
			return err
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "root":
				return isRoot()
			case "cgroups": // which an ordinary user has none of
				return syscall.Access("/sys/fs/cgroup/cgroup.procs", 2) == nil || syscall.Access("/sys/fs/cgroup/memory", 2) == nil, nil
			case "resource": // may raise hard limits
				return hasCapability(unix.CAP_SYS_RESOURCE)
			case "tun": // which Debian gives to everybody, and others to root
				return syscall.Access("/dev/net/tun", 6) == nil, nil
			}
			return false, fmt.Errorf("there is no condition %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status,
		},
	})
}

// status is the script command `status N PROGRAM [ARG]...`: the program must end
// with exit status N. What it prints is there for stdout, stderr and cmp.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N PROGRAM [ARG]...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := err.(*exec.ExitError); ok {
		got = exit.ExitCode()
		if s := exit.Sys().(syscall.WaitStatus); s.Signaled() {
			got = 128 + int(s.Signal()) // as shells have it
		}
	} else {
		ts.Check(err)
	}
	ts.Logf("[stdout]\n%s[stderr]\n%s", ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// isRoot reports whether this is the host's root, and not an ordinary user in a
// namespace of their own, who can become nobody else.
func isRoot() (bool, error) {
	m, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false, err
	}
	f := strings.Fields(string(m))
	return os.Getuid() == 0 && len(f) == 3 && f[2] != "1", nil
}

// hasCapability reports whether this process has a capability over the host.
func hasCapability(n uint) (bool, error) {
	root, err := isRoot()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // 64 capabilities
	if err == nil {
		err = unix.Capget(&header, &data[0])
	}
	return root && data[n/32].Effective&(1<<(n%32)) != 0, err
}

// remaining tells what differs from before and does not go away by itself: the
// kernel takes a namespace's interfaces down some time after its last user
// went.
func remaining(before *sandbox.State) string {
	for end := time.Now().Add(3 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		after, err := sandbox.Snapshot()
		if err != nil {
			return err.Error()
		}
		diff := before.Diff(after)
		if len(diff) == 0 {
			return ""
		}
		if time.Now().After(end) {
			return strings.Join(diff, "\n")
		}
	}
}

// oneByOne is the T of testscript without its Parallel.
type oneByOne struct{ *testing.T }

func (t oneByOne) Parallel()     {}
func (t oneByOne) Verbose() bool { return testing.Verbose() }
func (t oneByOne) Run(name string, f func(testscript.T)) {
	t.T.Run(name, func(t *testing.T) { f(oneByOne{t}) })
}

// removeAll removes what a failed script left, so that the others do not fail
// of it.
func removeAll() {
	exec.Command("nslab", "down", "-q", "--all").Run()
	names, _ := filepath.Glob("/run/netns/*")
	for _, n := range names {
		exec.Command("ip", "netns", "del", filepath.Base(n)).Run()
	}
}
