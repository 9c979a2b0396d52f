package kernel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/netns"
	"nslab/topology"
)

var errNoPeer = errors.New("a veth needs its other end")

func errKind(kind string) error { return fmt.Errorf("cannot make a link of kind %q", kind) }

func errRouteType(typ string) error { return fmt.Errorf("cannot make a route of type %q", typ) }

func errState(state string) error { return fmt.Errorf("cannot make a neighbour of state %q", state) }

var noPos topology.Pos

// Do carries out the ops of one stage; see netsetup.Kernel.
func (k *Kernel) Do(ctx context.Context, ops []netsetup.Op) error {
	d := &doing{k: k, ops: ops, errs: make([]error, len(ops))}
	d.split()
	if err := ctx.Err(); err != nil {
		return err
	}
	d.makeNamespaces()
	if err := d.failures(); err != nil {
		return err // nothing can be done in those that are not there
	}
	d.makeOwned()
	d.deleteNamespaces(ctx)
	if err := d.run(ctx); err != nil {
		return errors.Join(err, d.failures())
	}
	return d.failures()
}

// doing is one call of Do.
type doing struct {
	k    *Kernel
	ops  []netsetup.Op
	errs []error // by op

	added, deleted []int // ops whose object is a network namespace
	owned          []int // those that make or end others
	groups         []group
	touchesLinks   bool
}

// group is the ops of one namespace, in their order.
type group struct {
	namespace string
	ops       []int
}

// split sorts the ops into groups.
func (d *doing) split() {
	at := make(map[string]int)
	for i := range d.ops {
		op := &d.ops[i]
		switch op.Object.(type) {
		case *netsetup.Namespace:
			if op.Verb == netsetup.Delete {
				d.deleted = append(d.deleted, i)
			} else {
				d.added = append(d.added, i)
			}
			continue
		case *netsetup.Owned:
			d.owned = append(d.owned, i)
			continue
		case *netsetup.Link:
			d.touchesLinks = d.touchesLinks || op.Verb != netsetup.Change
		}
		g, ok := at[op.Namespace]
		if !ok {
			g = len(d.groups)
			at[op.Namespace] = g
			d.groups = append(d.groups, group{namespace: op.Namespace})
		}
		d.groups[g].ops = append(d.groups[g].ops, i)
	}
}

func (d *doing) fail(op int, err error) {
	if d.errs[op] == nil {
		d.errs[op] = err
	}
}

// failures are those of all ops, in their order.
func (d *doing) failures() error {
	var list []error
	for i, err := range d.errs {
		if err != nil {
			list = append(list, &netsetup.OpError{Op: d.ops[i], Err: err})
		}
	}
	if len(list) == 1 {
		return list[0]
	}
	return errors.Join(list...)
}

func (d *doing) traceOp(op int) {
	if d.k.trace == nil {
		return
	}
	d.k.traceMu.Lock()
	defer d.k.traceMu.Unlock()
	d.k.trace(d.ops[op].Command())
}

// makeNamespaces makes those that are to be, each with its mark before its name
// can be seen.
func (d *doing) makeNamespaces() {
	if len(d.added) == 0 {
		return
	}
	names := make([]string, len(d.added))
	socks := make([]*socket, len(d.added))
	for i, op := range d.added {
		names[i] = d.ops[op].Object.(*netsetup.Namespace).Name
		d.traceOp(op)
	}
	d.k.mu.Lock()
	_, err := d.k.files(len(names))
	d.k.mu.Unlock()
	if err == nil {
		err = removeStale(names)
	}
	var handles []*netns.Handle
	if err == nil {
		handles, err = netns.MakeEachOwned(names, d.owner, d.k.workers, func(i int) error {
			var err error
			if socks[i], err = openSocket(); err != nil {
				return err
			}
			return d.k.setMark(socks[i], names[i])
		})
	}
	if err != nil {
		for _, s := range socks {
			if s != nil {
				s.close()
			}
		}
		// All are made or none, and the error names which it was.
		d.fail(d.added[0], err)
		return
	}
	d.k.mu.Lock()
	defer d.k.mu.Unlock()
	for i, name := range names {
		d.k.forget(name)
		d.k.spaces[name] = &space{name: name, handle: handles[i], sock: socks[i]}
	}
}

