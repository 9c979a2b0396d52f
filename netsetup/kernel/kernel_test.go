package kernel_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/kernel"
	"nslab/netsetup/netns"
)

// everything is a lab that has each kind of object: two routers, a switch with
// two ports, and an end in the root namespace.
func everything() *netsetup.State {
	r1 := netsetup.Namespace{
		Name: "t.r1",
		Links: []netsetup.Link{
			loopback("t.r1"), veth("eth0", "t.r2", "eth0"), veth("eth1", "t.r2", "eth1"),
			veth("eth2", "t.sw", "eth0"), veth("up", "", "t-up"), veth("x", "t.r1", "y"), veth("y", "t.r1", "x"),
		},
		Addresses: []netsetup.Address{
			{Link: "eth0", Prefix: prefix("10.0.0.1/24")},
			{Link: "eth0", Prefix: prefix("10.0.0.2/24"), Label: "eth0:b"},
			{Link: "eth0", Prefix: prefix("10.0.9.1/32"), Peer: prefix("10.0.9.2/32")},
			{Link: "eth0", Prefix: prefix("fd00::1/64")},
			{Link: "eth0", Prefix: prefix("fd00::3/64"), DAD: true},
			{Link: "eth0", Prefix: prefix("fe80::1/64"), Scope: unix.RT_SCOPE_LINK},
			{Link: "eth1", Prefix: prefix("10.0.1.1/24"), Scope: unix.RT_SCOPE_LINK},
			{Link: "lo", Prefix: prefix("192.0.2.1/32")},
			{Link: "up", Prefix: prefix("10.8.0.2/24")},
		},
		Routes: []netsetup.Route{
			route("0.0.0.0/0", hop("10.0.0.9", "eth0")),
			route("10.2.0.0/16", hop("", "eth0")),
			multipath("10.3.0.0/16"),
			{Dst: prefix("10.4.0.0/16"), Table: 254, Type: netsetup.Blackhole, Metric: 7},
			{Dst: prefix("10.5.0.0/16"), Table: 1000, Type: netsetup.Unreachable},
			{Dst: prefix("10.6.0.0/16"), Table: 254, Type: netsetup.Prohibit},
			{Dst: prefix("10.7.0.0/16"), Table: 255, Type: netsetup.Local, Nexthops: []netsetup.Nexthop{hop("", "lo")}},
			{Dst: prefix("10.9.0.0/16"), Table: 254, Type: netsetup.Unicast, Src: ip("10.0.0.2"), MTU: 1400,
				Nexthops: []netsetup.Nexthop{hop("fd00::9", "eth0")}},
			{Dst: prefix("10.10.0.0/16"), Table: 254, Type: netsetup.Unicast,
				Nexthops: []netsetup.Nexthop{{Via: ip("172.16.0.1"), Dev: "eth1", Weight: 1, OnLink: true}}},
			route6("::/0", hop("fd00::9", "eth0")),
			route6("fd01::/64", hop("", "eth1")),
			route6("fd02::/64", hop("fd00::8", "eth0"), netsetup.Nexthop{Via: ip("fd00::9"), Dev: "eth0", Weight: 3}),
			{Dst: prefix("fd03::/64"), Table: 254, Type: netsetup.Unreachable, Metric: 1024},
			{Dst: prefix("fd04::/64"), Table: 255, Type: netsetup.Local, Metric: 1024, Nexthops: []netsetup.Nexthop{hop("", "lo")}},
		},
		Rules: []netsetup.Rule{
			{Priority: 100, From: prefix("10.0.0.0/8"), To: prefix("10.5.0.0/16"), Table: 1000},
			{Priority: 101, IIF: "eth0", FwMark: 5, FwMask: 0xff, Table: 1000},
			{Priority: 102, OIF: "eth1", Table: 254, IPv6: true},
			{Priority: 103, FwMark: 7, FwMask: 0xffffffff, Table: 7},
		},
		Neighbors: []netsetup.Neighbor{
			{Link: "eth0", IP: ip("10.0.0.9"), MAC: mac(9), State: "permanent"},
			{Link: "eth0", IP: ip("fd00::9"), MAC: mac(9), State: "permanent"},
			{Link: "eth0", IP: ip("10.0.0.8"), MAC: mac(8), State: "noarp"},
			{Link: "eth0", IP: ip("10.0.0.7"), MAC: mac(7), State: "stale"},
		},
		Sysctls: []netsetup.Sysctl{
			{Name: "net/ipv4/ip_forward", Value: "1"},
			{Name: "net/ipv4/ip_local_port_range", Value: "20000 30000"},
			{Name: "net/ipv6/conf/default/accept_dad", Value: "0"},
			{Name: "net/ipv4/conf/eth0/rp_filter", Value: "2"},
			{Name: "net/ipv6/conf/eth0/accept_ra", Value: "0"},
		},
	}
	eth0 := &r1.Links[1]
	eth0.MAC, eth0.MTU, eth0.TxQueueLen, eth0.Alias, eth0.Offloads = mac(1), 1400, ptr(17), "to r2", &netsetup.Offloads{}
	r1.Links[5].Index, r1.Links[5].MTU = 555, 9000
	r1.Links[6].Index, r1.Links[6].MTU, r1.Links[6].Alias = 556, 9000, "same namespace"
	r1.Links[6].Up = false

	r2 := netsetup.Namespace{
		Name:      "t.r2",
		Links:     []netsetup.Link{loopback("t.r2"), veth("eth0", "t.r1", "eth0"), veth("eth1", "t.r1", "eth1"), veth("eth2", "t.sw", "eth1")},
		Addresses: []netsetup.Address{{Link: "eth0", Prefix: prefix("10.0.0.9/24")}},
	}
	r2.Links[1].MTU, r2.Links[1].Index = 1400, 77

	sw := netsetup.Namespace{
		Name: "t.sw",
		Links: []netsetup.Link{
			loopback("t.sw"),
			{Name: "br0", Kind: netsetup.KindBridge, MAC: mac(0xb), MTU: 1300, Up: true, Bridge: &netsetup.Bridge{
				McastSnooping: true, AgeingTime: ptr(1000), ForwardDelay: ptr(0), HelloTime: ptr(100), MaxAge: ptr(700), Priority: ptr(4096)}},
			{Name: "br1", Kind: netsetup.KindBridge, Up: true, Bridge: &netsetup.Bridge{STP: true}},
			veth("eth0", "t.r1", "eth2"), veth("eth1", "t.r2", "eth2"),
		},
		FDB: []netsetup.FDBEntry{{Origin: netsetup.Manual, Link: "eth0", MAC: mac(0xfd)}},
	}
	sw.Links[3].Master, sw.Links[3].Port = "br0", &netsetup.Port{Isolated: true, Learning: true, Cost: ptr(50), Priority: ptr(9)}
	sw.Links[4].Master, sw.Links[4].Port = "br0", &netsetup.Port{Hairpin: true}

	host := veth("t-up", "t.r1", "up")
	host.Alias = netsetup.AliasPrefix + "t"
	root := netsetup.Namespace{
		Kind: netsetup.Root, Links: []netsetup.Link{host},
		Addresses: []netsetup.Address{{Link: "t-up", Prefix: prefix("10.8.0.1/24")}},
		Routes:    []netsetup.Route{route("10.80.0.0/16", hop("10.8.0.2", "t-up"))},
		Rules:     []netsetup.Rule{{Priority: 500, IIF: "t-up", Table: 99}},
	}
	s := &netsetup.State{Lab: "t", Namespaces: []netsetup.Namespace{r1, r2, sw, root}}
	return s.Sort()
}

