package cgroup_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nslab/e2e/sandbox"
	"nslab/netsetup"
	"nslab/netsetup/proc/cgroup"
)

// The first thread cannot be thrown away, as those are that have entered a group.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) { sandbox.Main(m) }

const base = "/sys/fs/cgroup"

// layouts are the ways in which hosts have their cgroups, and what tells whether
// this kernel can.
var layouts = map[string]func(t *testing.T){
	"v2": func(t *testing.T) {
		if !mountV2(t) {
			t.Skip("version 1 has the controllers here")
		}
	},
	"v1": mountV1,
	"hybrid": func(t *testing.T) {
		mountV1(t)
		mount(t, "cgroup2", "", base+"/unified")
	},
}

// mountV2 tells whether version 2 has the controllers. To try and mount version 1
// would not tell: while nothing uses them, that takes them away from version 2.
func mountV2(t *testing.T) bool {
	mount(t, "cgroup2", "", base)
	offered, err := os.ReadFile(base + "/cgroup.controllers")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(offered), "memory")
}

// mountV1 hides the other version.
func mountV1(t *testing.T) {
	if mountV2(t) {
		t.Skip("version 2 has the controllers here")
	}
	mount(t, "tmpfs", "", base)
	for _, c := range []string{"cpu", "memory", "pids"} {
		mount(t, "cgroup", c, filepath.Join(base, c))
	}
}