// removeStale takes away the empty files that a crash left in the place of
// namespaces that are to be made.
func removeStale(names []string) error {
	stale, err := netns.Stale("")
	if err != nil || len(stale) == 0 {
		return err
	}
	wanted := make(map[string]bool, len(names))
	for _, n := range names {
		wanted[n] = true
	}
	return netns.Delete(slices.DeleteFunc(stale, func(n string) bool { return !wanted[n] })...)
}

// setMark sets the alias and the group of lo.
func (k *Kernel) setMark(s *socket, namespace string) error {
	in := k.buffers.Get().(*[]byte)
	defer k.buffers.Put(in)
	var failed error
	b := batch{s: s, in: *in, settle: func(_ int, err error) { failed = err }}
	r, body := b.begin(0, unix.RTM_NEWLINK, 0, unix.SizeofIfInfomsg)
	native.PutUint32(body[4:], loIndex)
	r.bytes(unix.IFLA_IFALIAS, []byte(mark(namespace)))
	r.u32(unix.IFLA_GROUP, netsetup.Group)
	b.end()
	b.flush()
	return failed
}

// loIndex is the index of lo in every namespace (net/core/dev.c: it is the
// first that is registered).
const loIndex = 1

// deleteNamespaces lets go of all that are to go and takes their names away
// together, so that the kernel frees them in one batch. One that is held by
// others keeps its name: that is how it is found again.
func (d *doing) deleteNamespaces(ctx context.Context) {
	if len(d.deleted) == 0 {
		return
	}
	ops := make(map[uint64]int, len(d.deleted)) // by inode
	d.k.mu.Lock()
	for _, op := range d.deleted {
		ns := d.ops[op].Object.(*netsetup.Namespace)
		if sp := d.k.spaces[ns.Name]; sp != nil && sp.handle.Inode() == ns.Inode && isStill(sp) {
			ops[ns.Inode] = op
		} // else it went meanwhile, and what has its name is somebody else's
		d.k.forget(ns.Name)
	}
	d.k.mu.Unlock()
	holds, err := netns.Release(ctx, slices.Collect(maps.Keys(ops)))
	if err != nil {
		d.fail(d.deleted[0], err)
		return
	}
	held := make(map[int]*netsetup.HeldError)
	for _, h := range holds {
		op := ops[h.Inode]
		if held[op] == nil {
			held[op] = &netsetup.HeldError{}
			d.fail(op, held[op])
		}
		held[op].By = append(held[op].By, h.String())
	}
	var names []string
	for _, op := range d.deleted {
		ns := d.ops[op].Object.(*netsetup.Namespace)
		if _, is := ops[ns.Inode]; is && held[op] == nil {
			names = append(names, ns.Name)
			d.traceOp(op)
		}
	}
	if err := netns.Delete(names...); err != nil {
		d.fail(d.deleted[0], err)
	}
}

// run carries out all other ops, the namespaces side by side.
func (d *doing) run(ctx context.Context) error {
	if d.touchesLinks {
		d.k.forgetLinks()
		defer d.k.forgetLinks()
	}
	spaces := make([]*space, 0, len(d.groups))
	groups := make([]group, 0, len(d.groups))
	for _, g := range d.groups {
		sp, err := d.k.space(g.namespace)
		if err != nil {
			d.fail(g.ops[0], err)
			continue
		}
		spaces, groups = append(spaces, sp), append(groups, g)
	}
	laters := make([][]later, len(groups))
	err := d.k.each(ctx, spaces, func(i int, in []byte) error {
		w := newWork(d, spaces[i], in)
		w.do(ctx, groups[i].ops)
		laters[i] = w.later
		return nil
	})
	return errors.Join(err, d.finishLinks(ctx, slices.Concat(laters...)))
}

