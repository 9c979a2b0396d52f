package topology

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// tests reads the list of the file.
func (p *parser) tests(n *yaml.Node) []*Test {
	var list []*Test
	p.each(n, "[{ping: h1 -> h2}]", func(item *yaml.Node) {
		var tests []*Test
		if !p.scope(func() { tests = p.testItem(item) }) {
			list = append(list, tests...)
		}
	})
	return list
}

// testItem reads an item: one test, or as many as the ranges of both its sides
// have numbers.
func (p *parser) testItem(n *yaml.Node) []*Test {
	if n.Kind != yaml.MappingNode {
		p.wrongType(n, "a test", verbExamples[Ping])
		return nil
	}
	return p.testEntries(n, p.entries(n), nil)
}

// testEntries reads the tests of an item from its entries. others are verbs that
// the item could have had instead.
func (p *parser) testEntries(n *yaml.Node, entries []*yaml.Node, others []string) []*Test {
	verb, value := p.verb(n, entries, others)
	if verb == nil {
		return nil
	}
	var from, to side
	p.enter(verb.Value)
	if verb.Value == Exec {
		from = p.side(value, "the nodes", "h1")
	} else {
		from, to = p.sides(verb.Value, value)
	}
	p.leave()
	keys := p.keysOf(verb, entries)
	p.spend(posOf(n), len(keys))
	p.require(n, keys, neededKeys[verb.Value]...)
	return p.stepTests(Test{Pos: posOf(n), Verb: verb.Value}, from, to, keys)
}

// verb finds the one verb of a test; others are for messages.
func (p *parser) verb(n *yaml.Node, entries []*yaml.Node, others []string) (key, value *yaml.Node) {
	for i := 0; i < len(entries); i += 2 {
		k := entries[i]
		if !slices.Contains(verbs, k.Value) || k.Value == UDP && lookup(entries, Bandwidth) != nil {
			continue // `udp` is a key of bandwidth too
		}
		if key != nil {
			p.errorf(k, "make two items of it", "a test has one verb; `%s` is there already", key.Value)
			return nil, nil
		}
		key, value = k, deref(entries[i+1])
	}
	if key != nil {
		return key, value
	}
	known := slices.Concat(verbs, testObject.names, others)
	for i := 0; i < len(entries); i += 2 {
		if testObject.byName[entries[i].Value] == nil {
			p.unknownKey(entries[i], known)
			return nil, nil
		}
	}
	p.errorf(n, "such as `"+verbExamples[Ping]+"`", "the test has no verb: %s", oneOf(slices.Concat(verbs, others)))
	return nil, nil
}

// keysOf gives the entries beside the verb, with those of the default that the
// verb has. Keys that the verb has not are reported.
func (p *parser) keysOf(verb *yaml.Node, entries []*yaml.Node) []*yaml.Node {
	keys := make([]*yaml.Node, 0, len(entries))
	for i := 0; i < len(entries); i += 2 {
		k := entries[i]
		if k == verb {
			continue
		}
		if of := keysOfVerbs[k.Value]; of != nil && !slices.Contains(of, verb.Value) {
			p.errorf(k, "", "`%s` is a key of %s, not of `%s`", k.Value, oneOf(of), verb.Value)
			continue
		}
		keys = append(keys, k, entries[i+1])
	}
	if p.defaultTest == nil {
		return keys
	}
	defaults := p.entries(p.defaultTest)
	for i := 0; i < len(defaults); i += 2 {
		k := defaults[i]
		if of := keysOfVerbs[k.Value]; lookup(entries, k.Value) == nil && (of == nil || slices.Contains(of, verb.Value)) {
			keys = append(keys, k, defaults[i+1])
		}
	}
	return keys
}

// side is one side of a test: words, each with the texts that its ranges make.
type side []sideWord

type sideWord struct {
	Text
	texts []string // nil: it has no range
}

func (s side) ranged() bool {
	return slices.ContainsFunc(s, func(w sideWord) bool { return w.texts != nil })
}

