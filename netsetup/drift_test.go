package netsetup_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"nslab/netsetup"
	"nslab/netsetup/kerneltest"
	"nslab/topology"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// sample is a lab of two nodes with one of each kind of thing in n0.
func sample() *netsetup.State {
	end := func(ns, peer string) netsetup.Link {
		return netsetup.Link{Name: "eth0", Kind: netsetup.KindVeth, MTU: 1500, Up: true, MAC: topology.MAC{2, 0, 0, 0, 0, ns[len(ns)-1]},
			Peer: netsetup.Endpoint{Namespace: peer, Link: "eth0"}}
	}
	lo := func(ns string) netsetup.Link {
		return netsetup.Link{Name: "lo", Kind: netsetup.KindLoopback, Up: true, Alias: netsetup.AliasPrefix + ns}
	}
	s := &netsetup.State{Lab: "lab", Namespaces: []netsetup.Namespace{
		{
			Name:  "lab.n0",
			Links: []netsetup.Link{end("lab.n0", "lab.n1"), lo("lab.n0")},
			Addresses: []netsetup.Address{
				{Link: "eth0", Prefix: prefix("10.0.0.1/24")},
				{Link: "eth0", Prefix: prefix("10.0.0.7/24")},
				{Link: "eth0", Prefix: prefix("fd00::1/64")},
			},
			Routes: []netsetup.Route{
				{Dst: prefix("10.5.0.0/16"), Table: 254, Type: netsetup.Unicast, Nexthops: []netsetup.Nexthop{{Via: netip.MustParseAddr("10.0.0.2"), Dev: "eth0", Weight: 1}}},
				{Dst: prefix("fd05::/32"), Table: 254, Metric: 1024, Type: netsetup.Unicast, Nexthops: []netsetup.Nexthop{{Via: netip.MustParseAddr("fd00::2"), Dev: "eth0", Weight: 1}}},
			},
			Rules:     []netsetup.Rule{{Priority: 100, From: prefix("10.9.0.0/16"), Table: 100}},
			Neighbors: []netsetup.Neighbor{{Link: "eth0", IP: netip.MustParseAddr("10.0.0.9"), MAC: topology.MAC{2, 0, 0, 0, 0, 9}, State: "permanent"}},
			Sysctls: []netsetup.Sysctl{
				{Name: "net/ipv4/ip_forward", Value: "0"},
				{Name: "net/ipv4/conf/all/promote_secondaries", Value: "1"},
				{Name: "net/ipv6/conf/all/keep_addr_on_down", Value: "1"},
			},
		},
		{
			Name:      "lab.n1",
			Links:     []netsetup.Link{end("lab.n1", "lab.n0"), lo("lab.n1")},
			Addresses: []netsetup.Address{{Link: "eth0", Prefix: prefix("10.0.0.2/24")}, {Link: "eth0", Prefix: prefix("fd00::2/64")}},
		},
	}}
	return s.Sort()
}

func link(n *netsetup.Namespace, name string) *netsetup.Link {
	i := slices.IndexFunc(n.Links, func(l netsetup.Link) bool { return l.Name == name })
	return &n.Links[i]
}

func sysctl(n *netsetup.Namespace, name string) *netsetup.Sysctl {
	i := slices.IndexFunc(n.Sysctls, func(s netsetup.Sysctl) bool { return s.Name == name })
	return &n.Sysctls[i]
}

// n0 is the first node of a kernel's state, behind the root namespace.
func n0(s *netsetup.State) *netsetup.Namespace { return &s.Namespaces[1] }

