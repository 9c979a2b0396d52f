package topology

import (
	"cmp"
	"net/netip"
	"slices"
)

// The pools that serve `subnet: auto` where the file names none: the largest
// private network of RFC 1918, and one of RFC 4193.
var (
	defaultIPv4 = Pool{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Bits: 24}
	defaultIPv6 = Pool{Prefix: netip.MustParsePrefix("fd00::/32"), Bits: 64}
)

// wantsSubnet is a link or switch that has `subnet`.
type wantsSubnet struct {
	pos     Pos
	node    int // of the switch; -1: it is a link's
	link    int
	subnets []Subnet
}

// assignSubnets replaces `auto` by prefixes and gives out addresses from them.
func (r *resolver) assignSubnets() {
	wants := r.subnetsWanted()
	r.cutSubnets(wants)
	for _, w := range wants {
		if w.node < 0 {
			r.links[w.link].Subnet = w.subnets
			r.addressLink(w)
		} else {
			r.nodes[w.node].Subnet = w.subnets
		}
	}
	r.addressSwitches(wants)
}

// subnetsWanted lists who has `subnet`, in the order of the file, with lists of
// their own.
func (r *resolver) subnetsWanted() []wantsSubnet {
	count, subnets := 0, 0
	for i := range r.nodes {
		if s := len(r.nodes[i].Subnet); s > 0 {
			count, subnets = count+1, subnets+s
		}
	}
	for i := range r.links {
		if s := len(r.links[i].Subnet); s > 0 {
			count, subnets = count+1, subnets+s
		}
	}
	wants := make([]wantsSubnet, 0, count)
	slab := make([]Subnet, 0, subnets)
	add := func(w wantsSubnet) {
		from := len(slab)
		slab = append(slab, w.subnets...)
		w.subnets = slab[from:len(slab):len(slab)]
		wants = append(wants, w)
	}
	for i := range r.nodes {
		n := r.nodes[i].Node
		if n.Kind != Switch || len(n.Subnet) == 0 {
			continue
		}
		if r.checkSubnets(n.Subnet, func() string { return n.path("subnet") }) {
			add(wantsSubnet{n.Pos, i, -1, n.Subnet})
		}
	}
	for i := range r.links {
		l := &r.links[i]
		if len(l.Subnet) == 0 || l.broken {
			continue
		}
		path := func() string { return r.linkPath(i) + ".subnet" }
		if sw := r.switchAt(l); sw != nil {
			r.errorf(l.Subnet[0].Pos, path(), "give the switch "+sw.Name+" the `subnet`",
				"%s is a switch: it numbers what is attached to it", sw.Name)
			continue
		}
		if r.checkSubnets(l.Subnet, path) {
			add(wantsSubnet{l.Pos, -1, i, l.Subnet})
		}
	}
	slices.SortStableFunc(wants, func(a, b wantsSubnet) int {
		return cmp.Or(cmp.Compare(a.pos.Line, b.pos.Line), cmp.Compare(a.pos.Col, b.pos.Col))
	})
	return wants
}

// switchAt gives the switch that a link ends at, if it does.
func (r *resolver) switchAt(l *link) *Node {
	for _, id := range l.ends {
		if n := r.nodes[r.ifaces[id].node].Node; n.Kind == Switch {
			return n
		}
	}
	return nil
}

// checkSubnets checks that a list has one subnet of a family.
func (r *resolver) checkSubnets(list []Subnet, path func() string) bool {
	for i, s := range list {
		for _, other := range list[:i] {
			if s.Auto == other.Auto && (s.Auto || s.Prefix.Addr().Is4() == other.Prefix.Addr().Is4()) {
				what := "auto"
				if !s.Auto {
					what = s.Prefix.String()
				}
				r.errorf(s.Pos, path(), "give one of each family", "%s comes after another of its family", what)
				return false
			}
		}
	}
	return true
}

// cutSubnets replaces each `auto` by a prefix of every family that is
// configured and that the list does not name.
func (r *resolver) cutSubnets(wants []wantsSubnet) {
	v4, v6 := r.pools() // checked though nothing may be cut from them
	if !slices.ContainsFunc(wants, func(w wantsSubnet) bool { return slices.ContainsFunc(w.subnets, isAuto) }) {
		return
	}
	taken := r.takenPrefixes(wants)
	cutters := [2]cutter{{pool: v4, taken: taken}, {pool: v6, taken: taken}}
	slab := make([]Subnet, 0, 2*len(wants))
	for i := range wants {
		w := &wants[i]
		at := slices.IndexFunc(w.subnets, isAuto)
		if at < 0 {
			continue
		}
		from := len(slab)
		for _, s := range w.subnets {
			if !s.Auto {
				slab = append(slab, s)
			}
		}
		named := slab[from:]
		for f := range cutters {
			c := &cutters[f]
			if !c.pool.Prefix.IsValid() || slices.ContainsFunc(named, func(s Subnet) bool { return s.Prefix.Addr().Is4() == (f == 0) }) {
				continue
			}
			if p, ok := c.cut(); ok {
				slab = append(slab, Subnet{Pos: w.subnets[at].Pos, Prefix: p})
			} else if !c.reported {
				c.reported = true
				r.errorf(w.subnets[at].Pos, r.wantPath(*w), "give `addressing` a larger pool, or one that nothing else in the file uses",
					"the pool %v has no free /%d left", c.pool.Prefix, c.pool.Bits)
			}
		}
		w.subnets = slab[from:len(slab):len(slab)]
	}
}

