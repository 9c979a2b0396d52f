package nft

import "strconv"

// mode says what an expression may be made of.
type mode uint8

const (
	constants mode = iota // words and numbers
	packet                // what a packet is asked for
	assigned              // either, as the value of a statement
)

// precedence of an operator that makes a value of two, the stronger the higher;
// 0 is none.
func precedence(t token) int {
	if t.kind != tokenOperator {
		return 0
	}
	switch t.text {
	case "|":
		return 1
	case "^":
		return 2
	case "&":
		return 3
	case "<<", ">>":
		return 4
	}
	return 0
}

// binary reads an expression with operators of at least a precedence.
func (p *parser) binary(m mode, least int) Expr {
	pos := p.pos()
	x := p.primary(m)
	for n := 1; ; n++ {
		t := p.tok()
		level := precedence(t)
		if level == 0 || level < least {
			return x
		}
		if n > maxDepth {
			p.fail(t.Pos, "", "more than %d operators in a row", maxDepth)
			return x
		}
		p.i++
		operand := m
		if m == packet && !p.atField() {
			operand = constants
		}
		p.enter()
		x = &Binary{pos, t.text, x, p.binary(operand, level+1)}
		p.leave()
	}
}

// part reads an expression, or of constants a range or a prefix.
func (p *parser) part(m mode) Expr {
	pos := p.pos()
	x := p.binary(m, 1)
	if m == packet {
		return x
	}
	switch {
	case p.take('-'):
		return &Range{pos, x, p.binary(m, 1)}
	case p.is('/') && p.after(1).kind == tokenNumber:
		p.i++
		return &Prefix{pos, x, int(p.number("the length of a prefix", 128))}
	}
	return x
}

// concat reads expressions with dots between them.
func (p *parser) concat(m mode) Expr {
	pos := p.pos()
	x := p.part(m)
	if !p.is('.') {
		return x
	}
	c := &Concat{Pos: pos}
	c.add(x)
	for p.take('.') {
		c.add(p.part(m))
	}
	return c
}

func (c *Concat) add(x Expr) {
	if inner, ok := x.(*Concat); ok {
		c.Items = append(c.Items, inner.Items...)
		return
	}
	c.Items = append(c.Items, x)
}

// list reads what follows the first item of a list with commas, if anything.
func (p *parser) list(m mode, first Expr) Expr {
	if first == nil || !p.is(',') {
		return first
	}
	l := &List{Pos: first.At()}
	l.add(first)
	for p.take(',') {
		l.add(p.binary(m, 1))
	}
	return l
}

func (l *List) add(x Expr) {
	if inner, ok := x.(*List); ok {
		l.Items = append(l.Items, inner.Items...)
		return
	}
	l.Items = append(l.Items, x)
}

// assigned reads the value of a statement: an address, a map, the mark of the
// packet.
func (p *parser) assigned() Expr {
	x := p.concat(assigned)
	if p.isWord("map") {
		return p.mapOf(x)
	}
	return p.list(assigned, x)
}

// mapOf reads the map in which a key is looked up.
func (p *parser) mapOf(key Expr) Expr {
	pos := p.pos()
	if key != nil {
		pos = key.At()
	}
	p.i++
	return &Map{pos, key, p.lookedIn()}
}

// lookedIn reads the map of `map` or `vmap`: elements, a name, or a variable
// that stands for either.
func (p *parser) lookedIn() Expr {
	switch p.tok().kind {
	case '{':
		return p.setLiteral(constants)
	case '@', '$':
		return p.setRef()
	}
	p.unexpected("`{` or `@` and the name of a map")
	return nil
}

// setRef reads `@name`, or a variable that stands for a set.
func (p *parser) setRef() Expr {
	pos := p.pos()
	if p.is('$') {
		switch e := p.variable().(type) {
		case *SetRef, *SetLiteral:
			return e
		}
		p.fail(pos, "", "the variable does not stand for a set")
		return nil
	}
	p.expect('@')
	return &SetRef{pos, p.name("a set or map")}
}

// primary reads an expression without operators.
func (p *parser) primary(m mode) Expr {
	t := p.tok()
	switch t.kind {
	case '$':
		return p.variable()
	case '(':
		p.enter()
		p.i++
		x := p.binary(m, 1)
		p.expect(')')
		p.leave()
		return x
	case '@':
		if m != constants {
			p.i++
			return p.rawPayload(t.Pos)
		}
	case tokenNumber, tokenLiteral, tokenQuoted, tokenWildcard:
		return p.value()
	case tokenWord:
		if m == packet && isField(t.text) || m == assigned && p.atField() {
			return p.field()
		}
		if valueWords[t.text] || !reserved[t.text] {
			return p.value()
		}
	}
	if m == packet {
		p.unexpected("a match, such as `tcp dport`")
	} else {
		p.unexpected("a value")
	}
	return nil
}

// rawPayload reads what follows the @ of `@nh,96,32`.
func (p *parser) rawPayload(pos Pos) Expr {
	r := &RawPayload{Pos: pos, Base: p.expectWord("ll", "nh", "th", "ih")}
	p.expect(',')
	r.Offset = int(p.number("an offset in bits", 1<<16))
	p.expect(',')
	r.Len = int(p.number("a length in bits", 1<<16))
	return r
}

// uint32 reads a number of 32 bits.
func (p *parser) uint32(what string) uint32 { return uint32(p.number(what, 1<<32-1)) }

// subscript reads `[1]`.
func (p *parser) subscript(most uint64) string {
	p.expect('[')
	n := p.number("a number", most)
	p.expect(']')
	return "[" + strconv.FormatUint(n, 10) + "]"
}