func hop(via, dev string) netsetup.Nexthop {
	h := netsetup.Nexthop{Dev: dev, Weight: 1}
	if via != "" {
		h.Via = ip(via)
	}
	return h
}

func route(dst string, hops ...netsetup.Nexthop) netsetup.Route {
	return netsetup.Route{Dst: prefix(dst), Table: 254, Type: netsetup.Unicast, Nexthops: hops}
}

func route6(dst string, hops ...netsetup.Nexthop) netsetup.Route {
	r := route(dst, hops...)
	r.Metric = 1024
	return r
}

// multipath has one way by a gateway of the other family.
func multipath(dst string) netsetup.Route {
	return route(dst,
		netsetup.Nexthop{Via: ip("10.0.0.9"), Dev: "eth0", Weight: 2},
		netsetup.Nexthop{Via: ip("172.16.0.9"), Dev: "eth1", Weight: 256, OnLink: true},
		netsetup.Nexthop{Via: ip("fd00::9"), Dev: "eth0", Weight: 1})
}

// TestEverything makes each kind of object, checks with iproute2, and takes all
// away again.
func TestEverything(t *testing.T) {
	k := newKernel(t)
	want := everything()
	up(t, k, want)
	// Up has verified by k itself; now by others.
	for words, parts := range map[string][]string{
		"-n t.r1 link show eth0": {"mtu 1400", "group 201", "qlen 17", "02:00:00:00:00:01", "alias to r2", "numtxqueues 1 numrxqueues 1"},
		"-n t.r1 link show y":    {"556: y@x", "mtu 9000", "alias same namespace", "state DOWN", "group 201"},
		"-n t.r2 link show eth0": {"77: eth0@", "mtu 1400", "group 201"},
		"-n t.r1 link show lo":   {"alias nslab:t.r1", "UP"},
		"link show t-up":         {"alias nslab:t\n", "group 201"},
		"-n t.sw link show br0": {"mtu 1300", "02:00:00:00:00:0b", "ageing_time 1000", "forward_delay 0", "hello_time 100", "max_age 700",
			"priority 4096", "stp_state 0", "mcast_snooping 1"},
		"-n t.sw link show br1":                      {"stp_state 1", "mcast_snooping 0"},
		"-n t.sw link show eth0":                     {"master br0", "isolated on", "learning on", "hairpin off", "cost 50", "priority 9"},
		"-n t.sw link show eth1":                     {"master br0", "isolated off", "learning off", "hairpin on"},
		"-n t.r1 address show eth0":                  {"inet 10.0.0.1/24 scope global eth0", "inet 10.0.0.2/24 scope global secondary eth0:b", "inet 10.0.9.1 peer 10.0.9.2/32", "inet6 fd00::1/64 scope global nodad", "inet6 fd00::3/64 scope global", "inet6 fe80::1/64 scope link nodad"},
		"-n t.r1 address show eth1":                  {"inet 10.0.1.1/24 scope link"},
		"-n t.r1 route show default":                 {"via 10.0.0.9 dev eth0", "proto 201"},
		"-n t.r1 route show 10.2.0.0/16":             {"dev eth0", "scope link"},
		"-n t.r1 route show 10.3.0.0/16":             {"nexthop via 10.0.0.9 dev eth0 weight 2", "nexthop via 172.16.0.9 dev eth1 weight 256 onlink", "nexthop via inet6 fd00::9 dev eth0 weight 1"},
		"-n t.r1 route show 10.4.0.0/16":             {"blackhole", "metric 7"},
		"-n t.r1 route show table 1000 10.5.0.0/16":  {"unreachable"},
		"-n t.r1 route show table local 10.7.0.0/16": {"local 10.7.0.0/16 dev lo", "scope host"},
		"-n t.r1 route show 10.9.0.0/16":             {"via inet6 fd00::9", "src 10.0.0.2", "mtu 1400"},
		"-n t.r1 route show 10.10.0.0/16":            {"via 172.16.0.1 dev eth1", "onlink"},
		"-n t.r1 -6 route show fd02::/64":            {"nexthop via fd00::8 dev eth0 weight 1", "nexthop via fd00::9 dev eth0 weight 3", "proto 201"},
		"-n t.r1 rule show": {"100:\tfrom 10.0.0.0/8 to 10.5.0.0/16 lookup 1000 proto 201", "101:\tfrom all fwmark 0x5/0xff iif eth0 lookup 1000 proto 201",
			"103:\tfrom all fwmark 0x7 lookup 7 proto 201"},
		"-n t.r1 -6 rule show":         {"102:\tfrom all oif eth1 lookup main proto 201"},
		"-n t.r1 neigh show":           {"10.0.0.9 dev eth0 lladdr 02:00:00:00:00:09 PERMANENT proto 201", "10.0.0.7 dev eth0 lladdr 02:00:00:00:00:07 STALE proto 201"},
		"-n t.r1 neigh show nud noarp": {"10.0.0.8 dev eth0 lladdr 02:00:00:00:00:08 NOARP proto 201"},
	} {
		out := run(t, strings.Fields("ip -d "+words)...)
		for _, p := range parts {
			if !strings.Contains(out, p) {
				t.Errorf("ip %s does not say %q:\n%s", words, p, out)
			}
		}
	}
	if out := run(t, "bridge", "-n", "t.sw", "fdb", "show", "brport", "eth0"); !strings.Contains(out, "02:00:00:00:00:fd master br0 static") {
		t.Errorf("bridge fdb does not have the entry:\n%s", out)
	}
	have := observe(t, k, want)
	if off := linkOf(t, namespaceOf(t, have, "t.r1"), "eth0").Offloads; off == nil || *off != (netsetup.Offloads{}) {
		t.Error("the offloads of eth0 are not off")
	}
	for _, name := range []string{"t.r1", "t.r2", "t.sw"} {
		var st unix.Stat_t
		if err := unix.Stat(netns.Dir+"/"+name, &st); err != nil {
			t.Fatal(err)
		}
		if got := namespaceOf(t, have, name).Inode; got != st.Ino {
			t.Errorf("%s has inode %d, observed %d", name, st.Ino, got)
		}
	}
	if plan, err := netsetup.Diff(have, want, true); err != nil || !plan.Empty() {
		t.Errorf("plan after up: %v, %v", plan, err)
	}
	if labs, err := k.Labs(t.Context()); err != nil || !slices.Equal(labs, []string{"t"}) {
		t.Errorf("labs: %v, %v", labs, err)
	}

	if found, err := netsetup.Down(t.Context(), k, "t", netsetup.Options{}); !found || err != nil {
		t.Fatalf("down: %v, %v", found, err)
	}
	if labs, err := k.Labs(t.Context()); err != nil || len(labs) != 0 {
		t.Errorf("labs after down: %v, %v", labs, err)
	}
}

