package netsetup

import (
	"net/netip"
	"slices"
	"time"

	"nslab/topology"
)

// NamespaceName is the name under /run/netns of a lab's node.
func NamespaceName(lab, node string) string { return lab + "." + node }

// Compile turns a resolved lab into the State that is wanted of the kernel. It
// only translates: what could be wrong was found by topology.Resolve.
func Compile(lab *topology.Lab) (*State, error) {
	s := &State{Lab: lab.Name, File: lab.File, Namespaces: make([]Namespace, len(lab.Nodes))}
	names := make(map[string]string, len(lab.Nodes))
	for _, n := range lab.Nodes {
		names[n.Name] = nodeNamespace(lab, n)
	}
	perLink := settingNames{}
	for i, n := range lab.Nodes {
		s.Namespaces[i] = compileNode(lab, n, names, perLink)
	}
	s.Sort()
	return s, nil
}

// CompileMachines is Compile with what nodes are beside their networks, for which
// files are read: see Machines.
func CompileMachines(lab *topology.Lab) (*State, error) {
	s, err := Compile(lab)
	if err != nil {
		return nil, err
	}
	if s.Machines, err = Machines(lab); err != nil {
		return nil, err
	}
	s.Hosts = HostsFile(lab)
	own := make(map[string]*Machine, len(s.Machines))
	for i := range s.Machines {
		own[NamespaceName(lab.Name, s.Machines[i].Node)] = &s.Machines[i]
	}
	for i := range s.Namespaces {
		n := &s.Namespaces[i]
		if m := own[n.Name]; m != nil && n.Kind == Own && m.Kept() {
			n.Owned = &Owned{Pos: n.Pos, Machine: m}
		}
	}
	return s, nil
}

// nodeNamespace is Namespace.Name of a node.
func nodeNamespace(lab *topology.Lab, n *topology.Node) string {
	switch n.Kind {
	case topology.Root:
		return ""
	case topology.External:
		return n.Netns.Value
	}
	return NamespaceName(lab.Name, n.Name)
}

func compileNode(lab *topology.Lab, n *topology.Node, names map[string]string, perLink settingNames) Namespace {
	ns := Namespace{Pos: n.Pos, Name: names[n.Name]}
	switch n.Kind {
	case topology.Root:
		ns.Kind = Root
	case topology.External:
		ns.Kind = External
	}
	if n.Keep != nil {
		ns.Keep = *n.Keep
	}
	addresses := 0
	for _, in := range n.Interfaces {
		addresses += len(in.Addresses)
	}
	ns.Links = make([]Link, 0, len(n.Interfaces))
	ns.Addresses = make([]Address, 0, addresses)
	var settings []topology.Sysctl
	for _, in := range n.Interfaces {
		ns.Links = append(ns.Links, compileLink(lab, n, in, names))
		for _, a := range in.Addresses {
			ns.Addresses = append(ns.Addresses, compileAddress(in.Name, a))
		}
		for _, f := range in.FDB {
			ns.FDB = append(ns.FDB, FDBEntry{Pos: f.Pos, Origin: Manual, Link: f.Port, MAC: f.MAC})
		}
		settings = append(settings, in.Sysctls...)
	}
	for _, r := range n.Routes {
		ns.Routes = append(ns.Routes, compileRoute(r))
	}
	for _, r := range n.Rules {
		ns.Rules = append(ns.Rules, compileRule(r))
	}
	ns.Neighbors = make([]Neighbor, 0, len(n.Neighbors))
	for _, x := range n.Neighbors {
		ns.Neighbors = append(ns.Neighbors, Neighbor{Pos: x.Pos, Link: x.Dev, IP: x.IP, MAC: x.MAC, State: x.State})
	}
	ns.Tables = compileTables(lab.Name, n.Nftables)
	if ns.Kind == Own {
		ns.Sysctls = addImpliedSysctls(compileSysctls(n, settings), ns.Links, perLink)
	}
	return ns
}

func compileLink(lab *topology.Lab, n *topology.Node, in *topology.Interface, names map[string]string) Link {
	l := Link{
		Pos: in.Pos, Name: in.Name, MAC: in.MAC, MTU: in.MTU, Up: in.Up == nil || *in.Up,
		Master: in.Master, TxQueueLen: in.TxQueueLen, Alias: in.Alias,
	}
	if in.NoOffloads {
		l.Offloads = &Offloads{}
	}
	switch in.Type {
	case topology.Loopback:
		l.Kind = KindLoopback
		l.Alias = AliasPrefix + names[n.Name]
	case topology.Bridge:
		l.Kind = KindBridge
		l.Bridge = compileBridge(in.Bridge)
	default:
		l.Kind = KindVeth
		l.Peer = peerOf(in, n, names)
	}
	if n.Kind == topology.Root || n.Kind == topology.External {
		l.Alias = AliasPrefix + lab.Name
	}
	if in.Master != "" {
		l.Port = compilePort(in.Port)
	}
	return l
}

// peerOf finds the other end of the link that an interface is an end of.
func peerOf(in *topology.Interface, n *topology.Node, names map[string]string) Endpoint {
	e := in.Link.Endpoints
	other := e[0]
	if e[0].Node == n.Name && e[0].Interface == in.Name {
		other = e[1]
	}
	return Endpoint{Namespace: names[other.Node], Link: other.Interface}
}

