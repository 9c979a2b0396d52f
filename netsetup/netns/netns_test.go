package netns_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nslab/netsetup/bug"
	"nslab/netsetup/netns"
)

func make1(t testing.TB, name string) *netns.Handle {
	t.Helper()
	h, err := netns.Make(name, nil)
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

// hereInode is the namespace of the calling thread.
func hereInode() (uint64, error) { return inodeOf("/proc/thread-self/ns/net") }

func inodeOf(path string) (uint64, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	return st.Ino, err
}

func fds(t testing.TB) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

func output(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func TestMakeOpenDelete(t *testing.T) {
	var prepared uint64
	h, err := netns.Make("a", func() error {
		if _, err := os.Lstat(netns.Dir + "/a"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("published before it was prepared: %v", err)
		}
		var err error
		prepared, err = hereInode()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if prepared != h.Inode() {
		t.Errorf("prepare ran in namespace %d, made was %d", prepared, h.Inode())
	}
	current, err := netns.Current()
	if err != nil {
		t.Fatal(err)
	}
	defer current.Close()
	if current.Inode() == h.Inode() {
		t.Error("the new namespace is the current one")
	}
	for _, ref := range []string{"a", netns.Dir + "/a"} {
		o, err := netns.Open(ref)
		if err != nil {
			t.Fatal(err)
		}
		if o.Inode() != h.Inode() {
			t.Errorf("open %s: inode %d, want %d", ref, o.Inode(), h.Inode())
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
		if err := o.Close(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("a second Close: %v", err)
		}
	}
	if p, err := netns.Open(fmt.Sprintf("pid:%d", os.Getpid())); err != nil {
		t.Error(err)
	} else {
		if p.Inode() != current.Inode() {
			t.Errorf("pid: inode %d, want %d", p.Inode(), current.Inode())
		}
		p.Close()
	}
	if _, err := netns.Make("a", nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a name made twice: %v", err)
	}
	if names, err := netns.List(""); err != nil || !slices.Equal(names, []string{"a"}) {
		t.Errorf("List: %q, %v", names, err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if err := netns.Delete("a", "missing"); err != nil {
		t.Error(err)
	}
	if names, err := netns.List(""); err != nil || len(names) != 0 {
		t.Errorf("List: %q, %v", names, err)
	}
}

func TestOpenErrors(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{
		"":                        `open network namespace "": a namespace's name is empty`,
		"missing":                 `open network namespace "missing": no such file or directory`,
		"../a":                    `open network namespace "../a": "../a" is not a name for a namespace`,
		"..":                      `open network namespace "..": ".." is not a name for a namespace`,
		"a\x00b":                  `open network namespace "a\x00b": "a\x00b" is not a name for a namespace`,
		strings.Repeat("x", 256):  "is not a name for a namespace",
		"/a\x00b":                 "invalid argument",
		"pid:":                    `"" is not a process number`,
		"pid:0":                   `"0" is not a process number`,
		"pid:-1":                  `"-1" is not a process number`,
		"pid:2147483647":          `no such file or directory`,
		"/proc/self/ns/mnt":       "is not a network namespace",
		"/proc/self/status":       "is not a network namespace",
		"/dev/tty":                "is not a network namespace",
		"/proc/self/fd/missing/x": "no such file or directory",
		fifo:                      "is not a network namespace",
	} {
		h, err := netns.Open(ref)
		if err == nil {
			h.Close()
			t.Errorf("%q opened", ref)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", ref, err, want)
		} else if got, want := errors.Is(err, fs.ErrNotExist), strings.HasSuffix(want, "no such file or directory"); got != want {
			t.Errorf("%q: is ErrNotExist: %t", ref, got)
		}
	}
}

func TestMakeFails(t *testing.T) {
	before := fds(t)
	bad := errors.New("bad")
	var made atomic.Int64
	names := []string{"m0", "m1", "m2", "m3", "m4", "m5"}
	_, err := netns.MakeEach(names, 2, func(i int) error {
		if i == 3 {
			return bad
		}
		made.Add(1)
		return nil
	})
	if !errors.Is(err, bad) || !strings.Contains(err.Error(), "make network namespace m3: bad") {
		t.Errorf("MakeEach: %v", err)
	}
	if made.Load() < 2 {
		t.Errorf("only %d were made before the error", made.Load())
	}
	for _, name := range []string{"", "..", "a/b"} {
		if _, err := netns.Make(name, nil); err == nil {
			t.Errorf("Make %q worked", name)
		}
	}
	file := netns.Dir + "/file"
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(file)
	if _, err := netns.Make("file", nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Make on a file: %v", err)
	}
	if names, err := netns.List(""); err != nil || len(names) != 0 {
		t.Errorf("left: %q, %v", names, err)
	}
	if names, err := netns.Stale(""); err != nil || len(names) != 0 {
		t.Errorf("left: %q, %v", names, err)
	}
	if after := fds(t); after != before {
		t.Errorf("%d open files, %d before", after, before)
	}
}

// TestTidy takes away what Make or Delete had in hand when it was killed, and
// nothing of others.
func TestTidy(t *testing.T) {
	const ours = 0o1000
	for name, mode := range map[string]uint32{"lab.ours": ours, "lab.theirs": 0, "other.ours": ours, "lab.full": ours} {
		fd, err := unix.Open(netns.Dir+"/"+name, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR, mode)
		if err != nil {
			t.Fatal(err)
		}
		if name == "lab.full" {
			unix.Write(fd, []byte("text"))
		}
		unix.Close(fd)
		t.Cleanup(func() { os.Remove(netns.Dir + "/" + name) })
	}
	make1(t, "lab.made")
	if names, err := netns.Unfinished(""); err != nil || !slices.Equal(names, []string{"lab.ours", "other.ours"}) {
		t.Errorf("Unfinished: %q, %v", names, err)
	}
	if err := netns.Tidy("lab."); err != nil {
		t.Error(err)
	}
	if names, err := netns.Names(""); err != nil || !slices.Equal(names, []string{"lab.full", "lab.made", "lab.theirs", "other.ours"}) {
		t.Errorf("after Tidy: %q, %v", names, err)
	}
}

// TestPanic has a mistake in what runs on a thread of the package: it reaches the
// caller as an error, and what was made is gone.
func TestPanic(t *testing.T) {
	_, err := netns.MakeEach([]string{"one", "two"}, 1, func(i int) error {
		if i == 1 {
			panic("a mistake")
		}
		return nil
	})
	if bug.In(err) == nil {
		t.Errorf("Make gave %v", err)
	}
	if names, err := netns.Names(""); err != nil || len(names) > 0 {
		t.Errorf("left: %q, %v", names, err)
	}
	h := make1(t, "three")
	if err := netns.Do(h, func() error { panic("a mistake") }); bug.In(err) == nil {
		t.Errorf("Do gave %v", err)
	}
}

func TestDelete(t *testing.T) {
	h := make1(t, "stacked")
	for range 2 {
		if err := unix.Mount("/proc/self/ns/net", netns.Dir+"/stacked", "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	h2 := make1(t, "covered")
	_, _ = h, h2
	if err := unix.Mount("/proc/self/ns/uts", netns.Dir+"/covered", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"empty": "", "full": "text"}
	for name, text := range files {
		if err := os.WriteFile(netns.Dir+"/"+name, []byte(text), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(netns.Dir+"/folder", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("empty", netns.Dir+"/symlink"); err != nil {
		t.Fatal(err)
	}
	if names, err := netns.Stale(""); err != nil || !slices.Equal(names, []string{"empty"}) {
		t.Errorf("Stale: %q, %v", names, err)
	}
	if names, err := netns.Stale("f"); err != nil || len(names) != 0 {
		t.Errorf("Stale of f: %q, %v", names, err)
	}
	if names, err := netns.List(""); err != nil || !slices.Equal(names, []string{"stacked"}) {
		t.Errorf("List: %q, %v", names, err)
	}
	err := netns.Delete("full", "stacked", "folder", "empty", "covered", "symlink", "..", "missing")
	for _, want := range []string{
		"delete network namespace full: /run/netns/full is not a network namespace",
		"delete network namespace folder: /run/netns/folder is not a network namespace",
		"delete network namespace covered: /run/netns/covered is not a network namespace",
		"delete network namespace symlink: /run/netns/symlink is not a network namespace",
		`delete network namespace ..: ".." is not a name for a namespace`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Delete: %v, want %s", err, want)
		}
	}
	left, rerr := os.ReadDir(netns.Dir)
	if rerr != nil {
		t.Fatal(rerr)
	}
	var names []string
	for _, e := range left {
		names = append(names, e.Name())
	}
	if want := []string{"covered", "folder", "full", "symlink"}; !slices.Equal(names, want) {
		t.Errorf("left: %q, want %q", names, want)
	}
	if err := unix.Unmount(netns.Dir+"/covered", 0); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"folder", "full", "symlink"} {
		if err := os.Remove(netns.Dir + "/" + name); err != nil {
			t.Error(err)
		}
	}
}

func TestDo(t *testing.T) {
	h := make1(t, "do")
	current, err := netns.Current()
	if err != nil {
		t.Fatal(err)
	}
	defer current.Close()
	var socket int
	err = netns.Do(h, func() error {
		if got, err := hereInode(); err != nil || got != h.Inode() {
			t.Errorf("inside: %d, %v, want %d", got, err, h.Inode())
		}
		if got, err := inodeOf("/proc/self/ns/net"); err != nil || got != current.Inode() {
			t.Errorf("the main thread: %d, %v, want %d", got, err, current.Inode())
		}
		// What a goroutine does is not inside.
		got := make(chan uint64)
		go func() {
			inode, _ := hereInode()
			got <- inode
		}()
		if got := <-got; got != current.Inode() {
			t.Errorf("a goroutine's: %d, want %d", got, current.Inode())
		}
		var err error
		socket, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(socket)
	inside, err := unix.IoctlRetInt(socket, unix.SIOCGSKNS)
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(inside, &st); err != nil || st.Ino != h.Inode() {
		t.Errorf("the socket is in %d, %v, want %d", st.Ino, err, h.Inode())
	}
	unix.Close(inside)

	bad := errors.New("bad")
	if err := netns.Do(h, func() error { return bad }); err != bad {
		t.Errorf("got %v, want %v", err, bad)
	}
	ended := make(chan error)
	go func() {
		ended <- netns.Do(h, func() error { runtime.Goexit(); return nil })
	}()
	if err := <-ended; err == nil {
		t.Error("runtime.Goexit gave no error")
	}
}

// TestDoLeavesNothing: no thread stays in a namespace after Do, so that deleting
// frees it.
func TestDoLeavesNothing(t *testing.T) {
	h := make1(t, "idle")
	var hs []*netns.Handle
	for range 20 {
		hs = append(hs, h)
	}
	if err := netns.DoEach(hs, 20, func(int) error { time.Sleep(time.Millisecond); return nil }); err != nil {
		t.Fatal(err)
	}
	tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if inode, err := inodeOf(task); err == nil && inode == h.Inode() {
			t.Errorf("%s is still in the namespace", task)
		}
	}
}

func TestDoEach(t *testing.T) {
	const n = 50
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("each%d", i))
	}
	hs, err := netns.MakeEach(names, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, h := range hs {
			h.Close()
		}
		if err := netns.Delete(names...); err != nil {
			t.Error(err)
		}
	}()
	got := make([]uint64, n)
	err = netns.DoEach(hs, 3, func(i int) error {
		got[i], _ = hereInode()
		if i%10 == 9 {
			return fmt.Errorf("error %d", i)
		}
		return nil
	})
	if err == nil || err.Error() != "error 9\nerror 19\nerror 29\nerror 39\nerror 49" {
		t.Errorf("error: %v", err)
	}
	for i, h := range hs {
		o, err := netns.Open(names[i])
		if err != nil {
			t.Fatal(err)
		}
		if o.Inode() != h.Inode() || got[i] != h.Inode() {
			t.Errorf("%s is %d, its handle %d, ran in %d", names[i], o.Inode(), h.Inode(), got[i])
		}
		o.Close()
	}
	if err := netns.DoEach(nil, 0, nil); err != nil {
		t.Error(err)
	}
}

func TestIproute2(t *testing.T) {
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("iproute2 is not installed")
	}
	h := make1(t, "ours")
	if out := output(t, "ip", "netns", "list"); strings.TrimSpace(out) != "ours" {
		t.Errorf("ip netns list: %q", out)
	}
	want := fmt.Sprintf("net:[%d]\n", h.Inode())
	if out := output(t, "ip", "netns", "exec", "ours", "readlink", "/proc/self/ns/net"); out != want {
		t.Errorf("ip netns exec: %q, want %q", out, want)
	}
	output(t, "ip", "netns", "add", "theirs")
	o, err := netns.Open("theirs")
	if err != nil {
		t.Fatal(err)
	}
	o.Close()
	if names, err := netns.List("the"); err != nil || !slices.Equal(names, []string{"theirs"}) {
		t.Errorf("List: %q, %v", names, err)
	}
	if err := netns.Delete("theirs"); err != nil {
		t.Error(err)
	}
	output(t, "ip", "netns", "del", "ours")
	if names, err := netns.List(""); err != nil || len(names) != 0 {
		t.Errorf("left: %q, %v", names, err)
	}
}

// TestShared: in a bare /run, /run/netns becomes one shared mount, by us or by
// iproute2, and the other does not make it a second time.
func TestShared(t *testing.T) {
	bare := func(t *testing.T) {
		if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount("/run", unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
	count := func(t *testing.T) {
		t.Helper()
		info, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		var n int
		for line := range strings.Lines(string(info)) {
			// The last tmpfs hides the sandbox's own.
			if strings.Contains(line, " /netns /run/netns ") && strings.Contains(line, "shared:") {
				n++
			}
		}
		if n != 2 {
			t.Errorf("%d shared mounts on /run/netns, want the sandbox's and one:\n%s", n, info)
		}
	}
	ours := func() error {
		h, err := netns.Make("ours", nil)
		if err != nil {
			return err
		}
		return h.Close()
	}
	theirs := func() error { return exec.Command("ip", "netns", "add", "theirs").Run() }
	for name, order := range map[string][]func() error{
		"ours first":   {ours, theirs},
		"theirs first": {theirs, ours},
	} {
		t.Run(name, func(t *testing.T) {
			bare(t)
			for _, add := range order {
				if err := add(); err != nil {
					t.Fatal(err)
				}
				count(t)
			}
			if names, err := netns.List(""); err != nil || !slices.Equal(names, []string{"ours", "theirs"}) {
				t.Errorf("List: %q, %v", names, err)
			}
		})
	}
}

// TestConcurrent: everything at once, for the race detector.
func TestConcurrent(t *testing.T) {
	before := fds(t)
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 10 {
				name := fmt.Sprintf("c%d-%d", g, i)
				h, err := netns.Make(name, nil)
				if err != nil {
					t.Error(err)
					return
				}
				for range 5 {
					err := netns.Do(h, func() error {
						if got, err := hereInode(); err != nil || got != h.Inode() {
							return fmt.Errorf("%s: in %d, %v, want %d", name, got, err, h.Inode())
						}
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
				if _, err := netns.List("c"); err != nil {
					t.Error(err)
				}
				if err := netns.Delete(name); err != nil {
					t.Error(err)
				}
				h.Close()
			}
		}()
	}
	wg.Wait()
	if after := fds(t); after != before {
		t.Errorf("%d open files, %d before", after, before)
	}
}

// TestSameName: of several that make one name, one wins.
func TestSameName(t *testing.T) {
	var won atomic.Int64
	var wg sync.WaitGroup
	for range 10 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			h, err := netns.Make("one", nil)
			if err == nil {
				won.Add(1)
				h.Close()
			} else if !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d won", won.Load())
	}
	if err := netns.Delete("one"); err != nil {
		t.Error(err)
	}
}

func TestManyLeakNothing(t *testing.T) {
	const n = 1000
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("many%d", i)
	}
	tasks := func() int {
		d, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		return len(d)
	}
	before, threads := fds(t), tasks()
	start := time.Now()
	hs, err := netns.MakeEach(names, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	made := time.Since(start)
	for _, h := range hs {
		h.Close()
	}
	start = time.Now()
	if err := netns.Delete(names...); err != nil {
		t.Fatal(err)
	}
	deleted := time.Since(start)
	start = time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := netns.WaitFreed(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d namespaces: made in %v, deleted in %v, freed %v later", n, made, deleted, time.Since(start))
	if after := fds(t); after != before {
		t.Errorf("%d open files, %d before", after, before)
	}
	if after := tasks(); after > threads+16 {
		t.Errorf("%d threads, %d before", after, threads)
	}
}

// TestWaitFreed: when it returns, the interfaces of deleted namespaces are
// gone, seen by their other ends here.
func TestWaitFreed(t *testing.T) {
	const n = 100
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("free%d", i)
	}
	count := func() int {
		links, err := netlink.LinkList()
		if err != nil {
			t.Fatal(err)
		}
		return len(links)
	}
	current, err := netns.Current()
	if err != nil {
		t.Fatal(err)
	}
	defer current.Close()
	before := count()
	var waited bool
	for range 5 {
		hs, err := netns.MakeEach(names, 2, func(i int) error {
			routes, err := netlink.NewHandle(unix.NETLINK_ROUTE)
			if err != nil {
				return err
			}
			defer routes.Close()
			return routes.LinkAdd(&netlink.Veth{
				LinkAttrs:     netlink.LinkAttrs{Name: "in", NumTxQueues: 1, NumRxQueues: 1},
				PeerName:      fmt.Sprintf("out%d", i),
				PeerNamespace: netlink.NsFd(current.FD()),
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range hs {
			h.Close()
		}
		if got := count(); got != before+n {
			t.Fatalf("%d links, want %d", got, before+n)
		}
		if err := netns.Delete(names...); err != nil {
			t.Fatal(err)
		}
		waited = waited || count() > before
		if err := netns.WaitFreed(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := count(); got != before {
			t.Errorf("%d links are left", got-before)
		}
	}
	if !waited {
		t.Log("there was never anything to wait for")
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := netns.WaitFreed(done); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// inUserNamespace says whether the sandbox is in a user namespace of its own,
// so that its limits are not the host's.
func inUserNamespace(t *testing.T) bool {
	m, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	return !slices.Equal(strings.Fields(string(m)), []string{"0", "0", "4294967295"})
}

const nobody = 65534

// asNobody runs the tests of that name again as an ordinary user, in a sandbox
// with a user namespace.
func asNobody(t *testing.T, test string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+test+"$", "-test.v")
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "NSLAB_SANDBOX=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: ") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestLimit: with as many namespaces allowed as are needed, and WaitFreed between
// them, there is always place for the next; beyond it the error names the limit.
func TestLimit(t *testing.T) {
	if !inUserNamespace(t) {
		asNobody(t, "TestLimit")
		return
	}
	if err := netns.WaitFreed(t.Context()); err != nil { // for what earlier tests left
		t.Fatal(err)
	}
	const limit = "/proc/sys/user/max_net_namespaces"
	old, err := os.ReadFile(limit)
	if err != nil {
		t.Fatal(err)
	}
	// The sandbox's own, eight that the test makes, two that the WaitFreed before
	// left for the kernel to free, three of this one.
	if err := os.WriteFile(limit, []byte("14"), 0); err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(limit, old, 0)
	var names []string
	for i := range 14 {
		names = append(names, fmt.Sprintf("limit%d", i))
	}
	for i := range 8 {
		hs, err := netns.MakeEach(names[:8], 2, nil)
		if err != nil {
			t.Fatalf("after %d rounds: %v", i, err)
		}
		for _, h := range hs {
			h.Close()
		}
		if err := netns.Delete(names[:8]...); err != nil {
			t.Fatal(err)
		}
		if err := netns.WaitFreed(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	_, err = netns.MakeEach(names, 1, nil)
	var le *netns.LimitError
	if !errors.As(err, &le) || le.Limit != "user.max_net_namespaces" || le.Value != "14" || !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("error: %v", err)
	}
	if names, err := netns.List(""); err != nil || len(names) != 0 {
		t.Errorf("left: %q, %v", names, err)
	}
}

// TestDirGoes: where Make had to make Dir, it goes with the last name in it,
// and not before.
func TestDirGoes(t *testing.T) {
	// The sandbox has a Dir, which stays as it is.
	if err := unix.Unmount(netns.Dir, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(netns.Dir); err != nil {
		t.Fatal(err)
	}
	defer func() {
		err := errors.Join(os.Mkdir(netns.Dir, 0o755),
			unix.Mount(netns.Dir, netns.Dir, "", unix.MS_BIND, ""),
			unix.Mount("", netns.Dir, "", unix.MS_SHARED, ""))
		if err != nil {
			t.Error(err)
		}
	}()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := range 20 {
				name := fmt.Sprintf("goes%d.%d", i, n)
				h, err := netns.Make(name, nil)
				if err != nil {
					t.Error(err)
					return
				}
				h.Close()
				if err := netns.Delete(name); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	if _, err := os.Lstat(netns.Dir); os.Geteuid() == 0 && trusted() && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", netns.Dir, err)
	}
	unix.Unmount(netns.Dir, unix.MNT_DETACH) // where the mark was refused
	os.Remove(netns.Dir)
}

// trusted reports whether this process may mark files for itself: not in a user
// namespace.
func trusted() bool {
	return unix.Setxattr("/run", "trusted.nslabtest", []byte("1"), 0) == nil &&
		unix.Removexattr("/run", "trusted.nslabtest") == nil
}