// TestTakeAway removes and changes everything inside namespaces that stay.
func TestTakeAway(t *testing.T) {
	k := newKernel(t)
	full := everything()
	up(t, k, full)
	inode := namespaceOf(t, observe(t, k, full), "t.r1").Inode

	less := everything()
	for i := range less.Namespaces {
		n := &less.Namespaces[i]
		n.Addresses, n.Routes, n.Rules, n.Neighbors, n.FDB = nil, nil, nil, nil, nil
	}
	up(t, k, less)

	changed := everything()
	r1 := namespaceOf(t, changed, "t.r1")
	eth0 := linkOf(t, r1, "eth0")
	eth0.MAC, eth0.MTU, eth0.TxQueueLen, eth0.Alias = mac(0x11), 1450, ptr(18), ""
	linkOf(t, namespaceOf(t, changed, "t.r2"), "eth0").MTU = 1450
	r1.Routes[0].Nexthops[0].Via = ip("10.0.0.8")
	sw := namespaceOf(t, changed, "t.sw")
	*linkOf(t, sw, "br0").Bridge = netsetup.Bridge{AgeingTime: ptr(2000), Priority: ptr(8192)}
	linkOf(t, sw, "eth0").Port = &netsetup.Port{Cost: ptr(60)}
	other := linkOf(t, sw, "eth1")
	other.Master, other.Port = "br1", &netsetup.Port{Learning: true}
	up(t, k, changed)

	nothing := everything()
	for i := range nothing.Namespaces {
		n := &nothing.Namespaces[i]
		n.Links = slices.DeleteFunc(n.Links, func(l netsetup.Link) bool { return l.Kind != netsetup.KindLoopback })
		n.Addresses, n.Routes, n.Rules, n.Neighbors, n.FDB, n.Sysctls = nil, nil, nil, nil, nil, nil
	}
	up(t, k, nothing)
	if got := namespaceOf(t, observe(t, k, nothing), "t.r1").Inode; got != inode {
		t.Errorf("the namespace is another one: inode %d, was %d", got, inode)
	}
	if out := run(t, "ip", "link", "show"); strings.Contains(out, "t-up") {
		t.Errorf("the end in the root namespace is still there:\n%s", out)
	}
}

