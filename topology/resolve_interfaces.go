package topology

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// defaultMTU is that of Ethernet, which the kernel gives a veth.
const defaultMTU = 1500

// minIPv6MTU is the least that IPv6 runs on (RFC 8200 5); below it the kernel
// takes the interface's IPv6 addresses away.
const minIPv6MTU = 1280

// completeInterfaces fills in what an interface has by default, and lists the
// interfaces of each node.
func (r *resolver) completeInterfaces() {
	lists := make([]*Interface, 0, len(r.ifaces))
	for n := range r.nodes {
		node := &r.nodes[n]
		from := len(lists)
		for _, id := range node.ids {
			i := &r.ifaces[id]
			lists = append(lists, &i.Interface)
			if i.Up == nil {
				i.Up = &yes
			}
			if i.link >= 0 {
				l := r.links[i.link].Link
				if l.Up != nil && !*l.Up {
					i.Up = &no
				}
				if i.MTU == 0 {
					i.MTU = l.MTU
				}
			}
			if i.MTU == 0 && i.Type == Veth {
				i.MTU = defaultMTU
			}
			r.checkInterface(node, i)
		}
		node.Interfaces = lists[from:len(lists):len(lists)]
	}
	for l := range r.links {
		r.checkLinkMTU(l)
	}
	r.checkMACs()
	r.deriveMACs()
}

func (r *resolver) checkInterface(n *node, i *iface) {
	if i.Alias != "" && (i.Type == Loopback || !n.inLab()) {
		r.errorf(i.Pos, r.interfacePath(i)+".alias", "", "the alias of %s is the mark of the lab it belongs to", r.nodes[i.node].Name+":"+i.Name)
	}
	if len(i.Sysctls) > 0 && !n.inLab() {
		r.errorf(i.Sysctls[0].Pos, r.interfacePath(i)+".sysctls", "set it with sysctl(8), outside the lab",
			"no sysctl of %s is changed: the namespace is not made by the lab", n.Name)
	}
	if i.Type == Loopback && !i.MAC.IsZero() {
		r.errorf(i.Pos, r.interfacePath(i)+".mac", "", "lo has no MAC")
	}
}

func (r *resolver) checkLinkMTU(l int) {
	link := &r.links[l]
	if link.broken {
		return
	}
	a, b := &r.ifaces[link.ends[0]], &r.ifaces[link.ends[1]]
	if a.MTU != b.MTU {
		r.warnf(link.Pos, r.linkPath(l), "give the link `mtu` and leave it out of the interfaces",
			"the ends differ in MTU: %s has %d, %s has %d", r.endName(link.ends[0]), a.MTU, r.endName(link.ends[1]), b.MTU)
	}
}

// effectiveMTU is the MTU that an interface will have: that of a bridge follows
// its ports.
func (r *resolver) effectiveMTU(n *node, i *iface) int {
	if i.Type != Bridge || i.MTU != 0 {
		return i.MTU
	}
	least := 0
	for _, p := range i.Ports {
		if id, ok := r.find(n, p.Value); ok && (least == 0 || r.ifaces[id].MTU < least) {
			least = r.ifaces[id].MTU
		}
	}
	return least
}

// deriveMACs gives every interface without a MAC one that depends on the names
// of lab, node and interface alone, unless another interface has it.
func (r *resolver) deriveMACs() {
	taken := make(map[MAC]struct{}, len(r.ifaces))
	for n := range r.nodes {
		for _, id := range r.nodes[n].ids {
			if m := r.ifaces[id].MAC; !m.IsZero() {
				taken[m] = struct{}{}
			}
		}
	}
	lab := fnv(fnvOffset, r.lab.Name)
	for n := range r.nodes {
		ofNode := fnv(lab, r.nodes[n].Name)
		for _, id := range r.nodes[n].ids {
			i := &r.ifaces[id]
			if !i.MAC.IsZero() || i.Type == Loopback {
				continue
			}
			for h := fnv(ofNode, i.Name); ; h++ {
				m := macOf(h)
				if _, used := taken[m]; !used {
					taken[m] = struct{}{}
					i.MAC = m
					break
				}
			}
		}
	}
}

// fnvOffset and fnvPrime are those of the 64-bit FNV-1a hash.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// fnv goes on hashing with s and a zero byte, which no name has.
func fnv(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h * fnvPrime
}

// macOf makes a locally administered unicast address (IEEE 802, 8.2) of a hash.
func macOf(h uint64) MAC {
	// Spread the last bytes, which FNV leaves in the low bits.
	h = (h ^ h>>31) * 0x9e3779b97f4a7c15
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], h)
	m := MAC(b[:6])
	m[0] = m[0]&^1 | 2
	return m
}

// checkAddresses checks addresses and MACs against each other, and IPv6 against
// the MTU.
func (r *resolver) checkAddresses() {
	for s := range r.segments {
		r.checkSegment(&r.segments[s])
	}
	for i := range r.nodes {
		n := &r.nodes[i]
		for _, id := range n.ids {
			r.checkInterfaceAddresses(n, &r.ifaces[id])
		}
		r.checkOverlap(n)
	}
}

// checkSegment reports an address that two interfaces of a segment have.
func (r *resolver) checkSegment(s *segment) {
	for _, id := range s.members {
		for _, a := range r.ifaces[id].Addresses {
			if first := r.ownerIn(&s.addrs, s.members, a.Prefix.Addr()); first != id {
				r.duplicateAddress(a, id, first)
			}
		}
	}
}

