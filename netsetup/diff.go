package netsetup

import (
	"errors"
	"slices"

	"nslab/topology"
)

// Plan is what has to be done, in order.
type Plan struct {
	Lab  string
	File string // for messages; "" where no file asked for it
	Ops  []Op   // in the order of their phases
	// Processes are the changes to processes and limits of nodes, which Options.Then makes;
	// Diff gives none.
	Processes []Line
}

// Empty reports that nothing has to be done.
func (p *Plan) Empty() bool { return len(p.Ops)+len(p.Processes) == 0 }

// Diff is the plan that makes what is what is wanted. With prune it also
// removes what is unmarked from the lab's own namespaces, whoever made it.
// Things in the way that are not ours are *NotOursErrors, joined.
//
// Each phase is computed against a model on which the earlier ones were played,
// so that it sees what they destroyed.
func Diff(have, want *State, prune bool) (*Plan, error) {
	plan := &Plan{Lab: want.Lab, File: want.File}
	d := &differ{plan: plan, lab: want.Lab, prune: prune}
	d.pair(have, want)
	if d.nothingToDo() {
		return plan, nil
	}
	d.model = NewModel(have)
	d.made = make(map[Endpoint]bool)
	d.has = make(map[string]*Namespace, len(d.pairs))
	d.wanted = make(map[string]*Namespace, len(d.pairs))
	for _, p := range d.pairs {
		d.has[p.want.Name], d.wanted[p.want.Name] = p.have, p.want
		for i := range p.want.Links {
			if l := &p.want.Links[i]; l.Kind == KindBridge && l.MTU != 0 {
				d.model.pin(p.want.Name, l.Name)
			}
		}
	}
	for _, step := range []func(have, want *Namespace){
		d.deleteRules, d.deleteRoutes, d.deleteNeighbors, d.deleteFDB, d.deleteAddresses, d.deleteLinks,
	} {
		for _, p := range d.pairs {
			step(p.have, p.want)
		}
	}
	for _, n := range d.removed {
		d.deleteStrayLinks(n)
	}
	for _, step := range []func(have, want *Namespace){
		d.addNamespace, d.owned, d.baseSysctls, d.leaveMasters, d.links, d.linkSysctls, d.masters, d.addresses, d.neighbors, d.fdb,
		d.tables, d.linksUp, d.routes, d.rules,
	} {
		for _, p := range d.pairs {
			step(p.have, p.want)
		}
	}
	for _, p := range d.pairs {
		d.deleteQdiscs(p.have, p.want)
	}
	for _, n := range d.removed {
		if n.Owned != nil {
			d.emit(Op{Phase: Unpublish, Verb: Delete, Namespace: n.Name, Object: n.Owned})
		}
		d.emit(Op{Phase: Unpublish, Verb: Delete, Namespace: n.Name, Object: n})
	}
	return plan, errors.Join(d.errs...)
}

type differ struct {
	plan    *Plan
	lab     string
	prune   bool
	model   *Model
	has     map[string]*Namespace
	made    map[Endpoint]bool // links that the plan makes
	wanted  map[string]*Namespace
	pairs   []pair       // namespaces that stay or are new; have and want are never nil
	removed []*Namespace // the lab's own that are no longer wanted
	errs    []error
}

type pair struct{ have, want *Namespace }

// pair brings observed and wanted namespaces together. A namespace that there
// is not, or from which all is to go, is an empty one.
func (d *differ) pair(have, want *State) {
	h, w := have.Namespaces, want.Namespaces
	for len(h) > 0 || len(w) > 0 {
		switch {
		case len(w) == 0 || len(h) > 0 && h[0].Name < w[0].Name:
			if h[0].Kind == Own {
				d.removed = append(d.removed, &h[0])
			} else {
				d.pairs = append(d.pairs, pair{&h[0], &Namespace{Kind: h[0].Kind, Name: h[0].Name}})
			}
			h = h[1:]
		case len(h) == 0 || w[0].Name < h[0].Name:
			d.pairs = append(d.pairs, pair{&Namespace{Kind: w[0].Kind, Name: w[0].Name}, &w[0]})
			w = w[1:]
		default:
			d.pairs = append(d.pairs, pair{&h[0], &w[0]})
			h, w = h[1:], w[1:]
		}
	}
}

func (d *differ) nothingToDo() bool {
	return len(d.removed) == 0 &&
		!slices.ContainsFunc(d.pairs, func(p pair) bool { return !sameNamespace(p.have, p.want) })
}

