package probe

import (
	"strings"
	"testing"
	"time"

	"nslab/topology"
)

// switchedLab is a - sw - r - b: a switch, and a router.
func switchedLab(t testing.TB) *testLab {
	l := newLab(t, "a", "sw", "r", "b", "c")
	l.router("r")
	l.node("sw").Kind = topology.Switch
	l.link("a:eth0", "sw:eth0")
	l.link("r:eth0", "sw:eth1")
	l.link("b:eth0", "r:eth1")
	l.link("c:eth0", "sw:eth2")
	l.do("sw", "ip link add br0 type bridge forward_delay 0 mcast_snooping 0", "ip link set br0 up",
		"ip link set eth0 master br0", "ip link set eth1 master br0", "ip link set eth2 master br0")
	l.address("a:eth0", "10.0.1.2/24", "fd00:1::2/64")
	l.address("c:eth0", "10.0.1.3/24", "fd00:1::3/64")
	l.address("r:eth0", "10.0.1.1/24", "fd00:1::1/64")
	l.address("r:eth1", "10.0.2.1/24", "fd00:2::1/64")
	l.address("b:eth0", "10.0.2.2/24", "fd00:2::2/64")
	l.do("a", "ip route add default via 10.0.1.1", "ip -6 route add default via fd00:1::1")
	l.do("b", "ip route add default via 10.0.2.1", "ip -6 route add default via fd00:2::1")
	for _, e := range [][4]string{{"a", "eth0", "sw", "eth0"}, {"r", "eth0", "sw", "eth1"}, {"b", "eth0", "r", "eth1"}, {"c", "eth0", "sw", "eth2"}} {
		l.Links = append(l.Links, &topology.Link{Endpoints: [2]topology.Endpoint{{Node: e[0], Interface: e[1]}, {Node: e[2], Interface: e[3]}}})
	}
	return l
}

// TestExplanation breaks a lab in one place and looks for its name.
func TestExplanation(t *testing.T) {
	for _, c := range []struct {
		name       string
		setup      func(l *testLab)
		expect     string
		place, why string
	}{
		{"a rule of a router", func(l *testLab) {
			l.nft("r", `table inet t { chain f { type filter hook forward priority 0; meta l4proto { icmp, ipv6-icmp, tcp, udp } iifname eth0 drop; }; }`)
		}, "", "last seen: coming in by r:eth0", "kept by r: rule table inet t chain f handle"},
		{"a rule that rejects", func(l *testLab) {
			l.nft("r", `table inet t { chain f { type filter hook forward priority 0; iifname eth0 reject; }; }`)
		}, expectDrop, "last seen: coming in by r:eth0", "kept by r: rule table inet t chain f handle"},
		{"a policy of the target", func(l *testLab) {
			l.nft("b", `table inet t { chain i { type filter hook input priority 0; policy drop; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; }; }`)
		}, "", "last seen: coming in by b:eth0", "kept by b: policy drop of table inet t chain i"},
		{"a rule of the sender", func(l *testLab) {
			l.nft("a", `table inet t { chain o { type filter hook output priority 0; meta l4proto { icmp, tcp, udp } drop; icmpv6 type echo-request drop; }; }`)
		}, "", "", "kept by a: rule table inet t chain o handle"},
		{"a rule of a switch", func(l *testLab) {
			l.nft("sw", `table bridge t { chain f { type filter hook forward priority 0; meta l4proto { icmp, tcp, udp } drop; icmpv6 type echo-request drop; }; }`)
		}, "", "last seen: coming in by sw:eth0", "kept by sw: rule table bridge t chain f handle"},
		{"a rule of an interface", func(l *testLab) {
			l.nft("b", `table netdev t { chain i { type filter hook ingress device eth0 priority 0; meta l4proto { icmp, tcp, udp } drop; icmpv6 type echo-request drop; }; }`)
		}, "", "last seen: coming in by b:eth0", "kept by b: rule table netdev t chain i handle"},
		{"a rule that keeps the answer", func(l *testLab) {
			l.nft("r", `table inet t { chain f { type filter hook forward priority 0; iifname eth1 meta l4proto { icmp, tcp, udp } drop; iifname eth1 icmpv6 type echo-reply drop; }; }`)
		}, "", "last seen: coming in by r:eth1", "kept by r: rule table inet t chain f handle"},
		{"a rule of the sender that keeps the answer", func(l *testLab) {
			l.nft("a", `table inet t { chain i { type filter hook input priority 0; meta l4proto { icmp, tcp, udp } drop; icmpv6 type echo-reply drop; }; }`)
		}, "", "last seen: coming in by a:eth0", "kept by a: rule table inet t chain i handle"},
		{"no way back", func(l *testLab) {
			l.do("b", "ip route del default", "ip -6 route del default")
		}, "", "last seen: coming in by b:eth0", "ENETUNREACH"},
		{"no route in the router", func(l *testLab) {
			l.do("r", "ip address flush dev eth1", "ip -6 address flush dev eth1")
		}, "", "last seen: coming in by r:eth0", "ENETUNREACH"},
		{"no forwarding", func(l *testLab) {
			l.do("r", "sysctl -qw net.ipv4.conf.all.forwarding=0 net.ipv6.conf.all.forwarding=0")
		}, "", "last seen: coming in by r:eth0", "r does not forward: net.ipv"},
		{"a link that is down", func(l *testLab) {
			l.do("b", "ip link set eth0 down")
		}, "", "r:eth0", "no carrier"},
		{"no neighbour", func(l *testLab) {
			l.do("b", "ip address flush dev eth0", "ip -6 address flush dev eth0", "ip address add 10.0.2.77/24 dev eth0")
			l.do("r", "sysctl -qw net.ipv4.neigh.eth1.retrans_time_ms=20 net.ipv6.neigh.eth1.retrans_time_ms=20")
		}, "", "last seen: coming in by r:eth0", "(nobody answers)"},
		{"a wrong neighbour", func(l *testLab) {
			l.do("r", "ip neigh replace 10.0.2.2 lladdr 02:00:00:00:00:99 dev eth1", "ip neigh replace fd00:2::2 lladdr 02:00:00:00:00:99 dev eth1")
		}, "", "last seen: leaving by r:eth1", "it came in at b:eth0, but for the MAC address of another"},
		{"a reverse path", func(l *testLab) {
			l.do("r", "ip link set eth0 address 02:00:00:00:00:01", "sysctl -qw net.ipv4.conf.eth0.rp_filter=1", "ip route add 10.0.1.2/32 via 10.0.2.2")
			l.do("a", "ip neigh replace 10.0.1.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent")
		}, family4, "last seen: coming in by r:eth0", "the reverse path filter of r drops"},
		{"another MTU at the other end", func(l *testLab) {
			l.do("b", "ip link set eth0 mtu 1300")
		}, "large", "last seen: leaving by r:eth1", "its MTU is 1300, the packet has 1428 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := switchedLab(t)
			c.setup(l)
			set := func(x *topology.Test) { x.Expect = c.expect }
			items := []*topology.Test{testItem("ping", "a", "b", 0, set), testItem("tcp", "a", "b", 80, set), testItem("udp", "a", "b", 53, set)}
			if c.expect == family4 {
				for _, x := range items {
					x.Expect, x.Family = "", family4
				}
			}
			if c.expect == "large" {
				items = []*topology.Test{testItem("ping", "a", "b", 0, func(x *topology.Test) { x.Size, x.Family, x.Expect = 1400, family4, "" })}
			}
			for _, got := range l.run(items...).Cases {
				if strings.HasPrefix(got.Message, "serve ") {
					continue
				}
				got.mustBe(t, Fail, c.place)
				got.mustBe(t, Fail, c.why)
				t.Log(got.text())
			}
			for _, n := range l.Nodes {
				l.do(n.Name, "! nft list ruleset | grep nslab-trace")
			}
		})
	}
}

