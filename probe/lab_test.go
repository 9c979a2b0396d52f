package probe

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nslab/netsetup/netns"
	"nslab/topology"
)

// testLab is a lab that a test builds with the commands of iproute2 and nft.
type testLab struct {
	*topology.Lab
	t testing.TB
}

// labs counts the labs, so that each has namespaces of its own.
var labs atomic.Int32

// emptyLab has namespaces and nothing in them.
func emptyLab(t testing.TB, nodes ...string) *testLab {
	t.Helper()
	l := &testLab{&topology.Lab{Name: fmt.Sprintf("probe%d", labs.Add(1)), File: "probe.yaml"}, t}
	names := make([]string, len(nodes))
	for i, n := range nodes {
		l.Nodes = append(l.Nodes, &topology.Node{Name: n, Kind: topology.Host})
		names[i] = l.namespace(n)
	}
	hs, err := netns.MakeEach(names, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hs {
		h.Close()
	}
	t.Cleanup(func() {
		if err := netns.Delete(names...); err != nil {
			t.Error(err)
		}
	})
	return l
}

// newLab makes hosts whose kernel sends all the ICMP errors that it has to.
func newLab(t testing.TB, nodes ...string) *testLab {
	t.Helper()
	l := emptyLab(t, nodes...)
	for _, n := range nodes {
		l.do(n, "ip link set lo up",
			"sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0 net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0")
	}
	return l
}

func (l *testLab) namespace(node string) string { return l.Name + "." + node }

func (l *testLab) node(name string) *topology.Node {
	for _, n := range l.Nodes {
		if n.Name == name {
			return n
		}
	}
	l.t.Fatalf("no node %s", name)
	return nil
}

// do runs commands inside a node.
func (l *testLab) do(node string, commands ...string) {
	l.t.Helper()
	for _, c := range commands {
		cmd := exec.Command("nsenter", "--net="+netns.Dir+"/"+l.namespace(node), "sh", "-ec", c)
		if out, err := cmd.CombinedOutput(); err != nil {
			l.t.Fatalf("%s: %s: %v\n%s", node, c, err, out)
		}
	}
}

// output is what a command prints that runs inside a node.
func (l *testLab) output(node, command string) string {
	l.t.Helper()
	out, err := exec.Command("nsenter", "--net="+netns.Dir+"/"+l.namespace(node), "sh", "-ec", command).Output()
	if err != nil {
		l.t.Fatalf("%s: %s: %v", node, command, err)
	}
	return string(out)
}

// nft adds a ruleset to a node.
func (l *testLab) nft(node, rules string) {
	l.t.Helper()
	l.do(node, "nft -f - <<'END'\n"+rules+"\nEND")
}

// link joins two endpoints "node:interface" with a veth pair that is up.
func (l *testLab) link(a, b string) {
	l.t.Helper()
	an, ai, _ := strings.Cut(a, ":")
	bn, bi, _ := strings.Cut(b, ":")
	l.do(an, fmt.Sprintf("ip link add %s type veth peer name %s netns %s && ip link set %s up", ai, bi, l.namespace(bn), ai))
	l.do(bn, "ip link set "+bi+" up")
}

// address gives an endpoint addresses, in the kernel and in the lab's file.
func (l *testLab) address(endpoint string, prefixes ...string) {
	l.t.Helper()
	node, name, _ := strings.Cut(endpoint, ":")
	n := l.node(node)
	var in *topology.Interface
	for _, x := range n.Interfaces {
		if x.Name == name {
			in = x
		}
	}
	if in == nil {
		in = &topology.Interface{Name: name}
		n.Interfaces = append(n.Interfaces, in)
	}
	for _, p := range prefixes {
		in.Addresses = append(in.Addresses, topology.Address{Prefix: netip.MustParsePrefix(p)})
		nodad := ""
		if strings.Contains(p, ":") {
			nodad = " nodad"
		}
		l.do(node, "ip address add "+p+" dev "+name+nodad)
	}
}

// router makes a node forward.
func (l *testLab) router(node string) {
	l.t.Helper()
	l.node(node).Kind = topology.Router
	l.do(node, "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
}

// pairLab is two hosts on one link, with addresses of both families.
func pairLab(t testing.TB) *testLab {
	l := newLab(t, "a", "b")
	l.link("a:eth0", "b:eth0")
	l.address("a:eth0", "10.0.0.1/24", "fd00::1/64")
	l.address("b:eth0", "10.0.0.2/24", "fd00::2/64")
	return l
}

// routedLab is a - r - b, with addresses of both families.
func routedLab(t testing.TB) *testLab {
	l := newLab(t, "a", "r", "b")
	l.router("r")
	l.link("a:eth0", "r:eth0")
	l.link("b:eth0", "r:eth1")
	l.address("a:eth0", "10.0.1.2/24", "fd00:1::2/64")
	l.address("r:eth0", "10.0.1.1/24", "fd00:1::1/64")
	l.address("r:eth1", "10.0.2.1/24", "fd00:2::1/64")
	l.address("b:eth0", "10.0.2.2/24", "fd00:2::2/64")
	l.do("a", "ip route add default via 10.0.1.1", "ip -6 route add default via fd00:1::1")
	l.do("b", "ip route add default via 10.0.2.1", "ip -6 route add default via fd00:2::1")
	return l
}

func (l *testLab) open(node string) (*netns.Handle, error) { return netns.Open(l.namespace(node)) }

// target reads node, node:interface, node:port, an address or a prefix.
func target(s string, port int) topology.Target {
	t := topology.Target{Port: port}
	if p, err := netip.ParsePrefix(s); err == nil {
		t.Prefix = p
	} else if a, err := netip.ParseAddr(s); err == nil {
		t.Prefix = netip.PrefixFrom(a, a.BitLen())
	} else {
		t.Node, t.Interface, _ = strings.Cut(s, ":")
	}
	return t
}

// testItem makes an item with one sender and one target; change, where it is not
// nil, sets the rest.
func testItem(verb, from, to string, port int, change func(*topology.Test)) *topology.Test {
	x := &topology.Test{
		Verb: verb, Pos: topology.Pos{Line: 1, Col: 1}, Name: verb + " " + from + " -> " + to,
		Timeout: 300 * time.Millisecond, Size: 56, Interval: 10 * time.Millisecond,
		Senders: []topology.Target{target(from, 0)}, Targets: []topology.Target{target(to, port)},
	}
	if change != nil {
		change(x)
	}
	return x
}

// settle waits for what the kernel does by itself, some time after a link or an
// address was made: before that a link sends nothing and an IPv6 address is not
// found.
func (l *testLab) settle() {
	l.t.Helper()
	for _, x := range l.Nodes {
		n := &node{name: x.Name, topo: x, open: l.open}
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			missing := l.missing(n)
			if missing == "" {
				break
			}
			if time.Now().After(end) {
				l.t.Fatalf("%s: %s", x.Name, missing)
			}
		}
		n.close()
	}
}

// missing says what a node still lacks.
func (l *testLab) missing(n *node) string {
	h, err := n.netlink()
	if err != nil {
		l.t.Fatal(err)
	}
	defer h.Close()
	links, err := dump(h.LinkList)
	if err != nil {
		l.t.Fatal(err)
	}
	var groups []byte
	err = n.inside(func() (err error) {
		groups, err = os.ReadFile("/proc/thread-self/net/igmp6")
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, link := range links {
		const up = unix.IFF_UP | unix.IFF_LOWER_UP
		flags := link.Attrs().RawFlags
		if flags&up != up || flags&unix.IFF_LOOPBACK != 0 {
			continue
		}
		if flags&unix.IFF_RUNNING == 0 {
			return link.Attrs().Name + " has a carrier and is not running"
		}
		addresses, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(link, netlink.FAMILY_V6) })
		if err != nil {
			l.t.Fatal(err)
		}
		for _, a := range addresses {
			// Neighbours ask for the address in this group, RFC 4291, 2.7.1.
			group := fmt.Sprintf("ff0200000000000000000001ff%x", []byte(a.IP[13:]))
			if !strings.Contains(string(groups), link.Attrs().Name+" ") || !strings.Contains(string(groups), group) {
				return a.IPNet.String() + " is not in its multicast group"
			}
		}
	}
	return ""
}

// run carries out items and gives the report.
func (l *testLab) run(items ...*topology.Test) *Report {
	l.t.Helper()
	l.Tests = items
	return l.runWith(Options{})
}

// runWith carries out the lab's tests.
func (l *testLab) runWith(o Options) *Report {
	l.t.Helper()
	l.settle()
	o.Open = l.open
	r, err := Run(context.Background(), l.Lab, o)
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// one carries out an item and gives its one case.
func (l *testLab) one(x *topology.Test) Case {
	l.t.Helper()
	r := l.run(x)
	if len(r.Cases) != 1 {
		l.t.Fatalf("%s has %d cases, want 1", x.Name, len(r.Cases))
	}
	return r.Cases[0]
}

func (c Case) text() string {
	return fmt.Sprintf("%s: %s %s\n\t%s", c.Name, c.Outcome, c.Message, strings.Join(c.Details, "\n\t"))
}

func mustAddr(s string) netip.Addr         { return netip.MustParseAddr(s) }
func mustAddrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
