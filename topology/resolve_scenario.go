package topology

import (
	"cmp"
	"slices"
	"strings"
)

// resolveScenario finds what the events name, and puts them in the order in
// which they happen.
func (r *resolver) resolveScenario(budget *int) {
	for _, e := range r.file.Scenario {
		c := *e
		switch c.Do {
		case LinkDown, LinkUp:
			r.resolveEventLink(&c)
		case StartProcess, StopProcess:
			r.checkEventProcess(&c)
		default:
			t := *e.Test
			r.resolveTest(&t, "scenario", budget)
			c.Test = &t
		}
		r.lab.Scenario = append(r.lab.Scenario, &c)
	}
	slices.SortStableFunc(r.lab.Scenario, func(a, b *Event) int { return cmp.Compare(a.At, b.At) })
}

// resolveEventLink checks that a link has the end that an event names, and
// completes the name of a node that is the end of one link alone.
func (r *resolver) resolveEventLink(e *Event) {
	at, ok := r.byName[e.Link.Node]
	if !ok {
		r.errorf(e.Link.Pos, "scenario", r.nodeHint(e.Link.Node), "there is no node %q", e.Link.Node)
		return
	}
	n := &r.nodes[at]
	if e.Link.Interface != "" {
		id, ok := r.find(n, e.Link.Interface)
		switch {
		case r.unsure(n):
		case !ok:
			r.errorf(e.Link.Pos, "scenario", r.interfaceHint(n, e.Link.Interface), "%s has no interface %q", n.Name, e.Link.Interface)
		case r.ifaces[id].link < 0:
			r.errorf(e.Link.Pos, "scenario", "", "%s is not the end of a link", r.endName(id))
		}
		return
	}
	var ends []string
	for _, id := range n.ids {
		if r.ifaces[id].link >= 0 {
			ends = append(ends, r.ifaces[id].Name)
		}
	}
	switch {
	case len(ends) == 1:
		e.Link.Interface = ends[0]
	case r.unsure(n):
	case len(ends) == 0:
		r.errorf(e.Link.Pos, "scenario", "", "%s is the end of no link", n.Name)
	default:
		r.errorf(e.Link.Pos, "scenario", "such as `"+n.Name+":"+ends[0]+"`", "%s is the end of %d links: %s", n.Name, len(ends), listed(ends))
	}
}

func (r *resolver) checkEventProcess(e *Event) {
	name, process, _ := strings.Cut(e.Process.Value, "/")
	at, known := r.byName[name]
	if !known {
		r.errorf(e.Process.Pos, "scenario", r.nodeHint(name), "there is no node %q", name)
		return
	}
	n := r.nodes[at].Node
	names := processNames(n)
	if !slices.Contains(names, process) && !n.Bad {
		r.errorf(e.Process.Pos, "scenario", hintFor(process, names, name+" runs "), "%s runs no process %q", name, process)
	}
}
