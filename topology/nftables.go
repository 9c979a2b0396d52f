package topology

import (
	"bytes"
	"strings"

	"gopkg.in/yaml.v3"

	"nslab/netsetup/nft"
)

// Nftables are a node's rules, in nft's own language. Nodes that a range or a
// default gives the same text share one.
type Nftables struct {
	Pos     Pos // of the text
	Text    string
	File    *nft.File
	Ruleset *nft.Ruleset // compiled without the indexes of interfaces

	// indent is how far the lines of a literal block, which begin below Pos,
	// are indented; -1 of a text in another style, whose lines are not those
	// of the file.
	indent int
}

// At is the place in the topology file of a place in the text: the very same one
// in a literal block, else that of the whole text.
func (t *Nftables) At(pos nft.Pos) Pos {
	if t.indent < 0 || pos.Line < 1 {
		return t.Pos
	}
	return Pos{t.Pos.Line + int32(pos.Line), int32(t.indent + pos.Col)}
}

// nftables reads a node's rules.
func (p *parser) nftables(n *yaml.Node, d *nodeDraft) {
	if t, again := p.rulesets[n]; again {
		if t == nil && p.bad != nil {
			*p.bad = true // and reported already
		}
		d.Nftables = t
		return
	}
	if p.rulesets == nil {
		p.rulesets = make(map[*yaml.Node]*Nftables)
	}
	p.rulesets[n] = nil
	text, ok := p.text(n, "a text in nft's language", "table inet filter { … }")
	if !ok {
		return
	}
	t := &Nftables{Pos: text.Pos, Text: text.Value, indent: p.blockIndent(n)}
	var errs nft.Errors
	t.File, t.Ruleset, errs = nft.Check(t.Text)
	for _, e := range errs {
		p.errorAt(t.At(e.Pos), e.Hint, "%s", e.Text)
	}
	if len(errs) == 0 {
		p.rulesets[n], d.Nftables = t, t
	}
}

// blockIndent is how far the lines of a literal block are indented; -1 where the
// text is not line by line what stands in the file.
func (p *parser) blockIndent(n *yaml.Node) int {
	if n.Style&yaml.LiteralStyle == 0 {
		return -1
	}
	indent := -1
	rest := p.lineAt(n.Line + 1)
	for line := range strings.SplitSeq(strings.TrimRight(n.Value, "\n"), "\n") {
		var raw []byte
		raw, rest, _ = bytes.Cut(rest, []byte("\n"))
		raw = bytes.TrimSuffix(raw, []byte("\r"))
		if line == "" {
			continue
		}
		if indent < 0 {
			indent = len(raw) - len(line)
		}
		if indent < 0 || indent > len(raw) || string(raw[indent:]) != line {
			return -1
		}
	}
	return max(indent, 0)
}

// checkNftables reports what is not for a namespace that others share.
func (p *parser) checkNftables(d *nodeDraft) {
	if d.Nftables == nil || d.Kind != Root {
		return
	}
	p.enter("nftables")
	defer p.leave()
	for _, c := range d.Nftables.File.Commands {
		if r, ok := c.(*nft.Remove); ok && r.Kind == "ruleset" {
			p.errorAt(d.Nftables.At(r.Pos), "take it out: the tables that the text names are replaced without it",
				"`flush ruleset` would take all rules from the namespace that nslab runs in")
		}
	}
}
