package proc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nslab/e2e/sandbox"
	"nslab/netsetup/netns"
	"nslab/netsetup/proc"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == proc.KeeperArg {
		os.Exit(proc.RunKeeper())
	}
	// TestExec runs this binary again, which then becomes the program.
	if name := os.Getenv("EXEC_IN"); name != "" {
		os.Exit(execIn(name))
	}
	sandbox.Main(m)
}

func execIn(name string) int {
	h, err := netns.Open(name)
	if err != nil {
		fmt.Println(err)
		return proc.StatusFailed
	}
	c := proc.Command{
		Node: proc.Bare(h), Argv: os.Args[1:], Dir: os.Getenv("EXEC_DIR"), User: os.Getenv("EXEC_USER"),
		Env: []string{"A=b"},
	}
	_, err = c.Exec()
	fmt.Println(err)
	var start *proc.StartError
	if errors.As(err, &start) {
		return start.Status
	}
	return proc.StatusFailed
}

// node makes a namespace with a bridge called inside.
func node(t testing.TB) *netns.Handle {
	t.Helper()
	const name = "node"
	h, err := netns.Make(name, func() error {
		routes, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer routes.Close()
		return routes.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "inside"}})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.Close()
		if err := netns.Delete(name); err != nil {
			t.Error(err)
		}
	})
	return h
}

func root(t *testing.T) {
	t.Helper()
	m, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	if len(strings.Fields(string(m))) != 3 || strings.Fields(string(m))[2] == "1" {
		t.Skip("this sandbox has one user only; run as root")
	}
}

func inode(t testing.TB, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// leavesNothing compares files, threads in other namespaces, mounts and
// processes with those at the end of the test.
func leavesNothing(t *testing.T) {
	t.Helper()
	// The first namespace opens one file for good.
	if err := netns.Delete("missing"); err != nil {
		t.Fatal(err)
	}
	// So does the first pipe.
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	write.Close()
	fds := func() string {
		var all []string
		links, err := filepath.Glob("/proc/self/fd/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links {
			if to, err := os.Readlink(l); err == nil {
				all = append(all, to)
			}
		}
		return strings.Join(all, "\n")
	}
	before, err := sandbox.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	files := fds()
	t.Cleanup(func() {
		if after := fds(); strings.Count(after, "\n") != strings.Count(files, "\n") {
			t.Errorf("open files: before\n%s\nafter\n%s", files, after)
		}
		var left []string
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			after, err := sandbox.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			left = before.Diff(after)
			for _, kind := range []string{"net", "mnt"} {
				tasks, err := filepath.Glob("/proc/self/task/*/ns/" + kind)
				if err != nil {
					t.Fatal(err)
				}
				for _, task := range tasks {
					var st unix.Stat_t
					if unix.Stat(task, &st) == nil && st.Ino != inode(t, "/proc/self/ns/"+kind) {
						left = append(left, task)
					}
				}
			}
			if len(left) == 0 {
				return
			}
		}
		t.Errorf("left: %q", left)
	})
}

