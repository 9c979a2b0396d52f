package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"nslab/netsetup/netns"
	"nslab/topology"
)

// expectations are what each expect makes of what was seen.
var expectations = map[seen]map[string]Outcome{
	answered: {expectPass: Pass, expectFail: Fail, expectReject: Fail, expectDrop: Fail},
	arrived:  {expectPass: Fail, expectFail: Fail, expectReject: Fail, expectDrop: Fail},
	usurped:  {expectPass: Fail, expectFail: Pass, expectReject: Fail, expectDrop: Fail},
	refused:  {expectPass: Fail, expectFail: Pass, expectReject: Pass, expectDrop: Fail},
	lost:     {expectPass: Fail, expectFail: Pass, expectReject: Fail, expectDrop: Pass},
}

// verbs says what each of ping, tcp and udp is to see.
type verbs struct{ ping, tcp, udp seen }

func TestExpect(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup func(l *testLab)
		want  verbs
	}{
		{"open", func(l *testLab) {}, verbs{answered, answered, answered}},
		{"forward drop", func(l *testLab) {
			l.nft("r", `table inet t { chain f { type filter hook forward priority 0; policy drop; meta l4proto icmpv6 icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; }; }`)
		}, verbs{lost, lost, lost}},
		{"forward reject", func(l *testLab) {
			l.nft("r", `table inet t { chain f { type filter hook forward priority 0; reject with icmpx admin-prohibited; }; }`)
		}, verbs{refused, refused, refused}},
		{"forward reject with reset", func(l *testLab) {
			l.nft("r", `table inet t { chain f { type filter hook forward priority 0; meta l4proto tcp reject with tcp reset; }; }`)
		}, verbs{answered, refused, answered}},
		{"input drop", func(l *testLab) {
			l.nft("b", `table inet t { chain i { type filter hook input priority 0; meta l4proto icmpv6 icmpv6 type != echo-request accept; drop; }; }`)
		}, verbs{lost, lost, lost}},
		{"input reject", func(l *testLab) {
			l.nft("b", `table inet t { chain i { type filter hook input priority 0; meta l4proto icmpv6 icmpv6 type != echo-request accept; reject; }; }`)
		}, verbs{refused, refused, refused}},
		{"output drop", func(l *testLab) {
			l.nft("a", `table inet t { chain o { type filter hook output priority 0; meta l4proto icmpv6 icmpv6 type != echo-request accept; drop; }; }`)
		}, verbs{lost, lost, lost}},
		{"output reject", func(l *testLab) {
			// The kernel says EPERM to a ping and to a datagram; a SYN gets
			// its answer from lo.
			l.nft("a", `table inet t { chain o { type filter hook output priority 0; oifname lo accept; meta l4proto icmpv6 icmpv6 type != echo-request accept; reject; }; }`)
		}, verbs{lost, refused, lost}},
		{"blackhole of the sender", routesOf("a", "blackhole"), verbs{lost, lost, lost}},
		{"unreachable of the sender", routesOf("a", "unreachable"), verbs{refused, refused, refused}},
		{"prohibit of the sender", routesOf("a", "prohibit"), verbs{refused, refused, refused}},
		{"no route of the sender", func(l *testLab) {
			l.do("a", "ip route del default", "ip -6 route del default")
		}, verbs{refused, refused, refused}},
		{"blackhole of the router", routesOf("r", "blackhole"), verbs{lost, lost, lost}},
		{"unreachable of the router", routesOf("r", "unreachable"), verbs{refused, refused, refused}},
		{"prohibit of the router", routesOf("r", "prohibit"), verbs{refused, refused, refused}},
		{"answers lost on the way", func(l *testLab) {
			l.nft("r", `table inet t { chain f { type filter hook forward priority 0; iifname eth1 meta l4proto { icmp, tcp, udp } drop; iifname eth1 icmpv6 type echo-reply drop; }; }`)
		}, verbs{arrived, arrived, arrived}},
		{"answers lost where they are sent", func(l *testLab) {
			l.nft("b", `table inet t { chain o { type filter hook output priority 0; meta l4proto { icmp, tcp, udp } drop; icmpv6 type echo-reply drop; }; }`)
		}, verbs{arrived, arrived, arrived}},
		{"no way back", func(l *testLab) {
			l.do("b", "ip route del default", "ip -6 route del default")
		}, verbs{arrived, arrived, arrived}},
		{"answers lost behind a translator", func(l *testLab) {
			l.nft("r", `table inet t {
				chain p { type nat hook postrouting priority srcnat; oifname eth1 masquerade; }
				chain i { type filter hook input priority 0; iifname eth1 meta l4proto { icmp, tcp, udp } drop; iifname eth1 icmpv6 type echo-reply drop; }
				chain f { type filter hook forward priority 0; iifname eth1 meta l4proto { icmp, tcp, udp } drop; iifname eth1 icmpv6 type echo-reply drop; }
			}`)
		}, verbs{arrived, arrived, arrived}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := routedLab(t)
			c.setup(l)
			var want []seen
			for _, expect := range []string{expectPass, expectFail, expectReject, expectDrop} {
				set := func(x *topology.Test) { x.Expect = expect }
				l.Tests = append(l.Tests, testItem("ping", "a", "b", 0, set), testItem("tcp", "a", "b", 80, set), testItem("udp", "a", "b", 53, set))
				want = append(want, c.want.ping, c.want.ping, c.want.tcp, c.want.tcp, c.want.udp, c.want.udp)
			}
			r := l.runWith(Options{Parallel: len(l.Tests)})
			if len(r.Cases) != len(want) {
				t.Fatalf("%d cases, want %d", len(r.Cases), len(want))
			}
			for i, got := range r.Cases {
				if w := expectations[want[i]][got.Expect]; got.Outcome != w {
					t.Errorf("expect %s: want %s, got %s", got.Expect, w, got.text())
				} else if got.Outcome == Fail {
					t.Log(got.text())
				}
			}
		})
	}
}