// forgetLinks makes every namespace's links be read again when they are needed:
// a veth's other end comes and goes with it.
func (k *Kernel) forgetLinks() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, sp := range k.spaces {
		sp.links = nil
	}
}

// later is what is left to do for the other end of a new veth, in its
// namespace.
type later struct {
	namespace string
	op        int
	link      *netsetup.Link
}

func (d *doing) finishLinks(ctx context.Context, list []later) error {
	at := make(map[string]int)
	var spaces []*space
	var groups [][]later
	for _, l := range list {
		if d.errs[l.op] != nil {
			continue
		}
		g, ok := at[l.namespace]
		if !ok {
			sp, err := d.k.space(l.namespace)
			if err != nil {
				d.fail(l.op, err)
				continue
			}
			g = len(groups)
			at[l.namespace] = g
			spaces, groups = append(spaces, sp), append(groups, nil)
		}
		groups[g] = append(groups[g], l)
	}
	return d.k.each(ctx, spaces, func(i int, in []byte) error {
		w := newWork(d, spaces[i], in)
		for _, l := range groups[i] {
			w.finishLink(l.op, l.link)
		}
		w.flush()
		return nil
	})
}

// work is the doing of one namespace's ops.
type work struct {
	batch
	d     *doing
	k     *Kernel
	sp    *space
	later []later
	// retry are the deletions of unmarked routes that found none.
	retry []int
}

func newWork(d *doing, sp *space, in []byte) *work {
	w := &work{d: d, k: d.k, sp: sp}
	w.batch = batch{s: sp.sock, in: in, settle: w.outcome}
	return w
}

// outcome takes the kernel's word on a request. To delete what is gone is no
// mistake.
func (w *work) outcome(op int, err error) {
	if err == nil {
		return
	}
	o := &w.d.ops[op]
	if o.Verb != netsetup.Delete || !isGone(err) {
		w.d.fail(op, err)
		return
	}
	if rt, ok := o.Object.(*netsetup.Route); ok && rt.Origin != netsetup.Ours && len(rt.Nexthops) > 0 {
		w.retry = append(w.retry, op)
	}
}

// isGone reports how the kernel says that what is to be deleted is not there:
// a link (ENODEV), an address (EADDRNOTAVAIL), a route (ESRCH), a rule or a
// neighbour (ENOENT).
func isGone(err error) bool {
	for _, errno := range []unix.Errno{unix.ENODEV, unix.EADDRNOTAVAIL, unix.ESRCH, unix.ENOENT} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return errors.Is(err, errNoLink)
}

// do carries out ops in their order; the calling thread is inside. What goes
// through the socket is collected, and sent before anything else is done.
func (w *work) do(ctx context.Context, ops []int) {
	for n := 0; n < len(ops); {
		if ctx.Err() != nil {
			break
		}
		if links := w.linksToDelete(ops[n:]); links > 1 {
			w.deleteLinks(ops[n : n+links])
			n += links
			continue
		}
		if tables := w.tablesToChange(ops[n:]); tables > 0 {
			w.flush()
			if err := w.changeTables(ops[n : n+tables]); err != nil {
				w.d.fail(ops[n], err)
			}
			n += tables
			continue
		}
		w.d.traceOp(ops[n])
		if err := w.one(ops[n]); err != nil {
			w.outcome(ops[n], err)
		}
		n++
	}
	w.flush()
	w.retryRoutes()
}

// tablesToChange is how many ops at the front of a list are for tables: they go
// together.
func (w *work) tablesToChange(ops []int) int {
	n := 0
	for n < len(ops) {
		if _, is := w.d.ops[ops[n]].Object.(*netsetup.Table); !is {
			break
		}
		w.d.traceOp(ops[n])
		n++
	}
	return n
}

