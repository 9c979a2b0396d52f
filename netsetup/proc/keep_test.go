package proc_test

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/netns"
	"nslab/netsetup/proc"
)

// kept makes a node that owns namespaces, and opens it. With a user namespace of
// its own its network belongs to that.
func kept(t *testing.T, m netsetup.Machine) *proc.Node {
	t.Helper()
	m.Lab, m.Node, m.Hostname = "lab", "node", "node"
	if err := os.MkdirAll(netsetup.RunDir+"/lab", 0o755); err != nil {
		t.Fatal(err)
	}
	owner := func(int) *netns.IDMaps {
		if m.Isolation.User {
			return &netns.IDMaps{}
		}
		return nil
	}
	hs, err := netns.MakeEachOwned([]string{"lab.node"}, owner, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	k, err := proc.Keep(hs[0], &m)
	if err == nil {
		err = proc.Save("lab", "127.0.0.1 localhost\n", []netsetup.Machine{m})
	}
	if err != nil {
		t.Fatal(err)
	}
	hs[0].Close()
	k.Close()
	n, err := proc.Open("lab", "node")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Close()
		if err := proc.EndAll("lab"); err != nil {
			t.Error(err)
		}
		if err := netns.Delete("lab.node"); err != nil {
			t.Error(err)
		}
		os.RemoveAll(netsetup.RunDir)
	})
	return n
}

// output runs a shell command in a node, which has to end well.
func output(t *testing.T, n *proc.Node, script string) string {
	t.Helper()
	var out bytes.Buffer
	c := proc.Command{Node: n, Argv: []string{"sh", "-c", script}, Stdout: &out, Stderr: &out}
	if exit, err := c.Run(t.Context()); exit != 0 || err != nil {
		t.Fatalf("%s: exit %d, %v\n%s", script, exit, err, &out)
	}
	return out.String()
}

// TestKinds: a node owns those namespaces that it asks for, and no others; every
// program of it is in the same.
func TestKinds(t *testing.T) {
	leavesNothing(t)
	for kind, own := range map[string]netsetup.Isolation{
		"mnt": {Mount: true}, "uts": {UTS: true}, "ipc": {IPC: true}, "pid": {PID: true},
		"cgroup": {Cgroup: true}, "time": {Time: true, Boottime: time.Hour}, "user": {User: true},
	} {
		t.Run(kind, func(t *testing.T) {
			n := kept(t, netsetup.Machine{Isolation: own})
			for _, k := range []string{"mnt", "uts", "ipc", "pid", "cgroup", "time", "user"} {
				first := output(t, n, "stat -Lc %i /proc/self/ns/"+k)
				again := output(t, n, "stat -Lc %i /proc/self/ns/"+k)
				host := strconv.FormatUint(inode(t, "/proc/self/ns/"+k), 10) + "\n"
				switch {
				case k == kind && (first == host || first != again):
					t.Errorf("%s: %q, then %q, and the host's is %q", k, first, again, host)
				case k != kind && k != "mnt" && k != "uts" && first != host:
					t.Errorf("%s is %q, the host's is %q", k, first, host)
				}
			}
			if got := output(t, n, "hostname; cat /etc/hosts"); got != "node\n127.0.0.1 localhost\n" {
				t.Errorf("the node is called %q", got)
			}
		})
	}
}

// TestInit: process 1 reaps orphans, and ends the node when it is told.
func TestInit(t *testing.T) {
	leavesNothing(t)
	n := kept(t, netsetup.Machine{Isolation: netsetup.Isolation{PID: true}})
	output(t, n, "setsid sh -c 'sleep 0.05; exit 3' >/dev/null 2>&1 &")
	time.Sleep(100 * time.Millisecond)
	if got := output(t, n, "ps -eo stat= | grep -c Z || true"); got != "0\n" {
		t.Errorf("%s zombies are left", strings.TrimSpace(got))
	}
	record, err := os.ReadFile(netsetup.RunDir + "/lab/nodes/node.keeper")
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(record))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c := proc.Command{Node: n, Argv: []string{"sleep", "1000"}, Stdout: &out}
	time.AfterFunc(100*time.Millisecond, func() { unix.Kill(pid, unix.SIGTERM) })
	start := time.Now()
	if exit, err := c.Run(t.Context()); exit != 128+15 || err != nil {
		t.Errorf("exit %d, %v", exit, err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
	if _, err := unix.Wait4(pid, nil, 0, nil); err != nil {
		t.Error(err)
	}
	if n, err := proc.Open("lab", "node"); err == nil || !strings.Contains(err.Error(), "are gone") {
		t.Errorf("opened %v, %v", n, err)
	}
}

// TestKeepFails: what cannot be made leaves nothing, and the error says what it was.
func TestKeepFails(t *testing.T) {
	leavesNothing(t)
	h := node(t)
	for want, m := range map[string]netsetup.Machine{
		"set the offsets of the time namespace: numerical result out of range": {Isolation: netsetup.Isolation{Time: true, Monotonic: -1e6 * time.Hour}},
		"stat /missing/root: no such file or directory":                        {Isolation: netsetup.Isolation{Mount: true}, RootFS: "/missing/root"},
	} {
		m.Lab, m.Node = "lab", "node"
		k, err := proc.Keep(h, &m)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, %v, want %q", k, err, want)
		}
	}
	if all, err := proc.Keepers("lab"); err != nil || len(all) != 0 {
		t.Errorf("left: %v, %v", all, err)
	}
}

// TestManyRuns: programs that come and go leave nothing in the node.
func TestManyRuns(t *testing.T) {
	leavesNothing(t)
	n := kept(t, netsetup.Machine{Isolation: netsetup.Isolation{PID: true, Mount: true, UTS: true, IPC: true}})
	look := func() string {
		return output(t, n, "ls /proc/1/fd | wc -l; wc -l < /proc/self/mountinfo; ps -e | wc -l")
	}
	time.Sleep(100 * time.Millisecond) // the keeper closes what it was started with
	before := look()
	for range 300 {
		c := proc.Command{Node: n, Argv: []string{"true"}}
		if exit, err := c.Run(t.Context()); exit != 0 || err != nil {
			t.Fatal(exit, err)
		}
	}
	if after := look(); after != before {
		t.Errorf("before %q, after %q", before, after)
	}
}
