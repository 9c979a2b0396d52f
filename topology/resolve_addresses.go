package topology

import (
	"net/netip"
	"slices"
)

// hasFamily reports whether the interface has an address of the family, other
// than a link-local IPv6 one.
func (i *iface) hasFamily(v4 bool) bool {
	for _, a := range i.Addresses {
		if a.Prefix.Addr().Is4() == v4 && (v4 || !a.Prefix.Addr().IsLinkLocalUnicast()) {
			return true
		}
	}
	return false
}

func (i *iface) hasAddr(a netip.Addr) bool {
	for j := range i.Addresses {
		if i.Addresses[j].Prefix.Addr() == a {
			return true
		}
	}
	return false
}

// addressSet finds addresses of a node or a segment: by looking at each while
// they are few, else in a map made once.
type addressSet struct {
	m map[netip.Addr]int32 // the first interface that has it
}

// Up to so many interfaces, and addresses on each, are looked at one by one.
const (
	fewInterfaces = 8
	fewAddresses  = 8
)

func (r *resolver) areFew(ids []int32) bool {
	if len(ids) > fewInterfaces {
		return false
	}
	for _, id := range ids {
		if len(r.ifaces[id].Addresses) > fewAddresses {
			return false
		}
	}
	return true
}

// ownerIn gives the first of the interfaces that has the address, or -1. The set
// belongs to the interfaces, whose addresses must not change any more.
func (r *resolver) ownerIn(s *addressSet, ids []int32, a netip.Addr) int32 {
	if s.m == nil {
		if r.areFew(ids) {
			for _, id := range ids {
				if r.ifaces[id].hasAddr(a) {
					return id
				}
			}
			return -1
		}
		s.m = map[netip.Addr]int32{}
		for _, id := range ids {
			for _, a := range r.ifaces[id].Addresses {
				if _, taken := s.m[a.Prefix.Addr()]; !taken {
					s.m[a.Prefix.Addr()] = id
				}
			}
		}
	}
	if id, ok := s.m[a]; ok {
		return id
	}
	return -1
}

// hasAddr reports whether the address is one of the node's.
func (r *resolver) hasAddr(n *node, a netip.Addr) bool {
	return r.ownerIn(&n.addrs, n.ids, a) >= 0
}

// owned reports whether some interface of the segment has the address, or may
// have it for all that is known.
func (r *resolver) owned(number int32, a netip.Addr) bool {
	s := &r.segments[number]
	return s.open || r.ownerIn(&s.addrs, s.members, a) >= 0
}

// giveAddress appends an address to an interface that shares its list with the
// file; room is how many the interface may be given.
func (r *resolver) giveAddress(i *iface, pos Pos, p netip.Prefix, room int) {
	if len(i.Addresses) == i.written {
		if i.written == 0 {
			if len(r.addresses) < room {
				r.addresses = make([]Address, 512)
			}
			i.Addresses, r.addresses = r.addresses[:0:room], r.addresses[room:]
		} else {
			i.Addresses = slices.Clone(i.Addresses)
		}
	}
	i.Addresses = append(i.Addresses, Address{Pos: pos, Prefix: p})
}

// addressLink numbers the ends of a link that has `subnet`: the first end gets
// the first address, the second the second.
func (r *resolver) addressLink(w wantsSubnet) {
	ends := r.links[w.link].ends
	for _, s := range w.subnets {
		if !s.Prefix.IsValid() {
			continue // auto, and no pool had room: reported
		}
		first, last := hosts(s.Prefix)
		for e, id := range ends {
			end, other := &r.ifaces[id], &r.ifaces[ends[1-e]]
			if end.Master != "" || end.hasFamily(first.Is4()) {
				continue
			}
			if first == last {
				r.errorf(s.Pos, r.wantPath(w), "", "%v has one address; a link has two ends", s.Prefix)
				break
			}
			a := first
			if e == 1 && !other.hasAddr(first.Next()) || e == 0 && other.hasAddr(first) {
				a = first.Next()
			}
			r.giveAddress(end, s.Pos, netip.PrefixFrom(a, s.Prefix.Bits()), len(w.subnets))
		}
	}
}

// giver gives out the addresses of a switch's subnet.
type giver struct {
	subnet     Subnet
	next, last netip.Addr
	wanted     int // how many interfaces wanted one
	missing    int // how many got none
}

// addressSwitches numbers what is attached to switches that have `subnet`, in
// the order of the links.
func (r *resolver) addressSwitches(wants []wantsSubnet) {
	type key struct {
		segment int32
		prefix  netip.Prefix
	}
	givers := map[key]*giver{} // one subnet on two switches of a segment is one
	bySwitch := map[int32][]*giver{}
	for _, w := range wants {
		if w.node < 0 {
			continue
		}
		br0, _ := r.find(&r.nodes[w.node], "br0")
		for _, s := range w.subnets {
			if !s.Prefix.IsValid() {
				continue
			}
			k := key{r.ifaces[br0].segment, s.Prefix}
			if givers[k] == nil {
				g := &giver{subnet: s}
				g.next, g.last = hosts(s.Prefix)
				givers[k] = g
			}
			bySwitch[int32(w.node)] = append(bySwitch[int32(w.node)], givers[k])
		}
	}
	if len(givers) == 0 {
		return
	}
	written := r.writtenAddrs()
	for i := range r.links {
		l := &r.links[i]
		if l.broken {
			continue
		}
		for e, id := range l.ends {
			attached := &r.ifaces[l.ends[1-e]]
			if attached.Master != "" {
				continue
			}
			for _, g := range bySwitch[r.ifaces[id].node] {
				if !attached.hasFamily(g.next.Is4()) {
					r.giveNext(g, attached, written)
				}
			}
		}
	}
	for _, w := range wants {
		if w.node < 0 {
			continue
		}
		for _, g := range bySwitch[int32(w.node)] {
			if g.missing > 0 {
				r.errorf(g.subnet.Pos, r.wantPath(w), "take a shorter prefix, or put hosts on another switch",
					"%v is too small: %d of %d interfaces attached to %s get no address", g.subnet.Prefix, g.missing, g.wanted, r.nodes[w.node].Name)
				g.missing = 0
			}
		}
	}
}

// giveNext gives an interface the next address that nobody wrote.
func (r *resolver) giveNext(g *giver, to *iface, written map[netip.Addr]struct{}) {
	g.wanted++
	for g.next.IsValid() && !g.last.Less(g.next) {
		a := g.next
		g.next = a.Next()
		if _, taken := written[a]; !taken {
			r.giveAddress(to, g.subnet.Pos, netip.PrefixFrom(a, g.subnet.Prefix.Bits()), 2)
			return
		}
	}
	g.missing++
}

// writtenAddrs gives every address that the file gives to an interface.
func (r *resolver) writtenAddrs() map[netip.Addr]struct{} {
	written := map[netip.Addr]struct{}{}
	for i := range r.ifaces {
		f := &r.ifaces[i]
		for _, a := range f.Addresses[:f.written] {
			written[a.Prefix.Addr()] = struct{}{}
		}
	}
	return written
}
