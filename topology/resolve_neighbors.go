package topology

import (
	"cmp"
	"net/netip"
)

// neighborKey is what a neighbour table has one entry of.
type neighborKey struct {
	dev int32
	ip  netip.Addr
}

// resolveNeighbors checks the entries that are written, and adds those of
// `neighbors: static`.
func (r *resolver) resolveNeighbors() {
	static := r.lab.Neighbors == "static" && len(r.errs) == 0 && r.neighborsFit()
	for i := range r.nodes {
		n := &r.nodes[i]
		written := r.writtenNeighbors(n)
		if static {
			r.addNeighbors(n, written)
		}
	}
}

// maxNeighbors bounds the entries of `neighbors: static`: those of a switch with
// 1000 hosts.
const maxNeighbors = 1 << 20

// neighborsFit counts at most how many entries there would be, and reports too
// many.
func (r *resolver) neighborsFit() bool {
	total := 0
	for i := range r.segments {
		addresses := 0
		for _, id := range r.segments[i].members {
			addresses += len(r.ifaces[id].Addresses)
		}
		total += addresses * len(r.segments[i].members)
	}
	if total <= maxNeighbors {
		return true
	}
	r.errorf(r.file.Addressing.Neighbors.Pos, "addressing.neighbors", "let them be learned, or make the segments smaller",
		"static: up to %d entries; at most %d are made", total, maxNeighbors)
	return false
}

func (r *resolver) writtenNeighbors(n *node) map[neighborKey]*Neighbor {
	if len(n.Neighbors) == 0 {
		return nil
	}
	seen := make(map[neighborKey]*Neighbor, len(n.Neighbors))
	list := make([]*Neighbor, 0, len(n.Neighbors))
	slab := make([]Neighbor, len(n.Neighbors))
	var items itemCounter
	for i, w := range n.Neighbors {
		slab[i] = *w
		e := &slab[i]
		path := n.itemPath("neighbors", items.at(w.Pos))
		e.State = cmp.Or(e.State, "permanent")
		dev, ok := r.find(n, e.Dev)
		if !ok {
			r.noInterface(n, e.Pos, path, e.Dev)
			continue
		}
		k := neighborKey{dev, e.IP}
		if other := seen[k]; other != nil {
			r.errorf(e.Pos, path, "", "%v on %s has an entry already, at line %d", e.IP, e.Dev, other.Pos.Line)
			continue
		}
		seen[k] = e
		list = append(list, e)
	}
	n.Neighbors = list
	return seen
}

// addNeighbors adds an entry for every address on the segments that the node is
// in, by each interface that has addresses of that family.
func (r *resolver) addNeighbors(n *node, written map[neighborKey]*Neighbor) {
	count := 0
	r.eachNeighbor(n, func(dev, other *iface, a netip.Addr) { count++ })
	if count == 0 {
		return
	}
	list := make([]*Neighbor, 0, len(n.Neighbors)+count)
	list = append(list, n.Neighbors...)
	slab := make([]Neighbor, 0, count)
	r.eachNeighbor(n, func(dev, other *iface, a netip.Addr) {
		if len(written) > 0 {
			id, _ := r.find(n, dev.Name)
			if written[neighborKey{id, a}] != nil {
				return
			}
		}
		slab = append(slab, Neighbor{Dev: dev.Name, IP: a, MAC: other.MAC, State: "permanent"})
		list = append(list, &slab[len(slab)-1])
	})
	n.Neighbors = list
}

// eachNeighbor visits every address of another node on the node's segments.
func (r *resolver) eachNeighbor(n *node, visit func(dev, other *iface, a netip.Addr)) {
	for _, id := range n.ids {
		dev := &r.ifaces[id]
		if dev.segment < 0 || dev.Master != "" {
			continue
		}
		has := [2]bool{dev.hasFamily(true), dev.hasFamily(false)}
		if !has[0] && !has[1] {
			continue
		}
		for _, o := range r.segments[dev.segment].members {
			other := &r.ifaces[o]
			if other.node == dev.node {
				continue
			}
			for i := range other.Addresses {
				if a := other.Addresses[i].Prefix.Addr(); has[familyIndex(a)] {
					visit(dev, other, a)
				}
			}
		}
	}
}