func routesOf(node, kind string) func(*testLab) {
	return func(l *testLab) {
		l.do(node, "ip route add "+kind+" 10.0.2.2", "ip -6 route add "+kind+" fd00:2::2")
	}
}

func (c Case) mustBe(t *testing.T, want Outcome, text string) {
	t.Helper()
	if c.Outcome != want || !strings.Contains(c.text(), text) {
		t.Errorf("want %s with %q, got %s", want, text, c.text())
	}
}

// TestPing also has targets that no file knows.
func TestPing(t *testing.T) {
	l := pairLab(t)
	r := l.run(testItem("ping", "a", "b", 0, func(x *topology.Test) { x.Count = 3 }))
	if r.Passed != 2 {
		t.Error(r.Cases)
	}
	for _, c := range r.Cases {
		c.mustBe(t, Pass, "")
		if c.RTT <= 0 || c.RTT > c.Duration || c.Duration < 20*time.Millisecond {
			t.Errorf("%s: round-trip time %s, duration %s", c.Name, c.RTT, c.Duration)
		}
	}
	l.do("b", "ip link set lo up", "ip address add 10.9.9.9/32 dev lo")
	l.do("a", "ip route add 10.9.9.9 via 10.0.0.2")
	l.one(testItem("ping", "a", "10.9.9.9", 0, nil)).mustBe(t, Pass, "")
	l.one(testItem("ping", "a", "127.0.0.1", 0, nil)).mustBe(t, Pass, "")
}

func TestPingCountPartlyLost(t *testing.T) {
	l := pairLab(t)
	for expect, want := range map[string]Outcome{expectPass: Fail, expectFail: Fail, expectDrop: Fail, expectReject: Fail} {
		// Only the first one passes.
		l.nft("b", `flush ruleset
			table ip t { chain i { type filter hook input priority 0; icmp type echo-request limit rate over 1/hour burst 1 packets drop; }; }`)
		l.one(testItem("ping", "a", "b", 0, func(x *topology.Test) { x.Count, x.Expect, x.Family = 5, expect, family4 })).mustBe(t, want, "5 requests sent")
	}
}