// TestSecondTry has a filter that keeps one packet: the case has failed, and says
// that it did not again.
func TestSecondTry(t *testing.T) {
	l := pairLab(t)
	l.nft("b", `table ip t { chain i { type filter hook input priority 0; icmp type echo-request limit rate 1/hour burst 1 packets drop; }; }`)
	c := l.one(testItem("ping", "a", "b", 0, func(x *topology.Test) { x.Family = family4 }))
	c.mustBe(t, Fail, "second try: it passed")
	if c.Attempts != 1 || !c.Explanation.Passed || c.Explanation.LastSeen != nil {
		t.Errorf("%d attempts, %+v", c.Attempts, c.Explanation)
	}
}

// TestLookIntoFew has more failed cases than are looked into.
func TestLookIntoFew(t *testing.T) {
	l := meshLab(t, 5, true)
	for _, n := range l.Nodes {
		if n.Kind == topology.Host {
			l.nft(n.Name, `table ip t { chain i { type filter hook input priority 0; icmp type echo-request drop; }; }`)
		}
	}
	files := openFiles(t)
	mesh := l.mesh("ping", 0)
	mesh.Timeout = 100 * time.Millisecond
	looked := 0
	for _, c := range l.run(mesh).Cases {
		if c.Explanation != nil {
			looked++
			c.mustBe(t, Fail, "kept by "+c.To+": rule table ip t chain i handle")
		} else {
			c.mustBe(t, Fail, "of each item the first 10 that fail are")
		}
	}
	if looked != maxLookedInto {
		t.Errorf("%d cases were looked into, want %d", looked, maxLookedInto)
	}
	if n := openFiles(t); n > files+3 { // what package netns keeps
		t.Errorf("%d files are open, %d were before", n, files)
	}
}

// TestLookIntoGuest has a target in somebody else's namespace, to which no table is
// added.
func TestLookIntoGuest(t *testing.T) {
	l := pairLab(t)
	l.node("b").Kind = topology.External
	l.nft("b", `table inet t { chain i { type filter hook input priority 0; meta l4proto tcp drop; }; }`)
	c := l.one(testItem("tcp", "a", "b", 80, func(x *topology.Test) { x.Family = family4 }))
	c.mustBe(t, Fail, "last seen: coming in by b:eth0")
	if len(c.Explanation.Rules) > 0 {
		t.Errorf("rules of a guest were traced: %v", c.Explanation.Rules)
	}
}

// TestSecondTryServes has servers of the test's own, which the second try needs
// again.
func TestSecondTryServes(t *testing.T) {
	l := pairLab(t)
	l.nft("b", `table inet t { chain o { type filter hook output priority 0; tcp sport 80 drop; }; }`)
	serve := true
	web := testItem("http", "a", "b", 80, func(x *topology.Test) { x.Family, x.Listen, x.Status = family4, &serve, 200 })
	web.Targets[0].URL = "/"
	c := l.one(web)
	c.mustBe(t, Fail, "kept by b: rule table inet t chain o handle")
	if c.Explanation.SecondTry != "" {
		t.Error(c.Explanation.SecondTry)
	}
}
