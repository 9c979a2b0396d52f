package e2e

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"nslab/topology"
)

// mutant is a lab that is broken in one place.
type mutant struct {
	kind  string // what was done to it
	place string // where
	// node is the node that is broken, and signs are what else a line that
	// names the place can hold, one of them. Of a link, peer and peerSigns are
	// the same for its other end.
	node      string
	signs     []string
	peer      string
	peerSigns []string
	opens     bool // it lets something pass that should not: then the way that takes names the place
	// change breaks a lab that nothing else has.
	change func(*topology.Lab)
}

func (m mutant) String() string { return m.kind + ": " + m.place }

// names reports whether a line of a report names what is broken.
// Those that list every place on the way do not, as a rule.
func (m mutant) names(line string) bool {
	for _, list := range []string{"sent: ", "seen: ", "what came back: "} {
		if !m.opens && strings.HasPrefix(line, list) {
			return false
		}
	}
	if slices.Contains(partingHops(line), m.node) || strings.HasPrefix(line, m.node+": ") {
		return true
	}
	in := func(node string, signs []string) bool {
		return node != "" && hasWord(line, node) && slices.ContainsFunc(signs, func(s string) bool { return hasWord(line, s) })
	}
	return in(m.node, m.signs) || in(m.peer, m.peerSigns)
}

// partingHops are, of what the verb path reports, the last hop that is as expected
// and the one that should follow.
func partingHops(line string) []string {
	are, expected, ok := strings.Cut(strings.TrimPrefix(line, "the hops are "), "; expected ")
	if !ok {
		return nil
	}
	got, want := strings.Split(are, ", "), strings.Split(expected, ", ")
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	return want[max(0, i-1):min(i+1, len(want))]
}

// hasWord reports whether text has word, and not as a part of another.
func hasWord(text, word string) bool {
	part := func(c byte) bool {
		return c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		i += from
		end := i + len(word)
		if (i == 0 || !part(text[i-1])) && (end == len(text) || !part(text[end])) {
			return true
		}
		from = end
	}
}

// mutants are all ways to break a lab in one place that are known here. The lab
// is one whose every default is written out.
func mutants(l *topology.Lab) []mutant {
	var all []mutant
	for _, n := range l.Nodes {
		all = append(all, routeMutants(l, n)...)
		all = append(all, interfaceMutants(l, n)...)
		all = append(all, settingMutants(n)...)
		all = append(all, ruleMutants(n)...)
		if n.Kind == topology.Switch {
			all = append(all, switchMutants(l, n)...)
		}
	}
	return all
}

// nodeOf gives the node of that name; there is one.
func nodeOf(l *topology.Lab, name string) *topology.Node {
	i := slices.IndexFunc(l.Nodes, func(n *topology.Node) bool { return n.Name == name })
	return l.Nodes[i]
}

func interfaceOf(n *topology.Node, name string) *topology.Interface {
	i := slices.IndexFunc(n.Interfaces, func(i *topology.Interface) bool { return i.Name == name })
	if i < 0 {
		return nil
	}
	return n.Interfaces[i]
}

// routeMutants break the routes of a node.
func routeMutants(l *topology.Lab, n *topology.Node) []mutant {
	var all []mutant
	for i, r := range n.Routes {
		place := fmt.Sprintf("%s: %s %s table %d", n.Name, r.Type, r.To, r.Table)
		signs := []string{r.To.String(), "unreachable", "no route"}
		for _, h := range r.Nexthops {
			place += fmt.Sprintf(" via %s dev %s", h.Via, h.Dev)
		}
		for _, in := range n.Interfaces {
			signs = append(signs, n.Name+":"+in.Name)
		}
		all = append(all, mutant{kind: "route removed", place: place, node: n.Name, signs: signs, opens: r.Type != "unicast", change: func(l *topology.Lab) {
			n := nodeOf(l, n.Name)
			n.Routes = slices.Delete(n.Routes, i, i+1)
		}})
		if r.To.Bits() > 0 && r.Type == "unicast" {
			other := neighborPrefix(r.To)
			all = append(all, mutant{kind: "route to the wrong prefix", place: place + ", now " + other.String(), node: n.Name, signs: signs, change: func(l *topology.Lab) {
				nodeOf(l, n.Name).Routes[i].To = other
			}})
		}
		if len(r.Nexthops) != 1 {
			continue
		}
		if wrong := freeAddress(l, n, r.Nexthops[0]); wrong.IsValid() {
			all = append(all, mutant{kind: "gateway wrong", place: place + ", now " + wrong.String(), node: n.Name, signs: []string{wrong.String()}, change: func(l *topology.Lab) {
				nodeOf(l, n.Name).Routes[i].Nexthops[0].Via = wrong
			}})
		}
	}
	return all
}

