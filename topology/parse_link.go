package topology

import "gopkg.in/yaml.v3"

var linkObject = newObject(append([]field[Link]{
	{"endpoints", "Two of node or node:interface.", pairSchema, (*parser).endpoints},
	{"subnet", "A prefix that the ends get addresses of, auto, or a list of them.", subnetSchema, func(p *parser, n *yaml.Node, l *Link) { l.Subnet = p.subnets(n) }},
	{"mtu", "MTU of both ends in bytes.", between(minMTU, maxMTU), func(p *parser, n *yaml.Node, l *Link) { l.MTU = p.mtu(n) }},
	{"up", "Whether both ends are up; true if not given.", boolSchema, func(p *parser, n *yaml.Node, l *Link) { l.Up = p.boolPointer(n) }},
	{"labels", "For selection.", mapOf(scalarSchema), func(p *parser, n *yaml.Node, l *Link) { l.Labels = p.labels(n) }},
}, later[Link]("delay", "jitter", "loss", "duplicate", "corrupt", "reorder", "rate", "limit", "distribution", "forward", "reverse")...)...)

const linkExample = "[h1:eth0, h2:eth0]"

// links reads the list of the file. What is not right is a link all the same, so
// that those after it keep their number.
func (p *parser) links(n *yaml.Node) []*Link {
	if n.Kind != yaml.SequenceNode {
		if isNull(n) {
			return nil
		}
		p.wrongType(n, "a list", "["+linkExample+"]")
		return []*Link{{Pos: posOf(n), Bad: true}}
	}
	extra := 0 // what the default adds to each link
	if p.defaultLink != nil {
		extra = p.sizeOf(p.defaultLink)
	}
	list := make([]*Link, 0, len(n.Content))
	for i, item := range n.Content {
		p.enterItem(i)
		before := len(list)
		if item = deref(item); !p.isNothing(item) {
			p.expandItem(item, func(item *yaml.Node) {
				p.spend(posOf(item), extra)
				list = append(list, p.link(item))
			})
		}
		if len(list) == before {
			list = append(list, &Link{Pos: posOf(item), Bad: true})
		}
		p.leave()
	}
	p.dropDefaultSubnets(list)
	return list
}

// dropDefaultSubnets takes a subnet that comes of defaults away from links with a
// switch, which numbers what is attached to it.
func (p *parser) dropDefaultSubnets(links []*Link) {
	if len(p.ofDefaultLink.Subnet) == 0 {
		return
	}
	switches := map[string]bool{}
	for _, n := range p.file.Nodes {
		switches[n.Name] = n.Kind == Switch
	}
	for _, l := range links {
		if len(l.Subnet) > 0 && l.Subnet[0].Pos == p.ofDefaultLink.Subnet[0].Pos &&
			(switches[l.Endpoints[0].Node] || switches[l.Endpoints[1].Node]) {
			l.Subnet = nil
		}
	}
}

// link reads an item: a pair of endpoints, or a map.
func (p *parser) link(n *yaml.Node) *Link {
	l := &Link{Pos: posOf(n)}
	l.Bad = p.scope(func() {
		switch {
		case n.Kind == yaml.SequenceNode:
			p.endpoints(n, l)
			if p.defaultLink != nil {
				linkObject.parse(p, p.entries(p.defaultLink), l)
			}
		case n.Kind == yaml.MappingNode:
			entries := p.entries(deref(p.overlay(p.defaultLink, n)))
			linkObject.parse(p, entries, l)
			p.require(n, entries, "endpoints")
		default:
			p.wrongType(n, "a link", linkExample)
		}
	}) || p.linksBad
	return l
}

func (p *parser) endpoints(n *yaml.Node, l *Link) {
	if n.Kind != yaml.SequenceNode {
		p.wrongType(n, "a list of two endpoints", linkExample)
		return
	}
	if len(n.Content) != 2 {
		p.errorf(n, "such as `"+linkExample+"`", "a link has two endpoints, not %d", len(n.Content))
	}
	p.each(n, "", func(item *yaml.Node) {
		at := p.path[len(p.path)-1].index
		if e, ok := p.endpoint(item); ok && at < 2 {
			l.Endpoints[at] = e
		}
	})
}
