// Package kerneltest is a kernel in memory, for tests of what is above the
// interface netsetup.Kernel. It refuses what a real kernel refuses (a name
// taken, a missing parent, a name of more than 15 bytes, a gateway that nothing
// reaches). What an accepted op does is netsetup.Model, which Suite, run by the
// tests of netsetup/kernel, holds against a real kernel.
package kerneltest

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"syscall"

	"nslab/netsetup"
)

// Kernel implements netsetup.Kernel.
type Kernel struct {
	model *netsetup.Model
	index int
}

// New is a kernel with an empty root namespace.
func New() *Kernel {
	root := netsetup.Namespace{Kind: netsetup.Root}
	return &Kernel{model: netsetup.NewModel(&netsetup.State{Namespaces: []netsetup.Namespace{root}}), index: 1}
}

// Observe gives all there is, with those sysctls that want names, and the root
// namespace only where there is something in it.
func (k *Kernel) Observe(ctx context.Context, want *netsetup.State) (*netsetup.State, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := k.model.State()
	s.Lab = want.Lab
	s.Namespaces = slices.DeleteFunc(s.Namespaces, func(n netsetup.Namespace) bool {
		return n.Kind == netsetup.Root && len(n.Links)+len(n.Routes)+len(n.Rules)+len(n.Tables) == 0
	})
	for i := range s.Namespaces {
		n := &s.Namespaces[i]
		n.Sysctls = slices.DeleteFunc(n.Sysctls, func(x netsetup.Sysctl) bool {
			return !names(want, n.Name, x.Name) && !names(want.Before, n.Name, x.Name)
		})
	}
	return s, nil
}

// names reports whether a State, which may be nil, names a setting.
func names(s *netsetup.State, namespace, sysctl string) bool {
	return s != nil && slices.ContainsFunc(s.Namespaces, func(n netsetup.Namespace) bool {
		return n.Name == namespace && slices.ContainsFunc(n.Sysctls, func(x netsetup.Sysctl) bool { return x.Name == sysctl })
	})
}

// State is all there is. The root namespace, named "", is the first.
func (k *Kernel) State() *netsetup.State { return k.model.State() }

// Edit changes what there is, as a user or a daemon does behind nslab's back.
func (k *Kernel) Edit(change func(*netsetup.State)) {
	s := k.model.State()
	change(s)
	k.model = netsetup.NewModel(s)
}

// Do carries out ops one by one; after one that fails it goes on, as the kernel
// does within a batch.
func (k *Kernel) Do(ctx context.Context, ops []netsetup.Op) error {
	var errs []error
	for _, op := range ops {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		switch err := k.check(op); err {
		case nil:
			k.model.Play(k.number(op))
		case errGone:
		default:
			errs = append(errs, &netsetup.OpError{Op: op, Err: err})
		}
	}
	return errors.Join(errs...)
}

// Settle finds every link ready at once.
func (k *Kernel) Settle(context.Context, []netsetup.Endpoint) ([]netsetup.Endpoint, error) {
	return nil, nil
}

// errGone: what is to be deleted is not there.
var errGone = errors.New("gone")

// check gives the error with which a kernel refuses the op.
func (k *Kernel) check(op netsetup.Op) error {
	if n, ok := op.Object.(*netsetup.Namespace); ok {
		switch exists := k.model.Has(n.Name); {
		case op.Verb == netsetup.Add && exists:
			return syscall.EEXIST
		case op.Verb == netsetup.Delete && !exists:
			return errGone
		}
		return nil
	}
	if !k.model.Has(op.Namespace) {
		return syscall.ENOENT
	}
	switch x := op.Object.(type) {
	case *netsetup.Link:
		return k.checkLink(op, x)
	case *netsetup.Address:
		if k.model.Link(op.Namespace, x.Link) == nil {
			return syscall.ENODEV
		}
		has := slices.ContainsFunc(k.model.Namespace(op.Namespace).Addresses, func(a netsetup.Address) bool {
			return a.Link == x.Link && a.Prefix == x.Prefix
		})
		return existence(op.Verb, has)
	case *netsetup.Route:
		return k.checkRoute(op, x)
	case *netsetup.Neighbor:
		return k.checkNeighbor(op, x.Link)
	case *netsetup.FDBEntry:
		l := k.model.Link(op.Namespace, x.Link)
		if l == nil || l.Master == "" {
			return goneOr(op.Verb, syscall.EOPNOTSUPP)
		}
	case *netsetup.Table:
		return k.checkTable(op, x)
	case *netsetup.Sysctl:
		if name := netsetup.InterfaceOf(x.Name); name != "" && k.model.Link(op.Namespace, name) == nil {
			return syscall.ENOENT
		}
	}
	return nil
}