// neighborPrefix is the prefix beside p, of the same length.
func neighborPrefix(p netip.Prefix) netip.Prefix {
	b := p.Addr().AsSlice()
	bit := p.Bits() - 1
	b[bit/8] ^= 0x80 >> (bit % 8)
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, p.Bits())
}

// freeAddress is an address that a next hop could have and that nobody has; not
// valid where there is none.
func freeAddress(l *topology.Lab, n *topology.Node, h topology.Nexthop) netip.Addr {
	if !h.Via.IsValid() {
		return netip.Addr{}
	}
	for _, a := range interfaceOf(n, h.Dev).Addresses {
		if !a.Prefix.Contains(h.Via) {
			continue
		}
		for x := a.Prefix.Masked().Addr().Next(); a.Prefix.Contains(x.Next()); x = x.Next() {
			if !hasAddress(l, x) {
				return x
			}
		}
	}
	return netip.Addr{}
}

func hasAddress(l *topology.Lab, a netip.Addr) bool {
	for _, n := range l.Nodes {
		for _, in := range n.Interfaces {
			if slices.ContainsFunc(in.Addresses, func(x topology.Address) bool { return x.Prefix.Addr() == a }) {
				return true
			}
		}
	}
	return false
}

// narrowMTU is that of a link which is too narrow: the least that IPv6 has.
const narrowMTU = 1280

// wrongMAC is one that nobody has.
var wrongMAC = topology.MAC{0x02, 0, 0, 0, 0xba, 0xd0}

// interfaceMutants break the interfaces of a node.
func interfaceMutants(l *topology.Lab, n *topology.Node) []mutant {
	var all []mutant
	for _, in := range n.Interfaces {
		if in.Type != topology.Veth {
			continue
		}
		all = append(all, linkMutants(n, in)...)
		if in.Master != "" {
			continue // a port has no addresses
		}
		for _, x := range neighborsOf(l, peerOf(in, n.Name)) {
			all = append(all, neighborMutants(n, in, x)...)
		}
	}
	return all
}

// onInterface is what changes one interface of a lab.
func onInterface(node, name string, change func(*topology.Node, *topology.Interface)) func(*topology.Lab) {
	return func(l *topology.Lab) {
		n := nodeOf(l, node)
		change(n, interfaceOf(n, name))
	}
}

// linkMutants break the link of an interface. Either end of it is the place.
func linkMutants(n *topology.Node, in *topology.Interface) []mutant {
	peer := peerOf(in, n.Name)
	link := mutant{
		place: n.Name + ":" + in.Name, node: n.Name, peer: peer.Node,
		signs: []string{in.Name, "network is unreachable", "FragFails"}, peerSigns: []string{peer.Interface},
	}
	narrow, down := link, link
	narrow.kind, narrow.change = "MTU lowered", onInterface(n.Name, in.Name, func(_ *topology.Node, in *topology.Interface) {
		in.MTU = narrowMTU
	})
	// As in the kernel, its routes go too.
	down.kind, down.change = "link down", onInterface(n.Name, in.Name, func(n *topology.Node, in *topology.Interface) {
		in.Up = new(bool)
		n.Routes = slices.DeleteFunc(n.Routes, func(r *topology.Route) bool {
			return slices.ContainsFunc(r.Nexthops, func(h topology.Nexthop) bool { return h.Dev == in.Name })
		})
	})
	return []mutant{narrow, down}
}

// neighborMutants break what an interface has to do with a neighbour.
func neighborMutants(n *topology.Node, in *topology.Interface, x neighbor) []mutant {
	i := slices.IndexFunc(in.Addresses, func(a topology.Address) bool { return a.Prefix.Contains(x.addr) })
	if i < 0 {
		return nil
	}
	at := n.Name + ":" + in.Name
	all := []mutant{{
		kind: "neighbour's MAC wrong", place: at + " " + x.addr.String(),
		node: n.Name, signs: []string{wrongMAC.String(), at},
		change: onInterface(n.Name, in.Name, func(n *topology.Node, in *topology.Interface) {
			n.Neighbors = append(n.Neighbors, &topology.Neighbor{Dev: in.Name, IP: x.addr, MAC: wrongMAC, State: "permanent"})
		}),
	}}
	is := in.Addresses[i].Prefix
	if narrow := netip.PrefixFrom(is.Addr(), is.Addr().BitLen()-1); narrow.Bits() > is.Bits() && !narrow.Contains(x.addr) {
		all = append(all, mutant{
			kind: "wrong prefix length", place: fmt.Sprintf("%s %s, now %s", at, is, narrow),
			node: n.Name, signs: []string{in.Name, "network is unreachable", "no route to host"},
			change: onInterface(n.Name, in.Name, func(_ *topology.Node, in *topology.Interface) { in.Addresses[i].Prefix = narrow }),
		})
	}
	if n.Kind == topology.Router {
		all = append(all, mutant{
			kind: "duplicate address", place: fmt.Sprintf("%s of %s, also on lo of %s", x.addr, x.node, n.Name),
			node: n.Name, signs: []string{"lo", "from the target", at, "kept"},
			change: onInterface(n.Name, "lo", func(_ *topology.Node, lo *topology.Interface) {
				lo.Addresses = append(lo.Addresses, topology.Address{Prefix: netip.PrefixFrom(x.addr, x.addr.BitLen())})
			}),
		})
	}
	return all
}

