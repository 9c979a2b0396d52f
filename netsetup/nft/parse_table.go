package nft

import (
	"strconv"
	"strings"
)

// tableParts are what a block of a table adds, by kind. The rules come last, so
// that they may name whatever is in the block.
type tableParts struct{ chains, objects, sets, flowtables, rules []Command }

func (t *tableParts) all() []Command {
	return append(append(append(append(t.chains, t.objects...), t.sets...), t.flowtables...), t.rules...)
}

var tableWords = []string{"chain", "set", "map", "flowtable", "counter", "quota", "limit", "ct", "secmark", "synproxy", "flags", "comment", "define", "redefine", "undefine", "include"}

func (p *parser) tableCommand(pos Pos, verb Verb) {
	c := &AddTable{Pos: pos, Verb: verb, Table: p.tableName()}
	if !p.is('{') {
		p.emit(c)
		return
	}
	var parts tableParts
	p.block(keep(p, c, func() { p.tablePart(c, &parts) }))
	p.emit(c)
	if !p.bad {
		p.file.Commands = append(p.file.Commands, parts.all()...)
	}
}

// block reads the items between braces, with variables of their own.
func (p *parser) block(item func()) {
	p.enter()
	p.scope = newScope(p.scope)
	p.items(item)
	p.scope = p.scope.outer
	p.leave()
}

// items reads the items between braces.
func (p *parser) items(item func()) {
	pos := p.pos()
	p.expect('{')
	for !p.bad && !p.is('}') {
		if p.is(tokenEnd) {
			p.fail(pos, "", "the block that starts here has no `}`")
			return
		}
		if len(p.errs) >= maxErrors {
			p.bad = true
			return
		}
		p.item(func() {
			if !p.atEnd() && !p.common() {
				item()
			}
		})
	}
	p.take('}')
}

// keep is an item that changes something: of one with a mistake nothing stays.
func keep[T any](p *parser, changed *T, item func()) func() {
	return func() {
		before := *changed
		item()
		if p.bad {
			*changed = before
		}
	}
}

// tablePart reads one item of the block of a table.
func (p *parser) tablePart(table *AddTable, parts *tableParts) {
	t := p.tok()
	p.expectWord(tableWords...)
	switch t.text {
	case "flags":
		p.flags(&table.Flags)
	case "comment":
		p.i--
		p.comment(&table.Comment)
	case "chain":
		c := &AddChain{Pos: t.Pos, Table: table.Table, Name: p.name("a chain")}
		rules := p.chainBlock(c)
		if !p.bad {
			parts.chains = append(parts.chains, c)
			for _, r := range rules {
				parts.rules = append(parts.rules, r)
			}
		}
	case "set", "map":
		c := &AddSet{Pos: t.Pos, Table: table.Table, IsMap: t.text == "map", Name: p.name("a " + t.text)}
		p.setBlock(c)
		if !p.bad {
			parts.sets = append(parts.sets, c)
		}
	case "flowtable":
		c := &AddFlowtable{Pos: t.Pos, Table: table.Table, Name: p.name("a flowtable")}
		p.flowtableBlock(c)
		if !p.bad {
			parts.flowtables = append(parts.flowtables, c)
		}
	default:
		kind := p.objectKind(t)
		c := &AddObject{Pos: t.Pos, Table: table.Table, Name: p.name("a " + kind)}
		if p.object(c, kind) {
			parts.objects = append(parts.objects, c)
		}
	}
}

// flags reads words with commas between them; what they mean is for the compiler.
func (p *parser) flags(list *[]*Value) {
	for {
		if !p.is(tokenWord) {
			p.unexpected("a flag")
			return
		}
		*list = append(*list, p.value())
		if !p.take(',') {
			return
		}
	}
}

func (p *parser) chainCommand(pos Pos, verb Verb) {
	c := &AddChain{Pos: pos, Verb: verb, Table: p.tableName(), Name: p.name("a chain")}
	var rules []*AddRule
	if p.is('{') {
		rules = p.chainBlock(c)
	}
	p.emit(c)
	for _, r := range rules {
		p.emit(r)
	}
}

// chainBlock reads the block of a chain into it, and gives its rules.
func (p *parser) chainBlock(c *AddChain) (rules []*AddRule) {
	p.block(keep(p, c, func() {
		switch t := p.tok(); {
		case p.takeWord("type"):
			if c.Hook != nil {
				p.fail(t.Pos, "", "the chain has a type already")
				return
			}
			c.Hook = p.hook(t.Pos)
		case p.takeWord("policy"):
			if c.Policy != nil {
				p.fail(t.Pos, "", "the chain has a policy already")
				return
			}
			c.Policy = p.policy()
		case p.takeWord("flags"):
			p.flags(&c.Flags)
		case p.isWord("comment"):
			p.comment(&c.Comment)
		case p.isWord("hook", "priority"):
			p.fail(t.Pos, "as in `type filter hook input priority filter`", "found `%s`, expected `type` before it", t.text)
		default:
			r := &AddRule{Pos: t.Pos, Table: c.Table, Chain: c.Name}
			p.rule(r)
			if !p.bad {
				rules = append(rules, r)
			}
		}
	}))
	return rules
}