// TestRouteChanges replaces routes by ones of another shape.
func TestRouteChanges(t *testing.T) {
	k := newKernel(t)
	hops := func(words ...string) (list []netsetup.Nexthop) {
		for _, w := range words {
			list = append(list, hop(w, "eth0"))
		}
		return list
	}
	shapes := [][2]netsetup.Route{}
	for _, pair := range [][2][]netsetup.Nexthop{
		{hops("10.0.0.2"), hops("fd00::2")},
		{hops("10.0.0.2", "10.0.0.3"), hops("fd00::2", "fd00::3")},
		{hops("10.0.0.3", "10.0.0.4", "10.0.0.5"), hops("fd00::3", "fd00::4", "fd00::5")},
		{hops(""), hops("")},
		{nil, nil},
		{hops("10.0.0.4", "10.0.0.5"), hops("fd00::4", "fd00::5")},
		{nil, nil},
		{hops(""), hops("")},
		{hops("10.0.0.2"), hops("fd00::2")},
	} {
		a, b := route("10.5.0.0/16", pair[0]...), route6("fd05::/64", pair[1]...)
		if pair[0] == nil {
			a.Type, b.Type = netsetup.Blackhole, netsetup.Blackhole
		}
		shapes = append(shapes, [2]netsetup.Route{a, b})
	}
	want := pair()
	n := &want.Namespaces[0]
	n.Addresses = []netsetup.Address{{Link: "eth0", Prefix: prefix("10.0.0.1/24")}, {Link: "eth0", Prefix: prefix("fd00::1/64")}}
	for i, s := range shapes {
		n.Routes = s[:]
		up(t, k, want)
		if i == 0 {
			continue
		}
		// By a change alone, as netsetup makes one where the type stays.
		back := shapes[i-1]
		for f := range s {
			if s[f].Type != back[f].Type {
				continue
			}
			op := netsetup.Op{Phase: netsetup.Routes, Verb: netsetup.Change, Namespace: "t.a", Object: &back[f], Was: &s[f]}
			if err := k.Do(t.Context(), []netsetup.Op{op}); err != nil {
				t.Fatalf("shape %d: %v", i, err)
			}
			got := observe(t, k, want)
			if routes := namespaceOf(t, got, "t.a").Routes; len(routes) != 2 || routes[f].String() != back[f].String() {
				t.Errorf("shape %d: routes are %v, want %v", i, routes, back[f].String())
			}
			op.Object, op.Was = op.Was, op.Object
			if err := k.Do(t.Context(), []netsetup.Op{op}); err != nil {
				t.Fatalf("shape %d: %v", i, err)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	k := newKernel(t)
	up(t, k, pair())
	missing := route("10.1.0.0/16", hop("10.99.0.1", "eth0"))
	add := func(o any) netsetup.Op { return netsetup.Op{Verb: netsetup.Add, Namespace: "t.a", Object: o} }
	for _, c := range []struct {
		op   netsetup.Op
		want string
		is   error
	}{
		{add(&missing), "network is unreachable (Nexthop has invalid gateway)", unix.ENETUNREACH},
		{add(&netsetup.Address{Link: "eth7", Prefix: prefix("10.0.0.1/24")}), "no such link: eth7", nil},
		{add(&netsetup.Sysctl{Name: "net/ipv4/nothing", Value: "1"}), "no such file or directory", unix.ENOENT},
		{add(&netsetup.Link{Name: "w0", Kind: "wireguard"}), `cannot make a link of kind "wireguard"`, nil},
		{add(&netsetup.Link{Name: "br0", Kind: netsetup.KindBridge, MAC: [6]byte{1, 2, 3, 4, 5, 6}}), "cannot assign requested address", unix.EADDRNOTAVAIL},
		{add(&netsetup.Neighbor{Link: "eth0", IP: ip("10.0.0.1"), State: "odd"}), `cannot make a neighbour of state "odd"`, nil},
		{add(&netsetup.Rule{Table: 1, Other: "ipproto tcp"}), `cannot make a rule with "ipproto tcp"`, nil},
	} {
		err := k.Do(t.Context(), []netsetup.Op{c.op})
		var failed *netsetup.OpError
		if !errors.As(err, &failed) {
			t.Errorf("%s: error %v is no OpError", c.op.Command(), err)
			continue
		}
		if failed.Err.Error() != c.want || failed.Op.Object != c.op.Object {
			t.Errorf("%s: %v, want %s", c.op.Command(), failed, c.want)
		}
		if c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v is not %v", c.op.Command(), err, c.is)
		}
	}

	// What is gone already is deleted.
	gone := []netsetup.Op{}
	for _, o := range []any{
		&missing, &netsetup.Address{Link: "eth0", Prefix: prefix("10.0.0.1/24")}, &netsetup.Link{Name: "eth9", Kind: netsetup.KindVeth},
		&netsetup.Rule{Priority: 5, Table: 5}, &netsetup.Rule{Priority: 5, Table: 5, Origin: netsetup.Manual},
		&netsetup.Neighbor{Link: "eth0", IP: ip("10.0.0.1")}, &netsetup.FDBEntry{Link: "eth8", MAC: mac(1)},
		&netsetup.Address{Link: "eth7", Prefix: prefix("10.0.0.1/24")},
	} {
		gone = append(gone, netsetup.Op{Verb: netsetup.Delete, Namespace: "t.a", Object: o})
	}
	if err := k.Do(t.Context(), gone); err != nil {
		t.Error(err)
	}

	// Several errors are all told, and the rest is done.
	good := route("10.2.0.0/16", hop("", "eth0"))
	err := k.Do(t.Context(), []netsetup.Op{add(&missing), add(&good), add(&missing)})
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 2 {
		t.Errorf("two errors: %v", err)
	}
	if r := namespaceOf(t, observe(t, k, pair()), "t.a").Routes; len(r) != 1 {
		t.Errorf("routes: %v", r)
	}
}

// TestReplacedNamespace sees that a namespace is another one than before.
func TestReplacedNamespace(t *testing.T) {
	k := newKernel(t)
	want := pair()
	up(t, k, want)
	sh(t, "ip netns delete t.a\nip netns add t.a\nip -n t.a link set lo alias nslab:t.a")
	n := namespaceOf(t, observe(t, k, want), "t.a")
	if len(n.Links) != 1 || n.Links[0].Up {
		t.Errorf("links of the new namespace: %+v", n.Links)
	}
	up(t, k, want)
}

// TestStaleFile makes a namespace where a crash left an empty file.
func TestStaleFile(t *testing.T) {
	k := newKernel(t)
	if err := os.WriteFile(netns.Dir+"/t.a", nil, 0o444); err != nil {
		t.Fatal(err)
	}
	up(t, k, pair())
}

// TestManyRequests sends far more requests than a receive buffer has room for
// acknowledgements.
func TestManyRequests(t *testing.T) {
	k := newKernel(t)
	want := pair()
	n := &want.Namespaces[0]
	n.Addresses = []netsetup.Address{{Link: "eth0", Prefix: prefix("10.0.0.1/24")}, {Link: "eth0", Prefix: prefix("fd00::1/64")}}
	for i := range 1000 {
		n.Routes = append(n.Routes,
			route(fmt.Sprintf("10.%d.%d.0/24", 1+i/256, i%256), hop("10.0.0.9", "eth0")),
			route6(fmt.Sprintf("fd01:%x::/64", i), hop("fd00::9", "eth0")))
	}
	up(t, k, want)
	n.Routes = nil
	up(t, k, want)
}

// TestManyLinks makes and deletes more links than go into one write, in a
// namespace that stays.
func TestManyLinks(t *testing.T) {
	k := newKernel(t)
	want := pair()
	for i := range 300 {
		from, to := fmt.Sprintf("p%d", i), fmt.Sprintf("q%d", i)
		want.Namespaces[0].Links = append(want.Namespaces[0].Links, veth(from, "t.b", to))
		want.Namespaces[1].Links = append(want.Namespaces[1].Links, veth(to, "t.a", from))
	}
	up(t, k, want)
	start := time.Now()
	up(t, k, pair())
	t.Logf("300 links deleted in %v", time.Since(start))
	if n := len(namespaceOf(t, observe(t, k, pair()), "t.a").Links); n != 2 {
		t.Errorf("%d links are left, want 2", n)
	}
}

// TestComingAndGoing observes while namespaces and links of the lab's come and
// go.
func TestComingAndGoing(t *testing.T) {
	k := newKernel(t)
	want := pair()
	up(t, k, want)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			h, err := netns.Make("t.extra", nil)
			if err != nil {
				t.Error(err)
				return
			}
			h.Close()
			for _, line := range []string{"link add z0 type veth peer name z1", "address add 10.50.0.1/24 dev z0", "link set z0 up", "route add 10.51.0.0/16 dev z0", "link delete z0"} {
				run(t, strings.Fields("ip -n t.a "+line)...)
			}
			if err := netns.Delete("t.extra"); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for range 200 {
		s := observe(t, k, want)
		eth0 := linkOf(t, namespaceOf(t, s, "t.a"), "eth0")
		if eth0.Peer.Namespace != "t.b" {
			t.Errorf("the peer of eth0 is %v", eth0.Peer)
		}
	}
	close(stop)
	<-done
}

// TestSysctlsStayInside writes settings into namespaces and finds those outside
// as they were.
func TestSysctlsStayInside(t *testing.T) {
	k := newKernel(t)
	files := []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/default/rp_filter", "net/ipv4/conf/lo/arp_ignore"}
	read := func() (s string) {
		for _, f := range files {
			b, err := os.ReadFile("/proc/sys/" + f)
			if err != nil {
				t.Fatal(err)
			}
			s += f + "=" + string(b)
		}
		return s
	}
	before := read()
	for _, value := range []string{"1", "0", "1"} {
		want := pair()
		for i := range want.Namespaces {
			for _, f := range files {
				want.Namespaces[i].Sysctls = append(want.Namespaces[i].Sysctls, netsetup.Sysctl{Name: f, Value: value})
			}
		}
		up(t, k, want)
		for _, ns := range []string{"t.a", "t.b"} {
			for _, f := range files {
				if got := strings.TrimSpace(run(t, "ip", "netns", "exec", ns, "cat", "/proc/sys/"+f)); got != value {
					t.Errorf("%s in %s is %s, want %s", f, ns, got, value)
				}
			}
		}
		if after := read(); after != before {
			t.Fatalf("outside it was\n%snow it is\n%s", before, after)
		}
	}
}

func TestTrace(t *testing.T) {
	var lines []string
	k, err := kernel.New(kernel.Options{Trace: func(s string) { lines = append(lines, s) }})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	up(t, k, pair())
	if _, err := netsetup.Down(t.Context(), k, "t", netsetup.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ip netns add t.a", "ip netns delete t.b"} {
		if !slices.Contains(lines, want) {
			t.Errorf("%q is not among\n%s", want, strings.Join(lines, "\n"))
		}
	}
}

func TestStats(t *testing.T) {
	k := newKernel(t)
	want := pair()
	want.Namespaces[0].Addresses = []netsetup.Address{{Link: "eth0", Prefix: prefix("10.0.0.1/24")}}
	want.Namespaces[1].Addresses = []netsetup.Address{{Link: "eth0", Prefix: prefix("10.0.0.2/24")}}
	up(t, k, want)
	h, err := k.Handle("t.a")
	if err != nil {
		t.Fatal(err)
	}
	if h.Inode() != namespaceOf(t, observe(t, k, want), "t.a").Inode {
		t.Error("the handle is of another namespace")
	}
	run(t, "ip", "netns", "exec", "t.a", "ping", "-c", "3", "-i", "0.01", "-s", "1000", "10.0.0.2")
	var s kernel.LinkStats
	// The kernel notes a link's state at most once a second.
	for end := time.Now().Add(5 * time.Second); s.OperState != "up" && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		list, err := k.Stats(t.Context(), "t.b")
		if err != nil || len(list) != 2 || list[0].Name != "eth0" {
			t.Fatalf("%v, %v", list, err)
		}
		s = list[0]
	}
	if s.OperState != "up" || !s.Carrier || s.RxPackets < 3 || s.RxBytes < 3000 || s.TxPackets < 3 || s.TxBytes < 3000 {
		t.Errorf("%+v", s)
	}
}
