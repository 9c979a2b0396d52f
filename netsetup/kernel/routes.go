package kernel

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
)

const sizeofRtNexthop = unix.SizeofRtNexthop

// routeTypeNames are the names of RTN_* by number, as ip-route(8) has them.
var routeTypeNames = [...]string{
	"none", netsetup.Unicast, netsetup.Local, "broadcast", "anycast", "multicast",
	netsetup.Blackhole, netsetup.Unreachable, netsetup.Prohibit, "throw", "nat", "xresolve",
}

// goesSomewhere reports a type of route that has nexthops. The others show the
// device lo in IPv6, which means nothing.
func goesSomewhere(typ string) bool {
	switch typ {
	case netsetup.Blackhole, netsetup.Unreachable, netsetup.Prohibit, "throw":
		return false
	}
	return true
}

// routeRequest asks for all routes of one family, in all tables.
func routeRequest(family uint8) *request {
	var r request
	r.begin(unix.RTM_GETROUTE, unix.NLM_F_DUMP, 0, unix.SizeofRtMsg)[0] = family
	r.end()
	return &r
}

// routeProtocol gives the protocol of an RTM_NEWROUTE that may be in a State:
// not one that the kernel made by itself, nor a cached or cloned one.
func routeProtocol(m message) (proto uint8, ok bool) {
	if m.typ != unix.RTM_NEWROUTE || len(m.payload) < unix.SizeofRtMsg {
		return 0, false
	}
	proto = m.payload[5]
	flags := native.Uint32(m.payload[8:])
	return proto, proto != unix.RTPROT_KERNEL && proto != unix.RTPROT_REDIRECT && flags&unix.RTM_F_CLONED == 0
}

// parsedRoute is one RTM_NEWROUTE.
type parsedRoute struct {
	route   netsetup.Route // without Origin
	expires bool
	foreign bool // by a link that is
	unknown bool // by a link that is not among those read
}

// parseRoute reads an RTM_NEWROUTE; links turns indexes into names.
func parseRoute(m message, links linkTable) (p parsedRoute, ok bool) {
	fam := m.payload[0]
	if fam != unix.AF_INET && fam != unix.AF_INET6 {
		return p, false // multicast routing
	}
	rt := &p.route
	bits := int(m.payload[1])
	if fam == unix.AF_INET {
		rt.TOS = m.payload[3]
	}
	rt.Table = int(m.payload[4])
	rt.Protocol = m.payload[5]
	rt.Type = routeTypeNames[0]
	if t := m.payload[7]; int(t) < len(routeTypeNames) {
		rt.Type = routeTypeNames[t]
	}
	dst := netip.IPv4Unspecified()
	if fam == unix.AF_INET6 {
		dst = netip.IPv6Unspecified()
	}
	one := nexthop{flags: m.payload[8], weight: 1}
	var many []nexthop
	for a := attributes(m.payload, unix.SizeofRtMsg); a.next(); {
		switch a.typ {
		case unix.RTA_DST:
			dst = a.addr()
		case unix.RTA_SRC:
			rt.From = netip.PrefixFrom(a.addr(), int(m.payload[2]))
		case unix.RTA_TABLE:
			rt.Table = int(a.u32())
		case unix.RTA_PRIORITY:
			rt.Metric = int(a.u32())
		case unix.RTA_PREFSRC:
			rt.Src = a.addr()
		case unix.RTA_METRICS:
			for x := a.nested(); x.next(); {
				if x.typ == unix.RTAX_MTU {
					rt.MTU = int(x.u32())
				} else {
					rt.Other = true
				}
			}
		case unix.RTA_OIF:
			one.index = int32(a.u32())
		case unix.RTA_GATEWAY:
			one.via = a.addr()
		case unix.RTA_VIA:
			one.via = viaAddr(a.value)
		case unix.RTA_MULTIPATH:
			many = parseNexthops(a.value)
		case unix.RTA_CACHEINFO:
			// struct rta_cacheinfo: the third field is rta_expires.
			p.expires = len(a.value) >= 12 && native.Uint32(a.value[8:]) != 0
		case unix.RTA_ENCAP, unix.RTA_FLOW, rtaNhID:
			rt.Other = true
		case unix.RTA_EXPIRES:
			p.expires = true
		}
	}
	rt.Dst = netip.PrefixFrom(dst, bits)
	if many == nil && one.index != 0 {
		many = []nexthop{one}
	}
	if goesSomewhere(rt.Type) && len(many) > 0 {
		rt.Nexthops = make([]netsetup.Nexthop, len(many))
	}
	for i := range rt.Nexthops {
		h := &many[i]
		rt.Nexthops[i] = netsetup.Nexthop{Via: h.via, Weight: h.weight, OnLink: h.flags&unix.RTNH_F_ONLINK != 0}
		if link := links.byIndex(h.index); link != nil {
			rt.Nexthops[i].Dev = link.name
			p.foreign = p.foreign || link.foreign
		} else if h.index != 0 {
			p.unknown = true
		}
	}
	return p, rt.Dst.IsValid()
}

