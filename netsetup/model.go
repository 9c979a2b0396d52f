package netsetup

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"nslab/topology"
)

// Model is a kernel's behaviour in memory: what an op does to a State, side
// effects included. Diff plays its plan on one, to ask for what a change
// destroys, and kerneltest serves one as a Kernel.
type Model struct {
	Lab        string
	namespaces map[string]*namespaceModel
}

type namespaceModel struct {
	kind      NamespaceKind
	inode     uint64
	owned     *Owned
	links     map[string]*Link
	following map[string]bool      // bridges that have the MTU that their ports give them
	addresses map[string][]Address // by link, in the order of the interface
	routes    map[routeKey][]Route
	rules     []Rule
	lostRules []Rule
	lost      []Address
	neighbors map[neighborKey]Neighbor
	fdb       map[fdbKey]FDBEntry
	qdiscs    []Qdisc
	tables    []Table
	sysctls   map[string]string
}

type routeKey struct {
	dst, from     netip.Prefix
	table, metric int
	tos           uint8
}

func (r *Route) key() routeKey { return routeKey{r.Dst, r.From, r.Table, r.Metric, r.TOS} }

type neighborKey struct {
	link  string
	ip    netip.Addr
	proxy bool
}

func (n *Neighbor) key() neighborKey { return neighborKey{n.Link, n.IP, n.Proxy} }

type fdbKey struct {
	link string
	mac  topology.MAC
}

// NewModel is a kernel in the given state.
func NewModel(s *State) *Model {
	m := &Model{Lab: s.Lab, namespaces: make(map[string]*namespaceModel, len(s.Namespaces))}
	for i := range s.Namespaces {
		m.load(&s.Namespaces[i])
	}
	return m
}

func (m *Model) load(from *Namespace) {
	n := newNamespaceModel(from.Kind)
	n.inode = from.Inode
	n.owned = from.Owned
	for i := range from.Links {
		l := from.Links[i]
		n.links[l.Name] = &l
	}
	for _, l := range n.links {
		if l.Kind == KindBridge && l.MTU == from.portsMTU(l.Name) {
			n.following[l.Name] = true
		}
	}
	for _, a := range from.Addresses {
		n.addresses[a.Link] = append(n.addresses[a.Link], a)
	}
	for _, r := range from.Routes {
		r.Nexthops = slices.Clone(r.Nexthops)
		n.routes[r.key()] = append(n.routes[r.key()], r)
	}
	n.rules = slices.Clone(from.Rules)
	n.lostRules = slices.Clone(from.LostRules)
	n.lost = slices.Clone(from.LostAddresses)
	n.qdiscs = slices.Clone(from.Qdiscs)
	for _, x := range from.Neighbors {
		n.neighbors[x.key()] = x
	}
	for _, f := range from.FDB {
		n.fdb[fdbKey{f.Link, f.MAC}] = f
	}
	n.tables = slices.Clone(from.Tables)
	for _, s := range from.Sysctls {
		n.sysctls[s.Name] = s.Value
	}
	m.namespaces[from.Name] = n
}

func newNamespaceModel(kind NamespaceKind) *namespaceModel {
	return &namespaceModel{
		kind:      kind,
		links:     map[string]*Link{},
		following: map[string]bool{},
		addresses: map[string][]Address{},
		routes:    map[routeKey][]Route{},
		neighbors: map[neighborKey]Neighbor{},
		fdb:       map[fdbKey]FDBEntry{},
		sysctls:   map[string]string{},
	}
}

// State is what the model holds, as Observe would give it.
func (m *Model) State() *State {
	s := &State{Lab: m.Lab, Namespaces: make([]Namespace, 0, len(m.namespaces))}
	for name := range m.namespaces {
		s.Namespaces = append(s.Namespaces, m.Namespace(name))
	}
	s.Sort()
	return s
}

// Namespace is a copy of one namespace; empty where there is none of the name.
func (m *Model) Namespace(name string) Namespace {
	n := m.namespaces[name]
	if n == nil {
		return Namespace{Name: name}
	}
	out := Namespace{Kind: n.kind, Name: name, Inode: n.inode, Owned: n.owned, Rules: n.rules, LostRules: n.lostRules, LostAddresses: n.lost,
		Qdiscs: n.qdiscs, Tables: n.tables}
	for _, l := range n.links {
		out.Links = append(out.Links, *l)
	}
	for _, list := range n.addresses {
		out.Addresses = append(out.Addresses, list...)
	}
	for _, list := range n.routes {
		out.Routes = append(out.Routes, list...)
	}
	for _, x := range n.neighbors {
		out.Neighbors = append(out.Neighbors, x)
	}
	for _, f := range n.fdb {
		out.FDB = append(out.FDB, f)
	}
	for k, v := range n.sysctls {
		out.Sysctls = append(out.Sysctls, Sysctl{Name: k, Value: v})
	}
	slices.SortFunc(out.Sysctls, func(a, b Sysctl) int { return strings.Compare(a.Name, b.Name) })
	out = out.clone()
	out.sort()
	return out
}

