package topology

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// Resolve makes a Lab of a File: it names every link's end, cuts subnets, gives
// out addresses, MACs and routes, and checks every reference. f is not changed;
// the Lab shares with it what needs no change.
//
// The error is of type Errors and holds all mistakes, the first MaxErrors,
// sorted by position. What could only follow from something that Parse left
// out (Node.Bad, Link.Bad) is not reported.
func Resolve(f *File) (*Lab, error) {
	r := newResolver(f)
	r.nameEndpoints()
	r.joinBridges()
	r.findSegments()
	r.assignSubnets()
	r.completeInterfaces()
	r.checkAddresses()
	r.resolveRoutes()
	r.routeShortest()
	r.resolveRules()
	r.resolveNeighbors()
	r.resolveMachines()
	r.resolveTests()
	if len(r.errs) > 0 {
		return nil, sortErrors(r.errs)
	}
	r.lab.Warnings = sortErrors(r.warns)
	return r.lab, nil
}

// resolver holds the lab while it is made. Interfaces are numbered through the
// whole lab, so that what belongs to them can stand in plain slices.
type resolver struct {
	file        *File
	lab         *Lab
	errs, warns Errors

	nodes  []node
	byName map[string]int32 // index into nodes
	links  []link
	ifaces []iface

	segments []segment

	addresses []Address // room for those given out
	items     []int32   // of links: their place in the list of the file; nil until a message needs it
	overlaps  []overlap // of checkOverlap, used again for each node

	// lost says that the end of some link is not known, because it did not
	// parse or names a node that there is none of. Any node may then have an
	// interface more than is known.
	lost  bool
	doubt bool // some node is partial
}

// node is a Node with what is needed to resolve it.
type node struct {
	*Node
	ids      []int32          // of its interfaces, in order
	byName   map[string]int32 // of its interfaces; nil while they are few
	declared int              // how many of ids are not there because of a link alone
	partial  bool             // an interface or more of it is wrong or missing

	noDefault [2]bool // a host whose gateway was to be found, and was not; IPv4, IPv6

	addrs    addressSet // of its interfaces
	families families   // it has addresses of, for tests
}

// link is a Link with the numbers of its ends; broken where they are wrong.
type link struct {
	*Link
	ends   [2]int32
	broken bool
}

// iface is one interface of the lab.
type iface struct {
	Interface
	node    int32
	link    int32 // index into resolver.links; -1: none
	peer    int32 // the other end of the link; -1: none
	segment int32 // index into resolver.segments; -1: none (lo)
	written int   // how many of Addresses are written in the file; the others were given out
}

// segment is what links and bridges join.
type segment struct {
	members []int32    // interfaces that are not bridge ports, in the order of nodes and their interfaces
	routers []int32    // those of them that are up and of routers
	open    bool       // there may be more addresses than are known
	addrs   addressSet // of the members
}

// Interfaces that up and down point at. Nothing writes through these pointers.
var yes, no = true, false

// newResolver copies what will be changed, with every interface that is
// declared, lo and the br0 of switches.
func newResolver(f *File) *resolver {
	r := &resolver{
		file: f,
		lab: &Lab{
			File:        f.Name,
			Name:        f.Lab.Value,
			Description: f.Description,
			Neighbors:   cmp.Or(f.Addressing.Neighbors.Value, "learned"),
			Routing:     cmp.Or(f.Routing.Value, "none"),
			Nodes:       make([]*Node, len(f.Nodes)),
			Links:       make([]*Link, len(f.Links)),
		},
		nodes:  make([]node, len(f.Nodes)),
		byName: make(map[string]int32, len(f.Nodes)),
		links:  make([]link, len(f.Links)),
	}
	nodes := make([]Node, len(f.Nodes))
	for i, n := range f.Nodes {
		nodes[i] = *n
		nodes[i].Kind = cmp.Or(n.Kind, Host)
		nodes[i].Gateway = Text{}
		r.lab.Nodes[i] = &nodes[i]
		r.nodes[i] = node{Node: &nodes[i], partial: n.Bad}
		r.byName[n.Name] = int32(i)
		r.doubt = r.doubt || n.Bad
	}
	links := make([]Link, len(f.Links))
	for i, l := range f.Links {
		links[i] = *l
		r.lab.Links[i] = &links[i]
		r.links[i] = link{Link: &links[i], ends: [2]int32{-1, -1}, broken: l.Bad}
	}
	r.copyInterfaces()
	r.checkNodes()
	return r
}

