package topology

import (
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// nodeDraft is a node while it is read.
type nodeDraft struct {
	Node
	interfaces []interfaceDraft
	machine    []Text // the keys of machineFields that are given, with the places of their values
	isolateBad bool
}

var (
	kinds       = []string{Host, Router, Switch, External, Root}
	neighStates = []string{"permanent", "noarp", "reachable", "stale"}
)

var nodeObject = newObject(slices.Concat([]field[nodeDraft]{
	{"kind", "host, router (forwards), switch (a bridge that its links join), external (a namespace that is there already) or root (the one nslab runs in).",
		enum(kinds...), func(p *parser, n *yaml.Node, d *nodeDraft) { d.Kind = p.word(n, kinds...).Value }},
	{"netns", "For external: a path, pid:1234, or a name under /run/netns.", textSchema, (*parser).netns},
	{"interfaces", "The node's network devices. A veth end that only a link names needs no entry.",
		mapOf(anyOf(textSchema, nullSchema, listOf(anyOf(textSchema, ofObject(addressObject))), ofObject(interfaceObject))), (*parser).interfaces},
	{"subnet", "For switch: prefixes, or auto, that what is attached gets addresses of.", subnetSchema, func(p *parser, n *yaml.Node, d *nodeDraft) {
		d.Subnet = p.subnets(n)
	}},
	{"routes", "Routes, in the words of iproute2 or as maps.", listOf(anyOf(textSchema, ofObject(routeObject))), func(p *parser, n *yaml.Node, d *nodeDraft) {
		d.Routes = p.routes(n)
	}},
	{"gateway", "auto (the one router on the segment), an address, or none.", textSchema, (*parser).gateway},
	{"rules", "Policy routing, in the words of iproute2 or as maps.", listOf(anyOf(textSchema, ofObject(ruleObject))), func(p *parser, n *yaml.Node, d *nodeDraft) {
		d.Rules = p.rules(n)
	}},
	{"neighbors", "Fixed entries of the neighbour table.", listOf(ofObject(neighborObject)), (*parser).neighbors},
	{"keep", "What is left alone in the node though it looks made by hand.", listOrOne(enum(keepWords[:]...)), (*parser).keep},
	{"sysctls", "Kernel settings of the node's namespaces.", mapOf(scalarSchema), func(p *parser, n *yaml.Node, d *nodeDraft) {
		d.Sysctls = p.sysctls(n)
	}},
	{"nftables", "Rules in nft's own language, as `nft -f` reads them; best as a literal block (|).", schema{"type": "string"}, (*parser).nftables},
	{"labels", "For selection of nodes in tests: label:KEY=VALUE.", mapOf(scalarSchema), func(p *parser, n *yaml.Node, d *nodeDraft) { d.Labels = p.labels(n) }},
}, machineFields, later[nodeDraft]("impair"))...)

// node reads a node; its values may come of a default or a range.
func (p *parser) node(pos Pos, name string, n *yaml.Node) *Node {
	d := nodeDraft{Node: Node{Pos: pos, Name: name}}
	d.Bad = p.scope(func() {
		nodeObject.parse(p, p.mapping(n, "{kind: router}"), &d)
		p.checkKind(&d)
	}) || p.nodesBad
	if len(d.interfaces) > 0 {
		d.Interfaces = make([]*Interface, len(d.interfaces))
		slab := make([]Interface, len(d.interfaces))
		for i := range d.interfaces {
			slab[i] = d.interfaces[i].Interface
			d.Interfaces[i] = &slab[i]
		}
	}
	return &d.Node
}

// checkKind reports what a node's kind does not have. What comes of defaults is
// for the kinds that have it.
func (p *parser) checkKind(d *nodeDraft) {
	if len(d.Subnet) > 0 && d.Kind != Switch {
		if len(p.ofDefaultNode.Subnet) == 0 || d.Subnet[0].Pos != p.ofDefaultNode.Subnet[0].Pos {
			p.errorAt(d.Subnet[0].Pos, "give the link `subnet`, or the node `kind: switch`", "only a switch has a `subnet`")
		}
		d.Subnet = nil
	}
	if d.Netns.Value != "" && d.Kind != External {
		if d.Netns.Pos != p.ofDefaultNode.Netns.Pos {
			p.errorAt(d.Netns.Pos, "give the node `kind: external`, or take it out", "only an external node has a `netns`")
		}
		d.Netns = Text{}
	}
	if d.Kind == External || d.Kind == Root {
		d.Sysctls = slices.DeleteFunc(d.Sysctls, func(s Sysctl) bool {
			return slices.ContainsFunc(p.ofDefaultNode.Sysctls, func(of Sysctl) bool { return of.Pos == s.Pos })
		})
		if d.Nftables == p.ofDefaultNode.Nftables {
			d.Nftables = nil
		}
		p.dropMachine(d)
	} else {
		p.checkMachine(d)
	}
	p.checkNftables(d)
	for i := range d.interfaces {
		in := &d.interfaces[i]
		if in.bridgeKey.Value == "" || in.Type == Bridge {
			continue
		}
		if in.Type == "" && in.Name == "br0" && d.Kind == Switch {
			in.Bridge = &in.bridge
			continue
		}
		p.errorAt(in.bridgeKey.Pos, "give the interface `type: bridge`", "%s is not a bridge and has no `%s`", in.Name, in.bridgeKey.Value)
	}
}

func (p *parser) netns(n *yaml.Node, d *nodeDraft) {
	const example = "/proc/1234/ns/net"
	t, ok := p.text(n, "a namespace", example)
	if !ok {
		return
	}
	pid, isPid := strings.CutPrefix(t.Value, "pid:")
	switch {
	case isPid:
		if i, err := strconv.Atoi(pid); err != nil || i < 1 {
			p.errorf(n, "such as `pid:1234`", "%s is not the number of a process", quote(pid))
			return
		}
	case strings.HasPrefix(t.Value, "/"):
		if path.Clean(t.Value) != t.Value {
			p.errorf(n, "write "+clip(path.Clean(t.Value), maxShown), "%s is not a clean path", quote(t.Value))
			return
		}
	case t.Value == "" || t.Value == "." || t.Value == ".." || strings.ContainsAny(t.Value, "/\x00") || len(t.Value) > 255:
		p.errorf(n, "a path begins with `/`", "%s is not a namespace: a path, `pid:1234`, or a name under /run/netns", quote(t.Value))
		return
	}
	d.Netns = t
}

func (p *parser) gateway(n *yaml.Node, d *nodeDraft) {
	const want = "`auto`, `none` or an address"
	t, ok := p.text(n, want, "auto")
	if !ok {
		return
	}
	if t.Value != "auto" && t.Value != "none" {
		if _, err := netip.ParseAddr(t.Value); err != nil {
			hint := "such as 10.0.0.1"
			if pre, err := netip.ParsePrefix(t.Value); err == nil {
				hint = "write " + pre.Addr().String()
			} else if near := nearest(t.Value, []string{"auto", "none"}); near != "" {
				hint = "did you mean `" + near + "`?"
			}
			p.errorf(n, hint, "%s is not %s", quote(t.Value), want)
			return
		}
		if _, ok := p.address(t); !ok {
			return
		}
	}
	d.Gateway = t
}

var neighborObject = newObject([]field[Neighbor]{
	{"dev", "Interface.", nameSchema, func(p *parser, n *yaml.Node, e *Neighbor) { e.Dev = p.device(n) }},
	{"ip", "Address of the neighbour.", addressSchema, func(p *parser, n *yaml.Node, e *Neighbor) { e.IP = p.addressValue(n) }},
	{"mac", "Its Ethernet address.", macSchema, func(p *parser, n *yaml.Node, e *Neighbor) { e.MAC = p.mac(n) }},
	{"state", "permanent if not given.", enum(neighStates...), func(p *parser, n *yaml.Node, e *Neighbor) {
		e.State = p.word(n, neighStates...).Value
	}},
}...)

func (p *parser) neighbors(n *yaml.Node, d *nodeDraft) {
	const example = "{dev: eth0, ip: 10.0.0.2, mac: 02:00:00:00:00:02}"
	p.eachOf(n, "["+example+"]", func(item *yaml.Node) {
		e := Neighbor{Pos: posOf(item)}
		bad := p.scope(func() {
			entries := p.mapping(item, example)
			neighborObject.parse(p, entries, &e)
			p.require(item, entries, "dev", "ip", "mac")
		})
		if !bad {
			d.Neighbors = append(d.Neighbors, &e)
		}
	})
}

func (p *parser) keep(n *yaml.Node, d *nodeDraft) {
	k := &Keep{}
	flags := [len(keepWords)]*bool{&k.Addresses, &k.Routes, &k.Rules, &k.Neighbors, &k.Links, &k.Qdiscs}
	p.oneOrEach(n, "[routes, addresses]", func(item *yaml.Node) {
		t := p.word(item, keepWords[:]...)
		for i, w := range keepWords {
			if w == t.Value {
				*flags[i] = true
			}
		}
	})
	d.Keep = k
}

// labels reads those of a node or link. Tests name them as label:KEY=VALUE, so
// that there is neither white space nor a `=` in a key.
func (p *parser) labels(n *yaml.Node) map[string]string {
	entries := p.mapping(n, "{site: hq}")
	if len(entries) == 0 {
		return nil
	}
	m := make(map[string]string, len(entries)/2)
	for i := 0; i < len(entries); i += 2 {
		k, v := entries[i], deref(entries[i+1])
		p.enter(k.Value)
		t, ok := p.text(v, "the value of a label", "hq")
		switch {
		case !ok:
		case k.Value == "" || strings.ContainsAny(k.Value, "= \t\r\n"):
			p.errorf(k, "", "%s is not the name of a label: it has no white space and no `=`", quote(k.Value))
		case strings.ContainsAny(t.Value, " \t\r\n"):
			p.errorf(v, "", "%s is not the value of a label: it has no white space", quote(t.Value))
		default:
			m[k.Value] = t.Value
		}
		p.leave()
	}
	return m
}