// nexthop is one way of a route, with the link's index.
type nexthop struct {
	index  int32
	via    netip.Addr
	weight int
	flags  uint8 // RTNH_F_*
}

// parseNexthops reads RTA_MULTIPATH: struct rtnexthop, each with its
// attributes. What is cut short is left out.
func parseNexthops(b []byte) []nexthop {
	list := make([]nexthop, 0, 4)
	for len(b) >= sizeofRtNexthop {
		n := int(native.Uint16(b))
		if n < sizeofRtNexthop || n > len(b) {
			break
		}
		h := nexthop{flags: b[2], weight: int(b[3]) + 1, index: int32(native.Uint32(b[4:]))}
		for a := (attrs{rest: b[sizeofRtNexthop:n]}); a.next(); {
			switch a.typ {
			case unix.RTA_GATEWAY:
				h.via = a.addr()
			case unix.RTA_VIA:
				h.via = viaAddr(a.value)
			}
		}
		list = append(list, h)
		b = b[min(align(n), len(b)):]
	}
	return list
}

// viaAddr reads struct rtvia: a family and an address of it.
func viaAddr(b []byte) netip.Addr {
	if len(b) < 2 {
		return netip.Addr{}
	}
	return ipOf(b[2:])
}

func (p *parsedRoute) origin() netsetup.Origin {
	switch p.route.Protocol {
	case netsetup.Protocol:
		return netsetup.Ours
	case unix.RTPROT_UNSPEC, unix.RTPROT_BOOT, unix.RTPROT_STATIC:
		if !p.expires && !p.foreign {
			return netsetup.Manual
		}
	}
	return netsetup.Foreign
}

func (o *observer) routes() error {
	ns := &o.ns
	var first int // of the family being read
	var own []kernelRoute
	each := func(m message) error {
		proto, ok := routeProtocol(m)
		if proto == unix.RTPROT_KERNEL && !o.guest() {
			own = appendKernelRoute(own, m)
		}
		if !ok || o.guest() && proto != netsetup.Protocol && len(o.wantedRoutes) == 0 {
			return nil
		}
		p, ok := parseRoute(m, o.links)
		if !ok {
			return nil
		}
		p.route.Origin = p.origin()
		if o.guest() && !o.concernsRoute(&p.route) {
			return nil
		}
		if p.unknown {
			return errStale
		}
		ns.Routes = append(ns.Routes, p.route)
		return nil
	}
	for _, req := range []*request{o.reqs.routes4, o.reqs.routes6} {
		first = len(ns.Routes)
		firstOwn := len(own)
		if err := o.dump(req, func() { ns.Routes, own = ns.Routes[:first], own[:firstOwn] }, each); err != nil {
			return err
		}
	}
	if !o.guest() {
		o.findStranded(own)
	}
	return nil
}

func (w *work) addRoute(op int, rt *netsetup.Route, flags uint16) error {
	proto := rt.Protocol
	if rt.Origin == netsetup.Ours {
		proto = netsetup.Protocol
	}
	return w.route(op, rt, unix.RTM_NEWROUTE, flags, proto, rt.Nexthops)
}