// retryRoutes deletes routes once more, named without their nexthops: the
// kernel does not know one by them that was made with a nexthop object
// (net/ipv4/fib_semantics.c:fib_nh_match).
func (w *work) retryRoutes() {
	retry := w.retry
	for _, op := range retry {
		rt := *w.d.ops[op].Object.(*netsetup.Route)
		rt.Nexthops = nil
		if err := w.deleteRoute(op, &rt); err != nil {
			w.d.fail(op, err)
		}
	}
	w.flush()
}

func (w *work) one(op int) error {
	o := &w.d.ops[op]
	switch x := o.Object.(type) {
	case *netsetup.Link:
		return w.link(op, o, x)
	case *netsetup.Address:
		switch o.Verb {
		case netsetup.Add:
			return w.address(op, x, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
		case netsetup.Change:
			return w.address(op, x, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
		}
		return w.addressRequest(op, x, unix.RTM_DELADDR, 0)
	case *netsetup.Route:
		switch o.Verb {
		case netsetup.Add:
			return w.addRoute(op, x, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
		case netsetup.Change:
			return w.changeRoute(op, x, o.Was.(*netsetup.Route))
		}
		return w.deleteRoute(op, x)
	case *netsetup.Rule:
		switch o.Verb {
		case netsetup.Add:
			return w.addRule(op, x)
		case netsetup.Change:
			if err := w.deleteRule(op, o.Was.(*netsetup.Rule)); err != nil {
				return err
			}
			return w.addRule(op, x)
		}
		return w.deleteRule(op, x)
	case *netsetup.Neighbor:
		if o.Verb == netsetup.Delete {
			return w.neighborRequest(op, x, unix.RTM_DELNEIGH, 0, 0)
		}
		if x.Proxy {
			return w.neighborRequest(op, x, unix.RTM_NEWNEIGH, unix.NLM_F_CREATE, unix.NUD_PERMANENT)
		}
		return w.neighbor(op, x)
	case *netsetup.FDBEntry:
		if o.Verb == netsetup.Delete {
			return w.fdbEntry(op, x, unix.RTM_DELNEIGH, 0)
		}
		return w.fdbEntry(op, x, unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	case *netsetup.Qdisc:
		return w.deleteQdisc(op, x)
	case *netsetup.Sysctl:
		w.flush()
		if o.Verb == netsetup.Delete {
			return nil // a setting cannot be taken away
		}
		return w.sp.sysctls.write(&w.k.procs, x)
	}
	return fmt.Errorf("cannot do anything with a %T", o.Object)
}

func (w *work) link(op int, o *netsetup.Op, l *netsetup.Link) error {
	switch o.Verb {
	case netsetup.Add:
		return w.addLink(op, l, o.PeerLink)
	case netsetup.Change:
		return w.changeLink(op, l, o.Was.(*netsetup.Link))
	}
	w.deleteLink(op, l)
	return nil
}

var errNoLink = errors.New("no such link")

// index gives the index of a link by name.
func (w *work) index(name string) (int32, error) {
	if err := w.loadLinks(); err != nil {
		return 0, err
	}
	if l := linkTable(w.sp.links).byName(name); l != nil {
		return l.index, nil
	}
	return 0, fmt.Errorf("%w: %s", errNoLink, name)
}

// loadLinks reads the links where they are not known. Requests that are
// collected and not yet sent do not make or end any: see netsetup.Stages.
func (w *work) loadLinks() error {
	if w.sp.links != nil {
		return nil
	}
	var list []linkInfo
	err := w.sp.sock.dump(linkRequest(), w.in, func() { list = list[:0] }, func(m message) error {
		if p, ok := parseLink(m); ok {
			list = append(list, p.info)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read links: %w", err)
	}
	w.sp.links = list
	return nil
}
