package topology

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// WriteYAML writes the lab as a topology file that leaves nothing open: every
// interface, address, MAC, route and priority is written, gateways are none.
// Read again, it gives an equal Lab, save positions, the file's name and
// warnings. The error is that of w.
func (l *Lab) WriteYAML(w io.Writer) error {
	p := printer{w: bufio.NewWriter(w)}
	p.lab(l)
	return p.w.Flush()
}

// printer writes YAML: blocks down to the items, which are flow maps in one line
// each.
type printer struct {
	w *bufio.Writer
}

func (p *printer) printf(format string, args ...any) { fmt.Fprintf(p.w, format, args...) }

func (p *printer) lab(l *Lab) {
	p.printf("name: %s\n", scalar(l.Name))
	if l.Description != "" {
		p.printf("description: %s\n", scalar(l.Description))
	}
	if l.Routing != "none" {
		p.printf("routing: %s\n", scalar(l.Routing))
	}
	if l.Neighbors != "learned" {
		p.printf("addressing: {neighbors: %s}\n", scalar(l.Neighbors))
	}
	if len(l.Nodes) > 0 {
		p.printf("nodes:\n")
	}
	for _, n := range l.Nodes {
		p.node(n)
	}
	if len(l.Links) > 0 {
		p.printf("links:\n")
	}
	for _, k := range l.Links {
		p.printf("  - %s\n", linkFields(k))
	}
	if len(l.Tests) > 0 {
		p.printf("tests:\n")
	}
	for _, t := range l.Tests {
		p.printf("  - %s\n", testFields(t, ""))
	}
	if len(l.Scenario) > 0 {
		p.printf("scenario:\n")
	}
	for _, e := range l.Scenario {
		p.printf("  - %s\n", eventFields(e))
	}
}

func (p *printer) node(n *Node) {
	p.printf("  %s:\n    kind: %s\n", scalar(n.Name), n.Kind)
	if n.Netns.Value != "" {
		p.printf("    netns: %s\n", scalar(n.Netns.Value))
	}
	if n.inLab() {
		p.printf("    gateway: none\n")
	}
	if len(n.Labels) > 0 {
		p.printf("    labels: %s\n", labelFields(n.Labels))
	}
	if len(n.Subnet) > 0 {
		p.printf("    subnet: %s\n", subnetList(n.Subnet))
	}
	if *n.Keep != *n.defaultKeep() {
		p.printf("    keep: [%s]\n", strings.Join(keepList(n.Keep), ", "))
	}
	if len(n.Sysctls) > 0 {
		p.printf("    sysctls:\n")
	}
	for _, s := range n.Sysctls {
		p.printf("      %s: %s\n", scalar(sysctlName(s.Name)), quoted(s.Value))
	}
	p.interfaces(n)
	section(p, "routes", n.Routes, routeFields)
	section(p, "rules", n.Rules, ruleFields)
	section(p, "neighbors", n.Neighbors, neighborFields)
	if n.Nftables != nil {
		p.block("nftables", n.Nftables.Text)
	}
	p.machine(n)
}

// block writes a text of a node as a literal block, where YAML can hold it in
// one.
func (p *printer) block(key, text string) {
	lines := strings.TrimRight(text, "\n")
	other := func(r rune) bool { return r != '\t' && r != '\n' && !strconv.IsPrint(r) }
	if lines == "" || strings.ContainsFunc(text, other) {
		p.printf("    %s: %s\n", key, quoted(text))
		return
	}
	head, end := "|", ""
	if text[0] == ' ' || text[0] == '\n' {
		head = "|2" // columns of indentation, which could not be seen
	}
	switch len(text) - len(lines) {
	case 0:
		head += "-"
	case 1:
	default:
		head += "+"
		end = text[len(lines)+1:]
	}
	p.printf("    %s: %s\n", key, head)
	for line := range strings.SplitSeq(lines, "\n") {
		if line != "" {
			line = "      " + line
		}
		p.printf("%s\n", line)
	}
	p.printf("%s", end)
}

// section writes a list of a node.
func section[T any](p *printer, key string, items []T, fields func(T) string) {
	if len(items) > 0 {
		p.printf("    %s:\n", key)
	}
	for _, i := range items {
		p.printf("      - %s\n", fields(i))
	}
}

