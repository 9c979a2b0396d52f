package kerneltest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"

	"nslab/netsetup"
	"nslab/netsetup/nft"
	"nslab/topology"
)

// RandomState is a small lab that a kernel can make, with something of
// everything that a State holds. Two of the same lab have much in common, so
// that going from one to the other keeps, changes, adds and removes things.
func RandomState(rng *rand.Rand, lab string) *netsetup.State {
	g := &generator{rng: rng, lab: lab}
	for i := range 2 + rng.IntN(4) {
		g.spaces = append(g.spaces, newNamespace(rng, fmt.Sprintf("%s.n%d", lab, i)))
	}
	for i := range 1 + rng.IntN(6) {
		g.veth(i)
	}
	for _, n := range g.spaces {
		if rng.IntN(3) == 0 {
			g.bridge(n)
		}
		g.fill(n)
	}
	s := &netsetup.State{Lab: lab}
	for _, n := range g.spaces {
		s.Namespaces = append(s.Namespaces, *n)
	}
	return s.Sort()
}

type generator struct {
	rng    *rand.Rand
	lab    string
	spaces []*netsetup.Namespace
}

func (g *generator) chance(oneIn int) bool { return g.rng.IntN(oneIn) == 0 }

func newNamespace(rng *rand.Rand, name string) *netsetup.Namespace {
	forward := fmt.Sprint(rng.IntN(2))
	return &netsetup.Namespace{
		Kind: netsetup.Own, Name: name,
		Links: []netsetup.Link{{Name: "lo", Kind: netsetup.KindLoopback, Up: true, Alias: netsetup.AliasPrefix + name}},
		Sysctls: []netsetup.Sysctl{
			{Name: "net/ipv4/ip_forward", Value: forward},
			{Name: "net/ipv6/conf/all/forwarding", Value: forward},
			{Name: "net/ipv4/conf/all/promote_secondaries", Value: "1"},
			{Name: "net/ipv4/conf/default/promote_secondaries", Value: "1"},
			{Name: "net/ipv6/conf/all/accept_dad", Value: "0"},
			{Name: "net/ipv6/conf/default/accept_dad", Value: "0"},
			{Name: "net/ipv6/conf/all/keep_addr_on_down", Value: "1"},
			{Name: "net/ipv6/conf/default/keep_addr_on_down", Value: "1"},
		},
	}
}

// veth joins two namespaces, or one with itself.
func (g *generator) veth(i int) {
	a := g.spaces[g.rng.IntN(len(g.spaces))]
	b := g.spaces[g.rng.IntN(len(g.spaces))]
	mtu := []int{1500, 1500, 1400, 1200, 9000}[g.rng.IntN(5)]
	up := !g.chance(6)
	ends := [2]netsetup.Endpoint{{Namespace: a.Name, Link: fmt.Sprintf("eth%da", i)}, {Namespace: b.Name, Link: fmt.Sprintf("eth%db", i)}}
	for side, n := range []*netsetup.Namespace{a, b} {
		l := netsetup.Link{Name: ends[side].Link, Kind: netsetup.KindVeth, Peer: ends[1-side], MTU: mtu, Up: up || g.chance(4)}
		l.MAC = topology.MAC{2, byte(g.rng.IntN(2)), 0, byte(side), 0, byte(i + 1)}
		if g.chance(5) {
			l.Alias = "an alias"
		}
		if g.chance(5) {
			q := 100 + g.rng.IntN(3)
			l.TxQueueLen = &q
		}
		n.Links = append(n.Links, l)
		if g.chance(4) {
			n.Sysctls = append(n.Sysctls, netsetup.Sysctl{
				Name: "net/ipv4/conf/" + l.Name + "/forwarding", Value: fmt.Sprint(g.rng.IntN(2)),
			})
		}
	}
}

