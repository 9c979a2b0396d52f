package nft

import (
	"math/bits"
	"strings"
	"time"
)

// object reads what follows the name of an object: its definition, in braces or
// not. It reports whether there is no mistake in it.
func (p *parser) object(c *AddObject, kind string) bool {
	pos, mistakes := p.pos(), len(p.errs)
	var object Node
	var read func()
	switch kind {
	case "counter":
		o := &Counter{Pos: pos}
		object, read = o, func() { p.counterValues(o) }
	case "quota":
		o := &Quota{Pos: pos}
		object, read = o, func() { p.quotaValues(o) }
	case "limit":
		o := &Limit{Pos: pos}
		object, read = o, func() { p.expectWord("rate"); p.rate(o) }
	case "synproxy":
		o := &Synproxy{Pos: pos}
		object, read = o, func() { p.synproxyValues(o) }
	case "secmark":
		o := &Secmark{Pos: pos}
		object, read = o, func() { o.Context = p.str("a security context in quotes") }
	case "ct helper":
		o := &CtHelper{Pos: pos}
		object, read = o, func() { p.ctHelper(o) }
	case "ct timeout":
		o := &CtTimeout{Pos: pos}
		object, read = o, func() { p.ctTimeout(o) }
	case "ct expectation":
		o := &CtExpectation{Pos: pos}
		object, read = o, func() { p.ctExpectation(o) }
	default:
		return false // the mistake was in the kind
	}
	c.Object = object
	said := false
	switch {
	case p.is('{'):
		p.enter()
		p.items(func() {
			if !p.isWord("comment") {
				said = true
				read()
			}
			if p.isWord("comment") {
				p.comment(&c.Comment)
			}
		})
		p.leave()
	case kind == "counter" && p.atEnd():
	case strings.HasPrefix(kind, "ct "):
		p.expect('{')
	default:
		said = true
		read()
	}
	if !said && kind != "counter" {
		p.fail(pos, "", "the %s says nothing of what it is", kind)
	}
	return !p.bad && len(p.errs) == mistakes
}

func (p *parser) ctHelper(o *CtHelper) {
	switch p.expectWord("type", "protocol", "l3proto") {
	case "type":
		if !p.is(tokenQuoted) {
			p.unexpected("the name of a helper in quotes, such as \"ftp\"")
		}
		o.Type = p.value()
		if p.takeWord("protocol") {
			o.Protocol = p.valueWord("tcp", "udp")
		}
	case "protocol":
		o.Protocol = p.valueWord("tcp", "udp")
	case "l3proto":
		o.L3Proto = p.l3proto()
	}
}

func (p *parser) l3proto() *Value { return p.valueWord("ip", "ip6", "inet", "arp", "bridge", "netdev") }

func (p *parser) ctTimeout(o *CtTimeout) {
	switch p.expectWord("protocol", "l3proto", "policy") {
	case "protocol":
		o.Protocol = p.valueWord("tcp", "udp")
	case "l3proto":
		o.L3Proto = p.l3proto()
	case "policy":
		p.expect('=')
		p.expect('{')
		for p.skipNewlines(); !p.bad && !p.is('}'); p.skipNewlines() {
			state := p.plainWord("a state of the connection, such as established")
			p.expect(':')
			o.Policy = append(o.Policy, TimeoutPolicy{state, p.timeOrSeconds()})
			p.skipNewlines()
			if !p.take(',') {
				break
			}
		}
		p.skipNewlines()
		p.expect('}')
	}
}

func (p *parser) ctExpectation(o *CtExpectation) {
	switch p.expectWord("protocol", "dport", "timeout", "size", "l3proto") {
	case "protocol":
		o.Protocol = p.valueWord("tcp", "udp")
	case "dport":
		o.DPort = p.valueNumber("a port")
	case "timeout":
		o.Timeout = p.time()
	case "size":
		o.Size = p.valueNumber("a number")
	case "l3proto":
		o.L3Proto = p.l3proto()
	}
}

// statefulWords begin the statements that elements of sets can have.
var statefulWords = []string{"counter", "limit", "quota", "ct", "last"}

// stateful reads a statement that a set's elements can have.
func (p *parser) stateful() Stmt {
	t := p.tok()
	switch {
	case p.takeWord("counter"):
		return p.counter(t.Pos)
	case p.takeWord("limit"):
		return p.limit(t.Pos)
	case p.takeWord("quota"):
		return p.quota(t.Pos)
	case p.takeWord("last"):
		return p.last(t.Pos)
	case p.takeWord("ct"):
		if p.expectWord("count") != "" {
			return p.ctCount(t.Pos)
		}
	}
	p.unexpected(oneOf(statefulWords), statefulWords...)
	return nil
}

// named reads the name of an object, or a map of them, behind `name`.
func (p *parser) named(pos Pos, kind string) *ObjectRef {
	return &ObjectRef{pos, kind, p.assigned()}
}

func (p *parser) counter(pos Pos) Stmt {
	if p.takeWord("name") {
		return p.named(pos, "counter")
	}
	c := &Counter{Pos: pos}
	for p.isWord("packets", "bytes") {
		p.counterValues(c)
	}
	return c
}

