package topology

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// Routing tables of rtnetlink(7): RT_TABLE_MAIN and RT_TABLE_LOCAL.
const (
	mainTable  = 254
	localTable = 255
)

// defaultIPv6Metric is what the kernel makes of metric 0: IP6_RT_PRIO_USER.
const defaultIPv6Metric = 1024

var ipv4Metric, ipv6Metric = 0, defaultIPv6Metric

func defaultMetric(v4 bool) *int {
	if v4 {
		return &ipv4Metric
	}
	return &ipv6Metric
}

var (
	defaultRoute4 = netip.MustParsePrefix("0.0.0.0/0")
	defaultRoute6 = netip.MustParsePrefix("::/0")
)

func defaultRoute(v4 bool) netip.Prefix {
	if v4 {
		return defaultRoute4
	}
	return defaultRoute6
}

// resolveRoutes completes the routes that are written, and adds the default
// routes of `gateway`.
func (r *resolver) resolveRoutes() {
	r.findRouters()
	for i := range r.nodes {
		n := &r.nodes[i]
		gateway := r.file.Nodes[i].Gateway
		if len(n.Routes) == 0 && gateway.Value == "" && n.Kind != Host {
			continue
		}
		t := routeTable{resolver: r, node: n}
		t.resolve(n.Routes)
		t.addGateway(gateway)
		n.Routes = t.routes
	}
}

// findRouters lists the interfaces of routers on each segment.
func (r *resolver) findRouters() {
	room := make([]int32, 0, len(r.ifaces))
	for s := range r.segments {
		from := len(room)
		for _, id := range r.segments[s].members {
			if i := &r.ifaces[id]; r.nodes[i.node].Kind == Router && *i.Up && len(i.Addresses) > 0 {
				room = append(room, id)
			}
		}
		r.segments[s].routers = room[from:len(room):len(room)]
	}
}

// routeTable is the routes of one node while they are resolved.
type routeTable struct {
	*resolver
	node   *node
	routes []*Route
	seen   map[routeKey]*Route

	connected []connected
	listed    bool                // connected is filled in
	index     map[connected]int32 // of many: the interface; the key's is -1 for any
	lengths   [129]bool           // of the prefixes in index
}

// routeKey is what the kernel allows one route of.
type routeKey struct {
	table  int
	to     netip.Prefix
	metric int
}

func (rt *Route) key() routeKey { return routeKey{rt.Table, rt.To, *rt.Metric} }

// connected is a network that a node is in by one of its addresses.
type connected struct {
	prefix netip.Prefix
	iface  int32
}

// networks lists the networks that the node is in, by interfaces that are up.
func (t *routeTable) networks() []connected {
	if !t.listed {
		t.listed = true
		for _, id := range t.node.ids {
			i := &t.ifaces[id]
			if !*i.Up || i.Type == Loopback || i.Master != "" {
				continue
			}
			for _, a := range i.Addresses {
				p := a.Prefix
				if a.Peer.IsValid() {
					p = a.Peer
				}
				t.connected = append(t.connected, connected{p.Masked(), id})
			}
		}
	}
	return t.connected
}

// reach gives the network that contains the address, the longest prefix first;
// of the interface dev only, unless dev is -1.
func (t *routeTable) reach(a netip.Addr, dev int32) (connected, bool) {
	if len(t.networks()) > fewNetworks {
		return t.reachMany(a, dev)
	}
	best := connected{iface: -1}
	for _, c := range t.networks() {
		if (dev < 0 || c.iface == dev) && c.prefix.Contains(a) && (best.iface < 0 || c.prefix.Bits() > best.prefix.Bits()) {
			best = c
		}
	}
	return best, best.iface >= 0
}

// fewNetworks is the number of networks up to which each is looked at.
const fewNetworks = 16

func (t *routeTable) reachMany(a netip.Addr, dev int32) (connected, bool) {
	if t.index == nil {
		t.index = make(map[connected]int32, 2*len(t.connected))
		for _, c := range t.connected {
			t.lengths[c.prefix.Bits()] = true
			t.index[c] = c.iface
			if anyDev := (connected{c.prefix, -1}); !t.isConnected(anyDev) {
				t.index[anyDev] = c.iface
			}
		}
	}
	for bits := a.BitLen(); bits >= 0; bits-- {
		if !t.lengths[bits] {
			continue
		}
		p, _ := a.Prefix(bits)
		if id, ok := t.index[connected{p, dev}]; ok {
			return connected{p, id}, true
		}
	}
	return connected{}, false
}

func (t *routeTable) isConnected(c connected) bool {
	_, is := t.index[c]
	return is
}

func (t *routeTable) resolve(written []*Route) {
	if len(written) == 0 {
		return
	}
	slab := make([]Route, len(written))
	t.routes = make([]*Route, 0, len(written)+2)
	var items itemCounter
	for i, w := range written {
		slab[i] = *w
		rt := &slab[i]
		rt.Nexthops = slices.Clone(w.Nexthops)
		item := items.at(w.Pos)
		path := func() string { return t.node.itemPath("routes", item) }
		if t.complete(rt, path) {
			t.add(rt, path)
		}
	}
}

