package topology

import (
	"strconv"
)

// nameEndpoints gives every link its two interfaces. Names that are written
// come first, so that a name made up is never one that somebody wants further
// down in the file.
func (r *resolver) nameEndpoints() {
	for i := range r.links {
		if r.links[i].broken {
			r.loseEnds(i)
			continue
		}
		r.checkEndpointNodes(i)
	}
	for i := range r.links {
		for e := range r.links[i].Endpoints {
			if l := &r.links[i]; !l.broken && l.Endpoints[e].Interface != "" {
				r.takeWritten(i, e)
			}
		}
	}
	free := make([]freeName, len(r.nodes))
	for i := range r.links {
		for e := range r.links[i].Endpoints {
			if l := &r.links[i]; !l.broken && l.Endpoints[e].Interface == "" {
				n := int(r.byName[l.Endpoints[e].Node])
				r.connect(i, e, free[n].next(r, n))
			}
		}
	}
	r.orderEnds()
	r.checkUnlinked()
}

// loseEnds notes that a link which is wrong may have given its nodes an
// interface.
func (r *resolver) loseEnds(l int) {
	r.links[l].broken = true
	for _, e := range r.links[l].Endpoints {
		if n, ok := r.byName[e.Node]; ok {
			r.nodes[n].partial, r.doubt = true, true
		} else {
			r.lost = true
		}
	}
}

// checkEndpointNodes checks what can be said of a link's ends before they have
// names.
func (r *resolver) checkEndpointNodes(l int) {
	ends := &r.links[l].Endpoints
	ok := true
	for _, e := range ends {
		if _, found := r.byName[e.Node]; !found {
			r.errorf(e.Pos, r.linkPath(l), r.nodeHint(e.Node), "there is no node %q", e.Node)
			ok = false
		}
	}
	if ok {
		a, b := r.nodes[r.byName[ends[0].Node]].Node, r.nodes[r.byName[ends[1].Node]].Node
		switch {
		case a == b:
			r.errorf(ends[1].Pos, r.linkPath(l), "a link joins two nodes", "both ends are in %s", a.Name)
			ok = false
		case !a.inLab() && !b.inLab():
			r.errorf(ends[1].Pos, r.linkPath(l), "put a host, router or switch between them",
				"neither %s (%s) nor %s (%s) is in a namespace of the lab", a.Name, a.Kind, b.Name, b.Kind)
			ok = false
		}
	}
	if !ok {
		r.loseEnds(l)
	}
}

// takeWritten connects an end whose interface is named.
func (r *resolver) takeWritten(l, e int) {
	end := &r.links[l].Endpoints[e]
	n := int(r.byName[end.Node])
	node := &r.nodes[n]
	id, declared := r.find(node, end.Interface)
	if !declared {
		if end.Interface == "lo" {
			r.errorf(end.Pos, r.linkPath(l), "leave the interface out: it becomes the next free ethN",
				"lo of %s cannot be the end of a link", end.Node)
			r.loseEnds(l)
			return
		}
		r.connect(l, e, r.add(n, Interface{Pos: end.Pos, Name: end.Interface}))
		return
	}
	i := &r.ifaces[id]
	switch {
	case i.Type == Loopback:
		r.errorf(end.Pos, r.linkPath(l), "leave the interface out: it becomes the next free ethN",
			"lo of %s cannot be the end of a link", end.Node)
	case i.Type == Bridge && node.Kind == Switch && i.Name == "br0":
		r.errorf(end.Pos, r.linkPath(l), "write "+end.Node+" alone: the end becomes a port of br0",
			"br0 is the bridge of the switch %s, not the end of a link", end.Node)
	case i.Type != Veth:
		r.errorf(end.Pos, r.linkPath(l), "link another interface and name it in the `ports` of "+i.Name,
			"%s is a %s (line %d) and cannot be the end of a link", r.endName(id), i.Type, i.Pos.Line)
	case i.link >= 0:
		r.errorf(end.Pos, r.linkPath(l), "an interface is the end of one link; leave the name out for the next free one",
			"%s is the end of a link already (%s, line %d)", r.endName(id), r.linkPath(int(i.link)), r.links[i.link].Pos.Line)
	default:
		r.connect(l, e, id)
		return
	}
	r.loseEnds(l)
}