func (d *differ) emit(op Op) {
	d.plan.Ops = append(d.plan.Ops, op)
	if l, ok := op.Object.(*Link); ok && op.Verb == Add {
		d.made[Endpoint{op.Namespace, l.Name}] = true
		d.made[l.Peer] = true
	}
	d.model.Play(op)
}

// removable says whether an extra thing goes.
func (d *differ) removable(n *Namespace, o Origin, keep bool) bool {
	switch {
	case o == Ours:
		return true
	case n.Kind != Own:
		return false
	case d.prune:
		return true
	}
	return o == Manual && !keep
}

// blocked reports what is in the way of a wanted thing and is not ours to
// change.
func (d *differ) blocked(n *Namespace, o Origin, pos topology.Pos, object string) bool {
	if o == Ours || o == Manual && n.Kind == Own {
		return false
	}
	d.errs = append(d.errs, &NotOursError{File: d.plan.File, Pos: pos, Namespace: n.Name, Object: object})
	return true
}

func (d *differ) deleteRules(have, want *Namespace) {
	wanted := slices.Clone(want.Rules)
	for i := range have.Rules {
		r := &have.Rules[i]
		if j := slices.IndexFunc(wanted, func(w Rule) bool { return sameRule(r, &w) }); j >= 0 {
			wanted = slices.Delete(wanted, j, j+1)
		} else if d.removable(want, r.Origin, want.Keep.Rules) {
			d.emit(Op{Phase: DeleteRules, Verb: Delete, Namespace: want.Name, Object: r})
		}
	}
}

func (d *differ) rules(have, want *Namespace) {
	has := slices.Clone(d.model.namespaces[want.Name].rules)
	for i := range want.Rules {
		w := &want.Rules[i]
		if j := slices.IndexFunc(has, func(h Rule) bool { return sameRule(&h, w) }); j >= 0 {
			has = slices.Delete(has, j, j+1)
			continue
		}
		d.emit(Op{Phase: Rules, Verb: Add, Namespace: want.Name, Object: w})
	}
	if want.Keep.Rules {
		return
	}
	for i := range have.LostRules {
		d.emit(Op{Phase: Rules, Verb: Add, Namespace: want.Name, Object: &have.LostRules[i]})
	}
}

// deleteRoutes removes routes that are not wanted, and those in the place of a
// wanted one that a replacement cannot turn into it: another type, or a second
// one of the same prefix, table and metric.
func (d *differ) deleteRoutes(have, want *Namespace) {
	wanted := routesByKey(want.Routes)
	kept := make(map[routeKey]bool)
	for i := range have.Routes {
		r := &have.Routes[i]
		w := wanted[r.key()]
		switch {
		case w == nil:
			if !d.removable(want, r.Origin, want.Keep.Routes) {
				continue
			}
		case kept[r.key()]:
		case sameRoute(r, w) || !d.blocked(want, r.Origin, w.Pos, "route "+r.String()) && r.Type == w.Type:
			kept[r.key()] = true
			continue
		case want.Kind != Own || r.Origin == Foreign:
			continue // blocked
		}
		d.emit(Op{Phase: DeleteRoutes, Verb: Delete, Namespace: want.Name, Object: r})
	}
}

func routesByKey(list []Route) map[routeKey]*Route {
	m := make(map[routeKey]*Route, len(list))
	for i := range list {
		m[list[i].key()] = &list[i]
	}
	return m
}

func (d *differ) routes(_, want *Namespace) {
	n := d.model.namespaces[want.Name]
	for i := range want.Routes {
		w := &want.Routes[i]
		has := n.routes[w.key()]
		switch {
		case len(has) == 0:
			d.emit(Op{Phase: Routes, Verb: Add, Namespace: want.Name, Object: w})
		case !sameRoute(&has[0], w):
			was := has[0]
			d.emit(Op{Phase: Routes, Verb: Change, Namespace: want.Name, Object: w, Was: &was})
		}
	}
}

func (d *differ) deleteNeighbors(have, want *Namespace) {
	wanted := make(map[neighborKey]bool, len(want.Neighbors))
	for i := range want.Neighbors {
		wanted[want.Neighbors[i].key()] = true
	}
	for i := range have.Neighbors {
		x := &have.Neighbors[i]
		if !wanted[x.key()] && d.removable(want, x.Origin, want.Keep.Neighbors) {
			d.emit(Op{Phase: DeleteNeighbors, Verb: Delete, Namespace: want.Name, Object: x})
		}
	}
}

