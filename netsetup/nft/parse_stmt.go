package nft

import "strings"

// verdictWords are verdicts as data of a map; as statements, queue can say more.
var verdictWords = []string{"accept", "drop", "continue", "return", "jump", "goto"}

// statementWords begin statements other than matches.
var statementWords = append([]string{
	"counter", "limit", "quota", "last", "log", "reject", "snat", "dnat", "masquerade", "redirect", "tproxy", "dup", "fwd",
	"queue", "notrack", "synproxy", "flow", "meter", "add", "update", "delete", "set", "reset", "xt", "comment",
}, verdictWords...)

// rule reads statements up to the end of the rule, and its comment.
func (p *parser) rule(r *AddRule) {
	first := p.i
	for {
		if p.isWord("comment") {
			if len(r.Stmts) == 0 {
				p.unexpected("a statement before the comment of a rule")
				return
			}
			p.comment(&r.Comment)
			break
		}
		r.Stmts = append(r.Stmts, p.statement())
		if p.bad || p.atEnd() {
			break
		}
	}
	if !p.bad {
		r.Text = p.line(first)
	}
}

// line is the text from a token to the one at hand, on one line.
func (p *parser) line(first int) string {
	var b strings.Builder
	b.Grow(p.tokens[p.i-1].end - p.tokens[first].start)
	var blocks []bool // whether an open brace is of a chain: rules end with the line there
	gap := false
	for i := first; i < p.i; i++ {
		t := p.tokens[i]
		gap = gap || i > first && t.start > p.tokens[i-1].end
		switch t.kind {
		case '{':
			before := p.tokens[max(i-1, 0)].text
			blocks = append(blocks, i > first && (before == "jump" || before == "goto"))
		case '}':
			blocks = blocks[:max(len(blocks)-1, 0)]
		case tokenNewline:
			before := p.tokens[i-1].kind
			for p.tokens[i+1].kind == tokenNewline {
				i++
			}
			ends := before != '{' && before != ';' && p.tokens[i+1].kind != '}'
			if ends && len(blocks) > 0 && blocks[len(blocks)-1] {
				b.WriteByte(';')
			}
			gap = true
			continue
		}
		if gap {
			b.WriteByte(' ')
			gap = false
		}
		b.WriteString(p.text[t.start:t.end])
	}
	return b.String()
}

// statement reads one statement of a rule.
func (p *parser) statement() Stmt {
	t := p.tok()
	if t.kind != tokenWord {
		if t.kind == '@' || t.kind == '(' {
			return p.fieldStatement()
		}
		p.unexpected("a statement")
		return nil
	}
	switch t.text {
	case "accept", "drop", "continue", "return", "jump", "goto":
		return p.verdict()
	case "ct":
		return p.ctStatement()
	}
	if isField(t.text) {
		return p.fieldStatement()
	}
	p.i++
	switch t.text {
	case "counter":
		return p.counter(t.Pos)
	case "limit":
		return p.limit(t.Pos)
	case "quota":
		return p.quota(t.Pos)
	case "last":
		return p.last(t.Pos)
	case "log":
		return p.log(t.Pos)
	case "reject":
		return p.reject(t.Pos)
	case "snat", "dnat", "masquerade", "redirect":
		return p.nat(t)
	case "tproxy":
		return p.tproxy(t.Pos)
	case "dup":
		return p.dup(t.Pos)
	case "fwd":
		return p.fwd(t.Pos)
	case "queue":
		return p.queue(t.Pos)
	case "notrack":
		return &Notrack{t.Pos}
	case "synproxy":
		return p.synproxy(t.Pos)
	case "flow":
		return p.flow(t.Pos)
	case "meter":
		return p.meter(t.Pos)
	case "add", "update", "delete":
		return p.update(t)
	case "set":
		return p.updateOld(t.Pos)
	case "reset":
		p.expectWord("tcp")
		p.expectWord("option")
		return &ResetOption{t.Pos, p.option(p.pos(), "tcp")}
	case "xt":
		p.notSupported(t.Pos, "`xt`, a match or target of iptables,")
		return nil
	}
	p.i--
	words := append([]string{"ct"}, statementWords...)
	for word := range headerFields {
		words = append(words, word)
	}
	for word := range metaWords {
		words = append(words, word)
	}
	p.unexpected("a statement", append(words, "meta", "fib", "socket", "policy", "type")...)
	return nil
}

// atVerdict reports whether a verdict is at hand that can be data of a map.
func (p *parser) atVerdict() bool { return p.isWord(verdictWords...) || p.isWord("queue") }

