package kernel

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
)

// kernelRoute is a route that the kernel has for an address.
type kernelRoute struct {
	dst   netip.Prefix
	index int32 // of the link
}

// appendKernelRoute adds a route to a network that is on a link.
func appendKernelRoute(list []kernelRoute, m message) []kernelRoute {
	if len(m.payload) < unix.SizeofRtMsg || m.payload[7] != unix.RTN_UNICAST {
		return list
	}
	var dst netip.Addr
	var k kernelRoute
	for a := attributes(m.payload, unix.SizeofRtMsg); a.next(); {
		switch a.typ {
		case unix.RTA_DST:
			dst = a.addr()
		case unix.RTA_OIF:
			k.index = int32(a.u32())
		}
	}
	if k.dst = netip.PrefixFrom(dst, int(m.payload[1])); !k.dst.IsValid() {
		return list
	}
	return append(list, k)
}

// findStranded marks the addresses that have no route to their network any more.
// The kernel makes one when the address is added to a link that is up, and when
// the link is taken up (net/ipv4/fib_frontend.c:fib_add_ifaddr,
// net/ipv6/addrconf.c:addrconf_prefix_route); of IPv4, only where the address is
// not all of its network, and not on lo.
func (o *observer) findStranded(routes []kernelRoute) {
	for i := range o.ns.Addresses {
		a := &o.ns.Addresses[i]
		link := o.links.byName(a.Link)
		bare := a.Prefix.Addr().Is4() && (a.Prefix.IsSingleIP() || link != nil && link.index == loIndex)
		if a.Origin != netsetup.Ours || a.Peer.IsValid() || bare || link == nil {
			continue
		}
		k := kernelRoute{a.Prefix.Masked(), link.index}
		a.Stranded = o.ns.Links[link.at].Up && !slices.Contains(routes, k)
	}
}

// loAddresses are those that the kernel gives lo.
var loAddresses = [...]netsetup.Address{
	{Origin: netsetup.Manual, Link: "lo", Prefix: loopback4, Scope: unix.RT_SCOPE_HOST},
	{Origin: netsetup.Manual, Link: "lo", Prefix: netip.PrefixFrom(netip.IPv6Loopback(), 128), Scope: unix.RT_SCOPE_HOST},
}

// findLost finds the addresses that lo lacks: the kernel gives them when lo is
// taken up, and takes the IPv6 one when it goes down or loses IPv6.
func (o *observer) findLost(onLo []netip.Prefix) {
	lo := o.links.byIndex(loIndex)
	if o.guest() || lo == nil || lo.at < 0 || !o.ns.Links[lo.at].Up {
		return
	}
	for _, a := range loAddresses {
		off, _, ipv6 := o.links.setting("net/ipv6/conf/lo/disable_ipv6", "0")
		possible := a.Prefix.Addr().Is4() || ipv6 && off == "0"
		if possible && !slices.Contains(onLo, a.Prefix) {
			o.ns.LostAddresses = append(o.ns.LostAddresses, a)
		}
	}
}