// TestDrift changes one thing behind nslab's back, sees it in the plan, and
// sees `up` repair it and touch nothing else.
func TestDrift(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(n0 *netsetup.Namespace)
		want string // lines of the plan
	}{
		{"address removed", func(n *netsetup.Namespace) { n.Addresses = n.Addresses[1:] }, `
			- ip -n lab.n0 address delete 10.0.0.7/24 dev eth0
			+ ip -n lab.n0 address add 10.0.0.1/24 dev eth0
			+ ip -n lab.n0 address add 10.0.0.7/24 dev eth0
			+ ip -n lab.n0 neighbour add 10.0.0.9 lladdr 02:00:00:00:00:09 nud permanent dev eth0
			+ ip -n lab.n0 route add 10.5.0.0/16 via 10.0.0.2 dev eth0`},
		{"address added", func(n *netsetup.Namespace) {
			n.Addresses = append(n.Addresses, netsetup.Address{Origin: netsetup.Manual, Link: "eth0", Prefix: prefix("10.7.0.1/24")})
		}, `
			- ip -n lab.n0 address delete 10.7.0.1/24 dev eth0`},
		{"address without our mark", func(n *netsetup.Namespace) { n.Addresses[2].Origin = netsetup.Manual }, `
			- ip -n lab.n0 -6 address delete fd00::1/64 dev eth0
			+ ip -n lab.n0 -6 address add fd00::1/64 dev eth0`},
		{"route removed", func(n *netsetup.Namespace) { n.Routes = n.Routes[1:] }, `
			+ ip -n lab.n0 route add 10.5.0.0/16 via 10.0.0.2 dev eth0`},
		{"route replaced by hand", func(n *netsetup.Namespace) {
			n.Routes[0].Origin, n.Routes[0].Protocol = netsetup.Manual, 3
			n.Routes[0].Nexthops[0].Via = netip.MustParseAddr("10.0.0.3")
		}, `
			~ ip -n lab.n0 route replace 10.5.0.0/16 via 10.0.0.2 dev eth0`},
		{"route turned into a blackhole", func(n *netsetup.Namespace) { n.Routes[0].Type, n.Routes[0].Nexthops = netsetup.Blackhole, nil }, `
			- ip -n lab.n0 route delete blackhole 10.5.0.0/16
			+ ip -n lab.n0 route add 10.5.0.0/16 via 10.0.0.2 dev eth0`},
		{"route added", func(n *netsetup.Namespace) {
			n.Routes = append(n.Routes, netsetup.Route{Origin: netsetup.Manual, Protocol: 3, Dst: prefix("10.6.0.0/16"), Table: 254, Type: netsetup.Blackhole})
		}, `
			- ip -n lab.n0 route delete blackhole 10.6.0.0/16`},
		{"rule removed", func(n *netsetup.Namespace) { n.Rules = nil }, `
			+ ip -n lab.n0 rule add priority 100 from 10.9.0.0/16 lookup 100`},
		{"rule added", func(n *netsetup.Namespace) {
			n.Rules = append(n.Rules, netsetup.Rule{Origin: netsetup.Manual, Priority: 50, Other: "ipproto tcp", Table: 7})
		}, `
			- ip -n lab.n0 rule delete priority 50 ipproto tcp lookup 7`},
		{"neighbour changed", func(n *netsetup.Namespace) { n.Neighbors[0].MAC[5] = 8 }, `
			~ ip -n lab.n0 neighbour replace 10.0.0.9 lladdr 02:00:00:00:00:09 nud permanent dev eth0`},
		{"sysctl changed", func(n *netsetup.Namespace) { sysctl(n, "net/ipv4/ip_forward").Value = "1" }, `
			~ ip netns exec lab.n0 sysctl -w net.ipv4.ip_forward=0`},
		{"link down", func(n *netsetup.Namespace) { link(n, "eth0").Up = false; n.Routes, n.Neighbors = nil, nil }, `
			+ ip -n lab.n0 neighbour add 10.0.0.9 lladdr 02:00:00:00:00:09 nud permanent dev eth0
			~ ip -n lab.n0 link set eth0 up
			+ ip -n lab.n0 route add 10.5.0.0/16 via 10.0.0.2 dev eth0
			+ ip -n lab.n0 -6 route add fd05::/32 via fd00::2 dev eth0`},
		{"MTU changed", func(n *netsetup.Namespace) { link(n, "eth0").MTU = 1400 }, `
			~ ip -n lab.n0 link set eth0 mtu 1500`},
		{"MAC changed", func(n *netsetup.Namespace) { link(n, "eth0").MAC[5] = 1 }, `
			~ ip -n lab.n0 link set eth0 address 02:00:00:00:00:30
			+ ip -n lab.n0 neighbour add 10.0.0.9 lladdr 02:00:00:00:00:09 nud permanent dev eth0`},
		{"alias set", func(n *netsetup.Namespace) { link(n, "eth0").Alias = "x" }, `
			~ ip -n lab.n0 link set eth0 alias ""`},
		{"link added", func(n *netsetup.Namespace) {
			n.Links = append(n.Links, netsetup.Link{Origin: netsetup.Manual, Name: "dummy0", Kind: "dummy"})
		}, `
			- ip -n lab.n0 link delete dummy0`},
		{"link removed", func(n *netsetup.Namespace) {
			n.Links = n.Links[1:]
			n.Addresses, n.Routes, n.Neighbors = nil, nil, nil
		}, `
			- ip -n lab.n1 link delete eth0
			+ ip -n lab.n0 link add eth0 address 02:00:00:00:00:30 mtu 1500 type veth peer name eth0 address 02:00:00:00:00:31 mtu 1500 index 3 netns lab.n1
			+ ip -n lab.n0 address add 10.0.0.1/24 dev eth0
			+ ip -n lab.n0 address add 10.0.0.7/24 dev eth0
			+ ip -n lab.n0 -6 address add fd00::1/64 dev eth0
			+ ip -n lab.n1 address add 10.0.0.2/24 dev eth0
			+ ip -n lab.n1 -6 address add fd00::2/64 dev eth0
			+ ip -n lab.n0 neighbour add 10.0.0.9 lladdr 02:00:00:00:00:09 nud permanent dev eth0
			~ ip -n lab.n0 link set eth0 up
			~ ip -n lab.n1 link set eth0 up
			+ ip -n lab.n0 route add 10.5.0.0/16 via 10.0.0.2 dev eth0
			+ ip -n lab.n0 -6 route add fd05::/32 via fd00::2 dev eth0`},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := made(t)
			k.Edit(func(s *netsetup.State) {
				c.edit(n0(s))
				if c.name == "link removed" { // its peer was left with nothing behind it
					link(&s.Namespaces[2], "eth0").Peer = netsetup.Endpoint{Namespace: netsetup.UnknownNamespace}
				}
			})
			plan, err := netsetup.Up(t.Context(), k, sample(), netsetup.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := lines(plan), strings.ReplaceAll(strings.TrimSpace(c.want), "\t", ""); got != want {
				t.Errorf("plan:\n%s\nwant:\n%s", got, want)
			}
			if plan, err := netsetup.Up(t.Context(), k, sample(), netsetup.Options{}); err != nil || !plan.Empty() {
				t.Errorf("second up: %v, %s", err, lines(plan))
			}
		})
	}
}

