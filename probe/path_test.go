package probe

import (
	"testing"

	"nslab/topology"
)

func hops(words ...string) []topology.Text {
	list := make([]topology.Text, len(words))
	for i, w := range words {
		list[i].Value = w
	}
	return list
}

// chainLab is a - r1 - r2 - b, with addresses of both families.
func chainLab(t *testing.T) *testLab {
	l := newLab(t, "a", "r1", "r2", "b")
	l.router("r1")
	l.router("r2")
	l.link("a:eth0", "r1:eth0")
	l.link("r1:eth1", "r2:eth0")
	l.link("r2:eth1", "b:eth0")
	l.address("a:eth0", "10.0.1.2/24", "fd00:1::2/64")
	l.address("r1:eth0", "10.0.1.1/24", "fd00:1::1/64")
	l.address("r1:eth1", "10.0.2.1/24", "fd00:2::1/64")
	l.address("r2:eth0", "10.0.2.2/24", "fd00:2::2/64")
	l.address("r2:eth1", "10.0.3.1/24", "fd00:3::1/64")
	l.address("b:eth0", "10.0.3.2/24", "fd00:3::2/64")
	l.do("a", "ip route add default via 10.0.1.1", "ip -6 route add default via fd00:1::1")
	l.do("r1", "ip route add default via 10.0.2.2", "ip -6 route add default via fd00:2::2")
	l.do("r2", "ip route add default via 10.0.2.1", "ip -6 route add default via fd00:2::1")
	l.do("b", "ip route add default via 10.0.3.1", "ip -6 route add default via fd00:3::1")
	return l
}

func TestPath(t *testing.T) {
	l := chainLab(t)
	check := func(from, to, family string, via []topology.Text, want Outcome, text string) {
		t.Helper()
		r := l.run(testItem("path", from, to, 0, func(x *topology.Test) { x.Hops, x.Family, x.Interval = via, family, 0 }))
		for _, c := range r.Cases {
			c.mustBe(t, want, text)
		}
	}
	check("a", "b", "", hops("r1", "r2"), Pass, "")
	check("b", "a", "", hops("r2", "r1"), Pass, "")
	check("a", "r1", "", nil, Pass, "")
	check("a", "b", family4, hops("10.0.1.1", "10.0.2.2"), Pass, "")
	check("a", "b", family6, hops("fd00:1::1", "fd00:2::2"), Pass, "")
	check("a", "b", "", hops("r2", "r1"), Fail, "the hops are r1, r2; expected r2, r1")
	check("a", "b", "", hops("r1"), Fail, "the hops are r1, r2; expected r1")
	check("a", "b", "", nil, Fail, "the hops are r1, r2; expected none")
	check("a", "b", "", hops("r1", "r2", "r2"), Fail, "the hops are r1, r2; expected r1, r2, r2")
	check("a", "b", family4, hops("10.0.1.1", "10.0.2.9"), Fail, "the hops are")
	check("a", "10.0.3.9", "", hops("r1", "r2"), Fail, "the target does not answer after them")
	// A router that says nothing is not the one that is wanted.
	l.nft("r2", `table inet t { chain o { type filter hook output priority 0; icmp type time-exceeded drop; icmpv6 type time-exceeded drop; }; }`)
	check("a", "b", "", hops("r1", "r2"), Fail, "the hops are r1, *; expected r1, r2")
	l.nft("r1", `table inet t { chain o { type filter hook forward priority 0; ip protocol icmp reject; meta l4proto icmpv6 reject; }; }`)
	check("a", "b", "", hops("r1", "r2"), Fail, "the hops are r1, and then ") // its reject
}

func TestMTU(t *testing.T) {
	l := chainLab(t)
	l.do("r1", "ip link set eth1 mtu 1400")
	l.do("r2", "ip link set eth0 mtu 1400")
	check := func(from, to, family string, bytes int, want Outcome, text string) {
		t.Helper()
		r := l.run(testItem("mtu", from, to, 0, func(x *topology.Test) { x.Bytes, x.Family, x.Interval = bytes, family, 0 }))
		for _, c := range r.Cases {
			c.mustBe(t, want, text)
		}
	}
	check("a", "b", "", 1400, Pass, "")
	check("a", "r1", "", 1500, Pass, "")
	check("a", "b", "", 1399, Fail, "a packet of 1400 bytes passes too")
	check("a", "b", "", 1401, Fail, ", MTU 1400")
	check("a", "b", "", 1500, Fail, "a packet of 1500 bytes does not pass: ")
	check("a", "b", "", 9000, Fail, "larger than the MTU of the interface")
	check("a", "10.0.3.9", "", 1400, Fail, "does not pass")
	// Without the errors of the router the MTU is the same.
	l.nft("r1", `table inet t { chain o { type filter hook output priority 0; icmp type destination-unreachable drop; icmpv6 type packet-too-big drop; }; }`)
	check("a", "b", "", 1400, Pass, "")
	check("a", "b", "", 1450, Fail, "no answer")
	// The way back is another matter.
	l.do("r2", "ip link set eth0 mtu 1300")
	check("a", "b", family4, 1300, Fail, "a packet of 1301 bytes passes too")
}

// TestPathThenDrop has a path before what is to vanish: its routers have errors to
// send left, so that silence is believed at once.
func TestPathThenDrop(t *testing.T) {
	l := routedLab(t)
	l.nft("r", `table inet t { chain f { type filter hook forward priority 0; meta l4proto tcp drop; }; }`)
	path := testItem("path", "a", "b", 0, func(x *topology.Test) { x.Hops = []topology.Text{{Value: "r"}} })
	drop := testItem("tcp", "a", "b", 80, func(x *topology.Test) { x.Expect = expectDrop })
	for _, c := range l.run(path, path, path, drop).Cases {
		c.mustBe(t, Pass, "")
		if c.Attempts != 1 {
			t.Errorf("%s: %d attempts", c.Name, c.Attempts)
		}
	}
}
