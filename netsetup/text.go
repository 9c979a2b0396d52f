package netsetup

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"nslab/topology"
)

// Sign is how a plan shows what the op does: + adds, ~ changes, - removes.
func (v Verb) Sign() string { return [...]string{"+", "~", "-"}[v] }

// Command is the op as the command of iproute2, bridge(8), ethtool(8) or
// sysctl(8) that does the same.
func (o Op) Command() string {
	switch x := o.Object.(type) {
	case *Namespace:
		return "ip netns " + [...]string{"add ", "set ", "delete "}[o.Verb] + x.Name
	case *Owned:
		return [...]string{"isolate ", "isolate anew ", "end isolation of "}[o.Verb] + o.Namespace + ": " + x.String()
	case *Link:
		return o.linkCommand(x)
	case *Address:
		return o.ip(addressFamily(x.Prefix), "address", x.String())
	case *Route:
		return o.ip(addressFamily(x.Dst), "route", x.String())
	case *Rule:
		return o.ip(family(x.IPv6), "rule", x.String())
	case *Neighbor:
		if o.Verb == Add {
			return ipIn(o.Namespace) + "neighbour add " + x.String()
		}
		return o.ip("", "neighbour", x.String())
	case *Qdisc:
		return toolIn("tc", o.Namespace) + "qdisc " + [...]string{"add ", "replace ", "delete "}[o.Verb] + x.String()
	case *FDBEntry:
		return o.bridgeTool() + "fdb " + [...]string{"add ", "replace ", "delete "}[o.Verb] + x.String()
	case *Table:
		cmd := inside(o.Namespace, "nft "+[...]string{"add ", "replace ", "delete "}[o.Verb]+x.title())
		if o.Verb == Change {
			cmd += " # counters and what rules added to sets begin anew"
		}
		return cmd
	case *Sysctl:
		return inside(o.Namespace, "sysctl -w "+x.String())
	}
	panic(fmt.Sprintf("op with object %T", o.Object))
}

// ip is the command for an object whose change is a replacement.
func (o Op) ip(family, object, rest string) string {
	verb := [...]string{"add", "replace", "delete"}[o.Verb]
	if object == "address" && o.Verb == Change {
		verb = "change"
	}
	return ipIn(o.Namespace) + family + object + " " + verb + " " + rest
}

func (o Op) linkCommand(l *Link) string {
	cmd := ipIn(o.Namespace)
	switch o.Verb {
	case Add:
		cmd += "link add " + l.Name + l.settings(&Link{})
		if o.PeerLink == nil {
			return cmd + " type " + l.Kind + l.Bridge.settings(nil)
		}
		cmd += " type veth peer name " + o.PeerLink.Name + o.PeerLink.settings(&Link{})
		if l.Peer.Namespace != o.Namespace {
			cmd += " netns " + displayNamespace(l.Peer.Namespace)
		}
		return cmd
	case Delete:
		return cmd + "link delete " + l.Name
	}
	was := o.Was.(*Link)
	var cmds []string
	if s := l.settings(was); s != "" {
		cmds = append(cmds, cmd+"link set "+l.Name+s)
	}
	if s := l.Bridge.settings(was.Bridge); s != "" {
		cmds = append(cmds, cmd+"link set "+l.Name+" type bridge"+s)
	}
	if l.Master != was.Master {
		if l.Master == "" {
			cmds = append(cmds, cmd+"link set "+l.Name+" nomaster")
		} else {
			cmds = append(cmds, cmd+"link set "+l.Name+" master "+l.Master)
		}
	}
	if s := l.Port.settings(was.Port); s != "" {
		cmds = append(cmds, o.bridgeTool()+"link set dev "+l.Name+s)
	}
	if l.Offloads != nil && (was.Offloads == nil || *was.Offloads != *l.Offloads) {
		cmds = append(cmds, inside(o.Namespace, "ethtool -K "+l.Name+l.Offloads.words()))
	}
	if l.Up != was.Up {
		cmds = append(cmds, cmd+"link set "+l.Name+" "+upDown(l.Up))
	}
	return strings.Join(cmds, " && ")
}