// bridge makes some of the namespace's veths ports.
func (g *generator) bridge(n *netsetup.Namespace) {
	age := 100 * (100 + g.rng.IntN(3))
	n.Links = append(n.Links, netsetup.Link{
		Name: "br0", Kind: netsetup.KindBridge, MAC: topology.MAC{2, 0xb, 0, 0, 0, 1}, Up: true,
		Bridge: &netsetup.Bridge{McastSnooping: g.chance(3), AgeingTime: &age},
	})
	for i := range n.Links {
		l := &n.Links[i]
		if l.Kind != netsetup.KindVeth || g.chance(3) {
			continue
		}
		l.Master = "br0"
		l.MTU = max(l.MTU, 1400) // a bridge has the least of its ports', and IPv6 addresses
		l.Port = &netsetup.Port{Isolated: g.chance(3), Learning: !g.chance(4), Hairpin: g.chance(4)}
		if g.chance(4) {
			n.FDB = append(n.FDB, netsetup.FDBEntry{Origin: netsetup.Manual, Link: l.Name, MAC: topology.MAC{2, 0xf, 0, 0, 0, byte(i)}})
		}
	}
}

// fill adds addresses, and what needs them.
func (g *generator) fill(n *netsetup.Namespace) {
	for i := range n.Links {
		l := &n.Links[i]
		if l.Kind == netsetup.KindLoopback {
			if g.chance(3) {
				n.Addresses = append(n.Addresses, netsetup.Address{Link: "lo", Prefix: netip.MustParsePrefix("10.255.0.1/32")})
			}
			continue
		}
		if l.Master != "" {
			continue
		}
		g.addresses(n, l, byte(i))
		if l.Up {
			g.routes(n, l, byte(i))
			g.neighbors(n, l, byte(i))
		}
	}
	g.tables(n)
	for i := range g.rng.IntN(3) {
		n.Rules = append(n.Rules, netsetup.Rule{
			IPv6: i == 1, Priority: 100 + g.rng.IntN(3), FwMark: uint32(g.rng.IntN(3)), FwMask: 0xff, Table: 100 + i,
		})
	}
}

// addresses gives a link one network of each family, from which come one to
// three addresses in random order: the first is primary.
func (g *generator) addresses(n *netsetup.Namespace, l *netsetup.Link, net byte) {
	hosts := g.rng.Perm(3)[:1+g.rng.IntN(3)]
	for _, h := range hosts {
		n.Addresses = append(n.Addresses, netsetup.Address{
			Link: l.Name, Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, net, byte(h + 1)}), 24),
		})
	}
	if l.MTU != 0 && l.MTU < 1280 {
		return
	}
	for _, h := range hosts {
		n.Addresses = append(n.Addresses, netsetup.Address{Link: l.Name, Prefix: netip.PrefixFrom(ipv6(net, byte(h+1)), 64)})
	}
}

func ipv6(net, host byte) netip.Addr {
	a := [16]byte{0: 0xfd, 7: net, 15: host}
	return netip.AddrFrom16(a)
}

func (g *generator) routes(n *netsetup.Namespace, l *netsetup.Link, net byte) {
	via4, via6 := netip.AddrFrom4([4]byte{10, 1, net, 200}), ipv6(net, 200)
	types := []string{netsetup.Unicast, netsetup.Unicast, netsetup.Unicast, netsetup.Blackhole, netsetup.Unreachable, netsetup.Prohibit}
	for i := range g.rng.IntN(3) {
		r := netsetup.Route{
			Dst:   netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 2, net, byte(16 * i)}), 28),
			Table: []int{254, 254, 100}[g.rng.IntN(3)], Type: types[g.rng.IntN(len(types))], Metric: g.rng.IntN(2) * 50,
		}
		if r.Type == netsetup.Unicast {
			r.Nexthops = g.nexthops(via4, l.Name)
			if g.chance(4) {
				r.MTU = 1300
			}
			if g.chance(3) {
				r.Src = g.source(n, true)
			}
		}
		n.Routes = append(n.Routes, r)
		if l.MTU < 1280 && l.MTU != 0 {
			continue
		}
		r6 := netsetup.Route{
			Dst:   netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 1: 2, 7: net, 9: byte(i)}), 80),
			Table: r.Table, Type: r.Type, Metric: 1024 + g.rng.IntN(2)*50,
		}
		if r.Type == netsetup.Unicast {
			r6.Nexthops = g.nexthops(via6, l.Name)
			if g.chance(3) {
				r6.Src = g.source(n, false)
			}
		}
		n.Routes = append(n.Routes, r6)
	}
}

