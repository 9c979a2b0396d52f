package topology

import (
	"gopkg.in/yaml.v3"
)

// fileDraft is the file while it is read: its sections are read after defaults.
type fileDraft struct {
	defaults, nodes, links, tests, scenario *yaml.Node
}

var (
	routings      = []string{"none", "shortest"}
	neighborWords = []string{"learned", "static"}
)

var fileObject = newObject([]field[fileDraft]{
	{"name", "Name of the lab.", pattern(labNamePattern), func(p *parser, n *yaml.Node, d *fileDraft) {
		t, ok := p.text(n, "a name", "campus")
		if !ok {
			return
		}
		if problem := labNameProblem(t.Value); problem != "" {
			p.errorf(n, "", "%s cannot be the name of a lab: %s", quote(t.Value), problem)
			return
		}
		p.file.Lab = t
	}},
	{"description", "What the lab is for.", textSchema, func(p *parser, n *yaml.Node, d *fileDraft) {
		if t, ok := p.text(n, "a text", ""); ok {
			p.file.Description = t.Value
		}
	}},
	{"defaults", "What nodes, links and tests have where they do not say.", ofObject(defaultsObject), func(p *parser, n *yaml.Node, d *fileDraft) { d.defaults = n }},
	{"addressing", "Pools that `subnet: auto` cuts from.", ofObject(addressingObject), func(p *parser, n *yaml.Node, d *fileDraft) {
		p.file.Addressing.Pos = posOf(n)
		addressingObject.parse(p, p.mapping(n, "{ipv4: {pool: 10.0.0.0/8, prefix: 24}}"), &p.file.Addressing)
	}},
	{"routing", "shortest: every router gets static routes along the shortest ways.", enum(routings...), func(p *parser, n *yaml.Node, d *fileDraft) {
		p.file.Routing = p.word(n, routings...)
	}},
	{"nodes", "The network namespaces, by name. A range makes several: \"h[1-3]\".", mapOf(anyOf(nullSchema, ofObject(nodeObject))), func(p *parser, n *yaml.Node, d *fileDraft) { d.nodes = n }},
	{"links", "The veth pairs between them.", listOf(anyOf(pairSchema, ofObject(linkObject, "endpoints"))), func(p *parser, n *yaml.Node, d *fileDraft) { d.links = n }},
	{"tests", "What must work, and what must not.", listOf(testSchema()), func(p *parser, n *yaml.Node, d *fileDraft) { d.tests = n }},
	{"scenario", "What happens at a time while the lab is tested, after the tests.", listOf(scenarioSchema()), func(p *parser, n *yaml.Node, d *fileDraft) { d.scenario = n }},
}...)

// defaultsObject has the sections of defaults.
var defaultsObject = newObject([]field[parser]{
	{"node", "For every node.", ofObject(nodeObject), func(_ *parser, n *yaml.Node, p *parser) {
		var d nodeDraft
		p.nodesBad = p.scope(func() { nodeObject.parse(p, p.mapping(n, "{kind: router}"), &d) }) || p.nodesBad
		if !p.nodesBad && !isNull(n) {
			p.defaultNode, p.ofDefaultNode = n, d
		}
	}},
	{"link", "For every link.", ofObject(linkObject), func(_ *parser, n *yaml.Node, p *parser) {
		var l Link
		p.linksBad = p.scope(func() {
			entries := p.mapping(n, "{mtu: 1500}")
			if e := lookup(entries, "endpoints"); e != nil {
				p.errorf(e, "", "endpoints have no default")
				return
			}
			linkObject.parse(p, entries, &l)
		}) || p.linksBad
		if !p.linksBad && !isNull(n) {
			p.defaultLink, p.ofDefaultLink = n, l
		}
	}},
	{"test", "For every test whose verb has the key.", ofObject(testObject), func(_ *parser, n *yaml.Node, p *parser) {
		var t Test
		if !p.scope(func() { testObject.parse(p, p.mapping(n, "{within: 5s}"), &t) }) && !isNull(n) {
			p.defaultTest = n
		}
	}},
}...)

var addressingObject = newObject([]field[Addressing]{
	{"ipv4", "Pool of IPv4.", ofObject(poolObject), func(p *parser, n *yaml.Node, a *Addressing) { a.IPv4 = p.pool(n, true) }},
	{"ipv6", "Pool of IPv6.", ofObject(poolObject), func(p *parser, n *yaml.Node, a *Addressing) { a.IPv6 = p.pool(n, false) }},
	{"neighbors", "static: a permanent entry for every address on the same segment.", enum(neighborWords...), func(p *parser, n *yaml.Node, a *Addressing) {
		a.Neighbors = p.word(n, neighborWords...)
	}},
}...)

var poolObject = newObject([]field[Pool]{
	{"pool", "Prefix to cut from.", textSchema, func(p *parser, n *yaml.Node, to *Pool) {
		if t, ok := p.text(n, "a prefix", "10.0.0.0/8"); ok {
			to.Prefix, _ = p.unicastNetwork(t)
		}
	}},
	{"prefix", "Length of what is cut.", between(1, 128), func(p *parser, n *yaml.Node, to *Pool) {
		to.Bits, _ = p.integer(n, 1, 128, "a prefix length")
	}},
}...)

