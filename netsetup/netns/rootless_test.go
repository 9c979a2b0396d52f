package netns_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nslab/e2e/sandbox"
	"nslab/netsetup/netns"
)

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == netns.HolderArg:
		os.Exit(netns.RunHolder())
	case os.Getenv(netns.RootlessEnv) != "":
		os.Exit(inside(os.Args[1:]))
	case os.Getenv("ENTER") != "":
		status, err := netns.EnterRootless(os.Args[1:])
		if err != nil {
			fmt.Println(err)
		}
		os.Exit(status)
	case os.Getenv("UNPRIVILEGED") != "":
		os.Exit(unprivileged())
	}
	sandbox.Main(m)
}

// inside is the program that EnterRootless runs: one thing, named by args.
func inside(args []string) int {
	var err error
	switch args[0] {
	case "exit":
		return 42
	case "make":
		err = netns.Privileged()
		var h *netns.Handle
		if err == nil {
			h, err = netns.Make(args[1], func() error {
				return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}})
			})
		}
		if err == nil {
			err = h.Close()
		}
	case "delete":
		err = netns.Delete(args[1])
	case "show":
		var names []string
		names, err = netns.List("")
		var st unix.Stat_t
		if err == nil {
			err = unix.Stat("/proc/self/ns/net", &st)
		}
		fmt.Printf("namespaces %q, own %d\n", names, st.Ino)
	case "status":
		var status, input []byte
		if status, err = os.ReadFile("/proc/self/status"); err != nil {
			break
		}
		for line := range strings.Lines(string(status)) {
			if strings.HasPrefix(line, "SigBlk:") || strings.HasPrefix(line, "SigIgn:") {
				fmt.Print(line)
			}
		}
		fmt.Println("uid", os.Getuid(), "gid", os.Getgid(), "group", unix.Getpgrp(), "of", os.Getppid())
		dir, _ := os.Getwd()
		fmt.Println("in", dir)
		fmt.Println("args", args[1:])
		links, _ := filepath.Glob("/proc/self/fd/*")
		for _, l := range links {
			if to, err := os.Readlink(l); err == nil && (strings.HasPrefix(to, "net:") || strings.HasPrefix(to, "mnt:") ||
				strings.HasPrefix(to, "user:") || strings.Contains(to, "/proc") || strings.Contains(to, "nslab")) {
				fmt.Println("open", to)
			}
		}
		input, err = io.ReadAll(os.Stdin)
		fmt.Printf("input %q\n", input)
	case "read":
		var text []byte
		text, err = os.ReadFile(args[1])
		fmt.Printf("%s", text)
	case "wait":
		signals := make(chan os.Signal, 1)
		signal.Notify(signals)
		fmt.Println("waits", os.Getpid())
		for s := range signals {
			if s != unix.SIGURG { // the runtime's own
				fmt.Println("got", s)
				return 7
			}
		}
	case "count":
		signals := make(chan os.Signal, 16)
		signal.Notify(signals, unix.SIGINT)
		fmt.Println("waits")
		<-signals
		time.Sleep(200 * time.Millisecond)
		fmt.Println("got", 1+len(signals))
	case "die":
		unix.Kill(os.Getpid(), unix.SIGKILL)
		time.Sleep(time.Minute)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// unprivileged says what an ordinary user is told.
func unprivileged() int {
	status := 0
	for what, err := range map[string]error{
		"Privileged": netns.Privileged(),
		"Make": func() error {
			_, err := netns.Make("x", nil)
			return err
		}(),
	} {
		var p *netns.PrivilegeError
		if !errors.Is(err, netns.ErrPrivilege) || !errors.As(err, &p) || p.Hint == "" {
			fmt.Printf("%s: %v\n", what, err)
			status = 1
		}
	}
	return status
}

// ordinary runs this binary as an ordinary user, where the sandbox has several;
// else as the one that it has. Its runtime directory is dir.
type ordinary struct{ dir string }

func newOrdinary(t *testing.T) ordinary {
	t.Helper()
	dir, err := os.MkdirTemp("", "rootless")
	if err != nil {
		t.Fatal(err)
	}
	u := ordinary{dir}
	t.Cleanup(func() {
		if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
		os.RemoveAll(dir)
	})
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if !inUserNamespace(t) {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	return u
}

func (u ordinary) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	// The race detector's runtime sleeps a second before it exits.
	cmd.Env = append(os.Environ(), "ENTER=1", "XDG_RUNTIME_DIR="+u.dir, "GORACE=atexit_sleep_ms=0")
	if !inUserNamespace(t) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return cmd
}