// peerOf is the other end of the link of an interface.
func peerOf(in *topology.Interface, node string) topology.Endpoint {
	if e := in.Link.Endpoints[0]; e.Node != node || e.Interface != in.Name {
		return e
	}
	return in.Link.Endpoints[1]
}

// neighbor is an address on the segment of an interface.
type neighbor struct {
	node string
	addr netip.Addr
}

// mainAddresses gives the indexes of an interface's first addresses of each
// family: those that its node is known by.
func mainAddresses(in *topology.Interface) []int {
	var first []int
	seen := map[bool]bool{}
	for i, a := range in.Addresses {
		if v6 := a.Prefix.Addr().Is6(); !seen[v6] {
			seen[v6] = true
			first = append(first, i)
		}
	}
	return first
}

// neighborsOf are the main addresses at an end of a link, and behind it, where
// it is the port of a bridge.
func neighborsOf(l *topology.Lab, end topology.Endpoint) []neighbor {
	n := nodeOf(l, end.Node)
	in := interfaceOf(n, end.Interface)
	var all []neighbor
	of := func(in *topology.Interface) {
		for _, i := range mainAddresses(in) {
			all = append(all, neighbor{n.Name, in.Addresses[i].Prefix.Addr()})
		}
	}
	of(in)
	if in.Master == "" {
		return all
	}
	for _, port := range n.Interfaces {
		switch {
		case port.Name == in.Master:
			of(port)
		case port.Master == in.Master && port != in:
			all = append(all, neighborsOf(l, peerOf(port, n.Name))...)
		}
	}
	return all
}

// settingMutants break what a node says of itself.
func settingMutants(n *topology.Node) []mutant {
	var all []mutant
	var interfaces []string
	for _, in := range n.Interfaces {
		interfaces = append(interfaces, n.Name+":"+in.Name)
	}
	if n.Kind == topology.Router {
		for _, family := range familiesOf(n) {
			all = append(all, mutant{kind: "forwarding off", place: n.Name + " " + family, node: n.Name, signs: append(interfaces, "forwarding"), change: func(l *topology.Lab) {
				n := nodeOf(l, n.Name)
				n.Sysctls = append(n.Sysctls, topology.Sysctl{Name: "net/" + family + "/conf/all/forwarding", Value: "0"})
			}})
		}
	}
	for i, s := range n.Sysctls {
		all = append(all, mutant{kind: "sysctl not set", place: n.Name + " " + s.Name, node: n.Name, signs: append(interfaces, s.Name), opens: true, change: func(l *topology.Lab) {
			n := nodeOf(l, n.Name)
			n.Sysctls = slices.Delete(n.Sysctls, i, i+1)
		}})
	}
	for i, r := range n.Rules {
		if !slices.Contains(familiesOf(n), r.Family) {
			continue
		}
		all = append(all, mutant{kind: "rule of policy routing removed", place: fmt.Sprintf("%s priority %d", n.Name, *r.Priority), node: n.Name, signs: append(interfaces, "route"), opens: true, change: func(l *topology.Lab) {
			n := nodeOf(l, n.Name)
			n.Rules = slices.Delete(n.Rules, i, i+1)
		}})
	}
	return all
}