// mount skips the test where the kernel has no such cgroups.
func mount(t *testing.T, kind, options, at string) {
	t.Helper()
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	switch err := unix.Mount("none", at, kind, 0, options); err {
	case nil:
		t.Cleanup(func() {
			if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	case unix.EBUSY, unix.EINVAL, unix.ENOENT:
		t.Skipf("this kernel mounts no %s %s here", kind, options)
	case unix.EPERM:
		t.Skip("an ordinary user may not mount cgroups")
	default:
		t.Fatal(err)
	}
}

// onEach runs a test with each layout that this kernel can have.
func onEach(t *testing.T, test func(t *testing.T)) {
	top, err := cgroup.Top()
	if err != nil {
		t.Fatal(err)
	}
	for name, prepare := range layouts {
		t.Run(name, func(t *testing.T) {
			prepare(t)
			test(t)
			// What a sandbox left that was killed, and had a /run of the same number, is
			// not this test's.
			if labs, err := cgroup.Labs(); err != nil || slices.Contains(labs, "lab") {
				t.Errorf("left: %v, %v", labs, err)
			}
			for _, pattern := range []string{base + "/" + top + "/lab", base + "/*/" + top + "/lab"} {
				if dirs, _ := filepath.Glob(pattern); len(dirs) != 0 {
					t.Errorf("left: %v", dirs)
				}
			}
		})
	}
}

func create(t *testing.T, limits netsetup.Limits) *cgroup.Group {
	t.Helper()
	g, err := cgroup.Create("lab", "node", limits)
	if err != nil {
		t.Fatal(err)
	}
	if g == nil {
		t.Fatal("no group")
	}
	return g
}

func remove(t *testing.T, g *cgroup.Group) {
	t.Helper()
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
}

// start starts a program in a group.
func start(t *testing.T, g *cgroup.Group, argv ...string) *exec.Cmd {
	t.Helper()
	script := "for file in " + strings.Join(g.Join(), " ") + `; do echo 0 > $file || exit; done; echo; exec "$@"`
	cmd := exec.Command("sh", append([]string{"-c", script, "sh"}, argv...)...)
	joined, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := joined.Read(make([]byte, 1)); err != nil {
		t.Fatal("it did not get into its group: ", err)
	}
	return cmd
}

func TestJoin(t *testing.T) {
	onEach(t, func(t *testing.T) {
		for _, limits := range []netsetup.Limits{{}, {CPU: 1, Memory: 1 << 28, PIDs: 20}} {
			g := create(t, limits)
			cmd := start(t, g, "sleep", "1000")
			if procs, err := g.Procs(); err != nil || !slices.Equal(procs, []int{cmd.Process.Pid}) {
				t.Errorf("processes %v, %v, want %d", procs, err, cmd.Process.Pid)
			}
			in, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", cmd.Process.Pid))
			if err != nil {
				t.Fatal(err)
			}
			if n, want := strings.Count(string(in), "/lab/node\n"), len(g.Paths()); n != want {
				t.Errorf("it is in %d cgroups of %d:\n%s", n, want, in)
			}
			if in, err := os.ReadFile("/proc/self/cgroup"); err != nil || strings.Contains(string(in), "nslab") {
				t.Errorf("the test itself is in %s, %v", in, err)
			}
			again, err := cgroup.Open("lab", "node")
			if err != nil || !slices.Equal(again.Paths(), g.Paths()) {
				t.Errorf("opened: %v, %v, want %v", again, err, g)
			}
			if all, err := cgroup.All("lab"); err != nil || len(all) != 1 || !slices.Equal(all["node"].Paths(), g.Paths()) {
				t.Errorf("all %v, %v", all, err)
			}
			if labs, err := cgroup.Labs(); err != nil || !slices.Equal(labs, []string{"lab"}) {
				t.Errorf("labs %v, %v", labs, err)
			}
			remove(t, g)
			if err := cmd.Wait(); err == nil || err.Error() != "signal: killed" {
				t.Errorf("it ended with %v", err)
			}
			if again, err := cgroup.Open("lab", "node"); again != nil || err != nil {
				t.Errorf("removed, and opened: %v, %v", again, err)
			}
			remove(t, g)
		}
	})
}

// TestKillAll: what has left its parent, session and process group is found, and
// so is what forks all the time, and what has made cgroups of its own.
func TestKillAll(t *testing.T) {
	onEach(t, func(t *testing.T) {
		for _, limits := range []netsetup.Limits{{}, {PIDs: 50}} {
			g := create(t, limits)
			start(t, g, "sh", "-c", "setsid sh -c 'setsid sleep 1000 & setsid sleep 1000 &' &").Wait()
			bomb := start(t, g, "sh", "-c", "while :; do (sleep 0.01; :) & wait $!; (sleep 0.01; :) & done 2>/dev/null")
			child := filepath.Join(g.Paths()[0], "child")
			if err := os.Mkdir(child, 0o755); err != nil {
				t.Fatal(err)
			}
			cmd := start(t, g, "sh", "-c", "echo $$ >"+child+"/cgroup.procs; exec sleep 1000")
			time.Sleep(100 * time.Millisecond)
			if procs, err := g.Procs(); err != nil || len(procs) < 4 {
				t.Errorf("processes %v, %v", procs, err)
			}
			remove(t, g)
			cmd.Wait()
			bomb.Wait()
		}
	})
}

func TestMemory(t *testing.T) {
	onEach(t, func(t *testing.T) {
		g := create(t, netsetup.Limits{Memory: 96 << 20})
		cmd := start(t, g, "sh", "-c", "x=$(head -c 20000000 /dev/zero | tr '\\0' x); sleep 1000")
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			s, err := g.Stats()
			if err != nil {
				t.Fatal(err)
			}
			if s.Memory > 20_000_000 && s.Memory <= 96<<20 && s.OOMKills == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("stats %+v", s)
			}
		}
		cmd.Process.Kill()
		cmd.Wait()
		cmd = start(t, g, "sh", "-c", "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo $x | wc -c; sleep 1000")
		if err := cmd.Wait(); err == nil {
			t.Error("200 MB fit into 96 MiB")
		}
		if s, err := g.Stats(); err != nil || s.OOMKills == 0 {
			t.Errorf("stats %+v, %v", s, err)
		}

		// What is kept is read back, and of it what the kernel keeps is the same.
		odd := netsetup.Limits{CPU: 0.333, Memory: 100_000_001, PIDs: 77}
		create(t, odd)
		back, err := cgroup.Open("lab", "node")
		if err != nil {
			t.Fatal(err)
		}
		if l, err := back.Limits(); err != nil || !cgroup.SameLimits(l, odd) {
			t.Errorf("read back: %+v, %v", l, err)
		}
		create(t, netsetup.Limits{})
		if l, err := back.Limits(); err != nil || l != (netsetup.Limits{}) {
			t.Errorf("read back: %+v, %v, want none", l, err)
		}
		// Of the limit that is taken away nothing is left.
		create(t, netsetup.Limits{Memory: 64 << 20})
		create(t, netsetup.Limits{Memory: 16 << 20})
		create(t, netsetup.Limits{})
		if err := start(t, g, "sh", "-c", "x=$(head -c 60000000 /dev/zero | tr '\\0' x); test ${#x} = 60000000").Wait(); err != nil {
			t.Errorf("without a limit: %v", err)
		}
		remove(t, back)
	})
}