func (p *parser) policy() *Value {
	if p.is('$') {
		return p.variableValue("accept or drop")
	}
	return p.valueWord("accept", "drop")
}

// hook reads what follows `type` in a base chain.
func (p *parser) hook(pos Pos) *Hook {
	h := &Hook{Pos: pos, Type: p.plainWord("the type of the chain: filter, nat or route")}
	p.expectWord("hook")
	h.Hook = p.plainWord("a hook, such as input")
	switch {
	case p.takeWord("device"):
		h.Devices = []*Value{p.device()}
	case p.takeWord("devices"):
		h.Devices = p.devices()
	}
	h.Priority = p.priority()
	return h
}

// plainWord takes a word of which the compiler knows whether it is right.
func (p *parser) plainWord(what string) *Value {
	if !p.is(tokenWord) {
		p.unexpected(what)
		return &Value{Pos: p.pos()}
	}
	return p.value()
}

func (p *parser) device() *Value {
	switch p.tok().kind {
	case tokenWord, tokenQuoted, tokenWildcard:
		return p.value()
	case '$':
		return p.variableValue("the name of an interface")
	}
	p.unexpected("the name of an interface")
	return &Value{Pos: p.pos()}
}

// devices reads `= { eth0, eth1 }`.
func (p *parser) devices() (list []*Value) {
	p.expect('=')
	if p.is('$') {
		return p.deviceVariable()
	}
	p.expect('{')
	for p.skipNewlines(); !p.bad && !p.is('}'); p.skipNewlines() {
		if p.is('$') {
			list = append(list, p.deviceVariable()...)
		} else {
			list = append(list, p.device())
		}
		p.skipNewlines()
		if !p.take(',') {
			break
		}
	}
	p.skipNewlines()
	p.expect('}')
	return list
}

// deviceVariable gives the names that a variable stands for.
func (p *parser) deviceVariable() (list []*Value) {
	pos := p.pos()
	e := p.variable()
	switch e := e.(type) {
	case *Value:
		return []*Value{e}
	case *SetLiteral:
		for _, element := range e.Elements {
			v, ok := element.Key.(*Value)
			if !ok {
				p.fail(pos, "", "the variable does not stand for names of interfaces")
				return nil
			}
			list = append(list, v)
		}
		return list
	}
	p.fail(pos, "", "the variable does not stand for names of interfaces")
	return nil
}

// priority reads `priority filter + 10`.
func (p *parser) priority() *Priority {
	p.expectWord("priority")
	pr := &Priority{Pos: p.pos()}
	switch t := p.tok(); t.kind {
	case '-', tokenNumber:
		pr.Offset = p.signed()
	case '$':
		v := p.variableValue("a priority")
		p.priorityText(pr, v)
	case tokenQuoted:
		p.priorityText(pr, p.value())
	case tokenWord:
		pr.Name = p.advance().text
		if p.is('-') || p.take('+') {
			pr.Offset = p.signed()
		}
	default:
		p.unexpected("a priority: a number, or a name such as filter")
	}
	return pr
}

// signed reads a number that may have a `-` before it.
func (p *parser) signed() int {
	minus := p.take('-')
	n := int(p.number("a number", 1<<31-1))
	if minus {
		return -n
	}
	return n
}

// priorityText reads a priority that is a string: `-150`, `filter - 10`.
func (p *parser) priorityText(pr *Priority, v *Value) {
	text := strings.NewReplacer(" ", "", "\t", "").Replace(v.Text)
	if n := strings.LastIndexAny(text, "+-"); n >= 0 {
		offset, err := strconv.ParseInt(text[n:], 10, 32)
		if err == nil {
			pr.Name, pr.Offset = text[:n], int(offset)
			return
		}
	}
	if offset, err := strconv.ParseInt(text, 10, 32); err == nil {
		pr.Offset = int(offset)
		return
	}
	if text == "" && !p.bad {
		p.fail(v.Pos, "", "found an empty string, expected a priority")
	}
	pr.Name = text
}

var flowtableWords = []string{"hook", "devices", "counter", "flags"}

func (p *parser) flowtableBlock(c *AddFlowtable) {
	p.enter()
	p.items(keep(p, c, func() {
		switch p.expectWord(flowtableWords...) {
		case "hook":
			c.Hook = p.plainWord("a hook: ingress")
			c.Priority = p.priority()
		case "devices":
			c.Devices = append(c.Devices, p.devices()...)
		case "counter":
			c.Counter = true
		case "flags":
			p.flags(&c.Flags)
		}
	}))
	p.leave()
}