// Has reports whether there is a namespace of that name.
func (m *Model) Has(namespace string) bool { return m.namespaces[namespace] != nil }

// Link is an interface as it is now; nil where there is none.
func (m *Model) Link(namespace, name string) *Link {
	if n := m.namespaces[namespace]; n != nil {
		return n.links[name]
	}
	return nil
}

// Play does to the model what the op does to a kernel that accepts it.
func (m *Model) Play(op Op) {
	if x, ok := op.Object.(*Namespace); ok {
		m.playNamespace(op.Verb, x)
		return
	}
	n := m.namespaces[op.Namespace]
	if n == nil {
		return
	}
	switch x := op.Object.(type) {
	case *Owned:
		n.owned = x
		if op.Verb == Delete {
			n.owned = nil
		}
	case *Link:
		m.playLink(n, op, x)
	case *Address:
		if i := slices.Index(n.lost, *x); i >= 0 {
			n.lost = slices.Delete(n.lost, i, i+1)
			return
		}
		n.deleteAddress(x)
		if op.Verb != Delete {
			n.addAddress(*x)
		}
	case *Route:
		n.playRoute(op.Verb, *x)
	case *Rule:
		if op.Verb == Delete {
			if i := slices.IndexFunc(n.rules, func(r Rule) bool { return sameRule(&r, x) }); i >= 0 {
				n.rules = slices.Delete(n.rules, i, i+1)
			}
			return
		}
		if i := slices.Index(n.lostRules, *x); i >= 0 {
			n.lostRules = slices.Delete(n.lostRules, i, i+1)
			return
		}
		n.rules = append(n.rules, *x)
	case *Neighbor:
		if op.Verb == Delete {
			delete(n.neighbors, x.key())
			return
		}
		n.neighbors[x.key()] = *x
	case *FDBEntry:
		if op.Verb == Delete {
			delete(n.fdb, fdbKey{x.Link, x.MAC})
			return
		}
		n.fdb[fdbKey{x.Link, x.MAC}] = *x
	case *Qdisc:
		n.qdiscs = slices.DeleteFunc(n.qdiscs, func(q Qdisc) bool { return q == *x })
	case *Table:
		n.playTable(op, x)
	case *Sysctl:
		n.setSysctl(x)
	}
}

func (m *Model) playNamespace(verb Verb, x *Namespace) {
	if verb == Delete {
		for _, l := range m.namespaces[x.Name].links {
			m.deleteLink(x.Name, l.Name)
		}
		delete(m.namespaces, x.Name)
		return
	}
	n := newNamespaceModel(Own)
	n.links["lo"] = &Link{Name: "lo", Index: 1, Kind: KindLoopback, MTU: 65536, Alias: AliasPrefix + x.Name}
	m.namespaces[x.Name] = n
}

func (m *Model) playLink(n *namespaceModel, op Op, x *Link) {
	switch op.Verb {
	case Add:
		m.addLink(n, *x)
		if op.PeerLink != nil {
			m.addLink(m.namespaces[x.Peer.Namespace], *op.PeerLink)
		}
	case Delete:
		m.deleteLink(op.Namespace, x.Name)
	case Change:
		n.changeLink(x)
	}
}

// addLink makes a link as a creating request does: down and in no bridge.
func (m *Model) addLink(n *namespaceModel, l Link) {
	l.Up, l.Master, l.Port = false, "", nil
	n.links[l.Name] = &l
	n.follow()
	for i := range interfaceSettings {
		s := &interfaceSettings[i]
		if v, known := n.sysctls[s.from]; known {
			n.sysctls[s.of(l.Name)] = v
		}
	}
}

func (n *namespaceModel) changeLink(to *Link) {
	l := n.links[to.Name]
	if l == nil {
		return
	}
	was := *l
	*l = *to
	l.Index = was.Index // no change of a link changes that
	n.follow()
	if was.Up && !to.Up {
		n.linkDown(l.Name)
	}
	if was.MTU >= ipv6MinMTU && to.MTU != 0 && to.MTU < ipv6MinMTU {
		n.dropIPv6(l.Name)
	}
	if was.MAC != to.MAC {
		n.dropNeighbors(l.Name, func(netip.Addr) bool { return true })
	}
	if was.Master != to.Master {
		n.dropFDB(l.Name)
	}
}

// follow gives bridges the MTU of their ports (net/bridge/br_if.c:
// br_mtu_auto_adjust).
func (n *namespaceModel) follow() {
	for bridge := range n.following {
		n.links[bridge].MTU = portsMTU(bridge, maps.Values(n.links))
	}
}