// add appends a route unless there is one in its place already.
func (t *routeTable) add(rt *Route, path func() string) {
	if t.seen == nil {
		t.seen = map[routeKey]*Route{}
	}
	if other := t.seen[rt.key()]; other != nil {
		t.errorf(rt.Pos, path(), "give one of them another `metric` or `table`, or make one route with `nexthops`",
			"%s has a route to %v with metric %d in table %d already, at line %d", t.node.Name, rt.To, *rt.Metric, rt.Table, other.Pos.Line)
		return
	}
	t.seen[rt.key()] = rt
	t.routes = append(t.routes, rt)
}

// complete fills in a route, and reports whether it is right.
func (t *routeTable) complete(rt *Route, path func() string) bool {
	rt.To = rt.To.Masked()
	v4 := rt.To.Addr().Is4()
	rt.Type = cmp.Or(rt.Type, "unicast")
	if rt.Table == 0 {
		rt.Table = mainTable
		if rt.Type == "local" {
			rt.Table = localTable
		}
	}
	if rt.Metric == nil || !v4 && *rt.Metric == 0 {
		rt.Metric = defaultMetric(v4)
	}
	ok := true
	switch rt.Type {
	case "unicast":
		if len(rt.Nexthops) == 0 {
			t.errorf(rt.Pos, path(), "write `via ADDRESS` or `dev INTERFACE`", "the route to %v leads nowhere", rt.To)
			return false
		}
	case "local":
		if len(rt.Nexthops) == 0 && t.node.inLab() {
			rt.Nexthops = []Nexthop{{Dev: "lo"}}
		}
		for _, h := range rt.Nexthops {
			if h.Via.IsValid() {
				t.errorf(rt.Pos, path(), "", "a route of type local has no `via`")
				ok = false
			}
		}
	default:
		if len(rt.Nexthops) > 0 {
			t.errorf(rt.Pos, path(), "", "a route of type %s has no `via` or `dev`", rt.Type)
			ok = false
		}
	}
	if !t.node.inLab() && len(rt.Nexthops) == 0 {
		t.errorf(rt.Pos, path(), "give it the `dev` of one of the lab's links",
			"%s is not a namespace of the lab: a route there must lead through a link of the lab, or `down` could not tell it from others", t.node.Name)
		return false
	}
	for i := range rt.Nexthops {
		h := &rt.Nexthops[i]
		h.Weight = cmp.Or(h.Weight, 1)
		if !t.completeNexthop(rt, h, path) {
			ok = false
			continue
		}
	}
	if ok && len(rt.Nexthops) > 1 {
		ok = t.checkNexthops(rt, path)
	}
	return t.checkSrc(rt, path) && ok && t.checkConnected(rt, path)
}

// maxNexthops bounds the nexthops of a route, whose netlink attribute has a
// length of 16 bits.
const maxNexthops = 1024

func (t *routeTable) checkNexthops(rt *Route, path func() string) bool {
	if len(rt.Nexthops) > maxNexthops {
		t.errorf(rt.Pos, path(), "", "%d nexthops; at most %d are allowed", len(rt.Nexthops), maxNexthops)
		return false
	}
	seen := make(map[Nexthop]bool, len(rt.Nexthops))
	for _, h := range rt.Nexthops {
		// ip6_route_multipath_add of net/ipv6/route.c takes no other.
		if rt.To.Addr().Is6() && !h.Via.IsValid() {
			t.errorf(rt.Pos, path(), "give each nexthop a `via`", "an IPv6 route over several ways leads through gateways, and %s is an interface alone", h.Dev)
			return false
		}
		h.Weight, h.OnLink = 0, false
		if seen[h] {
			t.errorf(rt.Pos, path(), "give it more `weight` instead", "the same nexthop is there twice")
			return false
		}
		seen[h] = true
	}
	return true
}

func (t *routeTable) checkSrc(rt *Route, path func() string) bool {
	if !rt.Src.IsValid() {
		return true
	}
	if rt.Src.Is4() != rt.To.Addr().Is4() {
		t.errorf(rt.Pos, path()+".src", "", "%v is not of the family of %v", rt.Src, rt.To)
		return false
	}
	if t.hasAddr(t.node, rt.Src) {
		return true
	}
	if t.node.inLab() && !t.unsure(t.node) {
		t.errorf(rt.Pos, path()+".src", t.addressesHint(), "%v is not an address of %s", rt.Src, t.node.Name)
	}
	return !t.node.inLab()
}

// checkConnected reports an IPv4 route in the place of one that the kernel makes
// by itself.
func (t *routeTable) checkConnected(rt *Route, path func() string) bool {
	if !rt.To.Addr().Is4() || rt.Table != mainTable || *rt.Metric != 0 || rt.To.IsSingleIP() {
		return true
	}
	if c, ok := t.reach(rt.To.Addr(), -1); ok && c.prefix == rt.To {
		t.errorf(rt.Pos, path(), "take it out, or give it a `metric`",
			"the kernel makes the route to %v by itself, from the address on %s", rt.To, t.ifaces[c.iface].Name)
		return false
	}
	return true
}