func (p *parser) verdict() *Verdict {
	t := p.advance()
	v := &Verdict{Pos: t.Pos, Kind: t.text}
	if t.text != "jump" && t.text != "goto" {
		return v
	}
	switch {
	case p.is('{'):
		p.block(func() {
			r := &AddRule{Pos: p.pos()}
			p.rule(r)
			if !p.bad {
				v.Block = append(v.Block, r)
			}
		})
	case p.is('$'):
		v.Chain = p.variableValue("the name of a chain").Text
	default:
		v.Chain = p.name("a chain")
	}
	return v
}

// ctStatement reads what begins with ct.
func (p *parser) ctStatement() Stmt {
	pos, next := p.pos(), p.after(1)
	switch {
	case next.kind != tokenWord:
	case next.text == "count":
		p.i += 2
		return p.ctCount(pos)
	case p.after(2).text != "set":
	case next.text == "helper" || next.text == "timeout" || next.text == "expectation":
		p.i += 3
		return p.named(pos, "ct "+next.text)
	}
	return p.fieldStatement()
}

// fieldStatement reads a statement that begins with something that a packet is
// asked for: a match, a map of verdicts, or that it is set.
func (p *parser) fieldStatement() Stmt {
	pos := p.pos()
	left := p.concat(packet)
	switch {
	case p.takeWord("vmap"):
		return &Vmap{pos, left, p.lookedIn()}
	case p.isWord("set"):
		switch left.(type) {
		case *Meta, *Ct, *Payload, *RawPayload, *Exthdr, *Option:
		default:
			p.fail(p.pos(), "", "found `set`, expected a value to compare with: this cannot be set")
		}
		p.advance()
		return &Assign{pos, left, p.assigned()}
	case p.isWord("map"):
		left = p.mapOf(left)
	}
	return p.match(pos, left)
}

// match reads what something is compared with.
func (p *parser) match(pos Pos, left Expr) Stmt {
	m := &Match{Pos: pos, Left: left}
	if t := p.tok(); t.kind == tokenOperator {
		if precedence(t) > 0 {
			p.unexpected("a comparison")
		}
		p.i++
		m.Op = t.text
	}
	switch p.tok().kind {
	case '{':
		m.Right = p.setLiteral(constants)
		return m
	case '@':
		m.Right = p.setRef()
		return m
	}
	m.Right = p.list(constants, p.concat(constants))
	if p.is('/') {
		// `tcp flags syn / syn,ack`: the bits that count are behind the slash.
		p.i++
		if m.Op == "" {
			m.Op = "=="
		}
		t := p.tok()
		mask := p.list(constants, p.binary(constants, 1))
		if _, ok := mask.(*List); !ok {
			p.fail(t.Pos, "a mask is written with `&`, as in `tcp flags & syn == syn`", "found %s, expected the length of a prefix, or flags with `,` between them", describe(t))
		}
		m.Left = &Binary{pos, "&", left, mask}
	}
	return m
}

var logWords = []string{"prefix", "level", "group", "snaplen", "queue-threshold", "flags"}

func (p *parser) log(pos Pos) Stmt {
	l := &Log{Pos: pos}
	for p.isWord(logWords...) {
		switch p.advance().text {
		case "prefix":
			text := p.logPrefix()
			l.Prefix = &text
		case "level":
			l.Level = p.plainWord("a level, such as info")
		case "group":
			l.Group = p.valueNumber("the number of a group")
		case "snaplen":
			l.Snaplen = p.valueNumber("a number of bytes")
		case "queue-threshold":
			l.Threshold = p.valueNumber("a number of packets")
		case "flags":
			l.Flags = p.logFlags(l.Flags)
		}
	}
	return l
}

// logPrefix reads a string in which $name stands for a variable.
func (p *parser) logPrefix() string {
	pos := p.pos()
	text := p.str("a prefix in quotes")
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		n := run(rest, len(rest), func(c byte) bool { return isLetter(c) || isDigit(c) || c == '_' })
		v, ok := p.scope.lookUp(rest[:n])
		value, isValue := v.expr.(*Value)
		switch {
		case !ok:
			p.fail(pos, didYouMean(rest[:n], p.scope.names()), "there is no variable `%s`", rest[:n])
			return ""
		case !isValue:
			p.fail(pos, "", "the variable `%s` does not stand for a string", rest[:n])
			return ""
		}
		b.WriteString(value.Text)
		if b.Len() > maxPrefix {
			p.fail(pos, "", "the prefix has more than %d bytes", maxPrefix)
			return ""
		}
		text = rest[n:]
	}
}

// maxPrefix is the most that a prefix with variables can have before the
// compiler looks at it; NF_LOG_PREFIXLEN is 128.
const maxPrefix = 1024

