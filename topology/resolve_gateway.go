package topology

import (
	"net/netip"
)

// addGateway adds the default routes of a node.
func (t *routeTable) addGateway(g Text) {
	path := func() string { return t.node.path("gateway") }
	switch g.Value {
	case "none":
	case "":
		if t.node.Kind == Host {
			t.defaultGateway(path)
		}
	case "auto":
		if t.hostSide(g, path()) {
			return
		}
		t.autoGateway(g.Pos, path)
	default:
		via, err := netip.ParseAddr(g.Value)
		if err != nil || t.hostSide(g, path()) {
			return // Parse has reported what is no address
		}
		rt := &Route{Pos: g.Pos, To: defaultRoute(via.Is4()), Nexthops: []Nexthop{{Via: via}}}
		if t.complete(rt, path) {
			t.add(rt, path)
		}
	}
}

// hostSide reports a gateway of a namespace that the lab does not own.
func (t *routeTable) hostSide(g Text, path string) bool {
	if t.node.inLab() {
		return false
	}
	t.errorf(g.Pos, path, "write a route with `dev`, if it is to be",
		"%s is not a namespace of the lab, which does not change its default route", t.node.Name)
	return true
}

// defaultGateway does as auto where it can. What is left without a default
// route gets the routes of `routing: shortest`.
func (t *routeTable) defaultGateway(path func() string) {
	for family, v4 := range [...]bool{true, false} {
		if t.hasDefault(v4) {
			continue
		}
		if way, _ := t.findGateway(v4); way != nil {
			t.addDefault(Pos{}, v4, *way, path)
		} else {
			t.node.noDefault[family] = true
		}
	}
}

// hasDefault reports whether a default route of the family is written.
func (t *routeTable) hasDefault(v4 bool) bool {
	for _, rt := range t.node.Routes {
		if rt.To.Bits() == 0 && rt.To.Addr().Is4() == v4 && (rt.Table == 0 || rt.Table == mainTable) {
			return true
		}
	}
	return false
}

// autoGateway adds a default route of each family, and reports why there is
// none.
func (t *routeTable) autoGateway(pos Pos, path func() string) {
	var why noGateway
	found, whyV4 := false, false
	for _, v4 := range [...]bool{true, false} {
		way, problem := t.findGateway(v4)
		switch {
		case way != nil:
			t.addDefault(pos, v4, *way, path)
			found = true
		case problem.several:
			t.noAuto(pos, path(), problem, v4)
			return
		case v4 || why.segments && !problem.segments: // that there is no address says less
			why, whyV4 = problem, v4
		}
	}
	if !found {
		t.noAuto(pos, path(), why, whyV4)
	}
}

func (t *routeTable) addDefault(pos Pos, v4 bool, way Nexthop, path func() string) {
	t.add(&Route{
		Pos:      pos,
		To:       defaultRoute(v4),
		Type:     "unicast",
		Nexthops: []Nexthop{way},
		Metric:   defaultMetric(v4),
		Table:    mainTable,
	}, path)
}

// noGateway says why auto finds no gateway: there are several segments or
// routers where there should be one, or there are none.
type noGateway struct {
	several, segments bool
	routers           [2]int32 // two of the several
}

func (t *routeTable) noAuto(pos Pos, path string, p noGateway, v4 bool) {
	if !t.lost && !t.doubt {
		t.errorf(pos, path, "write the gateway's address", "auto: %s", t.explain(p, v4))
	}
}

func (t *routeTable) explain(p noGateway, v4 bool) string {
	family := "IPv6"
	if v4 {
		family = "IPv4"
	}
	switch {
	case p.several && p.segments:
		return t.node.Name + " has " + family + " addresses on several segments"
	case p.several:
		return "its segment has more than one router: " + t.nodes[p.routers[0]].Name + ", " + t.nodes[p.routers[1]].Name
	case p.segments:
		return t.node.Name + " has no " + family + " address"
	}
	return "no router on its segment has an " + family + " address in its network"
}

// findGateway looks for the one router on the node's one segment.
func (t *routeTable) findGateway(v4 bool) (*Nexthop, noGateway) {
	segment := int32(-1)
	for _, id := range t.node.ids {
		i := &t.ifaces[id]
		if i.segment < 0 || i.Master != "" || !*i.Up || !i.hasFamily(v4) {
			continue
		}
		if segment >= 0 && segment != i.segment {
			return nil, noGateway{several: true, segments: true}
		}
		segment = i.segment
	}
	if segment < 0 {
		return nil, noGateway{segments: true}
	}
	var way *Nexthop
	router := int32(-1)
	for _, id := range t.segments[segment].routers {
		i := &t.ifaces[id]
		if &t.nodes[i.node] == t.node || i.node == router {
			continue
		}
		h, ok := t.throughRouter(i, v4)
		if !ok {
			continue
		}
		if way != nil {
			return nil, noGateway{several: true, routers: [2]int32{router, i.node}}
		}
		router, way = i.node, &h
	}
	if way == nil {
		return nil, noGateway{}
	}
	return way, noGateway{}
}

// throughRouter gives the way to the first of a router's addresses that the
// node reaches directly.
func (t *routeTable) throughRouter(router *iface, v4 bool) (Nexthop, bool) {
	for _, a := range router.Addresses {
		addr := a.Prefix.Addr()
		if addr.Is4() != v4 || !v4 && addr.IsLinkLocalUnicast() || t.hasAddr(t.node, addr) {
			continue
		}
		if c, ok := t.reach(addr, -1); ok && t.ifaces[c.iface].segment == router.segment {
			return Nexthop{Via: addr, Dev: t.ifaces[c.iface].Name, Weight: 1}, true
		}
	}
	return Nexthop{}, false
}
