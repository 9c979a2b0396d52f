package topology

import (
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// changeVerbs are those of an item of `scenario` that is no test.
var changeVerbs = []string{"link", StartProcess, StopProcess}

// linkActions are the keys of which a change of a link has one.
var linkActions = []string{LinkDown, LinkUp, "set"}

func scenarioSchema() schema {
	s := testSchema()
	keys := s["properties"].(schema)
	keys["at"] = maps.Clone(durationSchema)
	keys["at"].(schema)["description"] = "When it happens, since the scenario began."
	keys["link"] = schema{"type": "string", "description": "NODE:INTERFACE."}
	yes := schema{"enum": []any{true, "on", "yes"}}
	keys[LinkDown], keys[LinkUp] = yes, yes
	words := listOrOne(textSchema)
	keys[StartProcess], keys[StopProcess] = words, words
	one := s["oneOf"].([]schema)
	for _, v := range changeVerbs {
		one = append(one, schema{"required": []string{v}})
	}
	s["oneOf"], s["required"] = one, []string{"at"}
	return s
}

// scenario reads the list of the file.
func (p *parser) scenario(n *yaml.Node) []*Event {
	var list []*Event
	p.each(n, "[{at: 1s, link: r1:eth1, down: true}]", func(item *yaml.Node) {
		var events []*Event
		if !p.scope(func() { events = p.event(item) }) {
			list = append(list, events...)
		}
	})
	return list
}

// event reads an item: one event, or as many as its ranges make.
func (p *parser) event(n *yaml.Node) []*Event {
	const example = "{at: 5s, link: r1:eth1, down: true}"
	if n.Kind != yaml.MappingNode {
		p.wrongType(n, "what happens at a time", example)
		return nil
	}
	e := Event{Pos: posOf(n)}
	var verb *yaml.Node
	rest := make([]*yaml.Node, 0, len(n.Content))
	entries := p.entries(n)
	for i := 0; i < len(entries); i += 2 {
		switch k := entries[i]; {
		case k.Value == "at":
			p.enter("at")
			e.At, _ = p.duration(deref(entries[i+1]))
			p.leave()
			continue
		case !slices.Contains(changeVerbs, k.Value):
		case verb != nil:
			p.errorf(k, "make two items of it", "one thing happens in an item; `%s` is there already", verb.Value)
			return nil
		default:
			verb = k
		}
		rest = append(rest, entries[i], entries[i+1])
	}
	p.require(n, entries, "at")
	switch {
	case verb == nil:
		return p.testEvents(n, e, rest)
	case verb.Value == "link":
		return p.linkEvents(n, e, rest)
	}
	return p.processEvents(e, verb, rest)
}

func (p *parser) testEvents(n *yaml.Node, e Event, entries []*yaml.Node) []*Event {
	tests := p.testEntries(n, entries, changeVerbs)
	list := make([]*Event, len(tests))
	for i, t := range tests {
		each := e
		each.Test = t
		list[i] = &each
	}
	return list
}

// linkEvents reads `link: NODE:INTERFACE` with `down: true` or `up: true`.
func (p *parser) linkEvents(n *yaml.Node, e Event, entries []*yaml.Node) []*Event {
	var links []Endpoint
	for i := 0; i < len(entries); i += 2 {
		k, v := entries[i], deref(entries[i+1])
		switch k.Value {
		case "link":
			p.enter("link")
			p.expandItem(v, func(v *yaml.Node) {
				if end, ok := p.endpoint(v); ok {
					links = append(links, end)
				}
			})
			p.leave()
		case LinkDown, LinkUp:
			if e.Do != "" {
				p.errorf(k, "make two items of it", "one thing happens in an item; `%s` is there already", e.Do)
			}
			e.Do = k.Value
			p.enter(k.Value)
			if on, ok := p.boolean(v); ok && !on {
				p.errorf(v, "write `"+map[string]string{LinkDown: LinkUp, LinkUp: LinkDown}[k.Value]+": true`", "`%s: false` is nothing that happens", k.Value)
			}
			p.leave()
		case "set":
			p.notYet(k, "`set`")
		default:
			p.unknownKey(k, append([]string{"at", "link"}, linkActions...))
		}
	}
	if e.Do == "" && !*p.bad {
		p.errorf(n, "such as `down: true`", "what happens to the link is missing: %s", oneOf(linkActions))
	}
	list := make([]*Event, len(links))
	for i, end := range links {
		each := e
		each.Link = end
		list[i] = &each
	}
	return list
}

// processEvents reads `stop: NODE/PROCESS`, and start.
func (p *parser) processEvents(e Event, verb *yaml.Node, entries []*yaml.Node) []*Event {
	const example = "r1/ospfd"
	e.Do = verb.Value
	var list []*Event
	for i := 0; i < len(entries); i += 2 {
		if entries[i] != verb {
			p.unknownKey(entries[i], []string{"at", verb.Value})
			continue
		}
		p.enter(verb.Value)
		p.oneOrEach(deref(entries[i+1]), "["+example+"]", func(item *yaml.Node) {
			t, ok := p.text(item, "a process", example)
			if !ok {
				return
			}
			if node, process, both := strings.Cut(t.Value, "/"); !both || nodeNameProblem(node) != "" || !isProcessName(process) {
				p.errorf(item, "such as `"+example+"`", "%s is not NODE/PROCESS", quote(t.Value))
				return
			}
			each := e
			each.Process = t
			list = append(list, &each)
		})
		p.leave()
	}
	if len(list) == 0 && !*p.bad {
		p.errorf(verb, "such as `"+example+"`", "`%s` names no process", verb.Value)
	}
	return list
}
