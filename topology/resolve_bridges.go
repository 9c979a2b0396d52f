package topology

import (
	"time"
)

// maxPorts is how many ports a bridge takes: BR_MAX_PORTS - 1, see
// net/bridge/br_private.h.
const maxPorts = 1023

// minForwardDelay is that of a bridge that speaks STP: BR_MIN_FORWARD_DELAY, see
// net/bridge/br_private.h. Without STP there is none.
const minForwardDelay = 2 * time.Second

// joinBridges gives bridges their settings and interfaces their Master.
func (r *resolver) joinBridges() {
	for i := range r.nodes {
		n := &r.nodes[i]
		for _, id := range n.ids[:n.declared] {
			if r.ifaces[id].Type == Bridge {
				r.joinBridge(n, &r.ifaces[id])
			}
		}
		r.checkPorts(n)
	}
}

func (r *resolver) joinBridge(n *node, b *iface) {
	if b.Bridge == nil {
		b.Bridge = &BridgeSettings{}
	}
	if s := b.Bridge; s.STP && s.ForwardDelay != nil && *s.ForwardDelay < minForwardDelay {
		r.errorf(b.Pos, r.interfacePath(b)+".forward_delay", "", "with stp it is %v or more, not %v", minForwardDelay, *s.ForwardDelay)
	}
	for _, p := range b.Ports {
		r.takePort(n, b, p)
	}
	ports := len(b.Ports)
	if n.Kind == Switch && b.Name == "br0" {
		b.Ports = nil
		for _, id := range n.ids {
			p := &r.ifaces[id]
			if p.link < 0 {
				continue
			}
			p.Master = b.Name
			b.Ports = append(b.Ports, Text{Pos: p.Pos, Value: p.Name})
		}
		ports = len(b.Ports)
	}
	if ports > maxPorts {
		r.errorf(b.Pos, r.interfacePath(b), "join several switches by links", "%d ports; a bridge takes %d", ports, maxPorts)
	}
}

// takePort makes an interface that a bridge names its port.
func (r *resolver) takePort(n *node, b *iface, name Text) {
	path := r.interfacePath(b) + ".ports"
	id, ok := r.find(n, name.Value)
	if !ok {
		if !r.unsure(n) {
			r.errorf(name.Pos, path, r.interfaceHint(n, name.Value), "%s has no interface %q", n.Name, name.Value)
		}
		return
	}
	p := &r.ifaces[id]
	switch {
	case p.Type != Veth:
		r.errorf(name.Pos, path, "", "%s is a %s; a port is the end of a link", p.Name, typeWord(p.Type))
	case p.Master != "":
		r.errorf(name.Pos, path, "an interface is the port of one bridge, once", "%s is a port of %s already", p.Name, p.Master)
	default:
		p.Master = b.Name
	}
}

func typeWord(t string) string {
	if t == Loopback {
		return "loopback interface"
	}
	return t
}

// checkPorts checks what only a bridge's port may have, and must not have.
func (r *resolver) checkPorts(n *node) {
	for _, id := range n.ids {
		i := &r.ifaces[id]
		for _, e := range i.FDB {
			p, ok := r.find(n, e.Port)
			switch {
			case ok && r.ifaces[p].Master == i.Name:
			case ok:
				r.errorf(e.Pos, r.interfacePath(i)+".fdb", "", "%s is not a port of %s", e.Port, i.Name)
			case !r.unsure(n):
				r.errorf(e.Pos, r.interfacePath(i)+".fdb", r.interfaceHint(n, e.Port), "%s has no interface %q", n.Name, e.Port)
			}
		}
		if i.Master == "" {
			if i.Port != nil && !r.unsure(n) {
				r.errorf(i.Port.Pos, r.interfacePath(i)+".port", "name it in the `ports` of a bridge", "%s is not a bridge's port", i.Name)
			}
			continue
		}
		if len(i.Addresses) > 0 {
			r.warnf(i.Addresses[0].Pos, r.interfacePath(i), "give the address to the bridge "+i.Master,
				"%s is a bridge's port: what arrives there does not reach its address", i.Name)
		}
	}
}

// findSegments gives every interface its segment: what links and bridges join.
func (r *resolver) findSegments() {
	root := make([]int32, len(r.ifaces))
	for i := range root {
		root[i] = int32(i)
	}
	find := func(i int32) int32 {
		for root[i] != i {
			root[i] = root[root[i]]
			i = root[i]
		}
		return i
	}
	for i := range r.nodes {
		n := &r.nodes[i]
		for _, id := range n.ids {
			f := &r.ifaces[id]
			if f.peer > id {
				root[find(id)] = find(f.peer)
			}
			if f.Master != "" {
				bridge, _ := r.find(n, f.Master)
				root[find(id)] = find(bridge)
			}
		}
	}
	// Number the segments in the order of nodes, count, then fill.
	number := make([]int32, len(r.ifaces))
	var sizes []int
	total := 0
	for i := range r.nodes {
		for _, id := range r.nodes[i].ids {
			f := &r.ifaces[id]
			if f.Type == Loopback {
				continue
			}
			top := find(id)
			if number[top] == 0 {
				sizes = append(sizes, 0)
				number[top] = int32(len(sizes))
			}
			f.segment = number[top] - 1
			if f.Master == "" {
				sizes[f.segment]++
				total++
			}
		}
	}
	room := make([]int32, total)
	r.segments = make([]segment, len(sizes))
	for i, n := range sizes {
		r.segments[i].members, room = room[:0:n], room[n:]
	}
	for i := range r.nodes {
		n := &r.nodes[i]
		for _, id := range n.ids {
			if f := &r.ifaces[id]; f.segment >= 0 && f.Master == "" {
				s := &r.segments[f.segment]
				s.members = append(s.members, id)
				s.open = s.open || !n.inLab() || r.unsure(n)
			}
		}
	}
}