func compileBridge(b *topology.BridgeSettings) *Bridge {
	return &Bridge{
		STP: b.STP, McastSnooping: b.McastSnooping,
		AgeingTime: centiseconds(b.AgeingTime), ForwardDelay: centiseconds(b.ForwardDelay),
		HelloTime: centiseconds(b.HelloTime), MaxAge: centiseconds(b.MaxAge),
		Priority: b.Priority,
	}
}

func centiseconds(d *time.Duration) *int {
	if d == nil {
		return nil
	}
	n := int(*d / (10 * time.Millisecond))
	return &n
}

// compilePort takes the kernel's defaults of net/bridge/br_if.c:new_nbp for
// what is not given: a port learns.
func compilePort(p *topology.PortSettings) *Port {
	if p == nil {
		return &Port{Learning: true}
	}
	return &Port{
		Isolated: p.Isolated, Learning: p.Learning == nil || *p.Learning, Hairpin: p.Hairpin,
		Cost: p.Cost, Priority: p.Priority,
	}
}

func compileAddress(link string, a topology.Address) Address {
	out := Address{Pos: a.Pos, Link: link, Prefix: a.Prefix, Peer: a.Peer, DAD: a.DAD, Label: a.Label}
	if a.Peer.IsValid() { // the kernel has one prefix length, which is the peer's
		out.Prefix = netip.PrefixFrom(a.Prefix.Addr(), a.Prefix.Addr().BitLen())
	}
	if out.Label == link {
		out.Label = ""
	}
	switch a.Scope {
	case "link":
		out.Scope = 253
	case "host":
		out.Scope = 254
	case "":
		out.Scope = kernelScope(a)
	}
	return out
}

// kernelScope is the scope that an address gets where none is given: IPv6
// addresses have their own (ipv6_addr_scope), IPv4 ones what ip-address(8)
// sets, host for 127/8 and global otherwise.
func kernelScope(a topology.Address) uint8 {
	ip := a.Prefix.Addr()
	switch {
	case ip.IsLoopback():
		return 254
	case ip.Is6() && ip.IsLinkLocalUnicast():
		return 253
	}
	return 0
}

func compileRoute(r *topology.Route) Route {
	out := Route{Pos: r.Pos, Dst: r.To, Table: r.Table, Type: r.Type, Src: r.Src, MTU: r.MTU}
	if r.Metric != nil {
		out.Metric = *r.Metric
	}
	if out.Metric == 0 {
		out.Metric = defaultMetric(r.To)
	}
	for _, h := range r.Nexthops {
		out.Nexthops = append(out.Nexthops, Nexthop{Via: h.Via, Dev: h.Dev, Weight: max(h.Weight, 1), OnLink: h.OnLink})
	}
	if len(out.Nexthops) == 1 {
		out.Nexthops[0].Weight = 1 // the only way has none
	}
	return out
}

func compileRule(r *topology.Rule) Rule {
	out := Rule{Pos: r.Pos, IPv6: r.IPv6, Priority: *r.Priority, From: r.From, To: r.To, IIF: r.IIF, OIF: r.OIF, Table: r.Table}
	if r.FwMark != nil {
		out.FwMark, out.FwMask = *r.FwMark, ^uint32(0)
		if r.FwMask != nil {
			out.FwMask = *r.FwMask
		}
	}
	return out
}

// hostSysctls and routerSysctls are what every namespace of a lab starts with,
// in the order in which they are written: forwarding first, because writing it
// resets others (Documentation/networking/ip-sysctl.rst).
var hostSysctls, routerSysctls = baseSysctls("0"), baseSysctls("1")

func baseSysctls(forward string) []Sysctl {
	s := []Sysctl{
		{Name: "net/ipv4/ip_forward", Value: forward},
		{Name: "net/ipv6/conf/all/forwarding", Value: forward},
		// No limits on ICMP errors (icmp(7)): a test would take a reject that
		// the kernel saved itself for a drop.
		{Name: "net/ipv4/icmp_ratemask", Value: "0"},
		{Name: "net/ipv6/icmp/ratemask", Value: ""},
	}
	for _, x := range []struct{ family, leaf, value string }{
		{"ipv4", "rp_filter", "0"},
		{"ipv4", "promote_secondaries", "1"},
		{"ipv6", "disable_ipv6", "0"},
		{"ipv6", "accept_dad", "0"},
		{"ipv6", "keep_addr_on_down", "1"},
	} {
		for _, scope := range []string{"all", "default"} {
			s = append(s, Sysctl{Name: "net/" + x.family + "/conf/" + scope + "/" + x.leaf, Value: x.value})
		}
	}
	return s
}

// sameSetting are two names of one kernel setting.
var sameSetting = map[string]string{"net/ipv4/conf/all/forwarding": "net/ipv4/ip_forward"}

// compileSysctls is the base, with a node's own value in its place, then the
// node's others in file order, then those of its interfaces.
func compileSysctls(n *topology.Node, ofInterfaces []topology.Sysctl) []Sysctl {
	base := hostSysctls
	if n.Kind == topology.Router {
		base = routerSysctls
	}
	out := slices.Clone(base)
	for _, list := range [][]topology.Sysctl{n.Sysctls, ofInterfaces} {
		for _, s := range list {
			if !ofNetwork(s) {
				continue // it goes with the Machine
			}
			name := s.Name
			if same, ok := sameSetting[name]; ok {
				name = same
			}
			if i := slices.IndexFunc(out, func(x Sysctl) bool { return x.Name == name }); i >= 0 {
				out[i].Pos, out[i].Value = s.Pos, s.Value
				continue
			}
			out = append(out, Sysctl{Pos: s.Pos, Name: name, Value: s.Value})
		}
	}
	return out
}
