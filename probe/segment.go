package probe

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nslab/topology"
)

// between tells what there is, by the links of the lab, between an interface of a
// node and an address that nobody answers for: the ports on the way, and what of
// their state keeps packets. Nothing where nobody in the lab has the address.
func (n *node) between(dev string, a netip.Addr) []string {
	if n.run == nil {
		return nil
	}
	var lines []string
	for _, owner := range n.run.ownersOf(a) {
		for _, in := range owner.topo.Interfaces {
			if !slices.ContainsFunc(in.Addresses, func(x topology.Address) bool { return x.Prefix.Addr() == a }) {
				continue
			}
			from, to := Place{Node: n.name, Interface: dev}, Place{Node: owner.name, Interface: in.Name}
			way := n.run.wayOfLinks(from, to)
			if way == nil {
				lines = append(lines, fmt.Sprintf("no links of the lab lead from %s, which %s, to %s, which has %s and %s",
					from, n.run.linkedText(from), to, a, n.run.linkedText(to)))
				continue
			}
			line := fmt.Sprintf("%s is an address of %s%s", a, to, n.run.stateOf(to))
			if ports := way[1 : len(way)-1]; len(ports) > 0 {
				words := make([]string, len(ports))
				for i, p := range ports {
					words[i] = p.String() + n.run.stateOf(p)
				}
				line += "; on the way there: " + strings.Join(words, " > ")
			}
			lines = append(lines, line)
		}
	}
	return lines
}

// wayOfLinks are the interfaces from one to another by links and bridges, both
// included; nil where there is no way.
func (r *runner) wayOfLinks(from, to Place) []Place {
	before := map[Place]Place{from: {}}
	for queue := []Place{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at == to {
			var way []Place
			for ; at != (Place{}); at = before[at] {
				way = append(way, at)
			}
			slices.Reverse(way)
			return way
		}
		for _, next := range r.joined(at, at == from) {
			if _, seen := before[next]; !seen {
				before[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}

// joined are the other end of an interface's link, and, of a port, its bridge and
// the bridge's other ports; of a bridge its ports.
func (r *runner) joined(p Place, first bool) []Place {
	var next []Place
	if peer := r.linkedTo(p); peer != (Place{}) {
		next = append(next, peer)
	}
	in := r.interfaceOf(p)
	if in == nil {
		return next
	}
	for _, x := range r.nodes[p.Node].topo.Interfaces {
		if x != in && (in.Master != "" && (x.Name == in.Master || x.Master == in.Master) || first && x.Master == p.Interface) {
			next = append(next, Place{Node: p.Node, Interface: x.Name})
		}
	}
	return next
}

func (r *runner) interfaceOf(p Place) *topology.Interface {
	n := r.nodes[p.Node]
	if n == nil {
		return nil
	}
	for _, in := range n.topo.Interfaces {
		if in.Name == p.Interface {
			return in
		}
	}
	return nil
}

// linkedTo is the other end of an interface's link; zero where it is on none.
func (r *runner) linkedTo(p Place) Place {
	in := r.interfaceOf(p)
	if in == nil || in.Link == nil {
		return Place{}
	}
	for i, e := range in.Link.Endpoints {
		if e.Node == p.Node && e.Interface == p.Interface {
			other := in.Link.Endpoints[1-i]
			return Place{Node: other.Node, Interface: other.Interface}
		}
	}
	return Place{}
}

// linkedText says where an interface's link leads.
func (r *runner) linkedText(p Place) string {
	if peer := r.linkedTo(p); peer != (Place{}) {
		return "is linked to " + peer.String()
	}
	return "is on no link"
}

// stateOf is what of an interface's state keeps packets, in brackets; or "".
func (r *runner) stateOf(p Place) string {
	t, err := openTables(r.nodes[p.Node])
	if err != nil {
		return " (" + err.Error() + ")"
	}
	defer t.close()
	link, err := t.h.LinkByName(p.Interface)
	if err != nil {
		return " (" + errnoText(err) + ")"
	}
	var words []string
	switch at := link.Attrs(); {
	case at.RawFlags&unix.IFF_UP == 0:
		words = append(words, "down")
	case at.RawFlags&unix.IFF_LOWER_UP == 0:
		words = append(words, "no carrier")
	case r.interfaceOf(p).Master != "" && at.MasterIndex == 0:
		words = append(words, "no port of a bridge")
	}
	if port, err := t.h.LinkGetProtinfo(link); err == nil && port.Isolated {
		words = append(words, "isolated")
	}
	if len(words) == 0 {
		return ""
	}
	return " (" + strings.Join(words, ", ") + ")"
}