func (r *resolver) duplicateAddress(a Address, id, other int32) {
	i, o := &r.ifaces[id], &r.ifaces[other]
	at := slices.IndexFunc(o.Addresses, func(b Address) bool { return b.Prefix.Addr() == a.Prefix.Addr() })
	r.errorf(a.Pos, r.interfacePath(i), "an address has one owner on a segment",
		"%v of %s is the address of %s as well (line %d), on the same segment", a.Prefix.Addr(), r.endName(id), r.endName(other), o.Addresses[at].Pos.Line)
}

// checkMACs reports a MAC that two interfaces of a segment have, before those
// that are not written are derived. A bridge may have the MAC of its port, as it
// does by default.
func (r *resolver) checkMACs() {
	type key struct {
		segment int32
		mac     MAC
	}
	var owner map[key]int32
	for n := range r.nodes {
		for _, id := range r.nodes[n].ids {
			i := &r.ifaces[id]
			if i.MAC.IsZero() || i.segment < 0 {
				continue
			}
			k := key{i.segment, i.MAC}
			other, taken := owner[k]
			if !taken {
				if owner == nil {
					owner = map[key]int32{}
				}
				owner[k] = id
				continue
			}
			o := &r.ifaces[other]
			if o.node == i.node && (o.Master == i.Name || i.Master == o.Name) {
				continue
			}
			r.errorf(i.Pos, r.interfacePath(i)+".mac", "leave it out: a MAC is derived from lab, node and interface",
				"%v of %s is the MAC of %s as well (line %d), on the same segment", i.MAC, r.endName(id), r.endName(other), o.Pos.Line)
		}
	}
}

// checkInterfaceAddresses checks the addresses of one interface.
func (r *resolver) checkInterfaceAddresses(n *node, i *iface) {
	mtu := 0
	r.checkTwice(i)
	for _, a := range i.Addresses {
		addr := a.Prefix.Addr()
		if what := noHost(addr, a.Prefix.Masked()); what != "" && !a.Peer.IsValid() && i.Type != Loopback {
			first, _ := hosts(a.Prefix.Masked())
			r.warnf(a.Pos, r.interfacePath(i), "the first address for a host is "+first.String(),
				"%v is the %s address of %v", addr, what, a.Prefix.Masked())
		}
		if addr.Is6() {
			if mtu == 0 {
				mtu = r.effectiveMTU(n, i)
			}
			if mtu != 0 && mtu < minIPv6MTU {
				r.errorf(a.Pos, r.interfacePath(i), "raise the MTU or take the IPv6 address out",
					"%v needs an MTU of %d or more; that of %s is %d", addr, minIPv6MTU, i.Name, mtu)
			}
		}
	}
}

// checkTwice reports an address that an interface has twice.
func (r *resolver) checkTwice(i *iface) {
	var seen map[netip.Addr]bool // where they are many
	if len(i.Addresses) > fewAddresses {
		seen = make(map[netip.Addr]bool, len(i.Addresses))
	}
	for at, a := range i.Addresses {
		twice := seen[a.Prefix.Addr()]
		if seen != nil {
			seen[a.Prefix.Addr()] = true
		} else {
			twice = slices.ContainsFunc(i.Addresses[:at], func(b Address) bool { return b.Prefix.Addr() == a.Prefix.Addr() })
		}
		if twice {
			r.errorf(a.Pos, r.interfacePath(i), "", "%v is there twice", a.Prefix.Addr())
		}
	}
}

// checkOverlap warns of a subnet that a node has on two interfaces: only one of
// them is used to reach it.
func (r *resolver) checkOverlap(n *node) {
	if len(n.ids) < 3 {
		return // lo and one more
	}
	r.overlaps = r.overlaps[:0]
	for _, id := range n.ids {
		i := &r.ifaces[id]
		if i.Type == Loopback || i.Master != "" {
			continue
		}
		for at, a := range i.Addresses {
			p := a.Prefix
			if a.Peer.IsValid() {
				p = a.Peer
			}
			if p.IsSingleIP() || p.Addr().IsLinkLocalUnicast() {
				continue
			}
			r.overlaps = append(r.overlaps, overlap{p.Masked(), id, at})
		}
	}
	if len(r.overlaps) < 2 {
		return
	}
	slices.SortStableFunc(r.overlaps, func(a, b overlap) int { return comparePrefixes(a.prefix, b.prefix) })
	wide := r.overlaps[0] // the one that reaches furthest so far; prefixes nest or are apart
	for _, s := range r.overlaps[1:] {
		if !wide.prefix.Overlaps(s.prefix) {
			wide = s
			continue
		}
		if wide.iface == s.iface {
			continue
		}
		i, o := &r.ifaces[s.iface], &r.ifaces[wide.iface]
		r.warnf(i.Addresses[s.address].Pos, r.interfacePath(i), "",
			"%v on %s overlaps %v on %s: one of them is not reached", s.prefix, i.Name, wide.prefix, o.Name)
	}
}

// overlap is a subnet on one of a node's interfaces.
type overlap struct {
	prefix  netip.Prefix
	iface   int32
	address int // index into its Addresses
}