func (p *printer) interfaces(n *Node) {
	head := false
	for _, i := range n.Interfaces {
		fields := interfaceFields(n, i)
		if i.Type == Loopback && fields == "{}" {
			continue
		}
		if !head {
			p.printf("    interfaces:\n")
			head = true
		}
		p.printf("      %s: %s\n", scalar(i.Name), fields)
	}
}

// fields is a flow map while it is written.
type fields struct {
	b strings.Builder
}

// add appends a key with a value that is YAML already.
func (f *fields) add(key, value string) {
	if f.b.Len() > 0 {
		f.b.WriteString(", ")
	}
	f.b.WriteString(key)
	f.b.WriteString(": ")
	f.b.WriteString(value)
}

func (f *fields) text(key, value string) {
	if value != "" {
		f.add(key, scalar(value))
	}
}

func (f *fields) int(key string, value int) {
	if value != 0 {
		f.add(key, strconv.Itoa(value))
	}
}

func (f *fields) number(key string, value *int) {
	if value != nil {
		f.add(key, strconv.Itoa(*value))
	}
}

func (f *fields) flag(key string, value bool) {
	if value {
		f.add(key, "true")
	}
}

func (f *fields) choice(key string, value *bool) {
	if value != nil {
		f.add(key, strconv.FormatBool(*value))
	}
}

func (f *fields) duration(key string, value *time.Duration) {
	if value != nil {
		f.add(key, value.String())
	}
}

func (f *fields) list(key string, values []string) {
	if len(values) > 0 {
		f.add(key, "["+strings.Join(values, ", ")+"]")
	}
}

func (f *fields) String() string { return "{" + f.b.String() + "}" }

func interfaceFields(n *Node, i *Interface) string {
	var f fields
	if i.Type == Bridge {
		f.add("type", Bridge)
	}
	var addresses []string
	for _, a := range i.Addresses {
		addresses = append(addresses, addressFields(a))
	}
	f.list("addresses", addresses)
	if !i.MAC.IsZero() {
		f.add("mac", quoted(i.MAC.String()))
	}
	f.int("mtu", i.MTU)
	if !*i.Up {
		f.add("up", "false")
	}
	f.text("alias", i.Alias)
	f.number("txqueuelen", i.TxQueueLen)
	if i.NoOffloads {
		f.add("offloads", "off")
	}
	if len(i.Sysctls) > 0 {
		var s fields
		for _, k := range i.Sysctls {
			s.add(scalar(interfaceSysctl(i.Name, k.Name)), quoted(k.Value))
		}
		f.add("sysctls", s.String())
	}
	if b := i.Bridge; b != nil {
		f.flag("stp", b.STP)
		f.flag("mcast_snooping", b.McastSnooping)
		f.duration("ageing_time", b.AgeingTime)
		f.duration("forward_delay", b.ForwardDelay)
		f.duration("hello_time", b.HelloTime)
		f.duration("max_age", b.MaxAge)
		f.number("priority", b.Priority)
		if n.Kind != Switch || i.Name != "br0" {
			var ports []string
			for _, t := range i.Ports {
				ports = append(ports, scalar(t.Value))
			}
			f.list("ports", ports)
		}
		var entries []string
		for _, e := range i.FDB {
			entries = append(entries, "{mac: "+quoted(e.MAC.String())+", port: "+scalar(e.Port)+"}")
		}
		f.list("fdb", entries)
	}
	if p := i.Port; p != nil {
		var s fields
		s.flag("isolated", p.Isolated)
		s.choice("learning", p.Learning)
		s.flag("hairpin", p.Hairpin)
		s.number("cost", p.Cost)
		s.number("priority", p.Priority)
		f.add("port", s.String())
	}
	return f.String()
}

// interfaceSysctl is the key of a setting below its interface: ipv4.forwarding
// for net/ipv4/conf/eth0/forwarding.
func interfaceSysctl(dev, name string) string {
	family, setting, _ := strings.Cut(strings.TrimPrefix(name, "net/"), "/conf/"+dev+"/")
	return sysctlName(family + "/" + setting)
}

// sysctlName is a path as sysctl(8) shows it: with dots, unless a name in it has
// one.
func sysctlName(path string) string {
	if strings.Contains(path, ".") {
		return path
	}
	return strings.ReplaceAll(path, "/", ".")
}

