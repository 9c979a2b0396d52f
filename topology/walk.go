package topology

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// deref gives what an alias stands for.
func deref(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// entries gives the keys and values of a map one after the other, aliases and
// merge keys followed. A key that is there twice or is not a text is reported
// and left out.
func (p *parser) entries(n *yaml.Node) []*yaml.Node {
	if p.plainKeys(n) {
		return n.Content
	}
	seen := make(map[string]int, len(n.Content)/2) // lines of the map's own keys
	own := make([]*yaml.Node, 0, len(n.Content))
	mergeAt := -1
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := deref(n.Content[i]), n.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.Tag != "!!merge" && classOf(k) != textClass {
			p.errorf(n.Content[i], "quote it if it is meant as a text", "a key is a text, not %s", describe(k))
			continue
		}
		if line, again := seen[k.Value]; again {
			p.errorf(k, "", "the key `%s` is there twice, first at line %d", clip(k.Value, maxPathKey), line)
			continue
		}
		seen[k.Value] = k.Line
		if k.Tag == "!!merge" {
			merged, mergeAt = p.merged(v), len(own)
			continue
		}
		own = append(own, k, v)
	}
	if mergeAt < 0 {
		return own
	}
	list := make([]*yaml.Node, 0, len(own)+len(merged))
	list = append(list, own[:mergeAt]...)
	for i := 0; i < len(merged); i += 2 {
		if _, nearer := seen[merged[i].Value]; !nearer {
			list = append(list, merged[i], merged[i+1])
		}
	}
	return append(list, own[mergeAt:]...)
}

// fewKeys is the number of keys up to which each is compared with all others.
const fewKeys = 8

// plainKeys reports whether a map is without merge keys, aliases as keys and
// mistakes in its keys.
func (p *parser) plainKeys(n *yaml.Node) bool {
	keys := len(n.Content) / 2
	var seen map[string]struct{}
	if keys > fewKeys {
		seen = make(map[string]struct{}, keys)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind != yaml.ScalarNode || k.Tag == "!!merge" || classOf(k) != textClass {
			return false
		}
		if seen != nil {
			if _, again := seen[k.Value]; again {
				return false
			}
			seen[k.Value] = struct{}{}
			continue
		}
		for j := 0; j < i; j += 2 {
			if n.Content[j].Value == k.Value {
				return false
			}
		}
	}
	return true
}

// merged gives the entries that a merge key brings: those of a map or, the
// first of each key, of a list of maps.
func (p *parser) merged(n *yaml.Node) []*yaml.Node {
	switch n = deref(n); n.Kind {
	case yaml.MappingNode:
		return p.entries(n)
	case yaml.SequenceNode:
		seen := map[string]bool{}
		var list []*yaml.Node
		for _, item := range n.Content {
			if deref(item).Kind != yaml.MappingNode {
				p.errorf(item, "", "`<<` takes in maps, not %s", describe(deref(item)))
				continue
			}
			entries := p.entries(deref(item))
			for i := 0; i < len(entries); i += 2 {
				if !seen[entries[i].Value] {
					seen[entries[i].Value] = true
					list = append(list, entries[i], entries[i+1])
				}
			}
		}
		return list
	}
	p.errorf(n, "", "`<<` takes in a map or a list of maps, not %s", describe(n))
	return nil
}

// overlay gives a map with what is written nearer over what is farther: maps
// within both merge, all else is the nearer's. Either may be nil.
func (p *parser) overlay(farther, nearer *yaml.Node) *yaml.Node {
	if farther == nil {
		return nearer
	}
	if nearer == nil {
		return farther
	}
	far, near := deref(farther), deref(nearer)
	switch {
	case far.Kind != yaml.MappingNode:
		return nearer
	case isNull(near):
		return farther
	case near.Kind != yaml.MappingNode:
		return nearer
	}
	farEntries, nearEntries := p.entries(far), p.entries(near)
	if len(nearEntries) == 0 {
		return farther
	}
	m := *near
	m.Content = make([]*yaml.Node, 0, len(farEntries)+len(nearEntries))
	at := make(map[string]int, len(farEntries)/2)
	for i := 0; i < len(farEntries); i += 2 {
		at[farEntries[i].Value] = len(m.Content)
		m.Content = append(m.Content, farEntries[i], farEntries[i+1])
	}
	for i := 0; i < len(nearEntries); i += 2 {
		k, v := nearEntries[i], nearEntries[i+1]
		if j, both := at[k.Value]; both {
			m.Content[j], m.Content[j+1] = k, p.overlay(m.Content[j+1], v)
			continue
		}
		m.Content = append(m.Content, k, v)
	}
	return &m
}

// lookup gives the value of a key of a map, or nil.
func lookup(entries []*yaml.Node, key string) *yaml.Node {
	for i := 0; i < len(entries); i += 2 {
		if entries[i].Value == key {
			return deref(entries[i+1])
		}
	}
	return nil
}

// mapping gives the entries of a value that must be a map. Nothing is an empty
// one.
func (p *parser) mapping(n *yaml.Node, example string) []*yaml.Node {
	switch {
	case n.Kind == yaml.MappingNode:
		return p.entries(n)
	case !isNull(n):
		p.wrongType(n, "a map", example)
	}
	return nil
}

// each calls f for every item of a value that must be a list. Nothing is an
// empty one.
func (p *parser) each(n *yaml.Node, example string, f func(item *yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		if !isNull(n) {
			p.wrongType(n, "a list", example)
		}
		return
	}
	for i, item := range n.Content {
		p.enterItem(i)
		if item = deref(item); !p.isNothing(item) {
			f(item)
		}
		p.leave()
	}
}

// isNothing reports an item of a list that has nothing in it.
func (p *parser) isNothing(item *yaml.Node) bool {
	if isNull(item) {
		p.errorf(item, "take the item out", "an item with nothing in it")
		return true
	}
	return false
}

// eachOf is each with every range in an item made into as many items.
func (p *parser) eachOf(n *yaml.Node, example string, f func(item *yaml.Node)) {
	p.each(n, example, func(item *yaml.Node) { p.expandItem(item, f) })
}

// oneOrEach is eachOf where a single value stands for a list of one.
func (p *parser) oneOrEach(n *yaml.Node, example string, f func(item *yaml.Node)) {
	if n.Kind == yaml.ScalarNode && !isNull(n) {
		p.expandItem(n, f)
		return
	}
	p.eachOf(n, example, f)
}

// wrongType reports a value of another type than it must have.
func (p *parser) wrongType(n *yaml.Node, want, example string) {
	hint := ""
	if example != "" {
		hint = "such as `" + example + "`"
	}
	p.errorf(n, hint, "%s, where %s is expected", describe(n), want)
}

// unknownKey reports a key that is none of known.
func (p *parser) unknownKey(k *yaml.Node, known []string) {
	hint := ""
	if strings.HasSuffix(k.Value, ":") && k.Style&quotedStyles == 0 {
		hint = "a colon and a space make a key of what is before them; quote the whole text"
	} else if near := nearest(strings.ToLower(k.Value), known); near != "" {
		hint = "did you mean `" + near + "`?"
	} else if len(known) <= maxKeysListed {
		hint = "the keys are " + strings.Join(known, ", ")
	}
	p.errorf(k, hint, "unknown key `%s`", clip(k.Value, maxPathKey))
}

// maxKeysListed is the number of keys up to which a hint lists them.
const maxKeysListed = 24

// notYet reports a key or word of the contract that this version does not know.
func (p *parser) notYet(n *yaml.Node, what string) {
	p.errorf(n, "", "%s is not supported yet", what)
}

// clip shortens a text for a message.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