func TestNobodyThere(t *testing.T) {
	l := pairLab(t)
	ipv4 := func(expect string, timeout time.Duration) func(*topology.Test) {
		return func(x *topology.Test) { x.Expect, x.Timeout = expect, timeout }
	}
	// The kernel gives up after three requests: that is silence still.
	l.do("a", "sysctl -qw net.ipv4.neigh.eth0.retrans_time_ms=50 net.ipv6.neigh.eth0.retrans_time_ms=50")
	for _, to := range []string{"10.0.0.99", "fd00::99"} {
		for _, verb := range []string{"ping", "tcp", "udp"} {
			port := 0
			if verb != "ping" {
				port = 80
			}
			l.one(testItem(verb, "a", to, port, ipv4(expectDrop, time.Second))).mustBe(t, Pass, "")
			l.one(testItem(verb, "a", to, port, ipv4(expectReject, time.Second))).mustBe(t, Fail, "no neighbour of a answers")
		}
	}
	c := l.one(testItem("ping", "a", "10.0.0.99", 0, ipv4(expectPass, time.Second)))
	c.mustBe(t, Fail, "route in a: 10.0.0.99/32 dev eth0 src 10.0.0.1")
	c.mustBe(t, Fail, "neighbour in a: 10.0.0.99 dev eth0 FAILED")
}

