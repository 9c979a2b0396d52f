package netsetup

import (
	"context"
	"fmt"
	"slices"
)

// LinkDown takes the carrier of an end of a link away, as a pulled cable does: it
// takes the other end down. With admin it takes the end itself down. The kernel
// then drops what hangs on the end that is down: its routes and neighbours.
// want is the lab as its file has it.
func LinkDown(ctx context.Context, k Kernel, want *State, end Endpoint, admin bool) error {
	l, err := linkOf(want, end)
	if err != nil {
		return err
	}
	if !admin {
		end = l.Peer
		if l, err = linkOf(want, end); err != nil {
			return err
		}
	}
	was, to := *l, *l
	was.Up, to.Up = true, false
	return do(ctx, k, want.File, []Op{{Phase: Links, Verb: Change, Namespace: end.Namespace, Object: &to, Was: &was}})
}

// LinkUp takes both ends of a link up, puts back what the kernel dropped there,
// and waits until the link is good for use. Nothing else of the lab is touched: a
// route that has another way over a link that is down gets the ways that there
// are.
func LinkUp(ctx context.Context, k Kernel, want *State, end Endpoint) error {
	return restoreLink(ctx, k, want, end, true)
}

// LinkReset is LinkUp for a link that comes up where its file says so.
func LinkReset(ctx context.Context, k Kernel, want *State, end Endpoint) error {
	return restoreLink(ctx, k, want, end, false)
}

// restoreLink makes a link and what hangs on it be as wanted, but up whatever is
// wanted if that is asked for.
func restoreLink(ctx context.Context, k Kernel, want *State, end Endpoint, alwaysUp bool) error {
	l, err := linkOf(want, end)
	if err != nil {
		return err
	}
	ends := []Endpoint{end, l.Peer}
	have, err := Observe(ctx, k, want)
	if err != nil {
		return err
	}
	target := want.Clone()
	for i := range target.Namespaces {
		n := &target.Namespaces[i]
		was := namespaceOf(have, n.Name)
		if was == nil {
			continue
		}
		up := make(map[string]bool)
		for j := range n.Links {
			l := &n.Links[j]
			is := findLink(was, l.Name)
			up[l.Name] = is != nil && is.Up
			if slices.Contains(ends, Endpoint{n.Name, l.Name}) {
				l.Up = l.Up || alwaysUp
				up[l.Name] = l.Up
			}
		}
		n.Routes = usable(n.Routes, up)
	}
	plan, err := Diff(have, target, false)
	if err != nil {
		return err
	}
	ops := slices.DeleteFunc(plan.Ops, func(o Op) bool { return !o.hangsOn(ends) })
	if err := apply(ctx, k, want.File, ops, nil); err != nil {
		return err
	}
	now, err := Observe(ctx, k, want)
	if err != nil {
		return err
	}
	return settle(ctx, k, only(now, ends), target)
}

// linkOf finds an end of a link in what is wanted.
func linkOf(want *State, end Endpoint) (*Link, error) {
	if n := namespaceOf(want, end.Namespace); n != nil {
		if l := findLink(n, end.Link); l != nil && l.Kind == KindVeth {
			return l, nil
		}
	}
	return nil, fmt.Errorf("%s in %s is not the end of a link of lab %s", end.Link, displayNamespace(end.Namespace), want.Lab)
}

func namespaceOf(s *State, name string) *Namespace {
	i := slices.IndexFunc(s.Namespaces, func(n Namespace) bool { return n.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Namespaces[i]
}

// usable gives the routes that can be made while only some links are up: those
// ways of each that lead over them. up has the links that are wanted.
func usable(routes []Route, up map[string]bool) []Route {
	var list []Route
	for _, r := range routes {
		ways := slices.Clone(r.Nexthops)
		ways = slices.DeleteFunc(ways, func(h Nexthop) bool { return !up[h.Dev] })
		if len(r.Nexthops) > 0 && len(ways) == 0 {
			continue
		}
		if len(ways) == 1 {
			ways[0].Weight = 1 // as Compile has it
		}
		r.Nexthops = ways
		list = append(list, r)
	}
	return list
}

// hangsOn reports whether an op adds or changes one of the ends or what belongs
// to it.
func (o *Op) hangsOn(ends []Endpoint) bool {
	if o.Verb == Delete {
		return false
	}
	on := func(link string) bool { return slices.Contains(ends, Endpoint{o.Namespace, link}) }
	switch x := o.Object.(type) {
	case *Link:
		return o.Verb == Change && on(x.Name)
	case *Address:
		return on(x.Link)
	case *Neighbor:
		return on(x.Link)
	case *FDBEntry:
		return on(x.Link)
	case *Route:
		return slices.ContainsFunc(x.Nexthops, func(h Nexthop) bool { return on(h.Dev) })
	}
	return false
}

// only gives the state with no links but the ends.
func only(s *State, ends []Endpoint) *State {
	out := s.Clone()
	for i := range out.Namespaces {
		n := &out.Namespaces[i]
		n.Links = slices.DeleteFunc(n.Links, func(l Link) bool { return !slices.Contains(ends, Endpoint{n.Name, l.Name}) })
	}
	return out
}
