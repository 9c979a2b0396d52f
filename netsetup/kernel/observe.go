package kernel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/netns"
)

// errStale says that something is on a link that came after the links were
// read.
var errStale = errors.New("links changed while they were read")

// staleTries bounds how often a namespace is read again for that.
const staleTries = 20

// requests are those of a complete reading, built once.
type requests struct {
	links                  *request
	addresses4, addresses6 *request
	routes4, routes6       *request
	rules                  *request
	neighbors, proxies     *request
	qdiscs                 *request
	fdb                    *request
}

func newRequests() requests {
	return requests{
		links:      linkRequest(),
		addresses4: addressRequest(unix.AF_INET), addresses6: addressRequest(unix.AF_INET6),
		routes4: routeRequest(unix.AF_INET), routes6: routeRequest(unix.AF_INET6),
		rules:     ruleRequest(),
		neighbors: neighborRequest(unix.AF_UNSPEC),
		proxies:   proxyRequest(),
		qdiscs:    qdiscRequest(),
		fdb:       neighborRequest(unix.AF_BRIDGE),
	}
}

// observer reads one namespace.
type observer struct {
	lab   string
	sp    *space
	want  *netsetup.Namespace // nil: not wanted
	was   *netsetup.Namespace // of State.Before; may be nil
	ns    netsetup.Namespace  // what was read
	links linkTable
	alias string // of lo
	group uint32 // of lo

	netnsids []netnsid // those that were resolved

	// During the reading alone.
	reqs         requests
	in           []byte
	procs        *procs
	wantedRoutes map[routeKey]bool
}

// routeKey is what identifies a route in a namespace.
type routeKey struct {
	dst           string
	from          netip.Prefix
	table, metric int
	tos           uint8
}

// guest reports a namespace that is not the lab's: only what is the lab's, or
// in its way, is given.
func (o *observer) guest() bool { return o.ns.Kind != netsetup.Own }

// Observe reads what there is of the lab; see netsetup.Kernel.
func (k *Kernel) Observe(ctx context.Context, want *netsetup.State) (*netsetup.State, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	list, err := k.observers(want)
	if err != nil {
		return nil, err
	}
	if err := k.read(ctx, list); err != nil {
		return nil, err
	}
	if list, err = ownersOnly(list); err != nil {
		return nil, err
	}
	if err := resolvePeers(list); err != nil {
		return nil, err
	}
	if err := readOwned(want.Lab, list); err != nil {
		return nil, err
	}
	state := &netsetup.State{Lab: want.Lab, Namespaces: make([]netsetup.Namespace, 0, len(list))}
	for _, o := range list {
		if o.ns.Kind == netsetup.Root && o.want == nil && len(o.ns.Links)+len(o.ns.Tables) == 0 {
			continue
		}
		state.Namespaces = append(state.Namespaces, o.ns)
	}
	return state.Sort(), nil
}

// observers gives one for each namespace to be read, open.
func (k *Kernel) observers(want *netsetup.State) ([]*observer, error) {
	wanted, before := byName(want), byName(want.Before)
	prefix := want.Lab + "."
	names, err := netns.Names(prefix)
	if err != nil {
		return nil, fmt.Errorf("list network namespaces: %w", err)
	}
	list := make([]*observer, 0, len(names)+1)
	there := make(map[string]bool, len(names))
	add := func(name string, kind netsetup.NamespaceKind) error {
		sp, err := k.current(name)
		if err != nil {
			return err
		}
		list = append(list, &observer{
			lab: want.Lab, sp: sp, want: wanted[name], was: before[name],
			ns: netsetup.Namespace{Kind: kind, Name: name, Inode: sp.handle.Inode()},
		})
		return nil
	}
	for _, name := range names {
		if strings.Contains(name[len(prefix):], ".") {
			continue // no node has such a name
		}
		if w := wanted[name]; w != nil && w.Kind != netsetup.Own {
			continue
		}
		switch err := add(name, netsetup.Own); {
		case err == nil:
			there[name] = true
		case !isAbsent(err):
			return nil, err
		}
	}
	k.forgetGone(prefix, there)
	for i := range want.Namespaces {
		if w := &want.Namespaces[i]; w.Kind == netsetup.External {
			if err := add(w.Name, netsetup.External); err != nil && !(isAbsent(err) && w.IsEmpty()) {
				return nil, err
			}
		}
	}
	return list, add("", netsetup.Root)
}

// byName finds the namespaces of a State, which may be nil.
func byName(s *netsetup.State) map[string]*netsetup.Namespace {
	if s == nil {
		return nil
	}
	m := make(map[string]*netsetup.Namespace, len(s.Namespaces))
	for i := range s.Namespaces {
		m[s.Namespaces[i].Name] = &s.Namespaces[i]
	}
	return m
}

// forgetGone closes the namespaces of a lab that have no name any more.
func (k *Kernel) forgetGone(prefix string, there map[string]bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name := range k.spaces {
		if strings.HasPrefix(name, prefix) && !there[name] {
			k.forget(name)
		}
	}
}

// read carries out all the observers.
func (k *Kernel) read(ctx context.Context, list []*observer) error {
	reqs := newRequests()
	spaces := make([]*space, len(list))
	for i, o := range list {
		spaces[i] = o.sp
	}
	return k.each(ctx, spaces, func(i int, in []byte) error {
		o := list[i]
		o.reqs, o.in, o.procs = reqs.clone(), in, &k.procs
		err := o.read()
		for n := 1; errors.Is(err, errStale) && n < staleTries; n++ {
			err = o.read()
		}
		o.reqs, o.in, o.procs = requests{}, nil, nil
		if err != nil {
			return fmt.Errorf("read namespace %s: %w", displayName(o.ns.Name), err)
		}
		return nil
	})
}

