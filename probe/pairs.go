package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"nslab/topology"
)

// side is one end of a pair.
type side struct {
	node   *node        // nil for a literal address or prefix
	iface  string       // "" is any
	prefix netip.Prefix // literal, else not valid
	port   int
	url    string     // of http: path and query
	addr   netip.Addr // to probe, or to bind to; not valid where unknown or not to be bound
}

// has reports whether the side is a node with all these labels.
func (s side) has(labels map[string]string) bool {
	if s.node == nil {
		return false
	}
	for k, v := range labels {
		if have, ok := s.node.topo.Labels[k]; !ok || have != v {
			return false
		}
	}
	return true
}

func (r *runner) side(t topology.Target) (side, error) {
	s := side{iface: t.Interface, prefix: t.Prefix, port: t.Port, url: t.URL}
	if t.Node == "" {
		if !t.Prefix.IsValid() {
			return s, errors.New("it names neither a node nor an address")
		}
		s.addr = t.Prefix.Addr()
		return s, nil
	}
	if s.node = r.nodes[t.Node]; s.node == nil {
		return s, fmt.Errorf("the lab has no node %q", t.Node)
	}
	return s, nil
}

// sideText is a side as the file has it.
func sideText(t topology.Target) string {
	s := t.Node
	if s == "" {
		s = t.Prefix.String()
		if t.Prefix.IsSingleIP() {
			s = t.Prefix.Addr().String()
			if t.Port != 0 && t.Prefix.Addr().Is6() {
				s = "[" + s + "]"
			}
		}
	}
	if t.Interface != "" {
		s += ":" + t.Interface
	}
	if t.Port != 0 {
		s += ":" + strconv.Itoa(t.Port)
	}
	if t.URL != "" {
		s = "http://" + s + t.URL
	}
	return s
}

// expand makes the jobs of an item: every sender with every target, but for
// pairs of one and the same node, in every family. What is wrong with a pair
// becomes an error when it is tried; an item never has no jobs.
func (r *runner) expand(t *topology.Test) []*job {
	targets := t.Targets
	if t.Verb == topology.Exec {
		targets = []topology.Target{{}}
	}
	type pair struct{ from, to topology.Target }
	var pairs []pair
	for _, from := range t.Senders {
		for _, to := range targets {
			if to.Node == "" || from.Node != to.Node {
				pairs = append(pairs, pair{from, to})
			}
		}
	}
	if len(pairs) == 0 {
		return []*job{{c: r.newCase(t, t.Name), test: t, bad: errors.New("it has no pair of different nodes")}}
	}
	has := remembered()
	var jobs []*job
	for _, p := range pairs {
		name := t.Name
		if len(pairs) > 1 {
			name += ": " + sideText(p.from)
			if t.Verb != topology.Exec {
				name += " -> " + sideText(p.to)
			}
		}
		jobs = append(jobs, r.expandPair(t, name, p.from, p.to, has)...)
	}
	return jobs
}

func (r *runner) newCase(t *topology.Test, name string) *Case {
	c := &Case{Name: name, Item: t.Name, Verb: t.Verb, Pos: t.Pos, Expect: t.Expect}
	if c.Expect == "" {
		c.Expect = expectPass
	}
	return c
}

// expandPair makes one job for each family of a pair.
func (r *runner) expandPair(t *topology.Test, name string, from, to topology.Target, has hasFamily) []*job {
	model := job{test: t}
	var err error
	if model.from, err = r.side(from); err == nil && t.Verb != topology.Exec {
		model.to, err = r.side(to)
	}
	add := func(name, family string) *job {
		j := model
		j.bad = err
		j.c = r.newCase(t, name)
		j.c.From = sideText(from)
		if t.Verb != topology.Exec {
			j.c.To = sideText(to)
		}
		j.c.Family = family
		j.ipv6, j.known = family == family6, family != ""
		return &j
	}
	switch {
	case err != nil, t.Verb == topology.Exec:
		return []*job{add(name, "")}
	case to.Node == "":
		return []*job{add(name, familyOf(to.Prefix.Addr()))}
	}
	var jobs []*job
	for _, f := range families(t, model.from, model.to, has) {
		jobs = append(jobs, add(name+" "+f, f))
	}
	if len(jobs) == 0 {
		jobs = []*job{add(name, "")}
	}
	return jobs
}