// words are those of ethtool(8).
func (f *Offloads) words() (s string) {
	for _, o := range []struct {
		name string
		on   bool
	}{{"tx", f.TX}, {"sg", f.SG}, {"tso", f.TSO}, {"gso", f.GSO}, {"gro", f.GRO}} {
		s += " " + o.name + " off"
		if o.on {
			s = strings.TrimSuffix(s, "off") + "on"
		}
	}
	return s
}

func upDown(up bool) string {
	if up {
		return "up"
	}
	return "down"
}

// settings are the words of ip-link(8) for what differs from was.
func (l *Link) settings(was *Link) string {
	var b strings.Builder
	if !l.MAC.IsZero() && l.MAC != was.MAC {
		b.WriteString(" address " + l.MAC.String())
	}
	if l.MTU != 0 && l.MTU != was.MTU {
		fmt.Fprintf(&b, " mtu %d", l.MTU)
	}
	if l.Index != 0 && l.Index != was.Index {
		fmt.Fprintf(&b, " index %d", l.Index)
	}
	if differs(l.TxQueueLen, was.TxQueueLen) {
		fmt.Fprintf(&b, " txqueuelen %d", *l.TxQueueLen)
	}
	if l.Alias != was.Alias {
		fmt.Fprintf(&b, " alias %q", l.Alias)
	}
	return b.String() + extraWords(LinkExtras, l.Extra, was.Extra)
}

// settings are the words of ip-link(8) for a bridge's settings that differ from
// was (nil: from nothing, so that all are given).
func (b *Bridge) settings(was *Bridge) string {
	if b == nil {
		return ""
	}
	var s strings.Builder
	if was == nil || b.STP != was.STP {
		s.WriteString(" stp_state " + bit(b.STP))
	}
	if was == nil || b.McastSnooping != was.McastSnooping {
		s.WriteString(" mcast_snooping " + bit(b.McastSnooping))
	}
	if was == nil {
		was = &Bridge{}
	}
	for _, f := range []struct {
		name      string
		want, has *int
	}{
		{"ageing_time", b.AgeingTime, was.AgeingTime},
		{"forward_delay", b.ForwardDelay, was.ForwardDelay},
		{"hello_time", b.HelloTime, was.HelloTime},
		{"max_age", b.MaxAge, was.MaxAge},
		{"priority", b.Priority, was.Priority},
	} {
		if differs(f.want, f.has) {
			fmt.Fprintf(&s, " %s %d", f.name, *f.want)
		}
	}
	return s.String() + extraWords(BridgeExtras, b.Extra, was.Extra)
}

// settings are the words of bridge(8) for a port's settings that differ from
// was; nil is a fresh port.
func (p *Port) settings(was *Port) string {
	if p == nil {
		return ""
	}
	if was == nil {
		was = &Port{Learning: true}
	}
	var s strings.Builder
	for _, f := range []struct {
		name      string
		want, has bool
	}{
		{"isolated", p.Isolated, was.Isolated},
		{"learning", p.Learning, was.Learning},
		{"hairpin", p.Hairpin, was.Hairpin},
	} {
		if f.want != f.has {
			s.WriteString(" " + f.name + " " + onOff(f.want))
		}
	}
	if differs(p.Cost, was.Cost) {
		fmt.Fprintf(&s, " cost %d", *p.Cost)
	}
	if differs(p.Priority, was.Priority) {
		fmt.Fprintf(&s, " priority %d", *p.Priority)
	}
	return s.String() + extraWords(PortExtras, p.Extra, was.Extra)
}

// differs reports whether a wanted setting, where there is one, is not what is.
func differs(want, has *int) bool {
	return want != nil && (has == nil || *want != *has)
}

func bit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// String names the kinds of namespaces, and what is special about the mounts.
func (n *Owned) String() string {
	i := n.Machine.Isolation
	var words []string
	for _, k := range []struct {
		own  bool
		name string
	}{
		{i.UTS, "uts"}, {i.Mount, "mount"}, {i.IPC, "ipc"}, {i.PID, "pid"},
		{i.Cgroup, "cgroup"}, {i.Time, "time"}, {i.User, "user"},
	} {
		if k.own {
			words = append(words, k.name)
		}
	}
	if n.Machine.RootFS != "" {
		words = append(words, "with root "+n.Machine.RootFS)
	}
	return strings.Join(words, " ")
}