// pin says that a bridge has an MTU of its own.
func (m *Model) pin(namespace, bridge string) {
	if n := m.namespaces[namespace]; n != nil {
		delete(n.following, bridge)
	}
}

// ipv6MinMTU is IPV6_MIN_MTU (RFC 8200, section 5): below it the kernel takes
// IPv6 off an interface.
const ipv6MinMTU = 1280

func isIPv6(a netip.Addr) bool { return a.Is6() }

// linkDown is what `ip link set down` takes away (net/ipv4/fib_frontend.c:
// fib_disable_ip, net/ipv6/addrconf.c:addrconf_ifdown).
func (n *namespaceModel) linkDown(name string) {
	n.dropRoutesThrough(name, false, func(netip.Addr) bool { return true })
	n.dropNeighbors(name, func(netip.Addr) bool { return true })
	if n.sysctls["net/ipv6/conf/all/keep_addr_on_down"] != "1" && n.sysctls["net/ipv6/conf/"+name+"/keep_addr_on_down"] != "1" {
		n.dropAddresses(name, isIPv6)
	}
}

// dropIPv6 is addrconf_ifdown for an interface that stays up.
func (n *namespaceModel) dropIPv6(name string) {
	n.dropAddresses(name, isIPv6)
	n.dropRoutesThrough(name, false, isIPv6)
	n.dropNeighbors(name, isIPv6)
}

func (n *namespaceModel) dropAddresses(link string, of func(netip.Addr) bool) {
	n.addresses[link] = slices.DeleteFunc(n.addresses[link], func(a Address) bool { return of(a.Prefix.Addr()) })
}

func (n *namespaceModel) dropNeighbors(link string, of func(netip.Addr) bool) {
	for k := range n.neighbors {
		if k.link == link && of(k.ip) {
			delete(n.neighbors, k)
		}
	}
}

func (n *namespaceModel) dropFDB(port string) {
	for k := range n.fdb {
		if k.link == port {
			delete(n.fdb, k)
		}
	}
}

// dropRoutesThrough removes the routes of which no nexthop is left when a
// device goes down: a multipath route stays, with a dead nexthop that comes back
// to life with the device. Where the device is gone for good, IPv4 drops the
// whole route (fib_sync_down_dev), IPv6 the nexthop (fib6_ifdown).
func (n *namespaceModel) dropRoutesThrough(link string, gone bool, of func(netip.Addr) bool) {
	through := func(h Nexthop) bool { return h.Dev == link }
	n.filterRoutes(func(r *Route) bool {
		if !of(r.Dst.Addr()) || !slices.ContainsFunc(r.Nexthops, through) {
			return true
		}
		if gone && r.Dst.Addr().Is4() {
			return false
		}
		left := slices.DeleteFunc(slices.Clone(r.Nexthops), through)
		if gone {
			r.Nexthops = left
		}
		return len(left) > 0
	})
}

// filterRoutes keeps those for which keep, which may change them, says so.
func (n *namespaceModel) filterRoutes(keep func(*Route) bool) {
	for k, list := range n.routes {
		left := list[:0]
		for i := range list {
			if keep(&list[i]) {
				left = append(left, list[i])
			}
		}
		if len(left) == 0 {
			delete(n.routes, k)
		} else {
			n.routes[k] = left
		}
	}
}

// deleteLink removes a link, the other end of a veth, and what hangs on them.
func (m *Model) deleteLink(namespace, name string) {
	n := m.namespaces[namespace]
	if n == nil || n.links[name] == nil {
		return
	}
	l := n.links[name]
	delete(n.links, name)
	delete(n.following, name)
	n.dropRoutesThrough(name, true, func(netip.Addr) bool { return true })
	n.dropAddresses(name, func(netip.Addr) bool { return true })
	n.dropNeighbors(name, func(netip.Addr) bool { return true })
	n.dropFDB(name)
	n.qdiscs = slices.DeleteFunc(n.qdiscs, func(q Qdisc) bool { return q.Link == name })
	for key := range n.sysctls {
		if InterfaceOf(key) == name {
			delete(n.sysctls, key)
		}
	}
	for _, port := range n.links {
		if port.Master == name {
			port.Master, port.Port = "", nil
			n.dropFDB(port.Name)
		}
	}
	n.follow()
	if l.Kind == KindVeth {
		m.deleteLink(l.Peer.Namespace, l.Peer.Link)
	}
}

func (n *namespaceModel) addAddress(a Address) {
	list := n.addresses[a.Link]
	if !a.Prefix.Addr().Is4() {
		n.addresses[a.Link] = append(list, a)
		return
	}
	of4 := slices.Clone(ipv4Of(list))
	n.addresses[a.Link] = append(insertIPv4(of4, a), list[len(of4):]...)
}