func TestWithin(t *testing.T) {
	l := pairLab(t)
	l.do("b", "ip link set eth0 down")
	done := make(chan bool)
	go func() {
		defer close(done)
		time.Sleep(300 * time.Millisecond)
		l.do("b", "ip link set eth0 up")
	}()
	within := func(x *topology.Test) { x.Within, x.Timeout, x.Family = 10*time.Second, 100*time.Millisecond, family4 }
	l.Tests = []*topology.Test{testItem("ping", "a", "b", 0, within), testItem("tcp", "a", "b", 80, within), testItem("udp", "a", "b", 53, within)}
	r := l.runWith(Options{Parallel: 3})
	<-done
	for _, c := range r.Cases {
		c.mustBe(t, Pass, "")
		if c.Attempts < 2 || c.Duration < 200*time.Millisecond || c.Duration > 8*time.Second {
			t.Errorf("%s: %d attempts in %s", c.Name, c.Attempts, c.Duration)
		}
	}
	l.do("b", "ip link set eth0 down")
	began := time.Now()
	c := l.one(testItem("ping", "a", "b", 0, func(x *topology.Test) {
		x.Within, x.Timeout, x.Family = 400*time.Millisecond, 50*time.Millisecond, family4
	}))
	c.mustBe(t, Fail, "carrier")
	if took := time.Since(began); took < 400*time.Millisecond || took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestWithinAddress has an address that only the kernel knows, and later.
func TestWithinAddress(t *testing.T) {
	l := newLab(t, "a", "b")
	l.link("a:eth0", "b:eth0")
	l.address("a:eth0", "10.0.0.1/24")
	l.one(testItem("ping", "a", "b", 0, nil)).mustBe(t, Error, "no address of the same family")
	done := make(chan bool)
	go func() {
		defer close(done)
		time.Sleep(200 * time.Millisecond)
		l.do("b", "ip address add 10.0.0.2/24 dev eth0")
	}()
	c := l.one(testItem("ping", "a", "b", 0, func(x *topology.Test) { x.Within = 10 * time.Second }))
	<-done
	c.mustBe(t, Pass, "")
	if c.Family != family4 || c.Address != "10.0.0.2" {
		t.Errorf("family %q, address %q", c.Family, c.Address)
	}
}

func TestServers(t *testing.T) {
	l := pairLab(t)
	own := func(expect string) func(*topology.Test) {
		return func(x *topology.Test) { x.Listen, x.Expect, x.Family = new(bool), expect, family4 }
	}
	l.one(testItem("tcp", "a", "b", 80, own(expectPass))).mustBe(t, Fail, "10.0.0.2 refused the connection (RST)")
	l.one(testItem("tcp", "a", "b", 80, own(expectReject))).mustBe(t, Pass, "")
	l.one(testItem("udp", "a", "b", 53, own(expectPass))).mustBe(t, Fail, "10.0.0.2 answered: port unreachable (ICMP type 3 code 3)")
	l.one(testItem("udp", "a", "b", 53, own(expectReject))).mustBe(t, Pass, "")

	h, err := l.open("b")
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	run := &runner{listeners: make(map[listenerKey]*listener)}
	b := &node{name: "b", topo: l.node("b"), open: l.open}
	defer b.close()
	for _, tcp := range []bool{true, false} {
		s, err := run.listen(listenerKey{node: b, addr: mustAddrPort("10.0.0.2:80"), tcp: tcp}, echoes)
		if err != nil {
			t.Fatal(err)
		}
		defer run.release(s)
	}
	for _, verb := range []string{"tcp", "udp"} {
		l.one(testItem(verb, "a", "b", 80, own(expectPass))).mustBe(t, Pass, "")
		served := func(x *topology.Test) { x.Family = family4 }
		l.one(testItem(verb, "a", "b", 80, served)).mustBe(t, Error, "the port is already in use")
	}
}

// TestServersThatRun checks that the test does not stand in for the programs of a
// node that has some, unless it is told to.
func TestServersThatRun(t *testing.T) {
	l := pairLab(t)
	l.node("b").Run = []*topology.Process{{Name: "web"}}
	in := func(listen *bool) func(*topology.Test) {
		return func(x *topology.Test) { x.Listen, x.Family = listen, family4 }
	}
	served := true
	for _, verb := range []string{"tcp", "udp"} {
		l.one(testItem(verb, "a", "b", 80, in(nil))).mustBe(t, Fail, "")
		l.one(testItem(verb, "a", "b", 80, in(&served))).mustBe(t, Pass, "")
		l.one(testItem(verb, "b", "a", 80, in(nil))).mustBe(t, Pass, "")
	}
}

func TestPayload(t *testing.T) {
	l := pairLab(t)
	for _, verb := range []string{"tcp", "udp"} {
		r := l.run(testItem(verb, "a", "b", 80, func(x *topology.Test) { x.Payload = strings.Repeat("x", 1000) }))
		for _, c := range r.Cases {
			c.mustBe(t, Pass, "")
		}
	}
	// A translator leads to a server that says something else.
	l.do("b", "ip address add 10.0.0.3/24 dev eth0")
	l.nft("b", `table ip t { chain p { type nat hook prerouting priority dstnat; udp dport 80 redirect to :81; }; }`)
	l.one(testItem("udp", "a", "b", 80, func(x *topology.Test) { x.Family = family4 })).mustBe(t, Fail, "port unreachable")
}

func TestSenderInterface(t *testing.T) {
	l := pairLab(t)
	l.link("a:eth1", "b:eth1")
	l.address("a:eth1", "10.0.1.1/24", "fd00:1::1/64")
	l.address("b:eth1", "10.0.1.2/24", "fd00:1::2/64")
	l.nft("b", `table inet t { chain i { type filter hook input priority 0; ip saddr 10.0.1.1 accept; ip6 saddr fd00:1::1 accept; icmpv6 type != echo-request accept; drop; }; }`)
	for _, verb := range []string{"ping", "tcp", "udp"} {
		for sender, want := range map[string]Outcome{"a:eth1": Pass, "a:eth0": Fail, "a": Fail} {
			for _, c := range l.run(testItem(verb, sender, "b", 80, nil)).Cases {
				c.mustBe(t, want, "")
			}
		}
	}
	for _, c := range l.run(testItem("ping", "a", "b:eth1", 0, nil)).Cases {
		if !strings.HasSuffix(c.Address, ":1::2") && c.Address != "10.0.1.2" {
			t.Errorf("b:eth1 is %s", c.Address)
		}
	}
}

func TestLinkLocal(t *testing.T) {
	l := pairLab(t)
	l.do("b", "ip address add fe80::b/64 dev eth0 nodad")
	for _, verb := range []string{"ping", "udp"} {
		l.one(testItem(verb, "a", "fe80::b", 9, nil)).mustBe(t, Error, "the sender must say by which interface")
	}
	l.one(testItem("ping", "a:eth0", "fe80::b", 0, nil)).mustBe(t, Pass, "")
	l.one(testItem("ping", "a:eth0", "fe80::bbbb", 0, func(x *topology.Test) { x.Expect = expectDrop })).mustBe(t, Pass, "")
}

func TestRoute(t *testing.T) {
	l := routedLab(t)
	l.do("a",
		"ip route add 10.5.0.0/16 nexthop via 10.0.1.1 dev eth0 nexthop via 10.0.1.7 dev eth0 weight 2",
		"ip route add blackhole 10.6.0.0/16", "ip -6 route add blackhole fd00:6::/64",
		"ip route add 10.7.0.0/16 via 10.0.1.9 table 100",
		"ip rule add from 10.0.1.2 to 10.7.0.0/16 table 100",
		"ip -6 route add fd00:5::/64 nexthop via fd00:1::1 nexthop via fd00:1::7")
	for _, c := range []struct {
		to     string
		change func(*topology.Test)
		want   Outcome
		text   string
	}{
		{"10.0.2.2", nil, Pass, ""},
		{"b", nil, Pass, ""},
		{"10.0.2.2", func(x *topology.Test) { x.Via, x.Dev, x.Table = mustAddr("10.0.1.1"), "eth0", 254 }, Pass, ""},
		{"fd00:2::2", func(x *topology.Test) { x.Via, x.Dev = mustAddr("fd00:1::1"), "eth0" }, Pass, ""},
		{"10.0.2.2", func(x *topology.Test) { x.Via = mustAddr("10.0.1.9") }, Fail, "expected via 10.0.1.9; found 0.0.0.0/0 via 10.0.1.1 dev eth0"},
		{"10.0.2.2", func(x *topology.Test) { x.Dev = "eth9" }, Fail, "expected dev eth9"},
		{"0.0.0.0/0", func(x *topology.Test) { x.Via = mustAddr("10.0.1.1") }, Pass, ""},
		{"::/0", func(x *topology.Test) { x.Via = mustAddr("fd00:1::1") }, Pass, ""},
		{"10.5.1.1", func(x *topology.Test) { x.Via = mustAddr("10.0.1.7") }, Pass, ""},
		{"10.5.0.0/16", func(x *topology.Test) { x.Via = mustAddr("10.0.1.1") }, Pass, ""},
		{"10.5.0.0/16", func(x *topology.Test) { x.Via = mustAddr("10.0.1.8") }, Fail, "nexthop via 10.0.1.1 dev eth0 nexthop via 10.0.1.7 dev eth0"},
		{"fd00:5::/64", func(x *topology.Test) { x.Via = mustAddr("fd00:1::7") }, Pass, ""},
		{"fd00:5::9", func(x *topology.Test) { x.Via = mustAddr("fd00:1::7") }, Pass, ""},
		{"10.5.0.0/17", nil, Fail, "no table has a route to 10.5.0.0/17"},
		{"10.6.0.0/16", nil, Fail, "found blackhole 10.6.0.0/16"},
		{"fd00:6::1", nil, Fail, ""},
		{"10.6.0.1", nil, Fail, "a has no route to 10.6.0.1: invalid argument (EINVAL)"},
		{"10.7.0.0/16", func(x *topology.Test) { x.Table = 100 }, Pass, ""},
		{"10.7.0.0/16", func(x *topology.Test) { x.Table = 254 }, Fail, "table 100"},
	} {
		for _, got := range l.run(testItem("route", "a", c.to, 0, c.change)).Cases {
			got.mustBe(t, c.want, c.text)
		}
	}
	l.one(testItem("route", "a:eth0", "10.7.1.1", 0, func(x *topology.Test) { x.Via, x.Table = mustAddr("10.0.1.9"), 100 })).mustBe(t, Pass, "")
	l.one(testItem("route", "a", "10.7.1.1", 0, func(x *topology.Test) { x.Via = mustAddr("10.0.1.9") })).mustBe(t, Fail, "0.0.0.0/0 via 10.0.1.1")
}

func TestExec(t *testing.T) {
	l := pairLab(t)
	for _, c := range []struct {
		command string
		change  func(*topology.Test)
		want    Outcome
		text    string
	}{
		{"true", nil, Pass, ""},
		{"exit 3", nil, Fail, "exit status 3, want 0"},
		{"exit 3", func(x *topology.Test) { x.Exit = 3 }, Pass, ""},
		{"ip address show eth0", func(x *topology.Test) { x.Stdout = `inet 10\.0\.0\.1/24` }, Pass, ""},
		{"echo one; echo two >&2", func(x *topology.Test) { x.Stdout = `\Aone\z` }, Fail, "stdout: one"},
		{"echo one; echo two >&2", func(x *topology.Test) { x.Stdout = "^one$" }, Pass, ""},
		{"echo one; echo two >&2", func(x *topology.Test) { x.Stderr = "three" }, Fail, `stderr does not match "three"`},
		{"sleep 60", func(x *topology.Test) { x.Timeout = 100 * time.Millisecond }, Fail, "it ran longer than 100ms and was killed"},
		{"kill -9 $$", nil, Fail, "exit status 137"},
		{`printf 'a\tb\033[31m\377\r\n'; exit 1`, nil, Fail, "stdout: a\tb�[31m�"},
	} {
		x := &topology.Test{Verb: "exec", Name: "exec a", Senders: []topology.Target{{Node: "a"}}, Timeout: 10 * time.Second,
			Command: []string{"/bin/sh", "-c", c.command}}
		if c.change != nil {
			c.change(x)
		}
		l.one(x).mustBe(t, c.want, c.text)
	}
	x := &topology.Test{Verb: "exec", Name: "exec a", Senders: []topology.Target{{Node: "a"}}, Timeout: time.Second, Command: []string{"/no/such/program"}}
	l.one(x).mustBe(t, Error, "/no/such/program")
	x.Exit = 127
	l.one(x).mustBe(t, Pass, "")
}

func TestErrors(t *testing.T) {
	l := pairLab(t)
	for _, expect := range []string{expectPass, expectFail, expectReject, expectDrop} {
		set := func(x *topology.Test) { x.Expect, x.Family = expect, family4 }
		l.one(testItem("ping", "a", "c", 0, set)).mustBe(t, Error, `the lab has no node "c"`)
		l.one(testItem("ping", "a", "a", 0, set)).mustBe(t, Error, "it has no pair of different nodes")
		l.one(testItem("ping", "a", "b:eth7", 0, set)).mustBe(t, Error, "look up b:eth7")
		l.one(testItem("teleport", "a", "b", 0, set)).mustBe(t, Error, `the verb "teleport" is not supported yet`)
		l.do("b", "ip address del 10.0.0.2/24 dev eth0")
		l.one(testItem("tcp", "a", "b", 80, set)).mustBe(t, Error, "10.0.0.2 is not an address of b now")
		l.do("b", "ip address add 10.0.0.2/24 dev eth0")
		l.Tests = []*topology.Test{testItem("ping", "a", "b", 0, set)}
		r, err := Run(context.Background(), l.Lab, Options{Open: func(n string) (*netns.Handle, error) {
			if n == "b" {
				return nil, errors.New("it is locked")
			}
			return l.open(n)
		}})
		if err != nil || len(r.Cases) != 1 {
			t.Fatal(r, err)
		}
		r.Cases[0].mustBe(t, Error, "it is locked")
	}
}

// TestFewFiles has less files than sockets are needed.
func TestFewFiles(t *testing.T) {
	l := meshLab(t, 6, true)
	r := newRunner(l.Lab, Options{Open: l.open})
	r.files = 3
	defer r.close()
	l.Tests = []*topology.Test{l.mesh("ping", 0), l.mesh("tcp", 80), l.mesh("udp", 53)}
	items := r.rounds()[0].items
	l.settle()
	r.runItems(context.Background(), items)
	for _, it := range items {
		if len(it.jobs) != 30 {
			t.Errorf("%s has %d cases", it.test.Name, len(it.jobs))
		}
		for _, j := range it.jobs {
			j.c.mustBe(t, Pass, "")
		}
	}
}

func TestCancel(t *testing.T) {
	l := pairLab(t)
	drop := func(x *topology.Test) { x.Timeout, x.Within, x.Expect = time.Minute, time.Hour, expectDrop }
	l.nft("b", `table inet t { chain i { type filter hook input priority 0; icmpv6 type != echo-request accept; drop; }; }`)
	l.Tests = []*topology.Test{testItem("ping", "a", "b", 0, drop), testItem("tcp", "a", "b", 80, drop), testItem("udp", "a", "b", 80, drop)}
	for _, x := range l.Tests {
		l.Tests = []*topology.Test{x}
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		began := time.Now()
		r, err := Run(ctx, l.Lab, Options{Open: l.open})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 5*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		for _, c := range r.Cases {
			c.mustBe(t, Error, "not finished")
		}
	}
}

func TestSelection(t *testing.T) {
	l := meshLab(t, 3, true)
	l.node("h2").Labels = map[string]string{"role": "leaf", "rack": "1"}
	l.Tests = []*topology.Test{l.mesh("ping", 0)}
	for _, c := range []struct {
		options Options
		want    int
	}{
		{Options{}, 6},
		{Options{Repeat: 2}, 12},
		{Options{Run: regexp.MustCompile("h1 -> h2")}, 1},
		{Options{Run: regexp.MustCompile("nothing")}, 0},
		{Options{Select: map[string]string{"role": "leaf"}}, 4},
		{Options{Select: map[string]string{"role": "leaf", "rack": "2"}}, 0},
	} {
		told := -1 // the first time is before any case
		c.options.Progress = func(done, total int, of *Case) {
			if told++; done != told || total != c.want || (of == nil) != (told == 0) {
				t.Errorf("progress %d of %d, %v; want %d of %d", done, total, of, told, c.want)
			}
		}
		r := l.runWith(c.options)
		if len(r.Cases) != c.want || r.Passed != c.want || told != c.want {
			t.Errorf("%+v: %d cases, %d passed, %d told; want %d", c.options, len(r.Cases), r.Passed, told, c.want)
		}
	}
}

func TestLeaksNothing(t *testing.T) {
	l := pairLab(t)
	l.do("b", "ip route add blackhole 10.3.0.0/16")
	items := []*topology.Test{
		testItem("ping", "a", "b", 0, nil), testItem("tcp", "a", "b", 80, nil), testItem("udp", "a", "b", 80, nil),
		testItem("ping", "b", "10.3.0.1", 0, nil), testItem("route", "a", "b", 0, nil),
		{Verb: "exec", Name: "exec", Senders: []topology.Target{{Node: "a"}}, Command: []string{"true"}, Timeout: time.Second},
	}
	l.run(items...) // what package netns keeps
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	for range 5 {
		l.run(items...)
	}
	for end := time.Now().Add(3 * time.Second); runtime.NumGoroutine() > goroutines && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if n := openFiles(t); n != files {
		t.Errorf("%d files are open, %d were before", n, files)
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines, %d were before", n, goroutines)
	}
}

func openFiles(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestRefusalsLimited has a router that sends one ICMP error a second: that
// others are not sent is not taken for silence.
func TestRefusalsLimited(t *testing.T) {
	l := routedLab(t)
	l.do("r", "sysctl -qw net.ipv4.icmp_ratelimit=1000")
	l.nft("r", `table ip t { chain f { type filter hook forward priority 0; ip daddr 10.0.2.0/28 reject with icmp admin-prohibited; drop; }; }`)
	refused := testItem("ping", "a", "10.0.2.2", 0, func(x *topology.Test) {
		x.Expect, x.Timeout = expectReject, 200*time.Millisecond
		for _, to := range []string{"10.0.2.3", "10.0.2.4", "10.0.2.5", "10.0.2.6", "10.0.2.7", "10.0.2.8", "10.0.2.9"} {
			x.Targets = append(x.Targets, target(to, 0))
		}
	})
	dropped := testItem("ping", "a", "10.0.2.22", 0, func(x *topology.Test) { x.Expect, x.Timeout = expectDrop, 200*time.Millisecond })
	notDropped := testItem("ping", "a", "10.0.2.2", 0, func(x *topology.Test) { x.Expect, x.Timeout = expectDrop, 200*time.Millisecond })
	r := l.run(refused, dropped, notDropped)
	for i, c := range r.Cases {
		want := Pass
		if i == len(r.Cases)-1 {
			want = Fail
		}
		c.mustBe(t, want, "")
	}
}

// TestUsurpedAddress has the router answer for the address of b: no ping of b
// passes by that, and none has reached it.
func TestUsurpedAddress(t *testing.T) {
	l := routedLab(t)
	l.do("r", "ip addr add 10.0.2.2/32 dev lo", "ip addr add fd00:2::2/128 dev lo nodad")
	for _, c := range []struct {
		expect string
		want   Outcome
	}{{expectPass, Fail}, {expectFail, Pass}, {expectReject, Fail}, {expectDrop, Fail}} {
		for _, got := range l.run(testItem("ping", "a", "b", 0, func(x *topology.Test) { x.Expect, x.Count = c.expect, 2 })).Cases {
			text := ""
			if c.want == Fail {
				text = "another node answers for"
			}
			got.mustBe(t, c.want, text)
		}
	}
	for _, c := range l.run(
		testItem("mtu", "a", "b", 0, func(x *topology.Test) { x.Bytes = 1500 }),
		testItem("path", "a", "b", 0, nil),
		testItem("ping", "a", "b", 0, func(x *topology.Test) { x.Loss = bounds(0, 99) }),
	).Cases {
		c.mustBe(t, Fail, "")
		if c.Verb != topology.Ping && !strings.Contains(c.Message, "another node answers for") {
			t.Error(c.text())
		}
	}
}

// TestUsurpedServer has two nodes of one address, which are both served: only one
// of them gets what is sent.
func TestUsurpedServer(t *testing.T) {
	l := routedLab(t)
	l.address("r:lo", "10.0.2.2/32", "fd00:2::2/128")
	for _, n := range l.Nodes {
		slices.SortFunc(n.Interfaces, func(a, b *topology.Interface) int { return -strings.Compare(a.Name, b.Name) }) // lo first
	}
	both := func(x *topology.Test) {
		serve := true
		// What r serves is there when the case of b begins.
		x.Targets, x.Listen, x.Status = append([]topology.Target{target("r", x.Targets[0].Port)}, x.Targets...), &serve, 200
		for i := range x.Targets {
			x.Targets[i].URL = "/"
		}
		x.Payload = "what everybody sends"
		x.Query, x.Type, x.Answer = "b.example", "A", []string{"192.0.2.1"}
	}
	for _, verb := range []string{topology.TCP, topology.UDP, topology.HTTP, topology.DNS} {
		for _, c := range l.run(testItem(verb, "a", "b", 80, both)).Cases {
			if strings.Contains(c.Name, "r:") {
				c.mustBe(t, Pass, "")
			} else {
				c.mustBe(t, Fail, "did not reach b: another node answers for ")
			}
		}
	}
}

// TestPanic has a mistake of nslab's own in a goroutine: Run panics where it was
// called, so that the caller can take the lab down.
func TestPanic(t *testing.T) {
	l := pairLab(t)
	l.Tests = []*topology.Test{testItem("ping", "a", "b", 0, nil), testItem("tcp", "a", "b", 80, nil)}
	defer func() {
		v := fmt.Sprint(recover())
		if !strings.HasPrefix(v, "a mistake\n") || !strings.Contains(v, "TestPanic") {
			t.Errorf("Run panicked with %q, want the mistake and where it was made", v)
		}
	}()
	Run(context.Background(), l.Lab, Options{Parallel: 2, Open: func(string) (*netns.Handle, error) { panic("a mistake") }})
	t.Error("Run returned")
}
