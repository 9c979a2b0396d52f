package sandbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"nslab/netsetup/netns"
)

func TestMain(m *testing.M) { Main(m) }

// again gives a command that runs one test of this binary in a sandbox of its
// own. act tells that test what to do.
func again(t *testing.T, test, act string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", append([]string{"-test.run=^" + test + "$"}, args...)...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, stage+"=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "ACT="+act)
	return cmd
}

var leaks = map[string]struct {
	do   func() error
	want string // in the report
}{
	"nothing": {func() error { return nil }, ""},
	"namespace": {func() error {
		h, err := netns.Make("left", nil)
		if err != nil {
			return err
		}
		return h.Close()
	}, "+ namespace left\n"},
	"link": {func() error {
		return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "left"}})
	}, "+ link left type bridge"},
	"address": {func() error { return onLo(netlink.AddrAdd, "192.0.2.1/32") }, "+ address 192.0.2.1/32 dev lo\n"},
	"gone":    {func() error { return onLo(netlink.AddrDel, "127.0.0.1/8") }, "- address 127.0.0.1/8 dev lo\n"},
	"route": {func() error {
		_, dst, err := net.ParseCIDR("198.51.100.0/24")
		if err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{Dst: dst, Type: unix.RTN_BLACKHOLE, Table: 77})
	}, "+ route 198.51.100.0/24 type 6 via <nil> dev - nexthops [] table 77"},
	"rule": {func() error {
		r := netlink.NewRule()
		r.Table, r.Priority = 77, 100
		return netlink.RuleAdd(r)
	}, "+ rule family 2 ip rule 100:"},
	"table": {addTable, "+ nftables table family 2 left\n"},
	"mount": {func() error {
		return unix.Mount("tmpfs", "/run/user", "tmpfs", 0, "")
	}, "+ mount /run/user root / options rw,relatime: tmpfs"},
	"neighbour": {func() error {
		b := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "left"}}
		if err := netlink.LinkAdd(b); err != nil {
			return err
		}
		return netlink.NeighAdd(&netlink.Neigh{
			LinkIndex: b.Index, State: netlink.NUD_PERMANENT, IP: net.IPv4(192, 0, 2, 9), HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9},
		})
	}, "+ neighbour 192.0.2.9 lladdr 02:00:00:00:00:09 dev left\n"},
	"goroutine": {func() error {
		go func() { <-make(chan int) }()
		return nil
	}, "+ goroutine in nslab/e2e/sandbox.init.func"},
	"descriptor": {func() error {
		_, err := unix.Open("/proc/self/status", unix.O_RDONLY, 0)
		return err
	}, "+ open file /proc/"},
	"socket": {func() error {
		_, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		return err
	}, "+ open file socket\n"},
	"file": {func() error {
		return errors.Join(os.Mkdir("/run/nslab", 0o755), os.WriteFile("/run/nslab/left.lock", nil, 0o600))
	}, "+ file /run/nslab/left.lock"},
	"process": {func() error {
		return exec.Command("/bin/sleep", "1000").Start()
	}, "(sleep) /bin/sleep 1000\n"},
}

func onLo(change func(netlink.Link, *netlink.Addr) error, address string) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(address)
	if err != nil {
		return err
	}
	return change(lo, a)
}

// errNoTables: this kernel has no nftables.
var errNoTables = errors.New("no nftables")

// addTable sends the batch that nfnetlink wants: begin, one table, end.
func addTable() error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER)
	if err != nil {
		return errNoTables
	}
	defer unix.Close(s)
	var batch []byte
	message := func(kind, flags int, family uint8, resource uint16, name string) {
		r := nl.NewNetlinkRequest(kind, flags)
		r.AddData(&nl.Nfgenmsg{NfgenFamily: family, ResId: resource})
		if name != "" {
			r.AddData(nl.NewRtAttr(unix.NFTA_TABLE_NAME, nl.ZeroTerminated(name)))
		}
		batch = append(batch, r.Serialize()...)
	}
	// res_id is in network order, and AddData writes it in the host's.
	const subsystem = unix.NFNL_SUBSYS_NFTABLES << 8
	message(unix.NFNL_MSG_BATCH_BEGIN, 0, unix.AF_UNSPEC, subsystem, "")
	message(subsystem|unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE|unix.NLM_F_ACK, unix.AF_INET, 0, "left")
	message(unix.NFNL_MSG_BATCH_END, 0, unix.AF_UNSPEC, subsystem, "")
	if err := unix.Sendto(s, batch, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(s, answer, 0)
	if err != nil {
		return err
	}
	if n < unix.SizeofNlMsghdr+4 {
		return fmt.Errorf("an answer of %d bytes", n)
	}
	if e := int32(nl.NativeEndian().Uint32(answer[unix.SizeofNlMsghdr:])); e == -int32(unix.EINVAL) || e == -int32(unix.EOPNOTSUPP) {
		return errNoTables
	} else if e != 0 {
		return syscall.Errno(-e)
	}
	return nil
}