// run gives what args inside print; they must end with that exit status.
func (u ordinary) run(t *testing.T, status int, args ...string) string {
	t.Helper()
	cmd := u.command(t, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != status {
		t.Errorf("%q: %v, want exit status %d\n%s%s", args, err, status, out, &stderr)
	}
	return string(out)
}

// kill kills the process that a record names.
func kill(t *testing.T, record string) {
	t.Helper()
	var pid int
	if _, err := fmt.Sscan(record, &pid); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for unix.Kill(pid, 0) == nil {
		time.Sleep(time.Millisecond)
	}
}

func (u ordinary) record(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(u.dir + "/nslab/holder")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

func TestRootlessExitStatus(t *testing.T) {
	u := newOrdinary(t)
	u.run(t, 42, "exit")
	u.run(t, 128+9, "die")
	if r := u.record(t); r != "" {
		t.Errorf("a record is left: %q", r)
	}
}

func TestRootlessKeeps(t *testing.T) {
	u := newOrdinary(t)
	u.run(t, 0, "make", "a")
	first := u.record(t)
	if first == "" {
		t.Error("there is no record of the holder")
	}
	shown := u.run(t, 0, "show")
	if !strings.HasPrefix(shown, `namespaces ["a"], own `) {
		t.Errorf("shows %q", shown)
	}
	u.run(t, 0, "make", "b")
	if again := u.run(t, 0, "show"); again != strings.Replace(shown, `"a"`, `"a" "b"`, 1) {
		t.Errorf("shows %q, before %q", again, shown)
	}
	if again := u.record(t); again != first {
		t.Errorf("the holder is %q, was %q", again, first)
	}
	u.run(t, 1, "make", "a")
	u.run(t, 0, "delete", "a")
	if again := u.record(t); again != first {
		t.Errorf("the holder is %q, was %q", again, first)
	}
	u.run(t, 0, "delete", "b")
	if r := u.record(t); r != "" {
		t.Errorf("a record is left: %q", r)
	}
	if names, err := netns.List(""); err != nil || len(names) != 0 {
		t.Errorf("seen outside: %q, %v", names, err)
	}
}

// TestRootlessStale: records of holders that are gone, and of other processes,
// are not believed.
func TestRootlessStale(t *testing.T) {
	u := newOrdinary(t)
	u.run(t, 0, "make", "a")
	kill(t, u.record(t))
	if out := u.run(t, 0, "show"); !strings.HasPrefix(out, "namespaces [], ") {
		t.Errorf("shows %q", out)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range []string{"", "x", "1 ", fmt.Sprintf("%d 1 %s", os.Getpid(), bytes.TrimSpace(boot))} {
		u.run(t, 0, "make", "a")
		forgotten := u.record(t)
		if err := os.WriteFile(u.dir+"/nslab/holder", []byte(record), 0o600); err != nil {
			t.Fatal(err)
		}
		if out := u.run(t, 0, "show"); !strings.HasPrefix(out, "namespaces [], ") {
			t.Errorf("record %q: shows %q", record, out)
		}
		kill(t, forgotten)
	}
}

func TestRootlessState(t *testing.T) {
	u := newOrdinary(t)
	cmd := u.command(t, "status", "a b", "", "c")
	cmd.Stdin = strings.NewReader("text")
	cmd.Dir = "/usr/lib"
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v", err)
	}
	want := "SigBlk:\t0000000000000000\n" + ignoredSignals(t) +
		fmt.Sprintf("uid 0 gid 0 group %d of %d\nin /usr/lib\nargs [a b  c]\ninput \"text\"\n", unix.Getpgrp(), pid)
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
}

// ignoredSignals is the line of /proc/self/status: what this process inherited,
// and its children inherit in turn.
func ignoredSignals(t *testing.T) string {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "SigIgn:") {
			return line
		}
	}
	t.Fatal("no SigIgn in /proc/self/status")
	return ""
}

