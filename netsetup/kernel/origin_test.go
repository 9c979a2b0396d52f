package kernel_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"nslab/netsetup"
)

// TestOrigins makes things by hand, and as daemons do.
func TestOrigins(t *testing.T) {
	k := newKernel(t)
	want := pair()
	a := &want.Namespaces[0]
	a.Addresses = []netsetup.Address{{Link: "eth0", Prefix: prefix("10.0.0.1/24")}, {Link: "eth0", Prefix: prefix("fd00::1/64")}}
	up(t, k, want)
	sh(t, `
		ip -n t.a address add 10.0.0.50/24 dev eth0
		ip -n t.a address add 10.0.0.51/24 dev eth0 valid_lft 500 preferred_lft 400
		ip -n t.a address add fd00::50/64 dev eth0 nodad
		ip -n t.a address add fe80::50/64 dev eth0 nodad
		ip -n t.a route add 10.1.0.0/16 via 10.0.0.9
		ip -n t.a route add 10.2.0.0/16 via 10.0.0.9 proto static
		ip -n t.a route add 10.3.0.0/16 via 10.0.0.9 proto bird
		ip -n t.a route add 10.4.0.0/16 via 10.0.0.9 proto dhcp
		ip -n t.a route add 10.5.0.0/16 via 10.0.0.9 proto 201
		ip -n t.a -6 route add fd05::/64 via fd00::9 expires 500
		ip -n t.a nexthop add id 5 via 10.0.0.9 dev eth0
		ip -n t.a route add 10.6.0.0/16 nhid 5
		ip -n t.a nexthop add id 6 via 10.0.0.8 dev eth0
		ip -n t.a nexthop add id 7 group 5/6
		ip -n t.a route add 10.7.0.0/16 nhid 7 proto zebra
		ip -n t.a rule add pref 10 from 10.9.0.0/16 table 100
		ip -n t.a rule add pref 11 from 10.9.0.0/16 ipproto tcp dport 80 table 100
		ip -n t.a rule add pref 12 not from 10.9.0.0/16 table 100
		ip -n t.a rule add pref 13 from 10.9.0.0/16 blackhole
		ip -n t.a rule add pref 14 from all lookup main suppress_prefixlength 0
		ip -n t.a rule add pref 15 from all goto 32766
		ip -n t.a rule add pref 16 from all table 100 protocol bird
		ip -n t.a -6 rule add pref 17 from all uidrange 0-0 table 100
		ip -n t.a neigh add 10.0.0.60 lladdr 02:00:00:00:00:60 dev eth0 nud permanent
		ip -n t.a neigh add 10.0.0.61 lladdr 02:00:00:00:00:61 dev eth0 nud reachable
		ip -n t.a neigh add 10.0.0.62 lladdr 02:00:00:00:00:62 dev eth0 nud noarp
		ip -n t.a neigh add 10.0.0.63 lladdr 02:00:00:00:00:63 dev eth0 nud permanent protocol bird
		ip -n t.a neigh add fd00::60 lladdr 02:00:00:00:00:60 dev eth0 nud permanent
		ip -n t.a neigh add proxy 10.0.0.70 dev eth0
		ip -n t.a neigh add proxy 10.0.0.71 dev eth0 protocol bird
		ip -n t.a link add br9 type bridge
		ip -n t.a link add v0 type veth peer name v1 netns t.b
		ip -n t.a link set v0 master br9
		bridge -n t.a fdb add 02:00:00:00:00:77 dev v0 master static
	`)
	n := namespaceOf(t, observe(t, k, want), "t.a")
	got := make(map[string]netsetup.Origin)
	for i := range n.Links {
		got["link "+n.Links[i].Name] = n.Links[i].Origin
	}
	for i := range n.Addresses {
		got["address "+n.Addresses[i].String()] = n.Addresses[i].Origin
	}
	for i := range n.Routes {
		got["route "+n.Routes[i].String()] = n.Routes[i].Origin
	}
	for i := range n.Rules {
		got["rule "+n.Rules[i].String()] = n.Rules[i].Origin
	}
	for i := range n.Neighbors {
		got["neighbor "+n.Neighbors[i].IP.String()] = n.Neighbors[i].Origin
	}
	for i := range n.FDB {
		got["fdb "+n.FDB[i].MAC.String()] = n.FDB[i].Origin
	}
	names := map[netsetup.Origin]string{netsetup.Ours: "ours", netsetup.Manual: "manual", netsetup.Foreign: "foreign"}
	var lines []string
	for what, o := range got {
		lines = append(lines, names[o]+" "+what)
	}
	slices.Sort(lines)
	wantLines := strings.Split(strings.TrimSpace(`
foreign address 10.0.0.51/24 dev eth0
foreign neighbor 10.0.0.63
foreign neighbor 10.0.0.71
foreign route 10.3.0.0/16 via 10.0.0.9 dev eth0
foreign route 10.4.0.0/16 via 10.0.0.9 dev eth0
foreign route 10.7.0.0/16 nexthop via 10.0.0.8 dev eth0 weight 1 nexthop via 10.0.0.9 dev eth0 weight 1
foreign route fd05::/64 via fd00::9 dev eth0
foreign rule priority 16 lookup 100
manual address 10.0.0.50/24 dev eth0
manual address fd00::50/64 dev eth0
manual address fe80::50/64 dev eth0 scope link
manual fdb 02:00:00:00:00:77
manual link br9
manual link v0
manual neighbor 10.0.0.60
manual neighbor 10.0.0.62
manual neighbor 10.0.0.70
manual neighbor fd00::60
manual route 10.1.0.0/16 via 10.0.0.9 dev eth0
manual route 10.2.0.0/16 via 10.0.0.9 dev eth0
manual route 10.6.0.0/16 via 10.0.0.9 dev eth0
manual rule priority 10 from 10.9.0.0/16 lookup 100
manual rule priority 11 from 10.9.0.0/16 dport 80 ipproto 6 lookup 100
manual rule priority 12 from 10.9.0.0/16 not lookup 100
manual rule priority 13 from 10.9.0.0/16 blackhole
manual rule priority 14 suppress_prefixlength 0 lookup 254
manual rule priority 15 goto 32766
manual rule priority 17 uidrange 0-0 lookup 100
ours address 10.0.0.1/24 dev eth0
ours address fd00::1/64 dev eth0
ours link eth0
ours link lo
ours route 10.5.0.0/16 via 10.0.0.9 dev eth0`), "\n")
	if !slices.Equal(lines, wantLines) {
		t.Errorf("observed:\n%s\nwant:\n%s", strings.Join(lines, "\n"), strings.Join(wantLines, "\n"))
	}
	if end := linkOf(t, n, "v0").Peer; end != (netsetup.Endpoint{Namespace: "t.b", Link: "v1"}) {
		t.Errorf("the peer of v0 is %v", end)
	}

	// Up removes what is manual and leaves what is foreign.
	up(t, k, want)
	n = namespaceOf(t, observe(t, k, want), "t.a")
	for i := range n.Routes {
		if n.Routes[i].Origin != netsetup.Foreign {
			t.Errorf("left: %s", n.Routes[i].String())
		}
	}
	if len(n.Routes) != 4 {
		t.Errorf("foreign routes that are left: %v", n.Routes)
	}
	if len(n.Rules) != 1 {
		t.Errorf("foreign rules that are left: %v", n.Rules)
	}
}