func (p *parser) logFlags(list []*Value) []*Value {
	v := p.valueWord("tcp", "ip", "skuid", "ether", "all")
	switch v.Text {
	case "ip":
		v.Text += " " + p.expectWord("options")
	case "tcp":
		for {
			list = append(list, &Value{Pos: v.Pos, Text: "tcp " + p.expectWord("sequence", "options")})
			if !p.take(',') {
				return list
			}
			v.Pos = p.pos()
		}
	}
	return append(list, v)
}

func (p *parser) reject(pos Pos) Stmt {
	r := &Reject{Pos: pos}
	if !p.takeWord("with") {
		return r
	}
	r.Type = p.expectWord("icmp", "icmpv6", "icmpx", "tcp")
	if r.Type == "tcp" {
		r.Type = "tcp " + p.expectWord("reset")
		return r
	}
	p.takeWord("type")
	switch p.tok().kind {
	case tokenWord, tokenNumber:
		r.Code = p.value()
	case '$':
		r.Code = p.variableValue("a code of " + r.Type)
	default:
		p.unexpected("a code of " + r.Type + ", such as port-unreachable")
	}
	return r
}

func (p *parser) queue(pos Pos) Stmt {
	q := &Queue{Pos: pos}
	for !p.bad {
		switch {
		case p.takeWord("num"):
			q.Num = p.queueNumber()
		case p.takeWord("to"):
			q.Num = p.assigned()
		case p.takeWord("flags"):
			q.Flags = append(q.Flags, p.valueWord("bypass", "fanout"))
		case p.isWord("bypass", "fanout"):
			q.Flags = append(q.Flags, p.value())
		case len(q.Flags) > 0 && p.take(','):
			q.Flags = append(q.Flags, p.valueWord("bypass", "fanout"))
		default:
			return q
		}
	}
	return q
}

// queueNumber reads a number, or a range of them.
func (p *parser) queueNumber() Expr {
	if p.is('$') {
		pos := p.pos()
		switch e := p.variable().(type) {
		case *Value:
			return p.queueRange(e)
		case *Range:
			return e
		}
		p.fail(pos, "", "the variable does not stand for the number of a queue")
		return nil
	}
	return p.queueRange(p.valueNumber("the number of a queue"))
}

func (p *parser) queueRange(first *Value) Expr {
	if !p.take('-') {
		return first
	}
	return &Range{first.Pos, first, p.valueNumber("the number of a queue")}
}

func (p *parser) flow(pos Pos) Stmt {
	if p.isWord("table") {
		p.notSupported(pos, "`flow table`, the old name of meter,")
		return nil
	}
	p.expectWord("add", "offload")
	p.expect('@')
	if p.is(tokenQuoted) {
		return &FlowAdd{pos, p.advance().text}
	}
	return &FlowAdd{pos, p.name("a flowtable")}
}

// meter reads `meter name size 128 { ip saddr limit rate 1/second }`.
func (p *parser) meter(pos Pos) Stmt {
	m := &Meter{Pos: pos, Name: p.name("a meter")}
	if p.takeWord("size") {
		m.Size = p.uint32("a number of elements")
	}
	p.expect('{')
	m.Key = &Element{Pos: p.pos(), Key: p.concat(packet)}
	p.elementOptions(m.Key)
	p.expect('}')
	return m
}

// update reads `add @s { ip saddr timeout 5s : mark }`.
func (p *parser) update(t token) Stmt {
	if !p.is('@') && !p.is('$') {
		p.unexpected("`@` and the name of a set or map")
		return nil
	}
	u := &Update{Pos: t.Pos, Op: t.text, Set: p.setName()}
	p.expect('{')
	u.Key = &Element{Pos: p.pos(), Key: p.concat(packet)}
	p.elementOptions(u.Key)
	if p.take(':') {
		u.Key.Data = p.concat(packet)
		p.elementOptions(u.Key)
	}
	p.expect('}')
	return u
}

// updateOld reads what follows `set` in `set add ip saddr @s`.
func (p *parser) updateOld(pos Pos) Stmt {
	u := &Update{Pos: pos, Op: p.expectWord("add", "update", "delete")}
	u.Key = &Element{Pos: p.pos(), Key: p.concat(packet)}
	p.elementOptions(u.Key)
	u.Set = p.setName()
	return u
}

func (p *parser) setName() string {
	pos := p.pos()
	switch e := p.setRef().(type) {
	case *SetRef:
		return e.Name
	case *SetLiteral:
		p.fail(pos, "", "the variable stands for elements, expected the name of a set")
	}
	return ""
}
