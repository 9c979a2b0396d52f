package nft

import (
	"strconv"
	"strings"
	"time"
)

var setWords = []string{"type", "typeof", "flags", "timeout", "gc-interval", "elements", "auto-merge", "policy", "size", "comment", "counter", "limit", "quota", "ct", "last"}

// setBlock reads the block of a set or map.
func (p *parser) setBlock(c *AddSet) {
	p.enter()
	p.items(keep(p, c, func() {
		if p.isWord("comment") {
			p.comment(&c.Comment)
			return
		}
		if p.isWord(statefulWords...) {
			for !p.bad && !p.atEnd() {
				c.Stmts = append(c.Stmts, p.stateful())
			}
			return
		}
		switch p.expectWord(setWords...) {
		case "type":
			p.setType(c)
		case "typeof":
			p.setTypeof(c)
		case "flags":
			p.flags(&c.Flags)
		case "timeout":
			c.Timeout = p.time()
		case "gc-interval":
			c.GCInterval = p.time()
		case "elements":
			p.expect('=')
			c.Elements = append(c.Elements, p.setElements()...)
		case "auto-merge":
			c.AutoMerge = true
		case "policy":
			c.Policy = p.valueWord("performance", "memory")
		case "size":
			size := p.number("a number of elements", 1<<32-1)
			c.Size = &size
		}
	}))
	p.leave()
}

// setType reads `ipv4_addr . inet_service : verdict`.
func (p *parser) setType(c *AddSet) {
	c.KeyTypes = p.types()
	if !p.mapData(c) {
		return
	}
	if c.DataTypes = p.objectType(); c.DataTypes == nil {
		c.DataTypes = p.types()
	}
}

// setTypeof is setType with expressions in place of types.
func (p *parser) setTypeof(c *AddSet) {
	c.KeyTypeof = p.concat(packet)
	if !p.mapData(c) {
		return
	}
	if p.isWord("verdict") {
		c.DataTypes = []*Value{p.value()}
	} else if c.DataTypes = p.objectType(); c.DataTypes == nil {
		c.DataTypeof = p.concat(packet)
	}
}

// mapData takes the colon and `interval` before the type of a map's data.
func (p *parser) mapData(c *AddSet) bool {
	if !c.IsMap {
		if p.is(':') {
			p.fail(p.pos(), "a `map` has data", "found `:`, expected the end of the line: a set has keys only")
		}
		return false
	}
	p.expect(':')
	c.DataInterval = p.takeWord("interval")
	return true
}

// objectType reads the type of a map of objects, if that is at hand.
func (p *parser) objectType() []*Value {
	t := p.tok()
	switch {
	case p.isWord("counter", "quota", "limit", "secmark", "synproxy"):
		return []*Value{p.value()}
	case p.isWord("ct") && contains(ctObjects, p.after(1).text):
		p.i++
		return []*Value{{Pos: t.Pos, Text: "ct " + p.expectWord(ctObjects...)}}
	}
	return nil
}

// types reads names of types with dots between them.
func (p *parser) types() (list []*Value) {
	for {
		list = append(list, p.plainWord("the name of a type, such as ipv4_addr"))
		if !p.take('.') {
			return list
		}
	}
}

// setElements reads elements in braces, or a variable that stands for them.
func (p *parser) setElements() []*Element {
	pos := p.pos()
	if !p.is('$') {
		return p.setLiteral(constants).Elements
	}
	switch e := p.variable().(type) {
	case *SetLiteral:
		return e.Elements
	case nil:
	default:
		p.fail(pos, "", "the variable does not stand for elements in braces")
	}
	return nil
}

// setLiteral reads elements in braces.
func (p *parser) setLiteral(m mode) *SetLiteral {
	set := &SetLiteral{Pos: p.pos()}
	p.enter()
	p.expect('{')
	for p.skipNewlines(); !p.bad && !p.is('}'); p.skipNewlines() {
		p.element(m, &set.Elements)
		p.skipNewlines()
		if !p.take(',') {
			break
		}
	}
	p.skipNewlines()
	if !p.take('}') {
		p.unexpected("`,` or `}`", elementWords...)
	}
	p.leave()
	return set
}

// element reads one element. A set in its place, or in that of its key, stands
// for its elements.
func (p *parser) element(m mode, list *[]*Element) {
	if p.is('{') {
		*list = append(*list, p.setLiteral(m).Elements...)
		return
	}
	e := &Element{Pos: p.pos()}
	if p.is('*') {
		e.Key = p.value()
	} else {
		e.Key = p.concat(m)
	}
	p.elementOptions(e)
	if p.take(':') {
		p.skipNewlines()
		if p.atVerdict() {
			e.Data = p.verdict()
		} else {
			e.Data = p.concat(m)
		}
		p.elementOptions(e)
	}
	set, ok := e.Key.(*SetLiteral)
	if !ok {
		*list = append(*list, e)
		return
	}
	for _, inner := range set.Elements {
		if e.Data == nil {
			*list = append(*list, inner)
			continue
		}
		c := *e
		c.Key = inner.Key
		*list = append(*list, &c)
	}
}

var elementWords = []string{"timeout", "expires", "comment", "counter", "limit", "quota", "ct", "last"}

// elementOptions reads what may follow the key of an element, or its data.
func (p *parser) elementOptions(e *Element) {
	for {
		switch {
		case p.takeWord("timeout"):
			e.Timeout = p.time()
		case p.takeWord("expires"):
			e.Expires = p.time()
		case p.isWord("comment"):
			p.comment(&e.Comment)
		case p.isWord(statefulWords...):
			e.Stmts = append(e.Stmts, p.stateful())
		default:
			return
		}
	}
}

// time reads a time such as 1h30m.
func (p *parser) time() *time.Duration {
	t := p.tok()
	switch t.kind {
	case tokenLiteral, tokenQuoted:
		if d, ok := parseTime(t.text); ok {
			p.i++
			return &d
		}
	case tokenNumber:
		p.fail(t.Pos, "of seconds: `"+t.text+"s`", "found %s, expected a time with its unit", describe(t))
		return nil
	case '$':
		v := p.variableValue("a time")
		if d, ok := parseTime(v.Text); ok {
			return &d
		}
	}
	if p.is(tokenWord) && t.text == "never" {
		p.notSupported(t.Pos, "a time of `never`")
	}
	p.unexpected("a time, such as 1h30m")
	return nil
}

// timeOrSeconds reads a time, or a number of seconds.
func (p *parser) timeOrSeconds() time.Duration {
	if p.is(tokenNumber) {
		return time.Duration(p.number("a number of seconds", 1<<32-1)) * time.Second
	}
	if d := p.time(); d != nil {
		return *d
	}
	return 0
}

var timeLengths = [len(timeUnits)]time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second, time.Millisecond}

// parseTime reads a time: numbers with their units, the largest unit first.
func parseTime(s string) (d time.Duration, ok bool) {
	if s == "" || timeLength(s) != len(s) {
		return 0, false
	}
	for i, unit := range timeUnits {
		digits := run(s, len(s), isDigit)
		rest, found := strings.CutPrefix(s[digits:], unit)
		if digits == 0 || !found || unit == "m" && strings.HasPrefix(rest, "s") {
			continue
		}
		n, err := strconv.ParseUint(s[:digits], 10, 32)
		// Ten years more than the kernel counts in 32 bits of seconds.
		if err != nil || time.Duration(n) > 50000*24*time.Hour/timeLengths[i] {
			return 0, false
		}
		d += time.Duration(n) * timeLengths[i]
		s = rest
	}
	return d, true
}