// copyInterfaces numbers lo, br0 of switches and all declared interfaces,
// leaving room for the ends of links, so that none is ever moved.
func (r *resolver) copyInterfaces() {
	room := make([]int, len(r.nodes))
	total := 0
	for i := range r.nodes {
		room[i] = len(r.nodes[i].Interfaces) + 2
		total += room[i]
	}
	for _, l := range r.links {
		for _, e := range l.Endpoints {
			if n, ok := r.byName[e.Node]; ok {
				room[n]++
				total++
			}
		}
	}
	r.ifaces = make([]iface, 0, total)
	ids := make([]int32, total)
	for i := range r.nodes {
		n := &r.nodes[i]
		n.ids, ids = ids[:0:room[i]], ids[room[i]:]
		declared := n.Interfaces
		if n.inLab() && !slices.ContainsFunc(declared, func(d *Interface) bool { return d.Name == "lo" }) {
			r.add(i, Interface{Name: "lo", Type: Loopback})
		}
		if n.Kind == Switch {
			r.add(i, takeNamed(declared, "br0", Interface{Pos: n.Pos, Name: "br0", Type: Bridge}))
		}
		for _, d := range declared {
			if _, ok := r.find(n, d.Name); !ok {
				r.add(i, *d)
			}
		}
		n.declared = len(n.ids)
	}
}

// takeNamed gives the declared interface of that name, or else the one of the
// default.
func takeNamed(declared []*Interface, name string, def Interface) Interface {
	for _, d := range declared {
		if d.Name == name {
			i := *d
			i.Type = cmp.Or(i.Type, def.Type)
			return i
		}
	}
	return def
}

// add numbers an interface of a node.
func (r *resolver) add(n int, i Interface) int32 {
	id := int32(len(r.ifaces))
	if i.Type == "" {
		i.Type = Veth
		if i.Name == "lo" {
			i.Type = Loopback
		}
	}
	r.ifaces = append(r.ifaces, iface{Interface: i, node: int32(n), link: -1, peer: -1, segment: -1, written: len(i.Addresses)})
	r.nodes[n].append(id, i.Name)
	return id
}

// manyInterfaces is the number from which on a node's interfaces are looked up
// in a map.
const manyInterfaces = 16

func (n *node) append(id int32, name string) {
	n.ids = append(n.ids, id)
	if n.byName != nil {
		n.byName[name] = id
	}
}

// find gives the number of a node's interface.
func (r *resolver) find(n *node, name string) (int32, bool) {
	if len(n.ids) >= manyInterfaces && n.byName == nil {
		n.byName = make(map[string]int32, cap(n.ids))
		for _, id := range n.ids {
			n.byName[r.ifaces[id].Name] = id
		}
	}
	if n.byName != nil {
		id, ok := n.byName[name]
		return id, ok
	}
	for _, id := range n.ids {
		if r.ifaces[id].Name == name {
			return id, true
		}
	}
	return -1, false
}

// inLab reports whether the namespace is made by the lab.
func (n *Node) inLab() bool { return n.Kind != External && n.Kind != Root }

// unsure reports whether the node may have interfaces that are not known, so
// that nothing can be said about what it lacks.
func (r *resolver) unsure(n *node) bool { return r.lost || n.partial }

// checkNodes checks what concerns a node as a whole.
func (r *resolver) checkNodes() {
	var root *Node
	namespaces := map[string]*Node{}
	for i := range r.nodes {
		n := r.nodes[i].Node
		if n.Kind == Root {
			if root != nil {
				r.errorf(n.Pos, n.path("kind"), "let its links go to "+root.Name,
					"the lab has a root node already, %s at line %d", root.Name, root.Pos.Line)
			}
			root = n
		}
		if n.Kind == External {
			r.checkNetns(n, namespaces)
		}
		if n.Keep == nil {
			n.Keep = n.defaultKeep()
		}
		if !n.inLab() && len(n.Sysctls) > 0 {
			r.errorf(n.Sysctls[0].Pos, n.path("sysctls"), "set it with sysctl(8), outside the lab",
				"no sysctl of %s is changed: the namespace is not made by the lab", n.Name)
		}
	}
}