// connect makes an interface the end of a link.
func (r *resolver) connect(l, e int, id int32) {
	link := &r.links[l]
	link.ends[e] = id
	link.Endpoints[e].Interface = r.ifaces[id].Name
	r.ifaces[id].link = int32(l)
}

// freeName finds names for the ends of one node that have none.
type freeName struct {
	declared int // those of the node's declared interfaces that were looked at
	eth      int // the next N of ethN to look at
}

// next gives a declared veth that no link uses, or else makes the lowest free
// ethN.
func (f *freeName) next(r *resolver, n int) int32 {
	node := &r.nodes[n]
	for ; f.declared < node.declared; f.declared++ {
		id := node.ids[f.declared]
		if i := &r.ifaces[id]; i.Type == Veth && i.link < 0 {
			return id
		}
	}
	for {
		name := ethName(f.eth)
		f.eth++
		if _, taken := r.find(node, name); !taken {
			return r.add(n, Interface{Name: name})
		}
	}
}

var ethNames = func() (names [64]string) {
	for i := range names {
		names[i] = "eth" + strconv.Itoa(i)
	}
	return
}()

func ethName(n int) string {
	if n < len(ethNames) {
		return ethNames[n]
	}
	return "eth" + strconv.Itoa(n)
}

// orderEnds puts the interfaces that are there because of a link alone into the
// order of the links, and drops those of broken ones.
func (r *resolver) orderEnds() {
	for i := range r.nodes {
		n := &r.nodes[i]
		n.ids, n.byName = n.ids[:n.declared], nil
	}
	for i := range r.links {
		l := &r.links[i]
		for e, id := range l.ends {
			if id < 0 {
				continue
			}
			end := &r.ifaces[id]
			if l.broken {
				end.link = -1
				continue
			}
			end.peer = l.ends[1-e]
			end.Link = l.Link
			if end.Pos.IsZero() {
				end.Pos = l.Endpoints[e].Pos
			}
			if n := &r.nodes[end.node]; !r.isDeclared(n, id) {
				n.append(id, end.Name)
			}
		}
	}
}

// isDeclared tells the interfaces of a node's own from those that are there
// because of a link: they have the numbers that were given first.
func (r *resolver) isDeclared(n *node, id int32) bool {
	return n.declared > 0 && id <= n.ids[n.declared-1]
}

// checkUnlinked reports declared veths that no link made.
func (r *resolver) checkUnlinked() {
	for i := range r.nodes {
		n := &r.nodes[i]
		for _, id := range n.ids[:n.declared] {
			f := &r.ifaces[id]
			switch {
			case !n.inLab() && f.Type != Veth:
				r.errorf(f.Pos, r.interfacePath(f), "only ends of the lab's links can be made there",
					"%s of %s is not made by the lab", f.Name, n.Name)
			case f.Name == "lo" && f.Type != Loopback:
				r.errorf(f.Pos, r.interfacePath(f), "", "lo is the loopback interface, not a %s", f.Type)
			case n.Kind == Switch && f.Name == "br0" && f.Type != Bridge:
				r.errorf(f.Pos, r.interfacePath(f), "", "br0 of a switch is its bridge, not a %s", f.Type)
			case f.Type == Veth && f.link < 0 && !r.unsure(n):
				r.errorf(f.Pos, r.interfacePath(f), "add a link such as `["+n.Name+":"+f.Name+", …]`, or take the interface out",
					"no link has the end %s:%s", n.Name, f.Name)
			}
		}
	}
}