// String gives the words of ip-address(8).
func (a *Address) String() string {
	s := a.Prefix.String()
	if a.Peer.IsValid() {
		s = a.Prefix.Addr().String() + " peer " + a.Peer.String()
	}
	s += " dev " + a.Link
	if a.Scope != 0 {
		s += " scope " + scopeName(a.Scope)
	}
	if a.Label != "" {
		s += " label " + a.Label
	}
	return s
}

// scopeName is a RT_SCOPE_* by the name that iproute2 gives it.
func scopeName(s uint8) string {
	switch s {
	case 200:
		return "site"
	case 253:
		return "link"
	case 254:
		return "host"
	}
	return strconv.Itoa(int(s))
}

// String gives the words of ip-route(8).
func (r *Route) String() string {
	var b strings.Builder
	if r.Type != Unicast {
		b.WriteString(r.Type + " ")
	}
	if r.Dst.Bits() == 0 {
		b.WriteString("default")
	} else {
		b.WriteString(r.Dst.String())
	}
	if r.From.IsValid() {
		b.WriteString(" from " + r.From.String())
	}
	if r.TOS != 0 {
		fmt.Fprintf(&b, " tos %#x", r.TOS)
	}
	if len(r.Nexthops) == 1 {
		b.WriteString(r.Nexthops[0].words(r.Dst.Addr().Is6()))
	}
	if r.Src.IsValid() {
		b.WriteString(" src " + r.Src.String())
	}
	if r.Table != tableMain && !(r.Type == Local && r.Table == tableLocal) {
		fmt.Fprintf(&b, " table %d", r.Table)
	}
	if r.Metric != defaultMetric(r.Dst) {
		fmt.Fprintf(&b, " metric %d", r.Metric)
	}
	if r.MTU != 0 {
		fmt.Fprintf(&b, " mtu %d", r.MTU)
	}
	if len(r.Nexthops) > 1 {
		for _, h := range r.Nexthops {
			fmt.Fprintf(&b, " nexthop%s weight %d", h.words(r.Dst.Addr().Is6()), h.Weight)
		}
	}
	return b.String()
}

func (h Nexthop) words(ipv6 bool) string {
	var s string
	if h.Via.IsValid() {
		s = " via " + h.Via.String()
		if h.Via.Is6() != ipv6 {
			s = " via " + strings.TrimPrefix(familyWord(h.Via.Is6()), "-") + " " + h.Via.String()
		}
	}
	if h.Dev != "" {
		s += " dev " + h.Dev
	}
	if h.OnLink {
		s += " onlink"
	}
	return s
}

func familyWord(ipv6 bool) string {
	if ipv6 {
		return "inet6"
	}
	return "inet"
}

// Routing tables, from linux/rtnetlink.h.
const (
	tableMain  = 254
	tableLocal = 255
)

// defaultMetric is what a route without a metric gets: IP6_RT_PRIO_USER of
// include/uapi/linux/ipv6_route.h, and none for IPv4.
func defaultMetric(dst netip.Prefix) int {
	if dst.Addr().Is6() {
		return 1024
	}
	return 0
}

// String gives the words of ip-rule(8).
func (r *Rule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "priority %d", r.Priority)
	if r.From.IsValid() {
		b.WriteString(" from " + r.From.String())
	}
	if r.To.IsValid() {
		b.WriteString(" to " + r.To.String())
	}
	if r.IIF != "" {
		b.WriteString(" iif " + r.IIF)
	}
	if r.OIF != "" {
		b.WriteString(" oif " + r.OIF)
	}
	if r.FwMask != 0 {
		fmt.Fprintf(&b, " fwmark %#x/%#x", r.FwMark, r.FwMask)
	}
	if r.Other != "" {
		b.WriteString(" " + r.Other)
	}
	if r.Table != 0 {
		fmt.Fprintf(&b, " lookup %d", r.Table)
	}
	return b.String()
}

// String gives the words of ip-neighbour(8).
func (n *Neighbor) String() string {
	if n.Proxy {
		return fmt.Sprintf("proxy %s dev %s", n.IP, n.Link)
	}
	return fmt.Sprintf("%s lladdr %s nud %s dev %s", n.IP, n.MAC, n.State, n.Link)
}

// String gives the words of bridge(8).
func (f *FDBEntry) String() string {
	state := "static"
	if f.Local {
		state = "permanent"
	}
	return fmt.Sprintf("%s dev %s master %s", f.MAC, f.Link, state)
}