// completeNexthop finds the interface that a nexthop is on.
func (t *routeTable) completeNexthop(rt *Route, h *Nexthop, path func() string) bool {
	dev := int32(-1)
	if h.Dev != "" {
		id, ok := t.find(t.node, h.Dev)
		if !ok {
			t.unknownDev(rt.Pos, path(), h.Dev)
			return false
		}
		if dev = id; !*t.ifaces[id].Up {
			t.errorf(rt.Pos, path(), "", "%s is down (`up: false`): the kernel takes no route through it", h.Dev)
			return false
		}
	}
	if !h.Via.IsValid() {
		if dev < 0 {
			t.errorf(rt.Pos, path(), "write `via ADDRESS` or `dev INTERFACE`", "the route to %v leads nowhere", rt.To)
		}
		return dev >= 0
	}
	if h.Via.Is4() && rt.To.Addr().Is6() {
		t.errorf(rt.Pos, path(), "", "an IPv6 route does not lead through the IPv4 address %v", h.Via)
		return false
	}
	if dev < 0 && (h.OnLink || h.Via.IsLinkLocalUnicast() && h.Via.Is6()) {
		why := "`onlink`"
		if !h.OnLink {
			why = "the link-local address " + h.Via.String()
		}
		t.errorf(rt.Pos, path(), "add `dev`", "%s says nothing about the interface", why)
		return false
	}
	if t.hasAddr(t.node, h.Via) {
		t.errorf(rt.Pos, path(), "name the neighbour's address", "%v is an address of %s itself", h.Via, t.node.Name)
		return false
	}
	if h.OnLink || h.Via.IsLinkLocalUnicast() && h.Via.Is6() {
		return true
	}
	c, ok := t.reach(h.Via, dev)
	if !ok {
		t.unreachable(rt.Pos, path(), h.Via, dev)
		return false
	}
	if what := noHost(h.Via, c.prefix); what != "" {
		t.errorf(rt.Pos, path(), "", "%v is the %s address of %v, not a host's", h.Via, what, c.prefix)
		return false
	}
	h.Dev = t.ifaces[c.iface].Name
	if !t.owned(t.ifaces[c.iface].segment, h.Via) {
		t.warnf(rt.Pos, path(), "", "nobody has the address %v on the segment of %s", h.Via, t.endName(c.iface))
	}
	return true
}

// unknownDev reports an interface that the node has not.
func (r *resolver) noInterface(n *node, pos Pos, path, name string) {
	switch {
	case r.unsure(n):
	case !n.inLab():
		r.errorf(pos, path, "only what leads through a link of the lab can be told from what is not the lab's",
			"%q is not the end of a link of the lab in %s", name, n.Name)
	default:
		r.errorf(pos, path, r.interfaceHint(n, name), "%s has no interface %q", n.Name, name)
	}
}

func (t *routeTable) unknownDev(pos Pos, path, name string) { t.noInterface(t.node, pos, path, name) }

// unreachable reports a nexthop that no network of the node contains.
func (t *routeTable) unreachable(pos Pos, path string, via netip.Addr, dev int32) {
	if t.unsure(t.node) {
		return
	}
	if dev < 0 {
		hint := t.networksHint()
		if down := t.downNetwork(via); down != "" {
			hint = down + " has, but is down (`up: false`)"
		}
		t.errorf(pos, path, hint, "no interface of %s that is up has a network that contains %v", t.node.Name, via)
		return
	}
	hint := "add `onlink` if it is there all the same"
	if c, ok := t.reach(via, -1); ok {
		hint = "did you mean `dev " + t.ifaces[c.iface].Name + "`?"
	}
	t.errorf(pos, path, hint, "%s has no network that contains %v", t.endName(dev), via)
}

// downNetwork names an interface that is down and whose network contains the
// address, if there is one.
func (t *routeTable) downNetwork(a netip.Addr) string {
	for _, id := range t.node.ids {
		if i := &t.ifaces[id]; !*i.Up && slices.ContainsFunc(i.Addresses, func(b Address) bool { return b.Prefix.Contains(a) }) {
			return i.Name
		}
	}
	return ""
}

// networksHint lists what the node reaches directly.
func (t *routeTable) networksHint() string {
	var b strings.Builder
	for i, c := range t.networks() {
		if i == maxListed {
			b.WriteString(", …")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(c.prefix.String() + " (" + t.ifaces[c.iface].Name + ")")
	}
	if b.Len() == 0 {
		return "give an interface of " + t.node.Name + " an address"
	}
	return t.node.Name + " is in " + b.String()
}

// addressesHint lists the node's addresses.
func (t *routeTable) addressesHint() string {
	var list []string
	for _, id := range t.node.ids {
		for _, a := range t.ifaces[id].Addresses {
			list = append(list, a.Prefix.Addr().String())
		}
	}
	if len(list) == 0 {
		return ""
	}
	return "it has " + listed(list)
}
