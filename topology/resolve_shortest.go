package topology

import (
	"net/netip"
	"slices"
)

// routeShortest gives every router, and every host whose gateway is left open
// and not found, a route along the shortest ways to each prefix of the lab. It
// counts the networks between: all are one hop. Equal ways become nexthops of one
// route. A route that is there already stays.
//
// The lab is a graph of nodes and networks, a network being the interfaces of a
// segment that have one prefix. From each prefix a breadth-first search finds
// the distance of every node, and with it its nexthops: all nodes of its
// networks that are one hop nearer.
func (r *resolver) routeShortest() {
	if r.lab.Routing != "shortest" || len(r.errs) > 0 {
		return
	}
	g := newGraph(r)
	if !g.fits() {
		return
	}
	for _, d := range g.destinations() {
		g.search(d)
	}
}

// Bounds of `routing: shortest`, some times what a lab of 1000 routers needs:
// the routes made, and the steps of all searches.
const (
	maxShortest = 5_000_000
	maxSteps    = 200_000_000
)

// fits reports a lab that is too large.
func (g *graph) fits() bool {
	wanting, attachments := 0, 0
	for i := range g.nodes {
		v := &g.nodes[i]
		if v.wants[0] || v.wants[1] {
			wanting++
		}
		attachments += len(v.attached[0]) + len(v.attached[1])
	}
	prefixes := len(g.byPrefix)
	if wanting*prefixes <= maxShortest && attachments*prefixes <= maxSteps {
		return true
	}
	g.r.errorf(g.r.file.Routing.Pos, "routing", "write the routes, or make the lab smaller",
		"shortest: the lab is too large, with %d nodes that need routes to %d prefixes", wanting, prefixes)
	return false
}

// maxWays bounds the equal ways that are used together.
const maxWays = 256

type graph struct {
	r        *resolver
	nodes    []graphNode
	networks []network
	byPrefix map[netip.Prefix]*destination

	round int32 // of the search; what carries another number was not visited in it
	slab  []Route
}

type graphNode struct {
	node     *node
	attached [2][]attachment // IPv4, IPv6
	wants    [2]bool         // gets routes of the family
	forwards bool
	existing map[netip.Prefix]struct{} // routes that a new one would collide with
	sets     []hopSet                  // of nexthops, shared by routes

	round, distance int32
	hops            []hop // of the search
}

// attachment is a node's membership in a network.
type attachment struct {
	network, member int32
}

// member is a node in a network, by one of its addresses.
type member struct {
	node  int32
	iface int32
	addr  netip.Addr
}

type network struct {
	prefix          netip.Prefix
	members         []member
	round, distance int32
	from            []int32 // of the search: the members that are one hop nearer
}

// hop is a nexthop: another node through one's own interface.
type hop struct {
	iface, node int32
	via         netip.Addr
}

type hopSet struct {
	hops     []hop
	nexthops []Nexthop
}

// destination is a prefix with where it is.
type destination struct {
	prefix   netip.Prefix
	networks []int32
	owners   []int32 // nodes that have it on lo
}