// counterValues reads `packets 3 bytes 180`.
func (p *parser) counterValues(c *Counter) {
	for first := true; first || p.isWord("packets", "bytes"); first = false {
		switch p.expectWord("packets", "bytes") {
		case "packets":
			c.Packets = p.number("a number of packets", 1<<64-1)
		case "bytes":
			c.Bytes = p.number("a number of bytes", 1<<64-1)
		}
	}
}

func (p *parser) quota(pos Pos) Stmt {
	if p.takeWord("name") {
		return p.named(pos, "quota")
	}
	q := &Quota{Pos: pos}
	p.quotaValues(q)
	return q
}

// quotaValues reads `over 25 mbytes used 3 kbytes`.
func (p *parser) quotaValues(q *Quota) {
	q.Over = p.over()
	q.Bytes = p.amount(p.number("an amount, such as 25 mbytes", 1<<64-1))
	if p.takeWord("used") {
		q.Used = p.amount(p.number("an amount, such as 25 mbytes", 1<<64-1))
	}
}

// over reads `over` or `until`.
func (p *parser) over() bool {
	if p.takeWord("over") {
		return true
	}
	p.takeWord("until")
	return false
}

var units = map[string]uint64{"bytes": 1, "kbytes": 1 << 10, "mbytes": 1 << 20}

// amount multiplies a number with the unit behind it.
func (p *parser) amount(n uint64) uint64 {
	return p.multiply(n, p.pos(), p.expectWord("bytes", "kbytes", "mbytes"))
}

func (p *parser) multiply(n uint64, pos Pos, unit string) uint64 {
	high, low := bits.Mul64(n, units[unit])
	if high != 0 {
		p.fail(pos, "", "%d %s are more than 64 bits hold", n, unit)
	}
	return low
}

func (p *parser) limit(pos Pos) Stmt {
	if p.takeWord("name") {
		return p.named(pos, "limit")
	}
	l := &Limit{Pos: pos}
	if p.expectWord("rate", "name") == "rate" {
		p.rate(l)
	}
	return l
}

var timeWords = []string{"second", "minute", "hour", "day", "week"}

// rate reads what follows `limit rate`: `over 10 mbytes/second burst 5 mbytes`,
// `10/second burst 5 packets`.
func (p *parser) rate(l *Limit) {
	l.Over = p.over()
	l.Rate = p.number("a rate, such as 10/second", 1<<64-1)
	t := p.tok()
	switch unit, per, joined := strings.Cut(t.text, "/"); {
	case t.kind == tokenWord && joined && units[unit] != 0 && contains(timeWords, per):
		p.i++
		l.Bytes, l.Per = true, per
		l.Rate = p.multiply(l.Rate, t.Pos, unit)
	case p.isWord("bytes", "kbytes", "mbytes"):
		l.Bytes = true
		l.Rate = p.amount(l.Rate)
		fallthrough
	case p.is('/'):
		p.expect('/')
		l.Per = p.expectWord(timeWords...)
	default:
		p.unexpected("`/second`, `bytes/second` or the like")
	}
	if p.takeWord("burst") {
		p.burst(l)
	}
}

func (p *parser) burst(l *Limit) {
	pos := p.pos()
	n := p.number("a number", 1<<64-1)
	switch {
	case l.Bytes:
		n = p.amount(n)
	case p.is(tokenWord) && units[p.tok().text] != 0:
		p.unexpected("`packets`, as the rate is in packets")
	default:
		p.takeWord("packets")
		if n == 0 && !p.bad {
			p.fail(pos, "", "found a burst of no packets, expected at least 1")
		}
	}
	l.Burst = &n
}

func (p *parser) ctCount(pos Pos) Stmt {
	c := &CtCount{Pos: pos, Over: p.takeWord("over")}
	c.Count = uint32(p.number("a number of connections", 1<<32-1))
	return c
}

// last reads `last used 1h` or `last used never`.
func (p *parser) last(pos Pos) Stmt {
	l := &Last{Pos: pos}
	if p.takeWord("used") && !p.takeWord("never") {
		l.Used = new(time.Duration)
		*l.Used = p.timeOrSeconds()
	}
	return l
}

func (p *parser) synproxy(pos Pos) Stmt {
	if p.takeWord("name") {
		return p.named(pos, "synproxy")
	}
	s := &Synproxy{Pos: pos}
	if p.isWord(synproxyWords...) {
		p.synproxyValues(s)
	}
	return s
}

var synproxyWords = []string{"mss", "maxseg", "wscale", "timestamp", "sack-perm", "sack-permitted"}

// synproxyValues reads `mss 1460 wscale 7 timestamp sack-perm`.
func (p *parser) synproxyValues(s *Synproxy) {
	for first := true; first || p.isWord(synproxyWords...); first = false {
		switch p.expectWord(synproxyWords...) {
		case "mss", "maxseg":
			s.MSS = p.valueNumber("a size")
		case "wscale":
			s.WScale = p.valueNumber("a window scale")
		case "timestamp":
			s.Timestamp = true
		case "sack-perm", "sack-permitted":
			s.SackPerm = true
		}
	}
}