// made is a kernel in which the sample lab runs.
func made(t *testing.T) *kerneltest.Kernel {
	t.Helper()
	k := kerneltest.New()
	if _, err := netsetup.Up(t.Context(), k, sample(), netsetup.Options{}); err != nil {
		t.Fatal(err)
	}
	return k
}

func lines(p *netsetup.Plan) string {
	var out []string
	for _, l := range p.Lines() {
		out = append(out, l.Sign+" "+l.Command)
	}
	return strings.Join(out, "\n")
}

// others adds what daemons, clients and VPNs add, and what a person would.
func others(s *netsetup.State) {
	n := n0(s)
	for _, o := range []netsetup.Origin{netsetup.Foreign, netsetup.Manual} {
		b := byte(o)
		n.Links = append(n.Links, netsetup.Link{Origin: o, Name: "other" + string('0'+b), Kind: "tun"})
		n.Addresses = append(n.Addresses, netsetup.Address{Origin: o, Link: "eth0", Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, b, 1}), 24)})
		n.Routes = append(n.Routes, netsetup.Route{Origin: o, Protocol: 12, Dst: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 88, b, 0}), 24), Table: 254, Type: netsetup.Blackhole})
		n.Rules = append(n.Rules, netsetup.Rule{Origin: o, Priority: 7, Table: int(b)})
		n.Neighbors = append(n.Neighbors, netsetup.Neighbor{Origin: o, Link: "eth0", IP: netip.AddrFrom4([4]byte{10, 0, 0, 200 + b}), State: "permanent"})
	}
}