// changeRoute replaces a route by one of the same prefix, table and metric. The
// kernel does so in one step, but for IPv6 routes only where both have gateways
// or neither has (net/ipv6/ip6_fib.c:fib6_add_rt2node); others go first.
func (w *work) changeRoute(op int, rt, was *netsetup.Route) error {
	if rt.Dst.Addr().Is6() && (len(was.Nexthops) > 1 || hasGateways(rt) != hasGateways(was)) {
		if err := w.deleteRoute(op, was); err != nil {
			return err
		}
		return w.addRoute(op, rt, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	}
	return w.addRoute(op, rt, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
}

func hasGateways(rt *netsetup.Route) bool {
	return len(rt.Nexthops) > 0 && rt.Nexthops[0].Via.IsValid()
}

// deleteRoute asks for the end of one route. IPv6 ones with several nexthops
// are named without them, which means all (net/ipv6/route.c:ip6_route_del).
func (w *work) deleteRoute(op int, rt *netsetup.Route) error {
	proto := rt.Protocol
	if rt.Origin == netsetup.Ours {
		proto = netsetup.Protocol
	}
	hops := rt.Nexthops
	if rt.Dst.Addr().Is6() && len(hops) > 1 {
		hops = nil
	}
	return w.route(op, rt, unix.RTM_DELROUTE, 0, proto, hops)
}

func (w *work) route(op int, rt *netsetup.Route, typ, flags uint16, proto uint8, hops []netsetup.Nexthop) error {
	kind := slices.Index(routeTypeNames[:], rt.Type)
	if kind < 0 {
		return errRouteType(rt.Type)
	}
	indexes := make([]int32, len(hops))
	for i, h := range hops {
		if h.Dev == "" {
			continue
		}
		var err error
		if indexes[i], err = w.index(h.Dev); err != nil {
			return err
		}
	}
	dst := rt.Dst.Addr()
	r, body := w.begin(op, typ, flags, unix.SizeofRtMsg)
	body[0] = family(dst)
	body[1] = uint8(rt.Dst.Bits())
	if rt.From.IsValid() {
		body[2] = uint8(rt.From.Bits())
	}
	body[3] = rt.TOS
	body[5] = proto
	body[6] = routeScope(rt, typ)
	body[7] = uint8(kind)
	if len(hops) == 1 && hops[0].OnLink {
		native.PutUint32(body[8:], unix.RTNH_F_ONLINK)
	}
	if rt.Dst.Bits() > 0 {
		r.addr(unix.RTA_DST, dst)
	}
	if rt.From.IsValid() {
		r.addr(unix.RTA_SRC, rt.From.Addr())
	}
	r.u32(unix.RTA_TABLE, uint32(rt.Table))
	if rt.Metric != 0 {
		r.u32(unix.RTA_PRIORITY, uint32(rt.Metric))
	}
	if rt.Src.IsValid() {
		r.addr(unix.RTA_PREFSRC, rt.Src)
	}
	if rt.MTU != 0 && typ == unix.RTM_NEWROUTE {
		metrics := r.nest(unix.RTA_METRICS)
		r.u32(unix.RTAX_MTU, uint32(rt.MTU))
		r.unnest(metrics)
	}
	switch {
	case len(hops) == 1:
		appendGateway(r, hops[0].Via, dst)
		if indexes[0] != 0 {
			r.u32(unix.RTA_OIF, uint32(indexes[0]))
		}
	case len(hops) > 1:
		all := r.nest(unix.RTA_MULTIPATH)
		for i, h := range hops {
			at := len(r.b)
			hop := r.grow(sizeofRtNexthop)
			if h.OnLink {
				hop[2] = unix.RTNH_F_ONLINK
			}
			hop[3] = uint8(max(h.Weight, 1) - 1)
			native.PutUint32(hop[4:], uint32(indexes[i]))
			appendGateway(r, h.Via, dst)
			native.PutUint16(r.b[at:], uint16(len(r.b)-at))
		}
		r.unnest(all)
	}
	w.end()
	return nil
}

// appendGateway appends a gateway, which may be of the other family than the
// destination.
func appendGateway(r *request, via, dst netip.Addr) {
	switch {
	case !via.IsValid():
	case via.Is4() == dst.Is4():
		r.addr(unix.RTA_GATEWAY, via)
	default:
		b := via.AsSlice()
		v := r.attr(unix.RTA_VIA, 2+len(b))
		native.PutUint16(v, uint16(family(via)))
		copy(v[2:], b)
	}
}

// routeScope is what ip-route(8) gives where it is not told: a route that is
// deleted may have any.
func routeScope(rt *netsetup.Route, typ uint16) uint8 {
	switch {
	case typ == unix.RTM_DELROUTE:
		return unix.RT_SCOPE_NOWHERE
	case rt.Type == netsetup.Local:
		return unix.RT_SCOPE_HOST
	case rt.Type == netsetup.Unicast && len(rt.Nexthops) == 1 && !rt.Nexthops[0].Via.IsValid():
		return unix.RT_SCOPE_LINK
	}
	return unix.RT_SCOPE_UNIVERSE
}