// pool reads the pool of one family.
func (p *parser) pool(n *yaml.Node, v4 bool) Pool {
	example := "{pool: 10.0.0.0/8, prefix: 24}"
	if !v4 {
		example = "{pool: fd00::/32, prefix: 64}"
	}
	pool := Pool{Pos: posOf(n)}
	poolObject.parse(p, p.mapping(n, example), &pool)
	if pool.Prefix.IsValid() && pool.Prefix.Addr().Is4() != v4 {
		p.errorf(n, "such as `"+example+"`", "%v is of the other family", pool.Prefix)
		pool.Prefix = defaultPool(v4).Prefix
	}
	if most := defaultPool(v4).Prefix.Addr().BitLen(); pool.Bits > most {
		p.errorf(n, "such as `"+example+"`", "the prefix length is %d; at most it is %d", pool.Bits, most)
		pool.Bits = 0
	}
	return pool
}

func defaultPool(v4 bool) Pool {
	if v4 {
		return defaultIPv4
	}
	return defaultIPv6
}

// document reads the whole file.
func (p *parser) document(root *yaml.Node) {
	if root.Kind != yaml.MappingNode {
		p.errorf(root, "begin with `name: LAB`", "%s, where a map is expected: name, nodes, links, tests", describe(root))
		return
	}
	entries := p.entries(root)
	var d fileDraft
	fileObject.parse(p, entries, &d)
	if lookup(entries, "name") == nil {
		p.errorf(root, "begin with `name: LAB`", "the lab has no `name`")
	}
	p.section("defaults", d.defaults, func() {
		defaultsObject.parse(p, p.mapping(d.defaults, "{link: {mtu: 1500}}"), p)
	})
	p.section("nodes", d.nodes, func() { p.file.Nodes = p.nodes(d.nodes) })
	p.section("links", d.links, func() { p.file.Links = p.links(d.links) })
	p.section("tests", d.tests, func() { p.file.Tests = p.tests(d.tests) })
	p.section("scenario", d.scenario, func() { p.file.Scenario = p.scenario(d.scenario) })
	if p.nodesLost || d.nodes == nil && len(p.errs) > 0 {
		p.file.Links, p.file.Tests, p.file.Scenario = nil, nil, nil
	}
}

func (p *parser) section(key string, n *yaml.Node, read func()) {
	if n != nil {
		p.enter(key)
		read()
		p.leave()
	}
}

// nodeSpec is where a node is written: by itself, in a range, or both.
type nodeSpec struct {
	name   string
	key    *yaml.Node // its own, or else the range
	own    *yaml.Node // nil: only the range has it
	ranged *expansion // nil: only it itself
	at     int        // its number in the range
	bad    bool       // the ranges in its values are wrong
}

// nodes reads the section, in the order of the file.
func (p *parser) nodes(n *yaml.Node) []*Node {
	if n.Kind != yaml.MappingNode && !isNull(n) {
		p.nodesLost = true
	}
	specs := p.nodeSpecs(p.mapping(n, "{h1: {}, r1: {kind: router}}"))
	list := make([]*Node, len(specs))
	extra := 0 // what the default adds to each node
	if p.defaultNode != nil {
		extra = p.sizeOf(p.defaultNode)
	}
	for i, s := range specs {
		p.enter(s.name)
		p.spend(posOf(s.key), 1+extra)
		value := p.defaultNode
		if s.ranged != nil {
			value = p.overlay(value, s.ranged.at(s.at))
		}
		if s.own != nil {
			value = p.overlay(value, s.own)
		}
		list[i] = p.node(posOf(s.key), s.name, deref(value))
		list[i].Bad = list[i].Bad || s.bad
		p.leave()
	}
	return list
}

// nodeSpecs lists the nodes that keys and ranges name.
func (p *parser) nodeSpecs(entries []*yaml.Node) []nodeSpec {
	specs := make([]nodeSpec, 0, len(entries)/2)
	byName := make(map[string]int, len(entries)/2)
	for i := 0; i < len(entries); i += 2 {
		k, v := entries[i], entries[i+1]
		names := p.nodeNames(k)
		if names == nil {
			j, known := byName[k.Value]
			if !known {
				j = len(specs)
				byName[k.Value] = j
				specs = append(specs, nodeSpec{name: k.Value})
			}
			specs[j].key, specs[j].own = k, v
			continue
		}
		p.enter(k.Value)
		var x expansion
		bad := p.scope(func() { x = p.expand(v, len(names)) })
		p.spend(posOf(k), len(names)*max(itemCost, x.size))
		p.leave()
		for at, name := range names {
			j, known := byName[name]
			if !known {
				j = len(specs)
				byName[name] = j
				specs = append(specs, nodeSpec{name: name, key: k})
			}
			if specs[j].ranged != nil {
				p.errorf(k, "", "%s is in a range before this", name)
				continue
			}
			specs[j].ranged, specs[j].at, specs[j].bad = &x, at, bad
		}
	}
	return specs
}

// nodeNames checks the key of a node and gives the names that its ranges make;
// nil if it has none.
func (p *parser) nodeNames(k *yaml.Node) []string {
	names := p.expandText(k)
	check := names
	if names == nil {
		check = []string{k.Value}
		if len(splitRanges(k.Value).ranges) > 0 {
			p.nodesLost = true // the range is wrong, and reported
			return []string{}
		}
	}
	for _, name := range check {
		problem := nodeNameProblem(name)
		if problem == "" {
			continue
		}
		hint := ""
		if hasRange(name) {
			hint = "ranges are like h[1-3], h[01-10] or h[1,3]"
		}
		p.errorf(k, hint, "%s cannot be the name of a node: %s", quote(name), problem)
		p.nodesLost = true
		break
	}
	return names
}

// sizeOf counts the values of a tree, aliases followed.
func (p *parser) sizeOf(n *yaml.Node) int {
	n = deref(n)
	size := 1
	for _, c := range n.Content {
		size += p.sizeOf(c)
	}
	return size
}