// sides reads `a -> b`, or {from: a, to: b}.
func (p *parser) sides(verb string, n *yaml.Node) (from, to side) {
	if n.Kind == yaml.MappingNode {
		entries := p.entries(n)
		for i := 0; i < len(entries); i += 2 {
			k, v := entries[i], deref(entries[i+1])
			switch k.Value {
			case "from", "to":
				p.enter(k.Value)
				s := p.side(v, "a node, or a list of them", "[h1, h2]")
				p.leave()
				if k.Value == "from" {
					from = s
				} else {
					to = s
				}
			default:
				p.unknownKey(k, []string{"from", "to"})
			}
		}
		p.require(n, entries, "from", "to")
		return from, to
	}
	example := strings.TrimPrefix(verbExamples[verb], verb+": ")
	t, ok := p.text(n, "`FROM -> TO`", example)
	if !ok {
		return nil, nil
	}
	left, right, arrow := strings.Cut(t.Value, "->")
	if !arrow || strings.Contains(right, "->") {
		p.errorf(n, "such as `"+example+"`", "%s is not `FROM -> TO`", quote(t.Value))
		return nil, nil
	}
	from, to = p.sideWords(n, 0, left), p.sideWords(n, len(left)+2, right)
	if len(from) == 0 || len(to) == 0 {
		p.errorf(n, "such as `"+example+"`", "%s has a side with nothing on it", quote(t.Value))
	}
	return from, to
}

// side reads the words of a text, or a list of such.
func (p *parser) side(n *yaml.Node, want, example string) side {
	var s side
	if n.Kind == yaml.SequenceNode {
		p.each(n, "", func(item *yaml.Node) {
			if t, ok := p.text(item, want, example); ok {
				s = append(s, p.sideWords(item, 0, t.Value)...)
			}
		})
		if len(n.Content) == 0 {
			p.errorf(n, "such as `"+example+"`", "the list is empty")
		}
		return s
	}
	t, ok := p.text(n, want, example)
	if !ok {
		return nil
	}
	if s = p.sideWords(n, 0, t.Value); len(s) == 0 {
		p.errorf(n, "such as `"+example+"`", "the text is empty")
	}
	return s
}

// sideWords splits a part of a scalar, which begins at offset, into words.
func (p *parser) sideWords(n *yaml.Node, offset int, part string) side {
	var s side
	for i := 0; i < len(part); {
		if isSpace(part[i]) {
			i++
			continue
		}
		end := i
		for end < len(part) && !isSpace(part[end]) {
			end++
		}
		word := Text{p.posWithin(n, offset+i, part[i:end]), part[i:end]}
		s = append(s, sideWord{word, p.expandPart(n, word.Pos, word.Value)})
		i = end
	}
	return s
}

// keysInStep are the keys whose ranges go in step with those of the sides. The
// others are free text.
var keysInStep = []string{"via", "dev"}

// stepTests makes the tests of an item. Ranges on one side are many words there;
// ranges on both, or in a key beside them, go in step, a test for each.
func (p *parser) stepTests(t Test, from, to side, keys []*yaml.Node) []*Test {
	values := make([]expansion, len(keys)/2)
	inStep := from.ranged() && to.ranged()
	for i := range values {
		values[i].value = keys[2*i+1]
		if slices.Contains(keysInStep, keys[2*i].Value) {
			values[i] = p.expand(keys[2*i+1], 0)
			inStep = inStep || len(values[i].texts) > 0
		}
	}
	if !inStep {
		t.From, t.To = from.all(), to.all()
		testObject.parse(p, keys, &t)
		return []*Test{&t}
	}
	count := 0
	same := func(pos Pos, value string, n int) {
		switch {
		case n == 0 || n == count:
		case count == 0:
			count = n
		default:
			p.errorAt(pos, "ranges in one item go in step, so they must be equally long", "%s has %d numbers, the range before it %d", quote(value), n, count)
		}
	}
	for _, s := range []side{from, to} {
		for _, w := range s {
			same(w.Pos, w.Value, len(w.texts))
		}
	}
	for i, x := range values {
		if len(x.texts) > 0 {
			same(posOf(x.value), keys[2*i].Value, x.count)
		}
	}
	if *p.bad {
		return nil
	}
	p.spend(t.Pos, count*max(itemCost, len(keys)+len(from)+len(to)))
	list := make([]*Test, count)
	stepped := slices.Clone(keys)
	for i := range list {
		each := t
		each.From, each.To = from.at(i), to.at(i)
		for j := range values {
			stepped[2*j+1] = values[j].at(i)
		}
		testObject.parse(p, stepped, &each)
		list[i] = &each
	}
	return list
}

// all gives the words of a side, with all that ranges make.
func (s side) all() []Text {
	var words []Text
	for _, w := range s {
		if w.texts == nil {
			words = append(words, w.Text)
		}
		for _, t := range w.texts {
			words = append(words, Text{w.Pos, t})
		}
	}
	return words
}

// at gives the words of a side in the i-th step.
func (s side) at(i int) []Text {
	words := make([]Text, len(s))
	for j, w := range s {
		words[j] = w.Text
		if w.texts != nil {
			words[j].Value = w.texts[i]
		}
	}
	return words
}
