package topology

import (
	"net/netip"

	"gopkg.in/yaml.v3"
)

// routeTypes are the types of route that a node can have, of ip-route(8).
var routeTypes = []string{"unicast", "local", "blackhole", "unreachable", "prohibit"}

// routeDraft is a route while it is read.
type routeDraft struct {
	Route
	isDefault bool
	hasTo     bool
	first     Nexthop // what stands outside of nexthops
	hasFirst  bool
	viaFamily bool // the family of via is given in a word of its own, so it is not that of the route
}

// maxWeight is what fits rtnh_hops of linux/rtnetlink.h: a byte, one less than
// the weight.
const maxWeight = 256

var nexthopObject = newObject(append([]field[Nexthop]{
	{"via", "Address of the gateway.", addressSchema, func(p *parser, n *yaml.Node, h *Nexthop) { h.Via = p.addressValue(n) }},
	{"dev", "Interface that it is on.", nameSchema, func(p *parser, n *yaml.Node, h *Nexthop) { h.Dev = p.device(n) }},
	{"weight", "Share of the traffic.", between(1, maxWeight), func(p *parser, n *yaml.Node, h *Nexthop) {
		h.Weight, _ = p.integer(n, 1, maxWeight, "a weight")
	}},
	{"onlink", "Take the gateway as being on the interface whatever the addresses say.", boolSchema, func(p *parser, n *yaml.Node, h *Nexthop) {
		h.OnLink, _ = p.boolean(n)
	}},
}, later[Nexthop]("encap")...)...)

var routeObject = newObject(append([]field[routeDraft]{
	{"to", "Prefix, address or `default`.", textSchema, func(p *parser, n *yaml.Node, d *routeDraft) {
		if t, ok := p.text(n, "a prefix or `default`", "10.0.0.0/8"); ok {
			p.routeTo(d, t)
		}
	}},
	{"type", "What becomes of the packets; unicast if not given.", enum(routeTypes...), func(p *parser, n *yaml.Node, d *routeDraft) {
		d.Type = p.word(n, routeTypes...).Value
	}},
	{"via", "Address of the gateway.", addressSchema, func(p *parser, n *yaml.Node, d *routeDraft) {
		d.first.Via, d.hasFirst = p.addressValue(n), true
	}},
	{"dev", "Interface to send through.", nameSchema, func(p *parser, n *yaml.Node, d *routeDraft) {
		d.first.Dev, d.hasFirst = p.device(n), true
	}},
	{"onlink", "Take the gateway as being on the interface whatever the addresses say.", boolSchema, func(p *parser, n *yaml.Node, d *routeDraft) {
		d.first.OnLink, _ = p.boolean(n)
		d.hasFirst = d.hasFirst || d.first.OnLink
	}},
	{"src", "Address to send from.", addressSchema, func(p *parser, n *yaml.Node, d *routeDraft) { d.Src = p.addressValue(n) }},
	{"metric", "Of routes to one prefix, the one with the least metric is used.", between(0, maxUint32), func(p *parser, n *yaml.Node, d *routeDraft) {
		d.Metric = p.intPointer(n, 0, maxUint32, "a metric")
	}},
	{"table", "Routing table: main, local, default or a number.", tableSchema, func(p *parser, n *yaml.Node, d *routeDraft) { d.Table = p.tableValue(n) }},
	{"mtu", "MTU of the way, in bytes.", between(minMTU, maxMTU), func(p *parser, n *yaml.Node, d *routeDraft) { d.MTU = p.mtu(n) }},
	{"nexthops", "Several ways, among which the traffic is spread.", listOf(ofObject(nexthopObject)), (*parser).nexthops},
}, later[routeDraft]("encap")...)...)

func (p *parser) addressValue(n *yaml.Node) netip.Addr {
	t, ok := p.text(n, "an address", "10.0.0.1")
	if !ok {
		return netip.Addr{}
	}
	a, _ := p.address(t)
	return a
}

func (p *parser) nexthops(n *yaml.Node, d *routeDraft) {
	p.eachOf(n, "[{via: 10.0.0.1}, {via: 10.0.0.2, weight: 2}]", func(item *yaml.Node) {
		var h Nexthop
		nexthopObject.parse(p, p.mapping(item, "{via: 10.0.0.1, weight: 2}"), &h)
		d.Nexthops = append(d.Nexthops, h)
	})
}

// routes reads the list of a node.
func (p *parser) routes(n *yaml.Node) []*Route {
	var list []*Route
	p.eachOf(n, "[default via 10.0.0.1]", func(item *yaml.Node) {
		d := routeDraft{Route: Route{Pos: posOf(item)}}
		bad := p.scope(func() {
			if item.Kind == yaml.ScalarNode {
				w := wordReader{p, p.words(item)}
				w.route(&d)
			} else {
				routeObject.parse(p, p.mapping(item, "default via 10.0.0.1"), &d)
			}
		})
		if !bad && p.completeRoute(&d) {
			list = append(list, &d.Route)
		}
	})
	return list
}

// routeTo reads what a route leads to.
func (p *parser) routeTo(d *routeDraft, t Text) (ok bool) {
	d.hasTo = true
	if d.isDefault = t.Value == "default"; d.isDefault {
		return true
	}
	d.To, ok = p.network(t)
	return ok
}

// completeRoute puts a draft together, and reports whether it is right in itself.
func (p *parser) completeRoute(d *routeDraft) bool {
	fail := func(hint, format string, args ...any) bool {
		p.errorAt(d.Pos, hint, format, args...)
		return false
	}
	switch {
	case !d.hasTo:
		return fail("such as `{to: default, via: 10.0.0.1}`", "the route has no `to`")
	case d.hasFirst && len(d.Nexthops) > 0:
		return fail("give each way a nexthop", "`via`, `dev` and `onlink` of the route and its nexthops exclude each other")
	case d.hasFirst:
		d.Nexthops = []Nexthop{d.first}
	}
	if d.isDefault {
		d.To = defaultRoute(!d.defaultIsIPv6())
	}
	return true
}

// defaultIsIPv6 tells the family of a default route by its addresses; without
// any it is IPv4, as in ip-route(8).
func (d *routeDraft) defaultIsIPv6() bool {
	if d.Src.IsValid() {
		return d.Src.Is6()
	}
	for _, h := range d.Nexthops {
		if h.Via.IsValid() && !d.viaFamily {
			return h.Via.Is6()
		}
	}
	return false
}