// String gives the words of tc(8).
func (q *Qdisc) String() string {
	if q.Parent == "root" {
		return fmt.Sprintf("dev %s root %s", q.Link, q.Kind)
	}
	return fmt.Sprintf("dev %s %s", q.Link, q.Parent)
}

// String is the setting as sysctl(8) takes it: dotted, or with slashes where an
// interface's name has a dot.
func (s *Sysctl) String() string {
	name := s.Name
	if !strings.Contains(name, ".") {
		name = strings.ReplaceAll(name, "/", ".")
	}
	return name + "=" + quote(s.Value)
}

func quote(s string) string {
	if strings.ContainsAny(s, " \t") {
		return `"` + s + `"`
	}
	return s
}

// ipIn begins a command of iproute2 in a namespace.
func ipIn(ns string) string { return toolIn("ip", ns) }

// toolIn begins a command of one of the tools of iproute2 in a namespace.
func toolIn(tool, ns string) string {
	switch {
	case ns == "":
		return tool + " "
	case isName(ns):
		return tool + " -n " + ns + " "
	}
	return inside(ns, tool+" ")
}

// bridgeTool begins a bridge(8) command.
func (o Op) bridgeTool() string { return toolIn("bridge", o.Namespace) }

// inside is any command run in a namespace.
func inside(ns, cmd string) string {
	switch {
	case ns == "":
		return cmd
	case isName(ns):
		return "ip netns exec " + ns + " " + cmd
	case strings.HasPrefix(ns, "pid:"):
		return "nsenter -n -t " + ns[len("pid:"):] + " " + cmd
	}
	return "nsenter --net=" + ns + " " + cmd
}

// isName tells a name under /run/netns from a path and from pid:1234.
func isName(ns string) bool {
	return !filepath.IsAbs(ns) && !strings.HasPrefix(ns, "pid:")
}

func family(ipv6 bool) string {
	if ipv6 {
		return "-6 "
	}
	return ""
}

func addressFamily(p netip.Prefix) string { return family(p.Addr().Is6()) }

// action names what the op does for a message: "add route 10.1.0.0/16 via
// 10.0.0.1 dev eth0 in campus.r1".
func (o Op) action() string {
	verb := [...]string{"add ", "change ", "delete "}[o.Verb]
	in := " in " + displayNamespace(o.Namespace)
	switch x := o.Object.(type) {
	case *Namespace:
		in = ""
	case *Link:
		if o.PeerLink != nil {
			in += " with peer " + o.PeerLink.Name + " in " + displayNamespace(x.Peer.Namespace)
		}
	case *Sysctl:
		verb = "set "
	}
	return verb + o.object() + in
}

// object names the op's object: "route 10.1.0.0/16 via 10.0.0.1 dev eth0".
func (o Op) object() string {
	switch x := o.Object.(type) {
	case *Namespace:
		return "namespace " + x.Name
	case *Owned:
		return "namespaces " + x.String()
	case *Link:
		return "link " + x.Name
	case *Address:
		return "address " + x.String()
	case *Route:
		return "route " + x.String()
	case *Rule:
		return "rule " + x.String()
	case *Neighbor:
		return "neighbour " + x.String()
	case *FDBEntry:
		return "forwarding entry " + x.String()
	case *Qdisc:
		return "qdisc " + x.String()
	case *Table:
		return x.title()
	case *Sysctl:
		return "sysctl " + x.String()
	}
	panic(fmt.Sprintf("op with object %T", o.Object))
}

// Pos is the place in the topology file that asked for what the op makes; zero
// for what goes.
func (o Op) Pos() topology.Pos {
	switch x := o.Object.(type) {
	case *Namespace:
		return x.Pos
	case *Owned:
		return x.Pos
	case *Link:
		return x.Pos
	case *Address:
		return x.Pos
	case *Route:
		return x.Pos
	case *Rule:
		return x.Pos
	case *Neighbor:
		return x.Pos
	case *FDBEntry:
		return x.Pos
	case *Qdisc:
		return topology.Pos{}
	case *Table:
		return x.Pos
	case *Sysctl:
		return x.Pos
	}
	panic(fmt.Sprintf("op with object %T", o.Object))
}