func TestUnmarkedThings(t *testing.T) {
	all := topology.Keep{Addresses: true, Routes: true, Rules: true, Neighbors: true, Links: true}
	for _, c := range []struct {
		name    string
		keep    topology.Keep
		prune   bool
		removed int
	}{
		{"hand-made things go, a daemon's stay", topology.Keep{}, false, 5},
		{"keep keeps the hand-made ones", all, false, 0},
		{"keep of one kind", topology.Keep{Addresses: true}, false, 4},
		{"prune removes all of them", all, true, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := made(t)
			k.Edit(others)
			want := sample()
			want.Namespaces[0].Keep = c.keep
			plan, err := netsetup.Up(t.Context(), k, want, netsetup.Options{Prune: c.prune})
			if err != nil {
				t.Fatal(err)
			}
			if len(plan.Ops) != c.removed {
				t.Errorf("%d ops, want %d:\n%s", len(plan.Ops), c.removed, lines(plan))
			}
			for _, op := range plan.Ops {
				if op.Verb != netsetup.Delete {
					t.Errorf("%s", op.Command())
				}
			}
		})
	}
}

// In a namespace that is not the lab's, and against a daemon's route, there is
// no repair: what is in the way is named and stays.
func TestInTheWay(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*netsetup.State)
		want string
	}{
		{"a daemon's route", func(s *netsetup.State) {
			r := &n0(s).Routes[0]
			r.Origin, r.Protocol = netsetup.Foreign, 12
		}, "route 10.5.0.0/16 via 10.0.0.2 dev eth0 in lab.n0 exists and was not made by this lab"},
		{"a program's device", func(s *netsetup.State) {
			l := link(n0(s), "eth0")
			l.Origin, l.Kind = netsetup.Foreign, "tun"
		}, "link eth0 in lab.n0 exists and was not made by this lab"},
		{"the host's interface", func(s *netsetup.State) {
			s.Namespaces[0].Links = []netsetup.Link{{Origin: netsetup.Manual, Name: "up0", Kind: "dummy"}}
		}, "link up0 in the root namespace exists and was not made by this lab"},
		{"another lab's interface", func(s *netsetup.State) {
			s.Namespaces[0].Links = []netsetup.Link{{Name: "up0", Kind: netsetup.KindVeth, Alias: netsetup.AliasPrefix + "other"}}
		}, "link up0 in the root namespace exists and was not made by this lab"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := made(t)
			k.Edit(c.edit)
			before := k.State()
			want := sample()
			root := netsetup.Namespace{Kind: netsetup.Root, Links: []netsetup.Link{{
				Name: "up0", Kind: netsetup.KindVeth, Alias: netsetup.AliasPrefix + "lab", Peer: netsetup.Endpoint{Namespace: "lab.n1", Link: "up0"}}}}
			want.Namespaces = append(want.Namespaces, root)
			end := root.Links[0]
			end.Alias, end.Peer = "", netsetup.Endpoint{Link: "up0"}
			want.Namespaces[1].Links = append(want.Namespaces[1].Links, end)
			_, err := netsetup.Up(t.Context(), k, want.Sort(), netsetup.Options{})
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if plan, err := netsetup.Diff(k.State(), before, false); err != nil || !plan.Empty() {
				t.Errorf("something was changed: %v", err)
			}
		})
	}
}

// The order of an interface's IPv4 addresses decides which is primary.
func TestAddressOrder(t *testing.T) {
	k := made(t)
	want := sample()
	a := want.Namespaces[0].Addresses
	a[0], a[1] = a[1], a[0]
	plan, err := netsetup.Up(t.Context(), k, want, netsetup.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := n0(k.State()).Addresses
	if got[0].Prefix != prefix("10.0.0.7/24") || got[1].Prefix != prefix("10.0.0.1/24") {
		t.Errorf("order %v after\n%s", got, lines(plan))
	}
}

func TestDownOfNothing(t *testing.T) {
	if found, err := netsetup.Down(t.Context(), kerneltest.New(), "lab", netsetup.Options{}); found || err != nil {
		t.Error(found, err)
	}
}