func familyIndex(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

func newGraph(r *resolver) *graph {
	g := &graph{r: r, byPrefix: map[netip.Prefix]*destination{}}
	type key struct {
		segment int32
		prefix  netip.Prefix
	}
	numbers := map[key]int32{}
	for i := range r.nodes {
		n := &r.nodes[i]
		at := g.addNode(n)
		for _, id := range n.ids {
			f := &r.ifaces[id]
			if !*f.Up || f.Master != "" {
				continue
			}
			for _, a := range f.Addresses {
				p, addr := a.Prefix.Masked(), a.Prefix.Addr()
				if a.Peer.IsValid() {
					p = a.Peer.Masked()
				}
				if addr.IsLinkLocalUnicast() || addr.IsLoopback() || a.Scope == "host" || a.Scope == "link" {
					continue
				}
				d := g.destination(p)
				if f.segment < 0 {
					if at >= 0 {
						d.owners = append(d.owners, at)
					}
					continue
				}
				k := key{f.segment, p}
				number, ok := numbers[k]
				if !ok {
					number = int32(len(g.networks))
					numbers[k] = number
					g.networks = append(g.networks, network{prefix: p})
					d.networks = append(d.networks, number)
				}
				if at >= 0 {
					s, v := &g.networks[number], &g.nodes[at]
					f := familyIndex(addr)
					v.attached[f] = append(v.attached[f], attachment{number, int32(len(s.members))})
					s.members = append(s.members, member{at, id, addr})
				}
			}
		}
	}
	return g
}

// addNode takes a node into the graph if it forwards, wants routes, or has
// addresses of its own on lo; else it gives -1.
func (g *graph) addNode(n *node) int32 {
	v := graphNode{node: n, forwards: n.Kind == Router}
	lo := false
	for f := range v.wants {
		v.wants[f] = n.Kind == Router || n.Kind == Host && n.noDefault[f]
	}
	for _, id := range n.ids {
		lo = lo || g.r.ifaces[id].Type == Loopback && len(g.r.ifaces[id].Addresses) > 0
	}
	if !n.inLab() || !lo && !v.wants[0] && !v.wants[1] {
		return -1
	}
	for _, rt := range n.Routes {
		if rt.Table == mainTable && *rt.Metric == *defaultMetric(rt.To.Addr().Is4()) {
			if v.existing == nil {
				v.existing = map[netip.Prefix]struct{}{}
			}
			v.existing[rt.To] = struct{}{}
		}
	}
	g.nodes = append(g.nodes, v)
	return int32(len(g.nodes) - 1)
}

func (g *graph) destination(p netip.Prefix) *destination {
	d := g.byPrefix[p]
	if d == nil {
		d = &destination{prefix: p}
		g.byPrefix[p] = d
	}
	return d
}

// destinations gives every prefix of the lab, sorted, and makes room for a
// route to each.
func (g *graph) destinations() []*destination {
	all := make([]*destination, 0, len(g.byPrefix))
	var count [2]int
	for _, d := range g.byPrefix {
		all = append(all, d)
		count[familyIndex(d.prefix.Addr())]++
	}
	slices.SortFunc(all, func(a, b *destination) int { return comparePrefixes(a.prefix, b.prefix) })
	for i := range g.nodes {
		v := &g.nodes[i]
		for f := range v.wants {
			if v.wants[f] {
				v.node.Routes = slices.Grow(v.node.Routes, count[f])
			}
		}
	}
	return all
}

// search gives routes to one prefix. Nodes and networks are visited in turn, by
// rising distance.
func (g *graph) search(d *destination) {
	g.round++
	family := familyIndex(d.prefix.Addr())
	var reached []int32 // nodes that pass packets on towards the prefix
	start := func(i int32, expand bool) {
		if v := &g.nodes[i]; v.round != g.round {
			v.round, v.distance = g.round, 0
			if expand {
				reached = append(reached, i)
			}
		}
	}
	for _, i := range d.owners {
		start(i, true)
	}
	for _, s := range d.networks {
		g.networks[s].round = g.round
		g.networks[s].distance = 0
		for _, m := range g.networks[s].members {
			// Of what does not forward, its own address is reached and nothing behind it.
			start(m.node, g.nodes[m.node].forwards || d.prefix.IsSingleIP())
		}
	}
	var networks, next []int32
	for distance := int32(1); len(reached) > 0; distance++ {
		networks = g.enter(reached, networks[:0], family, distance)
		next = g.cross(networks, next[:0], distance)
		reached = reached[:0]
		for _, i := range next {
			g.addRoute(&g.nodes[i], d.prefix, family)
			if g.nodes[i].forwards {
				reached = append(reached, i)
			}
		}
	}
}

// enter visits the networks that the nodes are in, by an address that the others
// there can reach: one with a peer may lie outside.
func (g *graph) enter(nodes, networks []int32, family int, distance int32) []int32 {
	for _, i := range nodes {
		for _, a := range g.nodes[i].attached[family] {
			s := &g.networks[a.network]
			if !s.prefix.Contains(s.members[a.member].addr) {
				continue
			}
			if s.round != g.round {
				s.round, s.distance, s.from = g.round, distance, s.from[:0]
				networks = append(networks, a.network)
			}
			if s.distance == distance {
				s.from = append(s.from, a.member)
			}
		}
	}
	return networks
}

// cross visits the nodes in the networks, and notes their nexthops.
func (g *graph) cross(networks, nodes []int32, distance int32) []int32 {
	for _, n := range networks {
		s := &g.networks[n]
		for _, m := range s.members {
			v := &g.nodes[m.node]
			if v.round != g.round {
				v.round, v.distance, v.hops = g.round, distance, v.hops[:0]
				nodes = append(nodes, m.node)
			}
			if v.distance != distance {
				continue
			}
			for _, from := range s.from {
				via := s.members[from]
				if len(v.hops) < maxWays && !slices.ContainsFunc(v.hops, func(h hop) bool { return h.iface == m.iface && h.node == via.node }) {
					v.hops = append(v.hops, hop{m.iface, via.node, via.addr})
				}
			}
		}
	}
	return nodes
}

// addRoute gives a node the route over the nexthops that the search noted.
func (g *graph) addRoute(v *graphNode, to netip.Prefix, family int) {
	if !v.wants[family] {
		return
	}
	if _, exists := v.existing[to]; exists {
		return
	}
	nexthops := g.nexthops(v)
	if len(nexthops) == 0 {
		return
	}
	if len(g.slab) == 0 {
		g.slab = make([]Route, 256)
	}
	rt := &g.slab[0]
	g.slab = g.slab[1:]
	*rt = Route{To: to, Type: "unicast", Nexthops: nexthops, Metric: defaultMetric(family == 0), Table: mainTable}
	v.node.Routes = append(v.node.Routes, rt)
}

// nexthops gives the nexthops of the search, the same slice for the same ones.
// The kernel takes none that has an address of the node itself, as another
// segment with the same network may.
func (g *graph) nexthops(v *graphNode) []Nexthop {
	for _, s := range v.sets {
		if slices.Equal(s.hops, v.hops) {
			return s.nexthops
		}
	}
	list := make([]Nexthop, 0, len(v.hops))
	for _, h := range v.hops {
		if !g.r.hasAddr(v.node, h.via) {
			list = append(list, Nexthop{Via: h.via, Dev: g.r.ifaces[h.iface].Name, Weight: 1})
		}
	}
	v.sets = append(v.sets, hopSet{slices.Clone(v.hops), list})
	return list
}