func existence(verb netsetup.Verb, has bool) error {
	switch {
	case verb == netsetup.Add && has:
		return syscall.EEXIST
	case verb == netsetup.Delete && !has:
		return errGone
	}
	return nil
}

func goneOr(verb netsetup.Verb, err error) error {
	if verb == netsetup.Delete {
		return errGone
	}
	return err
}

func (k *Kernel) checkNeighbor(op netsetup.Op, link string) error {
	if k.model.Link(op.Namespace, link) == nil {
		return goneOr(op.Verb, syscall.ENODEV)
	}
	return nil
}

// checkTable refuses a table that holds the index of an interface that is not
// there, or hangs on one.
func (k *Kernel) checkTable(op netsetup.Op, t *netsetup.Table) error {
	has := slices.ContainsFunc(k.model.Namespace(op.Namespace).Tables, func(h netsetup.Table) bool {
		return h.Family == t.Family && h.Name == t.Name
	})
	if err := existence(op.Verb, has); err != nil || op.Verb == netsetup.Delete {
		return err
	}
	for _, name := range append(t.Content.Devices(), t.Interfaces()...) {
		if k.model.Link(op.Namespace, name) == nil {
			return syscall.ENODEV
		}
	}
	return nil
}

func (k *Kernel) checkLink(op netsetup.Op, l *netsetup.Link) error {
	exists := k.model.Link(op.Namespace, l.Name) != nil
	if op.Verb != netsetup.Add {
		if !exists {
			return goneOr(op.Verb, syscall.ENODEV)
		}
		if op.Verb == netsetup.Change && l.Master != "" && k.model.Link(op.Namespace, l.Master) == nil {
			return syscall.ENODEV
		}
		return nil
	}
	if err := k.checkNewLink(op.Namespace, l); err != nil {
		return err
	}
	if op.PeerLink == nil {
		return nil
	}
	if !k.model.Has(l.Peer.Namespace) {
		return syscall.ENOENT
	}
	return k.checkNewLink(l.Peer.Namespace, op.PeerLink)
}

func (k *Kernel) checkNewLink(namespace string, l *netsetup.Link) error {
	if k.model.Link(namespace, l.Name) != nil {
		return syscall.EEXIST
	}
	if len(l.Name) == 0 || len(l.Name) > 15 {
		return syscall.ERANGE
	}
	if l.MTU != 0 && (l.MTU < 68 || l.MTU > 65535) {
		return syscall.EINVAL
	}
	for _, x := range k.model.Namespace(namespace).Links {
		if l.Index != 0 && x.Index == l.Index {
			return syscall.EBUSY
		}
	}
	return nil
}

// number gives what is made the number that a kernel gives it.
func (k *Kernel) number(op netsetup.Op) netsetup.Op {
	l, ok := op.Object.(*netsetup.Link)
	if !ok || op.Verb != netsetup.Add {
		return op
	}
	a := k.numbered(l)
	op.Object = a
	if op.PeerLink != nil {
		op.PeerLink = k.numbered(op.PeerLink)
	}
	return op
}

func (k *Kernel) numbered(l *netsetup.Link) *netsetup.Link {
	c := *l
	if c.Index == 0 {
		k.index++
		c.Index = k.index
	}
	return &c
}

func (k *Kernel) checkRoute(op netsetup.Op, r *netsetup.Route) error {
	n := k.model.Namespace(op.Namespace)
	same := slices.IndexFunc(n.Routes, func(x netsetup.Route) bool {
		return x.Dst == r.Dst && x.Table == r.Table && x.Metric == r.Metric
	})
	if err := existence(op.Verb, same >= 0); err != nil || op.Verb == netsetup.Delete {
		return err
	}
	for _, h := range r.Nexthops {
		l := k.model.Link(op.Namespace, h.Dev)
		if l == nil {
			return syscall.ENODEV
		}
		if !l.Up {
			return syscall.ENETDOWN
		}
		if h.Via.IsValid() && !h.OnLink && !h.Via.IsLinkLocalUnicast() && !reaches(n, h) {
			return syscall.ENETUNREACH
		}
	}
	local := func(a netsetup.Address) bool { return a.Prefix.Addr() == r.Src }
	if r.Src.IsValid() && !slices.ContainsFunc(n.Addresses, local) {
		return syscall.EINVAL
	}
	return nil
}

// reaches reports whether a network of the nexthop's device holds its gateway.
func reaches(n netsetup.Namespace, h netsetup.Nexthop) bool {
	return slices.ContainsFunc(n.Addresses, func(a netsetup.Address) bool {
		net := a.Prefix
		if a.Peer.IsValid() {
			net = a.Peer
		}
		return a.Link == h.Dev && net.Masked().Contains(h.Via) && net.Bits() < net.Addr().BitLen() ||
			a.Link == h.Dev && a.Peer.IsValid() && a.Peer == netip.PrefixFrom(h.Via, h.Via.BitLen())
	})
}