// TestAct does in an inner sandbox what another test asks for.
func TestAct(t *testing.T) {
	act := os.Getenv("ACT")
	switch {
	case act == "":
		t.Skip("run by other tests")
	case act == "fail":
		t.Error("fails")
	case act == "hang":
		fmt.Println("hangs")
		time.Sleep(time.Minute)
	case act == "orphan":
		// The shell ends at once; process 1 must reap its child.
		if err := exec.Command("/bin/sh", "-c", "sleep 0.2 &").Run(); err != nil {
			t.Fatal(err)
		}
	case strings.HasPrefix(act, "kill "):
		n, err := strconv.Atoi(strings.TrimPrefix(act, "kill "))
		if err != nil {
			t.Fatal(err)
		}
		syscall.Kill(os.Getpid(), syscall.Signal(n))
		time.Sleep(time.Minute)
	default:
		err := leaks[act].do()
		if err == errNoTables {
			fmt.Println(err)
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// run is a command that runs beside others: most of them only wait.
type run struct {
	cmd *exec.Cmd
	out bytes.Buffer
}

func start(t *testing.T, cmd *exec.Cmd) *run {
	t.Helper()
	r := &run{cmd: cmd}
	cmd.Stdout, cmd.Stderr = &r.out, &r.out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// wait gives the exit status.
func (r *run) wait() int {
	r.cmd.Wait()
	return r.cmd.ProcessState.ExitCode()
}

func TestLeaksAreCaught(t *testing.T) {
	runs := map[string]*run{}
	for name := range leaks {
		runs[name] = start(t, again(t, "TestAct", name))
	}
	for name, leak := range leaks {
		t.Run(name, func(t *testing.T) {
			r := runs[name]
			got, out := r.wait(), r.out.String()
			if strings.Contains(out, errNoTables.Error()) {
				t.Skip("this kernel has no nftables")
			}
			want := 1
			if leak.want == "" {
				want = 0
			}
			if got != want {
				t.Errorf("exit status %d, want %d", got, want)
			}
			if !strings.Contains(out, leak.want) {
				t.Errorf("the report has no %q", leak.want)
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}

func TestExitStatus(t *testing.T) {
	statuses := map[string]int{
		"nothing": 0,
		"fail":    1,
		"orphan":  0,
		"kill 9":  128 + 9,
		"kill 15": 128 + 15,
		"hang":    2, // by -test.timeout
	}
	runs := map[string]*run{}
	for act := range statuses {
		runs[act] = start(t, again(t, "TestAct", act, "-test.timeout=2s"))
	}
	for act, want := range statuses {
		t.Run(act, func(t *testing.T) {
			r := runs[act]
			if got := r.wait(); got != want {
				t.Errorf("exit status %d, want %d\n%s", got, want, &r.out)
			}
		})
	}
}

// TestOrdinaryUser: without privilege it works in a user namespace.
func TestOrdinaryUser(t *testing.T) {
	m, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	if f := strings.Fields(string(m)); len(f) == 3 && f[2] == "1" {
		t.Skip("these tests run as an ordinary user already, who can become no other")
	}
	const nobody = 65534
	runs := map[string]*run{}
	for _, act := range []string{"nothing", "link"} {
		cmd := again(t, "TestAct", act)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		runs[act] = start(t, cmd)
	}
	if got := runs["nothing"].wait(); got != 0 {
		t.Errorf("exit status %d\n%s", got, &runs["nothing"].out)
	}
	if got := runs["link"].wait(); got != 1 || !strings.Contains(runs["link"].out.String(), leaks["link"].want) {
		t.Errorf("a leak: exit status %d\n%s", got, &runs["link"].out)
	}
}

func TestSignalsPass(t *testing.T) {
	cmd := again(t, "TestAct", "hang")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "hangs\n" {
		t.Fatalf("read %q, %v", line, err)
	}
	cmd.Process.Signal(unix.SIGTERM)
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != 128+int(unix.SIGTERM) {
		t.Errorf("exit status %d", got)
	}
}

// TestKilled: nothing survives the outer process.
func TestKilled(t *testing.T) {
	before, err := Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	cmd := again(t, "TestAct", "hang")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	for end := time.Now().Add(settle); ; time.Sleep(10 * time.Millisecond) {
		after, err := Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if d := before.Diff(after); len(d) == 0 {
			return
		} else if time.Now().After(end) {
			t.Fatalf("left: %q", d)
		}
	}
}

func TestIsolated(t *testing.T) {
	if pid := os.Getppid(); pid != 1 {
		t.Errorf("the parent is process %d, want 1", pid)
	}
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	if len(links) != 1 || links[0].Attrs().Flags&net.FlagUp == 0 {
		t.Errorf("links are %v, want lo, up", links)
	}
	if os.Geteuid() != 0 {
		t.Errorf("the user is %d, want 0", os.Geteuid())
	}
}

// TestCgroups: those of this sandbox are told, however deep, and no others.
func TestCgroups(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"nslab-0.1/lab/node", "other/nslab-0.1", "nslab-0.12/lab"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := &State{}
	if err := s.cgroupsOf(dir, "nslab-0.1"); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"cgroup " + dir + "/nslab-0.1", "cgroup " + dir + "/nslab-0.1/lab", "cgroup " + dir + "/nslab-0.1/lab/node",
		"cgroup " + dir + "/other/nslab-0.1",
	}
	if !slices.Equal(s.lines, want) {
		t.Errorf("got %q, want %q", s.lines, want)
	}
}

func TestDiff(t *testing.T) {
	a := &State{lines: []string{"a", "b", "b", "d"}}
	b := &State{lines: []string{"b", "c", "d", "d", "e"}}
	want := []string{"- a", "- b", "+ c", "+ d", "+ e"}
	if got := a.Diff(b); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := a.Diff(a); len(got) != 0 {
		t.Errorf("to itself: %q", got)
	}
}
