package probe

import (
	"slices"
	"testing"

	"nslab/topology"
)

// TestWayOfLinks is a - sw1 - sw2 - b, and c, which is on no switch.
func TestWayOfLinks(t *testing.T) {
	r := &runner{nodes: make(map[string]*node)}
	add := func(name string, interfaces ...*topology.Interface) {
		r.nodes[name] = &node{name: name, topo: &topology.Node{Name: name, Interfaces: interfaces}, run: r}
	}
	link := func(a, an, b, bn string) (x, y *topology.Interface) {
		l := &topology.Link{Endpoints: [2]topology.Endpoint{{Node: a, Interface: an}, {Node: b, Interface: bn}}}
		return &topology.Interface{Name: an, Link: l}, &topology.Interface{Name: bn, Link: l}
	}
	a, p1 := link("a", "eth0", "sw1", "p1")
	p2, q1 := link("sw1", "p2", "sw2", "q1")
	q2, b := link("sw2", "q2", "b", "eth0")
	c, alone := link("c", "eth0", "sw1", "alone")
	for _, port := range []*topology.Interface{p1, p2, q1, q2} {
		port.Master = "br0"
	}
	br := func() *topology.Interface { return &topology.Interface{Name: "br0", Type: topology.Bridge} }
	add("a", a)
	add("b", b)
	add("c", c)
	add("sw1", br(), p1, p2, alone)
	add("sw2", br(), q1, q2)
	place := func(node, dev string) Place { return Place{Node: node, Interface: dev} }
	for _, x := range []struct {
		from, to Place
		want     []Place
	}{
		{place("a", "eth0"), place("b", "eth0"), []Place{place("a", "eth0"), place("sw1", "p1"), place("sw1", "p2"), place("sw2", "q1"), place("sw2", "q2"), place("b", "eth0")}},
		{place("a", "eth0"), place("sw2", "br0"), []Place{place("a", "eth0"), place("sw1", "p1"), place("sw1", "p2"), place("sw2", "q1"), place("sw2", "br0")}},
		{place("sw1", "br0"), place("a", "eth0"), []Place{place("sw1", "br0"), place("sw1", "p1"), place("a", "eth0")}},
		{place("a", "eth0"), place("c", "eth0"), nil},
		{place("a", "eth0"), place("nobody", "eth0"), nil},
	} {
		if got := r.wayOfLinks(x.from, x.to); !slices.Equal(got, x.want) {
			t.Errorf("from %s to %s: %v, want %v", x.from, x.to, got, x.want)
		}
	}
}