// familiesOf are those in which a node has addresses that can be reached.
func familiesOf(n *topology.Node) []string {
	has := map[string]bool{}
	for _, in := range n.Interfaces {
		for _, a := range in.Addresses {
			if a.Prefix.Addr().Is6() {
				has["ipv6"] = true
			} else {
				has["ipv4"] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(has))
}

// switchMutants put ports of a switch where they should not be.
func switchMutants(l *topology.Lab, n *topology.Node) []mutant {
	var all []mutant
	var ports []*topology.Interface
	for _, in := range n.Interfaces {
		if in.Master != "" {
			ports = append(ports, in)
		}
	}
	for i, a := range ports {
		for _, b := range ports[:i] {
			if isolated(a) && isolated(b) {
				continue
			}
			place := fmt.Sprintf("%s: %s and %s", n.Name, b.Name, a.Name)
			pa, pb := peerOf(a, n.Name), peerOf(b, n.Name)
			all = append(all, mutant{kind: "ports isolated", place: place, node: n.Name, signs: []string{a.Name, b.Name, pa.Node + ":" + pa.Interface, pb.Node + ":" + pb.Interface}, change: func(l *topology.Lab) {
				n := nodeOf(l, n.Name)
				for _, port := range []string{a.Name, b.Name} {
					in := interfaceOf(n, port)
					if in.Port == nil {
						in.Port = &topology.PortSettings{}
					}
					in.Port.Isolated = true
				}
			}})
		}
		peer := peerOf(a, n.Name)
		all = append(all, mutant{kind: "port on the wrong bridge", place: n.Name + ":" + a.Name, node: otherBridge, signs: []string{"br0", "port", peer.Node + ":" + peer.Interface}, change: func(l *topology.Lab) {
			n := nodeOf(l, n.Name)
			port := interfaceOf(n, a.Name)
			n.Interfaces = slices.DeleteFunc(n.Interfaces, func(in *topology.Interface) bool { return in == port })
			other := &topology.Node{Name: otherBridge, Kind: topology.Switch, Keep: &topology.Keep{}, Interfaces: []*topology.Interface{
				{Name: "br0", Type: topology.Bridge, Up: port.Up, Bridge: &topology.BridgeSettings{}},
				{Name: "port", Type: topology.Veth, Up: port.Up, Master: "br0", MTU: port.MTU, Link: port.Link},
			}}
			l.Nodes = append(l.Nodes, other)
			for i, e := range port.Link.Endpoints {
				if e.Node == n.Name && e.Interface == port.Name {
					port.Link.Endpoints[i] = topology.Endpoint{Node: otherBridge, Interface: "port"}
				}
			}
		}})
	}
	return all
}

func isolated(in *topology.Interface) bool { return in.Port != nil && in.Port.Isolated }

// otherBridge is the bridge that a port is put on by mistake.
const otherBridge = "elsewhere"

// verdict finds the verdict of a rule of nftables, in its line.
var verdict = regexp.MustCompile(`\b(accept|drop|reject( with [a-z0-9-]+( [a-z0-9-]+)?)?)`)

// ruleMutants break the rules of nftables of a node, a line each.
func ruleMutants(n *topology.Node) []mutant {
	if n.Nftables == nil {
		return nil
	}
	var all []mutant
	lines := strings.Split(n.Nftables.Text, "\n")
	depth := 0
	within := "" // chain, map or set, with its name
	for i, line := range lines {
		words := strings.Fields(line)
		if len(words) == 3 && words[2] == "{" && depth == 1 {
			within = words[0] + " " + words[1]
		}
		depth += strings.Count(line, "{") - strings.Count(line, "}")
		found := verdict.FindStringSubmatchIndex(line)
		if found == nil {
			continue
		}
		text := strings.TrimSpace(line)
		swapped := "accept"
		if line[found[2]:found[3]] == "accept" {
			swapped = "drop"
		}
		signs := []string{within, text}
		for _, in := range n.Interfaces {
			signs = append(signs, n.Name+":"+in.Name)
		}
		replace := func(with ...string) func(*topology.Lab) {
			return func(l *topology.Lab) {
				n := nodeOf(l, n.Name)
				changed := strings.Join(slices.Replace(slices.Clone(lines), i, i+1, with...), "\n")
				n.Nftables = &topology.Nftables{Text: changed}
			}
		}
		place := fmt.Sprintf("%s: %s: %s", n.Name, within, text)
		other := line[:found[0]] + swapped + line[found[1]:]
		kind := "verdict swapped"
		if strings.Contains(line, "policy ") {
			kind = "policy swapped"
			before, after, _ := strings.Cut(line, "policy ")
			other = before + "policy " + map[string]string{"accept;": "drop;", "drop;": "accept;"}[strings.Fields(after)[0]]
		}
		all = append(all, mutant{kind: kind, place: place, node: n.Name, signs: signs, opens: swapped == "accept" || strings.Contains(other, "policy accept"), change: replace(other)})
		if kind == "verdict swapped" && depth == 2 {
			all = append(all, mutant{kind: "firewall rule removed", place: place, node: n.Name, signs: signs, opens: swapped == "accept", change: replace()})
		}
	}
	return all
}