// source is any address of the family that the namespace has been given so far.
func (g *generator) source(n *netsetup.Namespace, ipv4 bool) netip.Addr {
	var all []netip.Addr
	for i := range n.Addresses {
		if a := n.Addresses[i].Prefix.Addr(); a.Is4() == ipv4 {
			all = append(all, a)
		}
	}
	return all[g.rng.IntN(len(all))]
}

// nexthops are one or two gateways of a link.
func (g *generator) nexthops(via netip.Addr, dev string) []netsetup.Nexthop {
	hops := []netsetup.Nexthop{{Via: via, Dev: dev, Weight: 1}}
	if g.chance(3) {
		hops = append(hops, netsetup.Nexthop{Via: via.Next(), Dev: dev, Weight: 1 + g.rng.IntN(2)})
	}
	return hops
}

func (g *generator) neighbors(n *netsetup.Namespace, l *netsetup.Link, net byte) {
	for i := range g.rng.IntN(3) {
		ip := netip.AddrFrom4([4]byte{10, 1, net, byte(100 + i)})
		if g.chance(2) && (l.MTU == 0 || l.MTU >= 1280) {
			ip = ipv6(net, byte(100+i))
		}
		n.Neighbors = append(n.Neighbors, netsetup.Neighbor{
			Link: l.Name, IP: ip, MAC: topology.MAC{2, 0xe, 0, 0, byte(g.rng.IntN(2)), byte(i)}, State: "permanent",
		})
	}
}

// tables gives a namespace up to two, with rules that come and go, sets with and
// without a name, and interfaces by name, by index and as where a chain hangs.
func (g *generator) tables(n *netsetup.Namespace) {
	if g.chance(3) {
		return
	}
	pick := func(words ...string) string { return words[g.rng.IntN(len(words))] }
	link := n.Links[g.rng.IntN(len(n.Links))].Name
	var b strings.Builder
	fmt.Fprintf(&b, "table inet filter {\n\tset s { type inet_service; flags interval; elements = { 1-%d, 99 } }\n", 2+g.rng.IntN(2))
	fmt.Fprintf(&b, "\tchain input {\n\t\ttype filter hook input priority 0; policy %s;\n", pick("accept", "drop"))
	for _, rule := range []string{
		"ct state established counter accept",
		"iif " + link + " tcp dport @s accept",
		"iifname " + link + " udp dport { 53, 67-68 } limit rate 5/second accept",
		"meta l4proto vmap { tcp : jump other, icmp : accept }",
		"log prefix \"x\" " + pick("drop", "accept"),
	} {
		if g.chance(2) {
			b.WriteString("\t\t" + rule + "\n")
		}
	}
	b.WriteString("\t}\n\tchain other { }\n}\n")
	if g.chance(2) {
		fmt.Fprintf(&b, "table netdev early {\n\tchain c { type filter hook ingress device %s priority 0; }\n}\n", link)
	}
	n.Tables = Tables(g.lab, b.String())
}

// Tables are those of a text in nft's language, as netsetup.Compile gives them.
func Tables(lab, text string) []netsetup.Table {
	file, errs := nft.Parse(text)
	if len(errs) > 0 {
		panic(errs)
	}
	rules, errs := nft.Compile(file, nil)
	if len(errs) > 0 {
		panic(errs)
	}
	var list []netsetup.Table
	for _, c := range rules.Tables {
		list = append(list, netsetup.Table{Lab: lab, Family: c.Family, Name: c.Name, Content: c,
			Source: &topology.Nftables{Text: text, File: file, Ruleset: rules}})
	}
	return list
}

// Rand is a source of random numbers that a seed repeats.
func Rand(seed uint64) *rand.Rand {
	var b [32]byte
	binary.LittleEndian.PutUint64(b[:], seed)
	return rand.New(rand.NewChaCha8(b))
}