// deleteAddress follows net/ipv4/devinet.c:__inet_del_ifa: the secondary
// addresses of a primary one go with it, or one of them takes its place; routes
// that prefer the address as source go (IPv4) or forget it (IPv6); with its last
// IPv4 address an interface loses all IPv4 routes.
func (n *namespaceModel) deleteAddress(a *Address) {
	list := n.addresses[a.Link]
	at := slices.IndexFunc(list, func(x Address) bool { return x.Prefix == a.Prefix && x.Peer == a.Peer })
	if at < 0 {
		return
	}
	gone := []Address{list[at]}
	primary := !isSecondary(list[:at], list[at])
	list = slices.Delete(list, at, at+1)
	if a.Prefix.Addr().Is4() && primary {
		var secondaries []Address
		list = slices.DeleteFunc(list, func(x Address) bool {
			same := x.Prefix.Addr().Is4() && x.network() == a.network()
			if same {
				secondaries = append(secondaries, x)
			}
			return same
		})
		n.addresses[a.Link] = list
		if n.promotes(a.Link) {
			for _, s := range secondaries {
				n.addAddress(s)
			}
		} else {
			gone = append(gone, secondaries...)
		}
		list = n.addresses[a.Link]
	}
	n.addresses[a.Link] = list
	for _, x := range gone {
		n.forgetSource(x.Prefix.Addr())
	}
	if a.Prefix.Addr().Is4() && len(ipv4Of(list)) == 0 {
		n.dropRoutesThrough(a.Link, false, netip.Addr.Is4)
		n.dropNeighbors(a.Link, netip.Addr.Is4)
	}
}

func (n *namespaceModel) promotes(link string) bool {
	return n.sysctls["net/ipv4/conf/all/promote_secondaries"] == "1" ||
		n.sysctls["net/ipv4/conf/"+link+"/promote_secondaries"] == "1"
}

// forgetSource is what becomes of routes that prefer an address that is gone:
// IPv4 drops them from table main alone (net/ipv4/fib_semantics.c:
// fib_sync_down_addr), IPv6 forgets the preference in every table.
func (n *namespaceModel) forgetSource(ip netip.Addr) {
	for _, list := range n.addresses {
		if slices.ContainsFunc(list, func(a Address) bool { return a.Prefix.Addr() == ip }) {
			return
		}
	}
	n.filterRoutes(func(r *Route) bool {
		if r.Src != ip || ip.Is4() && r.Table != tableMain {
			return true
		}
		r.Src = netip.Addr{}
		return ip.Is6()
	})
}

func (n *namespaceModel) playRoute(verb Verb, r Route) {
	k := r.key()
	list := n.routes[k]
	if verb != Add {
		i := slices.IndexFunc(list, func(x Route) bool { return verb == Change || sameRoute(&x, &r) })
		if i >= 0 {
			list = slices.Delete(list, i, i+1)
		}
	}
	if verb != Delete {
		r.Nexthops = slices.Clone(r.Nexthops)
		if len(r.Nexthops) == 1 {
			r.Nexthops[0].Weight = 1 // whatever was asked for
		}
		list = append(list, r)
	}
	if len(list) == 0 {
		delete(n.routes, k)
		return
	}
	n.routes[k] = list
}

// setSysctl writes a setting and what the kernel changes with it: forwarding of
// all sets that of every interface, and IPv4's the acceptance of redirects; so
// does disable_ipv6 (net/ipv4/devinet.c:inet_forward_change,
// net/ipv6/addrconf.c:addrconf_fixup_forwarding, addrconf_disable_ipv6).
func (n *namespaceModel) setSysctl(s *Sysctl) {
	n.sysctls[s.Name] = s.Value
	family, leaf := "", "/forwarding"
	switch s.Name {
	case "net/ipv4/ip_forward":
		family = "net/ipv4/conf/"
		if _, known := n.sysctls["net/ipv4/conf/all/accept_redirects"]; known {
			n.sysctls["net/ipv4/conf/all/accept_redirects"] = bit(s.Value == "0")
		}
	case "net/ipv6/conf/all/forwarding":
		family = "net/ipv6/conf/"
	case "net/ipv6/conf/all/disable_ipv6":
		family, leaf = "net/ipv6/conf/", "/disable_ipv6"
	default:
		return
	}
	for name := range n.sysctls {
		if strings.HasPrefix(name, family) && strings.HasSuffix(name, leaf) {
			n.sysctls[name] = s.Value
		}
	}
}

// InterfaceOf is the interface that a setting belongs to, or "" for one of the
// namespace: net/ipv4/conf/eth0/forwarding.
func InterfaceOf(name string) string {
	part := strings.Split(name, "/")
	if len(part) != 5 || part[2] != "conf" && part[2] != "neigh" || part[3] == "all" || part[3] == "default" {
		return ""
	}
	return part[3]
}