func TestRun(t *testing.T) {
	leavesNothing(t)
	h := node(t)
	script := filepath.Join(t.TempDir(), "script")
	for name, text := range map[string]string{"": "#!/bin/sh\nexit 3\n", ".bad": "#!/missing/interpreter\n", ".text": "exit 4\n"} {
		if err := os.WriteFile(script+name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		argv   []string
		dir    string
		env    []string
		stdin  string
		exit   int
		stdout string
		err    string
	}{
		{name: "status", argv: []string{"sh", "-c", "exit 7"}, exit: 7},
		{name: "signal", argv: []string{"sh", "-c", "kill -TERM $$"}, exit: 143},
		{name: "namespace", argv: []string{"stat", "-Lc", "%i", "/proc/self/ns/net"}, stdout: fmt.Sprintln(h.Inode())},
		{name: "sys", argv: []string{"sh", "-c", "cd /sys/class/net && echo *"}, stdout: "inside lo\n"},
		{name: "directory", argv: []string{"pwd"}, dir: "/usr/lib", stdout: "/usr/lib\n"},
		{name: "no directory", argv: []string{"pwd"}, dir: "/missing", exit: 125, err: "change to directory /missing: no such file or directory"},
		{name: "environment", argv: []string{"sh", "-c", "echo $A $HOME; env | grep -c ^A="}, env: []string{"A=a", "A=b"}, stdout: "b " + os.Getenv("HOME") + "\n1\n"},
		{name: "input", argv: []string{"cat"}, stdin: "text", stdout: "text"},
		{name: "script", argv: []string{script}, exit: 3},
		{name: "relative", argv: []string{"./script"}, dir: filepath.Dir(script), exit: 3},
		{name: "relative PATH", argv: []string{"script"}, env: []string{"PATH=:/bin"}, dir: filepath.Dir(script), exit: 3},
		{name: "own PATH", argv: []string{"sh"}, env: []string{"PATH=/missing"}, exit: 127, err: "run sh: not found in PATH"},
		{name: "second in PATH", argv: []string{"true"}, env: []string{"PATH=/missing:/bin"}},
		{name: "not found", argv: []string{"/missing/program"}, exit: 127, err: "run /missing/program: no such file or directory"},
		{name: "not executable", argv: []string{plain}, exit: 126, err: "permission denied"},
		{name: "directory as program", argv: []string{"/usr"}, exit: 126, err: "run /usr: not a file that can be run"},
		{name: "found but not executable", argv: []string{"plain"}, env: []string{"PATH=" + filepath.Dir(plain)}, exit: 126, err: "permission denied"},
		{name: "no interpreter", argv: []string{script + ".bad"}, exit: 126, err: "its interpreter: no such file or directory"},
		{name: "no format", argv: []string{script + ".text"}, exit: 126, err: "neither a program nor a script"},
		{name: "NUL", argv: []string{"true", "a\x00b"}, exit: 126, err: "invalid argument"},
		{name: "nothing", exit: 125, err: "run a program: none is given"},
		{name: "no user", argv: []string{"true"}, exit: 125, err: ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			cmd := proc.Command{Node: proc.Bare(h), Argv: c.argv, Dir: c.dir, Env: c.env, Stdout: &stdout, Stderr: &stderr}
			if c.stdin != "" {
				cmd.Stdin = strings.NewReader(c.stdin)
			}
			if c.name == "no user" {
				cmd.User, c.err = "missing-user", "there is no user missing-user"
			}
			exit, err := cmd.Run(t.Context())
			var start *proc.StartError
			if errors.As(err, &start) {
				exit = start.Status
			}
			if exit != c.exit || stdout.String() != c.stdout {
				t.Errorf("exit %d, output %q, want %d, %q\n%s", exit, &stdout, c.exit, c.stdout, &stderr)
			}
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %s", err, c.err)
			}
		})
	}
}

func TestRunUser(t *testing.T) {
	root(t)
	leavesNothing(t)
	h := node(t)
	for user, want := range map[string]string{
		"nobody":      "65534:65534:65534",
		"65534":       "65534:65534:65534",
		"65533:7":     "65533:7:7",
		"nobody:root": "65534:0:0",
		"root":        "0:0:0",
		"0":           "0:0:0",
	} {
		var out bytes.Buffer
		c := proc.Command{Node: proc.Bare(h), Argv: []string{"sh", "-c", "echo $(id -u):$(id -g):$(id -G)"}, User: user, Stdout: &out}
		if exit, err := c.Run(t.Context()); exit != 0 || err != nil || strings.TrimSpace(out.String()) != want {
			t.Errorf("%s: exit %d, %v, %q, want %q", user, exit, err, &out, want)
		}
	}
	for _, user := range []string{"65533", "nobody:missing-group", ":", "-1", "4294967295:0"} {
		c := proc.Command{Node: proc.Bare(h), Argv: []string{"true"}, User: user}
		if exit, err := c.Run(t.Context()); exit != proc.StatusFailed || err == nil {
			t.Errorf("%s: exit %d, %v", user, exit, err)
		}
	}
	if os.Geteuid() != 0 {
		t.Error("this process has changed its user")
	}
}