func (d *differ) neighbors(_, want *Namespace) {
	n := d.model.namespaces[want.Name]
	for i := range want.Neighbors {
		w := &want.Neighbors[i]
		has, ok := n.neighbors[w.key()]
		switch {
		case !ok:
			d.emit(Op{Phase: Neighbors, Verb: Add, Namespace: want.Name, Object: w})
		case !sameNeighbor(&has, w):
			d.emit(Op{Phase: Neighbors, Verb: Change, Namespace: want.Name, Object: w, Was: &has})
		}
	}
}

func (d *differ) deleteFDB(have, want *Namespace) {
	for i := range have.FDB {
		f := &have.FDB[i]
		kept := slices.ContainsFunc(want.FDB, func(w FDBEntry) bool { return sameFDB(f, &w) })
		if !kept && d.removable(want, f.Origin, want.Keep.Neighbors) {
			d.emit(Op{Phase: DeleteFDB, Verb: Delete, Namespace: want.Name, Object: f})
		}
	}
}

func (d *differ) fdb(_, want *Namespace) {
	n := d.model.namespaces[want.Name]
	for i := range want.FDB {
		w := &want.FDB[i]
		if _, ok := n.fdb[fdbKey{w.Link, w.MAC}]; !ok {
			d.emit(Op{Phase: FDBEntries, Verb: Add, Namespace: want.Name, Object: w})
		}
	}
}

// addNamespace makes a namespace of the lab; one of somebody else that nothing
// was observed in only gets a place in the model.
func (d *differ) addNamespace(_, want *Namespace) {
	if d.model.Has(want.Name) {
		return
	}
	if want.Kind != Own {
		d.model.load(&Namespace{Kind: want.Kind, Name: want.Name})
		return
	}
	d.emit(Op{Phase: Namespaces, Verb: Add, Namespace: want.Name, Object: want})
}

// owned makes the namespaces that a node owns beside its network; what cannot be
// changed in them is made anew.
func (d *differ) owned(have, want *Namespace) {
	op := Op{Phase: Owns, Namespace: want.Name}
	switch {
	case sameOwned(have.Owned, want.Owned):
		return
	case want.Owned == nil:
		op.Verb, op.Object = Delete, have.Owned
	case have.Owned == nil:
		op.Verb, op.Object = Add, want.Owned
	default:
		op.Verb, op.Object, op.Was = Change, want.Owned, have.Owned
	}
	if d.has[want.Name].Inode != 0 && have.Owned != nil && !sameUser(have.Owned, want.Owned) {
		// The network belongs to its user namespace for good.
		d.errs = append(d.errs, &NodeError{File: d.plan.File, Pos: want.Pos, Namespace: want.Name,
			Message: "the user namespace of a running node cannot be changed", Hint: "`nslab down " + d.lab + "` first"})
		return
	}
	d.emit(op)
}

func (d *differ) baseSysctls(_, want *Namespace) {
	d.sysctls(want, BaseSysctls, func(s *Sysctl) bool { return InterfaceOf(s.Name) == "" })
}

func (d *differ) linkSysctls(_, want *Namespace) {
	d.sysctls(want, LinkSysctls, func(s *Sysctl) bool { return InterfaceOf(s.Name) != "" })
}

func (d *differ) sysctls(want *Namespace, phase Phase, of func(*Sysctl) bool) {
	n := d.model.namespaces[want.Name]
	for i := range want.Sysctls {
		w := &want.Sysctls[i]
		if !of(w) {
			continue
		}
		was, known := n.sysctls[w.Name]
		switch {
		case !known && w.implied():
		case !known:
			d.emit(Op{Phase: phase, Verb: Add, Namespace: want.Name, Object: w})
		case was != w.Value:
			d.emit(Op{Phase: phase, Verb: Change, Namespace: want.Name, Object: w, Was: &Sysctl{Name: w.Name, Value: was}})
		}
	}
}

// deleteQdiscs comes last: what is not there any more cannot be put back.
func (d *differ) deleteQdiscs(have, want *Namespace) {
	if want.Kind != Own || want.Keep.Qdiscs {
		return
	}
	n := d.model.namespaces[want.Name]
	for i := range have.Qdiscs {
		q := &have.Qdiscs[i]
		if slices.Contains(n.qdiscs, *q) && !slices.Contains(want.Qdiscs, *q) {
			d.emit(Op{Phase: DeleteQdiscs, Verb: Delete, Namespace: want.Name, Object: q})
		}
	}
}