// TestForeignLink leaves a VPN's device alone, with what is on it.
func TestForeignLink(t *testing.T) {
	tun, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no tun device can be made here: %v", err)
	}
	tun.Close()
	k := newKernel(t)
	want := pair()
	up(t, k, want)
	sh(t, `
		ip -n t.a tuntap add mode tun name tun0
		ip -n t.a link set tun0 up
		ip -n t.a address add 10.77.0.1/24 dev tun0
		ip -n t.a route add 10.78.0.0/16 dev tun0
		ip -n t.a rule add pref 10 iif tun0 table 100`)
	up(t, k, want)
	n := namespaceOf(t, observe(t, k, want), "t.a")
	if linkOf(t, n, "tun0").Origin != netsetup.Foreign ||
		len(n.Addresses) != 1 || n.Addresses[0].Origin != netsetup.Foreign ||
		len(n.Routes) != 1 || n.Routes[0].Origin != netsetup.Foreign ||
		len(n.Rules) != 1 || n.Rules[0].Origin != netsetup.Foreign {
		t.Errorf("observed: %+v", n)
	}
}

// TestRuleByHand deletes, of two rules of which one says all that the other
// says, the right one.
func TestRuleByHand(t *testing.T) {
	k := newKernel(t)
	want := pair()
	want.Namespaces[0].Rules = []netsetup.Rule{{Priority: 100, From: prefix("10.0.0.0/8"), Table: 100}}
	up(t, k, want)
	sh(t, `
		ip -n t.a rule add pref 100 from 10.0.0.0/8 table 100 ipproto tcp
		ip -n t.a rule add pref 100 from 10.0.0.0/8 table 100 dport 80`)
	up(t, k, want)
	out := run(t, "ip", "-n", "t.a", "-d", "rule", "show", "pref", "100")
	if strings.TrimSpace(out) != "100:\tfrom 10.0.0.0/8 lookup 100 proto 201" {
		t.Errorf("rules:\n%s", out)
	}
}

// TestPutBack deletes what only the kernel can spell, and puts it back.
func TestPutBack(t *testing.T) {
	k := newKernel(t)
	want := pair()
	up(t, k, want)
	sh(t, `
		ip -n t.a rule add pref 11 not from 10.9.0.0/16 ipproto tcp dport 80 table 100
		ip -n t.a rule add pref 12 to 10.9.0.0/16 goto 32766
		ip -n t.a route add 10.1.0.0/16 dev eth0 proto static`)
	before := observe(t, k, want)
	text := run(t, "ip", "-n", "t.a", "-d", "rule") + run(t, "ip", "-n", "t.a", "-d", "route")
	up(t, k, want)
	if n := namespaceOf(t, observe(t, k, want), "t.a"); len(n.Rules)+len(n.Routes) != 0 {
		t.Fatalf("left: %v %v", n.Rules, n.Routes)
	}
	if _, err := netsetup.Up(t.Context(), k, before, netsetup.Options{}); err != nil {
		t.Fatal(err)
	}
	if got := run(t, "ip", "-n", "t.a", "-d", "rule") + run(t, "ip", "-n", "t.a", "-d", "route"); got != text {
		t.Errorf("put back:\n%swas:\n%s", got, text)
	}
}