// read reads the namespace; the calling thread is inside.
func (o *observer) read() error {
	ns := &o.ns
	ns.Addresses, ns.LostAddresses, ns.Routes, ns.Rules = nil, nil, nil, nil
	ns.Neighbors, ns.FDB, ns.Qdiscs, ns.Sysctls = nil, nil, nil, nil
	if err := o.readLinks(); err != nil {
		return err
	}
	if o.stranger() {
		return nil
	}
	if err := o.tables(); err != nil {
		return err
	}
	if o.ns.Kind == netsetup.Root && o.want == nil && len(ns.Links) == 0 {
		return nil
	}
	if o.guest() {
		o.wantedRoutes = routeKeys(o.want)
	}
	steps := []func() error{o.addresses, o.routes, o.rules, o.neighbors, o.qdiscs, o.sysctls, o.offloads, o.indexes}
	for _, l := range ns.Links {
		if l.Kind == netsetup.KindBridge {
			steps = append(steps, o.fdb)
			break
		}
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// stranger reports a namespace of a lab's name without the lab's mark.
func (o *observer) stranger() bool {
	return o.ns.Kind == netsetup.Own && !marked(o.ns.Name, o.alias, o.group)
}

// ownersOnly leaves out the strangers; one that is in the way is an error.
func ownersOnly(list []*observer) ([]*observer, error) {
	kept := list[:0]
	var errs []error
	for _, o := range list {
		if !o.stranger() {
			kept = append(kept, o)
			continue
		}
		if o.want != nil {
			errs = append(errs, &netsetup.NotOursError{
				Pos: o.want.Pos, Namespace: o.ns.Name,
			})
		}
	}
	if len(errs) == 1 {
		return nil, errs[0]
	}
	return kept, errors.Join(errs...)
}

func (o *observer) dump(req *request, reset func(), each func(m message) error) error {
	return o.sp.sock.dump(req, o.in, reset, each)
}

// readLinks reads the links, and keeps them as those of the space.
func (o *observer) readLinks() error {
	ns := &o.ns
	err := o.dump(o.reqs.links, func() { o.links, ns.Links, o.alias = nil, nil, "" }, func(m message) error {
		p, ok := parseLink(m)
		if !ok {
			return nil
		}
		if p.link.Kind == netsetup.KindLoopback && p.info.index == loIndex {
			o.alias, o.group = p.link.Alias, p.group
		}
		if o.takeLink(&p) {
			p.info.at = int32(len(ns.Links))
			ns.Links = append(ns.Links, p.link)
		}
		o.links = append(o.links, p.info)
		return nil
	})
	if err != nil {
		return err
	}
	for i := range o.links {
		l := &o.links[i]
		if l.at >= 0 && l.master != 0 {
			ns.Links[l.at].Master = o.links.name(l.master)
		}
	}
	o.sp.links = o.links
	return nil
}

// takeLink gives a link its origin and says whether it is in the State.
func (o *observer) takeLink(p *parsedLink) bool {
	l := &p.link
	ours := p.group == netsetup.Group
	if o.guest() {
		ours = markedBy(l.Alias, o.lab)
		if !ours && !o.wantsLink(l.Name) {
			return false
		}
	} else if fallback[l.Name] && !ours {
		return false
	}
	switch {
	case ours, l.Kind == netsetup.KindLoopback:
		l.Origin = netsetup.Ours
	case p.info.foreign:
		l.Origin = netsetup.Foreign
	default:
		l.Origin = netsetup.Manual
	}
	return true
}

func (o *observer) wantsLink(name string) bool {
	if o.want != nil {
		for i := range o.want.Links {
			if o.want.Links[i].Name == name {
				return true
			}
		}
	}
	return false
}

// concernsRoute reports a route of a namespace that is not the lab's that is
// the lab's all the same, or in its way.
func (o *observer) concernsRoute(rt *netsetup.Route) bool {
	if o.wantedRoutes[keyOf(rt)] {
		return true
	}
	if rt.Origin != netsetup.Ours {
		return false
	}
	for _, h := range rt.Nexthops {
		if l := o.links.byName(h.Dev); l != nil && l.at >= 0 {
			return true
		}
	}
	return false
}

func keyOf(rt *netsetup.Route) routeKey {
	return routeKey{rt.Dst.String(), rt.From, rt.Table, rt.Metric, rt.TOS}
}

func routeKeys(want *netsetup.Namespace) map[routeKey]bool {
	if want == nil || len(want.Routes) == 0 {
		return nil
	}
	keys := make(map[routeKey]bool, len(want.Routes))
	for i := range want.Routes {
		keys[keyOf(&want.Routes[i])] = true
	}
	return keys
}

// concernsRule is as concernsRoute. A rule is in the way only of one that says
// the same.
func (o *observer) concernsRule(r *netsetup.Rule) bool {
	if r.Origin == netsetup.Ours {
		for _, name := range []string{r.IIF, r.OIF} {
			if l := o.links.byName(name); l != nil && l.at >= 0 {
				return true
			}
		}
	}
	if o.want == nil {
		return false
	}
	same := *r
	for i := range o.want.Rules {
		w := o.want.Rules[i]
		same.Pos, same.Origin = w.Pos, w.Origin
		if w == same {
			return true
		}
	}
	return false
}

// clone copies the requests, whose sequence numbers are written when they are
// sent.
func (r requests) clone() requests {
	for _, p := range []**request{&r.links, &r.addresses4, &r.addresses6, &r.routes4, &r.routes6, &r.rules, &r.neighbors, &r.proxies, &r.qdiscs, &r.fdb} {
		*p = &request{b: append([]byte(nil), (*p).b...)}
	}
	return r
}