// Families, as in the file and in reports.
const (
	family4 = "ipv4"
	family6 = "ipv6"
)

func familyOf(a netip.Addr) string {
	if a.Is6() {
		return family6
	}
	return family4
}

// hasFamily is node.hasFamily.
type hasFamily func(n *node, iface string, v6 bool) bool

// remembered is a hasFamily that asks the kernel of a node once.
func remembered() hasFamily {
	type question struct {
		n     *node
		iface string
		v6    bool
	}
	answers := make(map[question]bool)
	return func(n *node, iface string, v6 bool) bool {
		q := question{n, iface, v6}
		a, ok := answers[q]
		if !ok {
			a = n.hasFamily(iface, v6)
			answers[q] = a
		}
		return a
	}
}

// families are those that a pair is tried in; none where that is not known yet.
func families(t *topology.Test, from, to side, has hasFamily) []string {
	switch t.Family {
	case "both":
		return []string{family4, family6}
	case family4, family6:
		return []string{t.Family}
	}
	var common []string
	for _, f := range []string{family4, family6} {
		if has(from.node, from.iface, f == family6) && has(to.node, to.iface, f == family6) {
			common = append(common, f)
		}
	}
	return common
}

// resolve finds the addresses of a job, or says why it cannot be tried.
func (r *runner) resolve(j *job) error {
	if j.bad != nil {
		return j.bad
	}
	if _, err := j.from.node.handle(); err != nil {
		return err
	}
	if j.test.Verb == topology.Exec {
		return nil
	}
	if !j.known {
		common := families(j.test, j.from, j.to, (*node).hasFamily)
		if len(common) == 0 {
			return fmt.Errorf("%s and %s have no address of the same family", j.c.From, j.c.To)
		}
		j.c.Family, j.ipv6, j.known = common[0], common[0] == family6, true
	}
	if err := r.resolveSender(j); err != nil {
		return err
	}
	if j.to.node == nil {
		j.owners = r.ownersOf(j.to.addr)
	} else {
		a, err := j.to.node.address(j.to.iface, j.ipv6)
		if err != nil {
			return err
		}
		j.to.addr, j.c.Address, j.owners = a, a.String(), []*node{j.to.node}
	}
	if j.to.addr.IsLinkLocalUnicast() && j.ipv6 && j.test.Verb != topology.RouteTo {
		if j.from.iface == "" {
			return fmt.Errorf("%s is link-local: the sender must say by which interface, as in %s:eth0", j.to.addr, j.c.From)
		}
		j.to.addr = j.to.addr.WithZone(j.from.iface)
	}
	for _, n := range j.owners {
		if _, err := n.handle(); err != nil {
			return err
		}
	}
	return nil
}

// resolveSender finds the address that a sender node:interface binds; one
// without an interface needs to have any of the family.
func (r *runner) resolveSender(j *job) error {
	if j.from.iface == "" {
		if j.test.Verb == topology.RouteTo || j.from.node.hasFamily("", j.ipv6) {
			return nil
		}
		_, err := j.from.node.address("", j.ipv6)
		return err
	}
	if j.to.addr.IsLinkLocalUnicast() {
		return nil // the kernel takes the interface's own
	}
	a, err := j.from.node.address(j.from.iface, j.ipv6)
	if err != nil && j.test.Verb == topology.RouteTo {
		return nil
	}
	j.from.addr = a
	return err
}

// ownersOf are the nodes that have a literal address in the file. There can be
// several: segments that do not meet may use the same addresses.
func (r *runner) ownersOf(a netip.Addr) []*node {
	if a.IsLoopback() || a.IsLinkLocalUnicast() {
		return nil
	}
	var owners []*node
	for _, n := range r.lab.Nodes {
		if topologyHas(n, a) {
			owners = append(owners, r.nodes[n.Name])
		}
	}
	return owners
}

func topologyHas(n *topology.Node, a netip.Addr) bool {
	for _, in := range n.Interfaces {
		for _, x := range in.Addresses {
			if x.Prefix.Addr() == a {
				return true
			}
		}
	}
	return false
}