// TestRootlessDir: a current directory that /run inside does not have is still
// the current one.
func TestRootlessDir(t *testing.T) {
	u := newOrdinary(t)
	dir := "/run/elsewhere"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(dir+"/file", []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := u.command(t, "read", "file")
	cmd.Dir = dir
	if out, err := cmd.Output(); err != nil || string(out) != "text" {
		t.Errorf("%v, %q", err, out)
	}
}

// TestRootlessSignalAtAnyTime stops the program while it makes, uses and ends the
// namespaces: they are not left behind.
func TestRootlessSignalAtAnyTime(t *testing.T) {
	u := newOrdinary(t)
	start := time.Now()
	u.run(t, 42, "exit")
	whole := time.Since(start) * 3 / 2
	const times = 60
	for i := range times {
		cmd := u.command(t, "exit")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(whole * time.Duration(i) / times)
		cmd.Process.Signal(unix.SIGTERM) // an error means that it has ended
		cmd.Wait()
		if left, _ := filepath.Glob(u.dir + "/*"); len(left) > 0 {
			t.Fatalf("after %v: left %q", whole*time.Duration(i)/times, left)
		}
	}
}

func TestRootlessSignals(t *testing.T) {
	u := newOrdinary(t)
	for _, s := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1, unix.SIGKILL} {
		cmd := u.command(t, "wait")
		// Without a terminal none is taken to have sent SIGINT.
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		cmd.SysProcAttr.Setsid = true
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		out := bufio.NewReader(pipe)
		if line, err := out.ReadString('\n'); err != nil || !strings.HasPrefix(line, "waits ") {
			t.Fatalf("%q, %v", line, err)
		}
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		want, status := s, 7
		if s == unix.SIGKILL {
			// The program inside does not outlive it.
			want, status = unix.SIGTERM, -1
		}
		if line, err := out.ReadString('\n'); err != nil || line != fmt.Sprintln("got", want) {
			t.Errorf("%v: %q, %v", s, line, err)
		}
		cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != status {
			t.Errorf("%v: exit status %d, want %d", s, got, status)
		}
	}
	u.run(t, 42, "exit") // and ends the holder that the killed one left
}

// TestRootlessTerminal: Ctrl-C on a terminal comes once to the program inside.
func TestRootlessTerminal(t *testing.T) {
	u := newOrdinary(t)
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	cmd := u.command(t, "count")
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty, cmd.SysProcAttr.Ctty = true, true, 3
	cmd.ExtraFiles = []*os.File{tty}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(pipe)
	if line, err := out.ReadString('\n'); err != nil || line != "waits\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := master.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	if line, err := out.ReadString('\n'); err != nil || line != "got 1\n" {
		t.Errorf("%q, %v", line, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestRootlessTogether: many at once share one holder, and none loses it.
func TestRootlessTogether(t *testing.T) {
	u := newOrdinary(t)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 3 {
				name := fmt.Sprint("n", i)
				u.run(t, 0, "make", name)
				if out := u.run(t, 0, "show"); !strings.Contains(out, `"`+name+`"`) {
					t.Errorf("%s is not there: %s", name, out)
				}
				u.run(t, 0, "delete", name)
			}
		}()
	}
	wg.Wait()
	if r := u.record(t); r != "" {
		t.Errorf("a record is left: %q", r)
	}
}

func TestRootlessRunDir(t *testing.T) {
	u := newOrdinary(t)
	if err := os.Mkdir(u.dir+"/nslab", 0o755); err != nil {
		t.Fatal(err)
	}
	if out := u.run(t, 1, "exit"); !strings.Contains(out, "/nslab is not a directory of this user alone") {
		t.Errorf("%s", out)
	}
	if err := os.Remove(u.dir + "/nslab"); err != nil {
		t.Fatal(err)
	}
}

func TestRootlessRefused(t *testing.T) {
	if !inUserNamespace(t) {
		t.Skip("the limit would be the host's; TestAsOrdinaryUser runs it")
	}
	const limit = "/proc/sys/user/max_user_namespaces"
	old, err := os.ReadFile(limit)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(limit, []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(limit, old, 0)
	u := newOrdinary(t)
	want := "work without root: the limit user.max_user_namespaces is reached (0): "
	if out := u.run(t, 1, "exit"); !strings.HasPrefix(out, want) {
		t.Errorf("%s, want %s", out, want)
	}
}

func TestUnprivileged(t *testing.T) {
	if inUserNamespace(t) {
		t.Skip("this sandbox has one user only; run as root")
	}
	u := newOrdinary(t)
	cmd := u.command(t)
	cmd.Env = append(cmd.Env, "ENTER=", "UNPRIVILEGED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestAsOrdinaryUser runs the tests of this file, and TestLimit, in a sandbox
// that is in a user namespace.
func TestAsOrdinaryUser(t *testing.T) {
	if inUserNamespace(t) {
		t.Skip("it is one already")
	}
	asNobody(t, "TestRootless.*")
}