func TestRunCancel(t *testing.T) {
	leavesNothing(t)
	h := node(t)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	var out bytes.Buffer
	c := proc.Command{Node: proc.Bare(h), Argv: []string{"sh", "-c", "trap '' TERM; sleep 1000 & sleep 1000"}, Stdout: &out}
	time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
	start := time.Now()
	exit, err := c.Run(ctx)
	if exit != 128+9 || err != cause {
		t.Errorf("exit %d, %v", exit, err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
	if _, err := c.Run(ctx); err != cause {
		t.Errorf("with an ended context: %v", err)
	}
}

// TestRunLeftovers: a child that outlives the program neither delays Run nor
// stays.
func TestRunLeftovers(t *testing.T) {
	leavesNothing(t)
	h := node(t)
	var out bytes.Buffer
	c := proc.Command{Node: proc.Bare(h), Argv: []string{"sh", "-c", "sleep 1000 & echo done"}, Stdout: &out}
	start := time.Now()
	if exit, err := c.Run(t.Context()); exit != 0 || err != nil || out.String() != "done\n" {
		t.Errorf("exit %d, %v, %q", exit, err, &out)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("took %v", d)
	}
}

func TestRunConcurrently(t *testing.T) {
	leavesNothing(t)
	h := node(t)
	errs := make(chan error)
	for i := range 20 {
		go func() {
			var out bytes.Buffer
			c := proc.Command{Node: proc.Bare(h), Argv: []string{"sh", "-c", fmt.Sprintf("echo %d; exit %d", i, i)}, Stdout: &out}
			exit, err := c.Run(t.Context())
			if err == nil && (exit != i || out.String() != fmt.Sprintln(i)) {
				err = fmt.Errorf("%d: exit %d, output %q", i, exit, &out)
			}
			errs <- err
		}()
	}
	for range 20 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestExec(t *testing.T) {
	leavesNothing(t)
	h := node(t)
	for _, c := range []struct {
		user, dir string
		argv      []string
		exit      int
		out       string
	}{
		{argv: []string{"sh", "-c", "stat -Lc %i /proc/self/ns/net; cd /sys/class/net && echo *; echo $A; exit 9"},
			exit: 9, out: fmt.Sprintf("%d\ninside lo\nb\n", h.Inode())},
		{argv: []string{"sh", "-c", "kill -9 $$"}, exit: -1},
		{argv: []string{"sh", "-c", "ls -l /proc/self/fd | grep -c net:"}, exit: 1, out: "0\n"},
		{dir: "/usr", argv: []string{"pwd"}, out: "/usr\n"},
		{argv: []string{"missing-program"}, exit: 127, out: "run missing-program: not found in PATH\n"},
		{argv: []string{"/etc/passwd"}, exit: 126, out: "run /etc/passwd: permission denied\n"},
		{user: "missing-user", argv: []string{"true"}, exit: 125, out: "there is no user missing-user\n"},
		{user: "nobody", argv: []string{"id", "-u"}, out: "65534\n"},
	} {
		if c.user == "nobody" {
			root(t)
		}
		cmd := exec.Command("/proc/self/exe", c.argv...)
		cmd.Env = append(os.Environ(), "EXEC_IN=node", "EXEC_DIR="+c.dir, "EXEC_USER="+c.user)
		out, err := cmd.Output()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		if got := cmd.ProcessState.ExitCode(); got != c.exit || string(out) != c.out {
			t.Errorf("%q: exit %d, %q, want %d, %q", c.argv, got, out, c.exit, c.out)
		}
	}
}

// BenchmarkRun is to be compared with BenchmarkNsenter.
func BenchmarkRun(b *testing.B) {
	h := node(b)
	for b.Loop() {
		c := proc.Command{Node: proc.Bare(h), Argv: []string{"/bin/true"}}
		if exit, err := c.Run(b.Context()); exit != 0 || err != nil {
			b.Fatal(exit, err)
		}
	}
}

func BenchmarkNsenter(b *testing.B) {
	node(b)
	for b.Loop() {
		if err := exec.Command("nsenter", "--net="+netns.Dir+"/node", "/bin/true").Run(); err != nil {
			b.Fatal(err)
		}
	}
}

// TestStartSignals: programs that are started from many goroutines, which change
// threads as they like, have no signal blocked.
func TestStartSignals(t *testing.T) {
	leavesNothing(t)
	n := proc.Bare(node(t))
	errs := make(chan error)
	const starts = 200
	for range starts {
		go func() {
			var out bytes.Buffer
			c := proc.Command{Node: n, Argv: []string{"grep", "SigBlk", "/proc/self/status"}, Stdout: &out}
			_, err := c.Run(t.Context())
			if err == nil && strings.Trim(strings.TrimPrefix(out.String(), "SigBlk:"), "0\t\n") != "" {
				err = fmt.Errorf("a program has %s", &out)
			}
			errs <- err
		}()
	}
	for range starts {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
