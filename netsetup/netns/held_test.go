package netns_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nslab/netsetup/netns"
)

// sleeper starts sleep(1), by way of a command line and with a file if one is
// given, until the test ends.
func sleeper(t *testing.T, file *os.File, env []string, argv ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(argv[0], append(argv[1:], "sleep", "1000")...)
	cmd.Env = append(os.Environ(), env...)
	if file != nil {
		cmd.ExtraFiles = []*os.File{file}
		defer file.Close()
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	// Until it is sleep it is something else.
	for range 1000 {
		if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", cmd.Process.Pid)); string(name) == "sleep\n" {
			return cmd
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%q does not become sleep", argv)
	return nil
}

func holds(t *testing.T, h *netns.Handle) []string {
	t.Helper()
	found, err := netns.Holds([]uint64{h.Inode()})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range found {
		if f.Inode != h.Inode() {
			t.Errorf("of namespace %d: %v", f.Inode, f)
		}
		lines = append(lines, f.String())
	}
	return lines
}

func TestHolds(t *testing.T) {
	h := make1(t, "held")
	other := make1(t, "other")
	if got := holds(t, h); len(got) != 0 {
		t.Errorf("nobody has it, and it is held: %q", got)
	}
	inside := func(open func() (int, error)) *os.File {
		t.Helper()
		var fd int
		if err := netns.Do(h, func() (err error) { fd, err = open(); return err }); err != nil {
			t.Fatal(err)
		}
		return os.NewFile(uintptr(fd), "inside")
	}
	for _, test := range []struct {
		name string
		do   func(t *testing.T) *exec.Cmd
		how  string
	}{
		{"process", func(t *testing.T) *exec.Cmd {
			return sleeper(t, nil, nil, "nsenter", "--net="+netns.Dir+"/held")
		}, "runs in it"},
		{"descriptor", func(t *testing.T) *exec.Cmd {
			f, err := os.Open(netns.Dir + "/held")
			if err != nil {
				t.Fatal(err)
			}
			return sleeper(t, f, nil, "env")
		}, "has it open as descriptor 3"},
		{"socket", func(t *testing.T) *exec.Cmd {
			f := inside(func() (int, error) { return unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0) })
			return sleeper(t, f, nil, "env")
		}, "has a socket in it, descriptor 3"},
		{"socket of a process elsewhere", func(t *testing.T) *exec.Cmd {
			f := inside(func() (int, error) { return unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0) })
			return sleeper(t, f, nil, "nsenter", "--net="+netns.Dir+"/other")
		}, "has a socket in it, descriptor 3"},
		{"mount elsewhere", func(t *testing.T) *exec.Cmd {
			return sleeper(t, nil, nil, "unshare", "-m", "--propagation", "private")
		}, "has it mounted on /run/netns/held"},
		{"mount that follows", func(t *testing.T) *exec.Cmd {
			return sleeper(t, nil, nil, "unshare", "-m", "--propagation", "slave")
		}, ""},
		{"socket of another namespace", func(t *testing.T) *exec.Cmd {
			return sleeper(t, nil, nil, "nsenter", "--net="+netns.Dir+"/other")
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := test.do(t)
			var want []string
			if test.how != "" {
				want = []string{fmt.Sprintf("process %d (sleep) %s", cmd.Process.Pid, test.how)}
			}
			if got := holds(t, h); !slices.Equal(got, want) {
				t.Errorf("found %q, want %q", got, want)
			}
		})
	}
	t.Run("tun", func(t *testing.T) {
		if unix.Access("/dev/net/tun", unix.R_OK|unix.W_OK) != nil {
			t.Skip("no /dev/net/tun for this user")
		}
		cmd := sleeper(t, inside(func() (int, error) { return unix.Open("/dev/net/tun", unix.O_RDWR, 0) }), nil, "env")
		want := []string{fmt.Sprintf("process %d (sleep) has a socket in it, descriptor 3", cmd.Process.Pid)}
		if got := holds(t, h); !slices.Equal(got, want) {
			t.Errorf("found %q, want %q", got, want)
		}
	})
	t.Run("mount", func(t *testing.T) {
		path := t.TempDir() + "/ns"
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(netns.Dir+"/held", path, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		defer unix.Unmount(path, 0)
		if got, want := holds(t, h), []string{"it is mounted on " + path}; !slices.Equal(got, want) {
			t.Errorf("found %q, want %q", got, want)
		}
	})
	if got := holds(t, h); len(got) != 0 {
		t.Errorf("it is held by those who are gone: %q", got)
	}
	_ = other
}

// TestRelease: what was started by us is ended, however little it cares;
// others are named.
func TestRelease(t *testing.T) {
	h := make1(t, "held")
	mark := []string{fmt.Sprintf("%s=%d", netns.InodeEnv, h.Inode())}
	enter := []string{"nsenter", "--net=" + netns.Dir + "/held"}
	ours := sleeper(t, nil, mark, enter...)
	deaf := sleeper(t, nil, mark, append(enter, "sh", "-c", `trap "" TERM HUP; exec "$@"`, "sh")...)
	stopped := sleeper(t, nil, mark, enter...)
	if err := stopped.Process.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// The mark of another namespace proves nothing, nor does ours elsewhere.
	stranger := sleeper(t, nil, []string{netns.InodeEnv + "=1"}, enter...)
	outside := sleeper(t, nil, mark, "env")
	left, err := netns.Release(t.Context(), []uint64{h.Inode()})
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("[process %d (sleep) runs in it]", stranger.Process.Pid)
	if got := fmt.Sprint(left); got != want {
		t.Errorf("held by %s, want %s", got, want)
	}
	for _, cmd := range []*exec.Cmd{ours, deaf, stopped} {
		if err := cmd.Wait(); err == nil || !strings.HasPrefix(err.Error(), "signal: ") {
			t.Errorf("one of ours ended with %v", err)
		}
	}
	if err := outside.Process.Signal(unix.Signal(0)); err != nil {
		t.Errorf("one outside: %v", err)
	}
	stranger.Process.Kill()
	stranger.Wait()
	if left, err := netns.Release(t.Context(), []uint64{h.Inode()}); err != nil || len(left) > 0 {
		t.Errorf("held by %v, %v", left, err)
	}
}
