package netsetup

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// Clone copies the State so deep that changing one does not change the other.
// What pointers point to is shared: it is never changed in place.
func (s *State) Clone() *State {
	c := *s
	c.Namespaces = slices.Clone(s.Namespaces)
	for i := range c.Namespaces {
		c.Namespaces[i] = c.Namespaces[i].clone()
	}
	return &c
}

func (n Namespace) clone() Namespace {
	n.Links = slices.Clone(n.Links)
	n.Addresses = slices.Clone(n.Addresses)
	n.Routes = slices.Clone(n.Routes)
	for i := range n.Routes {
		n.Routes[i].Nexthops = slices.Clone(n.Routes[i].Nexthops)
	}
	n.Rules = slices.Clone(n.Rules)
	n.LostRules = slices.Clone(n.LostRules)
	n.LostAddresses = slices.Clone(n.LostAddresses)
	n.Qdiscs = slices.Clone(n.Qdiscs)
	n.Neighbors = slices.Clone(n.Neighbors)
	n.FDB = slices.Clone(n.FDB)
	n.Tables = slices.Clone(n.Tables)
	n.Sysctls = slices.Clone(n.Sysctls)
	return n
}

// Sort brings the State into the order that its types promise, and gives it.
func (s *State) Sort() *State {
	slices.SortFunc(s.Namespaces, func(a, b Namespace) int { return strings.Compare(a.Name, b.Name) })
	for i := range s.Namespaces {
		s.Namespaces[i].sort()
	}
	return s
}

func (n *Namespace) sort() {
	slices.SortFunc(n.Links, func(a, b Link) int { return strings.Compare(a.Name, b.Name) })
	n.sortAddresses()
	for i := range n.Routes {
		slices.SortFunc(n.Routes[i].Nexthops, compareNexthops)
	}
	slices.SortFunc(n.Routes, compareRouteKeys)
	slices.SortFunc(n.Rules, compareRules)
	slices.SortFunc(n.Neighbors, func(a, b Neighbor) int {
		return cmp.Or(strings.Compare(a.Link, b.Link), a.IP.Compare(b.IP), cmp.Compare(bool2int(a.Proxy), bool2int(b.Proxy)))
	})
	slices.SortFunc(n.Qdiscs, func(a, b Qdisc) int {
		return cmp.Or(strings.Compare(a.Link, b.Link), strings.Compare(a.Parent, b.Parent))
	})
	slices.SortFunc(n.FDB, func(a, b FDBEntry) int {
		return cmp.Or(strings.Compare(a.Link, b.Link), slices.Compare(a.MAC[:], b.MAC[:]))
	})
}

// sortAddresses keeps the order of one interface's IPv4 addresses, as the
// kernel would have it: which one is primary depends on it. IPv6 has no such
// thing: sorted.
func (n *Namespace) sortAddresses() {
	slices.SortStableFunc(n.Addresses, func(a, b Address) int {
		if c := strings.Compare(a.Link, b.Link); c != 0 {
			return c
		}
		a4, b4 := a.Prefix.Addr().Is4(), b.Prefix.Addr().Is4()
		switch {
		case a4 && b4:
			return 0
		case a4:
			return -1
		case b4:
			return 1
		}
		return comparePrefixes(a.Prefix, b.Prefix)
	})
	for i := 0; i < len(n.Addresses); {
		j := i + 1
		for j < len(n.Addresses) && n.Addresses[j].Link == n.Addresses[i].Link {
			j++
		}
		if of4 := ipv4Of(n.Addresses[i:j]); len(of4) > 1 {
			copy(of4, kernelOrder(of4))
		}
		i = j
	}
}

// ipv4Of is the IPv4 part, which comes first, of one link's addresses.
func ipv4Of(list []Address) []Address {
	i := slices.IndexFunc(list, func(a Address) bool { return !a.Prefix.Addr().Is4() })
	if i < 0 {
		return list
	}
	return list[:i]
}

// kernelOrder is the order in which an interface has IPv4 addresses that were
// added in the order of list.
func kernelOrder(list []Address) []Address {
	out := make([]Address, 0, len(list))
	for _, a := range list {
		out = insertIPv4(out, a)
	}
	return out
}

// insertIPv4 adds an address to those of one interface where the kernel does
// (net/ipv4/devinet.c:__inet_insert_ifa): a secondary one (of a network that
// has a primary one already) last, a primary one behind the primary ones of its
// scope and wider ones.
func insertIPv4(list []Address, a Address) []Address {
	if isSecondary(list, a) {
		return append(list, a)
	}
	at := 0
	for i, x := range list {
		if !isSecondary(list[:i], x) && a.Scope <= x.Scope {
			at = i + 1
		}
	}
	return slices.Insert(list, at, a)
}

// isSecondary reports whether a is of the network of one of those before it.
func isSecondary(before []Address, a Address) bool {
	net := a.network()
	return slices.ContainsFunc(before, func(x Address) bool { return x.network() == net })
}

// network is the prefix that the address makes directly reachable.
func (a *Address) network() netip.Prefix {
	if a.Peer.IsValid() {
		return a.Peer.Masked()
	}
	return a.Prefix.Masked()
}

func comparePrefixes(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// compareRouteKeys orders routes by what identifies them in a routing table.
func compareRouteKeys(a, b Route) int {
	return cmp.Or(
		comparePrefixes(a.Dst, b.Dst),
		cmp.Compare(a.Table, b.Table),
		cmp.Compare(a.Metric, b.Metric),
		cmp.Compare(a.TOS, b.TOS),
		comparePrefixes(a.From, b.From))
}

func compareNexthops(a, b Nexthop) int {
	return cmp.Or(a.Via.Compare(b.Via), strings.Compare(a.Dev, b.Dev))
}

func compareRules(a, b Rule) int {
	return cmp.Or(
		cmp.Compare(bool2int(a.IPv6), bool2int(b.IPv6)),
		cmp.Compare(a.Priority, b.Priority),
		comparePrefixes(a.From, b.From), comparePrefixes(a.To, b.To),
		strings.Compare(a.IIF, b.IIF), strings.Compare(a.OIF, b.OIF),
		cmp.Compare(a.FwMark, b.FwMark), cmp.Compare(a.FwMask, b.FwMask),
		cmp.Compare(a.Table, b.Table), strings.Compare(a.Other, b.Other))
}

func bool2int(b bool) int {
	if b {
		return 1
	}
	return 0
}
