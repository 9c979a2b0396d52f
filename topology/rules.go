package topology

import (
	"net/netip"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// ruleDraft is a rule while it is read.
type ruleDraft struct {
	Rule
	hasTable bool
}

var ruleFamilies = []string{"ipv4", "ipv6"}

var ruleObject = newObject([]field[ruleDraft]{
	{"priority", "Rules are looked at in rising order of it.", between(0, maxUint32), func(p *parser, n *yaml.Node, d *ruleDraft) {
		d.Priority = p.intPointer(n, 0, maxUint32, "a priority")
	}},
	{"family", "Family of a rule without addresses; both if not given.", enum(ruleFamilies...), func(p *parser, n *yaml.Node, d *ruleDraft) {
		d.Family = p.word(n, ruleFamilies...).Value
	}},
	{"from", "Prefix of the sender.", textSchema, func(p *parser, n *yaml.Node, d *ruleDraft) { d.From = p.selector(n) }},
	{"to", "Prefix of the receiver.", textSchema, func(p *parser, n *yaml.Node, d *ruleDraft) { d.To = p.selector(n) }},
	{"iif", "Interface that the packet came in by; lo: it is the node's own.", nameSchema, func(p *parser, n *yaml.Node, d *ruleDraft) { d.IIF = p.device(n) }},
	{"oif", "Interface that the sending socket is bound to.", nameSchema, func(p *parser, n *yaml.Node, d *ruleDraft) { d.OIF = p.device(n) }},
	{"fwmark", "Mark of the packet, with a mask after a slash.", anyOf(between(0, maxUint32), textSchema), func(p *parser, n *yaml.Node, d *ruleDraft) {
		if t, ok := p.text(n, "a mark", "0x1/0xff"); ok {
			p.fwmark(d, t)
		}
	}},
	{"table", "Routing table to look in: main, local, default or a number.", tableSchema, func(p *parser, n *yaml.Node, d *ruleDraft) {
		d.Table, d.hasTable = p.tableValue(n), true
	}},
}...)

func (p *parser) selector(n *yaml.Node) netip.Prefix {
	t, ok := p.text(n, "a prefix", "10.0.0.0/8")
	if !ok {
		return netip.Prefix{}
	}
	return p.ruleNetwork(t)
}

// ruleNetwork reads a prefix; `all` is none.
func (p *parser) ruleNetwork(t Text) netip.Prefix {
	if t.Value == "all" {
		return netip.Prefix{}
	}
	pre, _ := p.network(t)
	return pre
}

// fwmark reads a mark, or a mark and a mask with a slash between.
func (p *parser) fwmark(d *ruleDraft, t Text) {
	value, mask, masked := strings.Cut(t.Value, "/")
	d.FwMark = p.mark(t, value)
	if masked {
		d.FwMask = p.mark(t, mask)
	}
}

func (p *parser) mark(t Text, s string) *uint32 {
	n, err := strconv.ParseUint(s, 0, 32)
	if err != nil {
		p.errorAt(t.Pos, "such as 1, 0x1 or 0x1/0xff", "%s is not a mark of 32 bits", quote(t.Value))
		return nil
	}
	m := uint32(n)
	return &m
}

// rules reads the list of a node.
func (p *parser) rules(n *yaml.Node) []*Rule {
	var list []*Rule
	p.eachOf(n, "[from 10.0.0.0/8 table 100]", func(item *yaml.Node) {
		d := ruleDraft{Rule: Rule{Pos: posOf(item)}}
		bad := p.scope(func() {
			if item.Kind == yaml.ScalarNode {
				w := wordReader{p, p.words(item)}
				w.rule(&d)
			} else {
				ruleObject.parse(p, p.mapping(item, "from 10.0.0.0/8 table 100"), &d)
			}
			if !d.hasTable {
				p.errorf(item, "such as `from 10.0.0.0/8 table 100`", "the rule has no `table`")
			}
		})
		if !bad {
			list = append(list, &d.Rule)
		}
	})
	return list
}