func isAuto(s Subnet) bool { return s.Auto }

func (r *resolver) wantPath(w wantsSubnet) string {
	if w.node < 0 {
		return r.linkPath(w.link) + ".subnet"
	}
	return r.nodes[w.node].path("subnet")
}

// pools gives the pools to cut from; one that is not valid is not used.
func (r *resolver) pools() (v4, v6 Pool) {
	a := r.file.Addressing
	if a.IPv4 == (Pool{}) && a.IPv6 == (Pool{}) {
		return defaultIPv4, defaultIPv6
	}
	return r.pool(a.IPv4, defaultIPv4, "addressing.ipv4"), r.pool(a.IPv6, defaultIPv6, "addressing.ipv6")
}

// pool completes a pool that is named by the default of its family.
func (r *resolver) pool(p, def Pool, path string) Pool {
	if p == (Pool{}) {
		return p
	}
	if !p.Prefix.IsValid() {
		p.Prefix = def.Prefix
	}
	p.Prefix = p.Prefix.Masked()
	p.Bits = cmp.Or(p.Bits, max(def.Bits, p.Prefix.Bits()))
	if most := def.Prefix.Addr().BitLen() - 1; p.Bits < p.Prefix.Bits() || p.Bits > most {
		r.errorf(p.Pos, path+".prefix", "", "/%d; a subnet of %v is /%d to /%d", p.Bits, p.Prefix, p.Prefix.Bits(), most)
		return Pool{}
	}
	return p
}

// takenPrefixes lists every prefix that is written in the file, sorted.
func (r *resolver) takenPrefixes(wants []wantsSubnet) []netip.Prefix {
	var taken []netip.Prefix
	for i := range r.ifaces {
		for _, a := range r.ifaces[i].Addresses {
			taken = append(taken, a.Prefix.Masked())
			if a.Peer.IsValid() {
				taken = append(taken, a.Peer.Masked())
			}
		}
	}
	for _, w := range wants {
		for _, s := range w.subnets {
			if !s.Auto {
				taken = append(taken, s.Prefix.Masked())
			}
		}
	}
	slices.SortFunc(taken, comparePrefixes)
	return slices.Compact(taken)
}

// comparePrefixes sorts by family, address and length.
func comparePrefixes(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// cutter cuts prefixes from a pool in rising order, past those that are taken.
type cutter struct {
	pool     Pool
	taken    []netip.Prefix // sorted; those not looked at yet
	next     netip.Addr     // where to go on; not valid: at the beginning
	full     bool
	reported bool
}

func (c *cutter) cut() (netip.Prefix, bool) {
	if !c.next.IsValid() {
		c.next = c.pool.Prefix.Addr()
	}
	for !c.full {
		p := netip.PrefixFrom(c.next, c.pool.Bits)
		// Prefixes nest or are apart, so those that end before p never matter again.
		for len(c.taken) > 0 && lastAddr(c.taken[0]).Less(c.next) {
			c.taken = c.taken[1:]
		}
		past := p
		free := len(c.taken) == 0 || !c.taken[0].Overlaps(p)
		if !free && c.taken[0].Bits() < p.Bits() {
			past = c.taken[0]
		}
		c.next = lastAddr(past).Next()
		c.full = !c.next.IsValid() || !c.pool.Prefix.Contains(c.next)
		if free {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// lastAddr is the highest address of a masked prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	if p.Addr().Is4() {
		b := p.Addr().As4()
		setHostBits(b[:], p.Bits())
		return netip.AddrFrom4(b)
	}
	b := p.Addr().As16()
	setHostBits(b[:], p.Bits())
	return netip.AddrFrom16(b)
}

func setHostBits(b []byte, bits int) {
	for i := range b {
		switch host := 8*(i+1) - bits; {
		case host >= 8:
			b[i] = 0xff
		case host > 0:
			b[i] |= 1<<host - 1
		}
	}
}

// hosts gives the first and the last address of a prefix that an interface can
// have: not the network's own (in IPv6 the routers' anycast address, RFC 4291
// 2.6.1) nor the broadcast address, except where there are but two (RFC 3021,
// RFC 6164) or one.
func hosts(p netip.Prefix) (first, last netip.Addr) {
	first, last = p.Addr(), lastAddr(p)
	if p.Bits() < first.BitLen()-1 {
		first = first.Next()
		if first.Is4() {
			last = last.Prev()
		}
	}
	return first, last
}

// noHost says what an IPv4 address is in a prefix if it is not for a host:
// "network" or "broadcast"; else "".
func noHost(a netip.Addr, p netip.Prefix) string {
	switch {
	case !a.Is4() || p.Bits() >= 31:
	case a == p.Addr():
		return "network"
	case a == lastAddr(p):
		return "broadcast"
	}
	return ""
}