func TestPIDs(t *testing.T) {
	onEach(t, func(t *testing.T) {
		g := create(t, netsetup.Limits{PIDs: 4})
		script := "for i in 1 2 3 4 5; do sleep 1000 & done"
		out, err := start(t, g, "sh", "-c", script), error(nil)
		if err = out.Wait(); err == nil {
			t.Error("six processes are no more than four")
		}
		if s, err := g.Stats(); err != nil || s.PIDs < 2 || s.PIDs > 4 {
			t.Errorf("stats %+v, %v", s, err)
		}
		create(t, netsetup.Limits{})
		if err := start(t, g, "sh", "-c", script).Wait(); err != nil {
			t.Errorf("without a limit: %v", err)
		}
		remove(t, g)
	})
}

// TestCPU compares the processor time that a busy program gets with the time that
// it was there: at least a second, and until it has been held back. Where others
// are as busy, it may not get so much as its limit for a while.
func TestCPU(t *testing.T) {
	onEach(t, func(t *testing.T) {
		g := create(t, netsetup.Limits{CPU: 0.1})
		began := time.Now()
		cmd := start(t, g, "sh", "-c", "while :; do :; done")
		time.Sleep(time.Second)
		s, err := g.Stats()
		for ; err == nil && s.Throttled == 0 && time.Since(began) < 20*time.Second; s, err = g.Stats() {
			time.Sleep(50 * time.Millisecond)
		}
		if err != nil || s.Throttled == 0 {
			t.Errorf("stats %+v, %v", s, err)
		}
		cmd.Process.Kill()
		cmd.Wait()
		used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		if all := time.Since(began); used > all*3/10 {
			t.Errorf("used %v of %v, with a limit of 0.1", used, all)
		}
		remove(t, g)
	})
}

// TestNone: without cgroups a node has no group, and limits are an error that
// says what is missing.
func TestNone(t *testing.T) {
	g, err := cgroup.Create("lab", "node", netsetup.Limits{})
	if g != nil || err != nil {
		t.Errorf("%v, %v", g, err)
	}
	for _, limits := range []netsetup.Limits{{CPU: 1}, {Memory: 1 << 20}, {PIDs: 1}} {
		_, err := cgroup.Create("lab", "node", limits)
		var missing *cgroup.MissingError
		if !errors.As(err, &missing) || !strings.HasPrefix(err.Error(), "limits of node node need the ") || missing.Hint == "" {
			t.Errorf("%+v: %v", limits, err)
		}
	}
	if g, err := cgroup.Open("lab", "node"); g != nil || err != nil {
		t.Errorf("opened: %v, %v", g, err)
	}
}

func TestReadOnly(t *testing.T) {
	onEach(t, func(t *testing.T) {
		for _, dir := range []string{base, base + "/pids", base + "/unified"} {
			err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
			if err != nil && err != unix.EINVAL && err != unix.ENOENT {
				t.Fatal(err)
			}
		}
		if g, err := cgroup.Create("lab", "node", netsetup.Limits{}); g != nil || err != nil {
			t.Errorf("%v, %v", g, err)
		}
		_, err := cgroup.Create("lab", "node", netsetup.Limits{PIDs: 10})
		var missing *cgroup.MissingError
		if !errors.As(err, &missing) || !strings.Contains(missing.Hint, "remount,rw") {
			t.Errorf("%v", err)
		}
	})
}