func addressFields(a Address) string {
	if !a.Peer.IsValid() && !a.DAD && a.Scope == "" && a.Label == "" {
		return quoted(a.Prefix.String())
	}
	var f fields
	f.add("address", quoted(a.Prefix.String()))
	if a.Peer.IsValid() {
		f.add("peer", quoted(a.Peer.String()))
	}
	f.flag("dad", a.DAD)
	f.text("scope", a.Scope)
	f.text("label", a.Label)
	return f.String()
}

var keepWords = [...]string{"addresses", "routes", "rules", "neighbors", "links", "qdiscs"}

func keepList(k *Keep) []string {
	var list []string
	for i, on := range [...]bool{k.Addresses, k.Routes, k.Rules, k.Neighbors, k.Links, k.Qdiscs} {
		if on {
			list = append(list, keepWords[i])
		}
	}
	return list
}

func subnetList(subnets []Subnet) string {
	list := make([]string, len(subnets))
	for i, s := range subnets {
		list[i] = quoted(s.Prefix.String())
	}
	return "[" + strings.Join(list, ", ") + "]"
}

func labelFields(labels map[string]string) string {
	var f fields
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		f.add(scalar(k), quoted(labels[k]))
	}
	return f.String()
}

func routeFields(rt *Route) string {
	var f fields
	f.add("to", quoted(rt.To.String()))
	if rt.Type != "unicast" {
		f.add("type", rt.Type)
	}
	if len(rt.Nexthops) == 1 && rt.Nexthops[0].Weight == 1 {
		nexthopFields(&f, rt.Nexthops[0])
	} else {
		var hops []string
		for _, h := range rt.Nexthops {
			var s fields
			nexthopFields(&s, h)
			s.add("weight", strconv.Itoa(h.Weight))
			hops = append(hops, s.String())
		}
		f.list("nexthops", hops)
	}
	if rt.Src.IsValid() {
		f.add("src", quoted(rt.Src.String()))
	}
	f.number("metric", rt.Metric)
	f.int("table", rt.Table)
	f.int("mtu", rt.MTU)
	return f.String()
}

func nexthopFields(f *fields, h Nexthop) {
	if h.Via.IsValid() {
		f.add("via", quoted(h.Via.String()))
	}
	f.text("dev", h.Dev)
	f.flag("onlink", h.OnLink)
}

func ruleFields(r *Rule) string {
	var f fields
	f.number("priority", r.Priority)
	prefix := func(key string, p netip.Prefix) {
		if p.IsValid() {
			f.add(key, quoted(p.String()))
		}
	}
	prefix("from", r.From)
	prefix("to", r.To)
	f.add("family", r.Family)
	f.text("iif", r.IIF)
	f.text("oif", r.OIF)
	if r.FwMark != nil {
		mark := fmt.Sprintf("%#x", *r.FwMark)
		if r.FwMask != nil {
			mark += fmt.Sprintf("/%#x", *r.FwMask)
		}
		f.add("fwmark", quoted(mark))
	}
	f.int("table", r.Table)
	return f.String()
}

func neighborFields(n *Neighbor) string {
	var f fields
	f.text("dev", n.Dev)
	f.add("ip", quoted(n.IP.String()))
	if !n.MAC.IsZero() {
		f.add("mac", quoted(n.MAC.String()))
	}
	f.text("state", n.State)
	return f.String()
}

func linkFields(l *Link) string {
	var f fields
	f.list("endpoints", []string{
		scalar(l.Endpoints[0].Node + ":" + l.Endpoints[0].Interface),
		scalar(l.Endpoints[1].Node + ":" + l.Endpoints[1].Interface),
	})
	if len(l.Subnet) > 0 {
		f.add("subnet", subnetList(l.Subnet))
	}
	f.int("mtu", l.MTU)
	f.choice("up", l.Up)
	if len(l.Labels) > 0 {
		f.add("labels", labelFields(l.Labels))
	}
	return f.String()
}

// scalar writes a text plain where YAML reads it back as that very text, else
// quoted.
func scalar(s string) string {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		inner := c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.' || c == '/'
		if !letter && (i == 0 || !inner && (c != ':' || i+1 == len(s))) {
			return quoted(s)
		}
	}
	switch strings.ToLower(s) {
	case "", "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return quoted(s)
	}
	return s
}

// quoted writes a text in double quotes, with YAML's escapes.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		case c >= 0x80 && !strconv.IsPrint(c):
			fmt.Fprintf(&b, `\U%08x`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