// defaultKeep is what stays where a node does not say: all that its programs, or
// those who made the namespace, may have put there.
func (n *Node) defaultKeep() *Keep {
	if n.inLab() && len(n.Run) == 0 {
		return &Keep{}
	}
	return &Keep{Addresses: true, Routes: true, Rules: true, Neighbors: true, Links: true, Qdiscs: true}
}

func (r *resolver) checkNetns(n *Node, seen map[string]*Node) {
	if n.Netns.Value == "" {
		if !n.Bad {
			r.errorf(n.Pos, n.path(""), "give `netns`: a path, pid:1234, or a name under /run/netns",
				"an external node needs the namespace that it stands for")
		}
		return
	}
	if other := seen[n.Netns.Value]; other != nil {
		r.errorf(n.Netns.Pos, n.path("netns"), "let the links of "+n.Name+" go to "+other.Name,
			"%q is the namespace of %s (line %d) already", n.Netns.Value, other.Name, other.Pos.Line)
		return
	}
	seen[n.Netns.Value] = n
}

// path names a key of the node in messages.
func (n *Node) path(key string) string {
	if key == "" {
		return "nodes." + n.Name
	}
	return "nodes." + n.Name + "." + key
}

// itemPath names an item of one of the node's lists; the list alone where Parse
// left items out.
func (n *Node) itemPath(list string, item int) string {
	if n.Bad {
		return n.path(list)
	}
	return n.path(list + "[" + strconv.Itoa(item) + "]")
}

// itemCounter numbers the items of a list in the file: what the ranges of one
// item made has one position.
type itemCounter struct {
	item int
	last Pos
}

func (c *itemCounter) at(pos Pos) int {
	if !c.last.IsZero() && c.last != pos {
		c.item++
	}
	c.last = pos
	return c.item
}

// interfacePath names an interface in messages.
func (r *resolver) interfacePath(i *iface) string {
	return r.nodes[i.node].path("interfaces." + i.Name)
}

// endName is how a link's end is written: node:interface.
func (r *resolver) endName(id int32) string {
	i := &r.ifaces[id]
	return r.nodes[i.node].Name + ":" + i.Name
}

// linkPath names a link in messages by its place in the list: links of one
// item, made by a range, have one position.
func (r *resolver) linkPath(l int) string {
	if r.items == nil {
		r.items = make([]int32, len(r.links))
		for i := 1; i < len(r.links); i++ {
			r.items[i] = r.items[i-1]
			if pos := r.links[i].Pos; pos.IsZero() || pos != r.links[i-1].Pos {
				r.items[i]++
			}
		}
	}
	return "links[" + strconv.Itoa(int(r.items[l])) + "]"
}

// maxKept bounds the errors held before they are sorted and cut.
const maxKept = 100 * MaxErrors

func (r *resolver) errorf(pos Pos, path, hint, format string, args ...any) {
	r.errs = r.file.report(r.errs, pos, path, hint, format, args)
}

func (r *resolver) warnf(pos Pos, path, hint, format string, args ...any) {
	r.warns = r.file.report(r.warns, pos, path, hint, format, args)
}

func (f *File) report(to Errors, pos Pos, path, hint, format string, args []any) Errors {
	if len(to) >= maxKept {
		return to
	}
	return append(to, &Error{File: f.Name, Pos: pos, Path: path, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// sortErrors sorts by position, leaves out what was said at the same place
// already (as for each node of a range), and cuts to MaxErrors.
func sortErrors(e Errors) Errors {
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	e = slices.CompactFunc(e, func(a, b *Error) bool {
		return a.Pos == b.Pos && !a.Pos.IsZero() && a.Msg == b.Msg
	})
	if len(e) > MaxErrors {
		e = e[:MaxErrors:MaxErrors]
	}
	return e
}
