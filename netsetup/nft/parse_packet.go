package nft

import "slices"

// isField reports whether a word begins something that a packet is asked for.
func isField(word string) bool {
	if _, ok := headerFields[word]; ok {
		return true
	}
	return exthdrFields[word] != nil || otherFields[word] || metaWords[word]
}

// atField reports whether something that a packet is asked for is at hand, and
// not only a word that would begin it.
func (p *parser) atField() bool {
	t := p.tok()
	if t.kind == '@' {
		return true
	}
	if t.kind != tokenWord {
		return false
	}
	if metaWords[t.text] && t.text != "ipsec" {
		return true
	}
	next := p.after(1)
	if next.kind != tokenWord {
		return false
	}
	if fields, ok := headerFields[t.text]; ok {
		return contains(fields, next.text) || next.text == "option" || next.text == "chunk"
	}
	return contains(exthdrFields[t.text], next.text) || otherFields[t.text]
}

// field reads something that a packet is asked for, which begins with a word.
func (p *parser) field() Expr {
	p.enter()
	defer p.leave()
	t := p.advance()
	switch t.text {
	case "meta":
		return &Meta{t.Pos, p.metaKey()}
	case "ct":
		return p.ct(t.Pos)
	case "rt":
		if !contains(exthdrFields["rt"], p.tok().text) {
			return p.rt(t.Pos)
		}
	case "fib":
		return p.fib(t.Pos)
	case "socket":
		return p.socket(t.Pos)
	case "osf":
		return p.osf(t.Pos)
	case "numgen":
		n := &Numgen{Pos: t.Pos, Mode: p.expectWord("inc", "random")}
		p.modulus(&n.Mod, &n.Offset, nil)
		return n
	case "jhash":
		h := &Hash{Pos: t.Pos, Of: p.concat(packet)}
		p.modulus(&h.Mod, &h.Offset, &h.Seed)
		return h
	case "symhash":
		h := &Hash{Pos: t.Pos}
		p.modulus(&h.Mod, &h.Offset, nil)
		return h
	case "ipsec":
		if p.isWord("in", "out") {
			return p.ipsec(t.Pos)
		}
	case "exthdr":
		return &Exthdr{Pos: t.Pos, Header: p.expectWord("hbh", "rt", "frag", "dst", "mh")}
	}
	if metaWords[t.text] {
		return &Meta{t.Pos, t.text}
	}
	if fields, ok := exthdrFields[t.text]; ok {
		field := p.expectWord(fields...)
		switch {
		case t.text == "rt0":
			field += p.subscript(16)
		case field == "sid":
			field += p.subscript(16)
		}
		return &Exthdr{t.Pos, t.text, field}
	}
	return p.payload(t)
}

func (p *parser) metaKey() string {
	if p.isWord(otherMetaKeys...) {
		return p.advance().text
	}
	t := p.tok()
	if t.kind != tokenWord || !metaWords[t.text] {
		words := slices.Clone(otherMetaKeys)
		for word := range metaWords {
			words = append(words, word)
		}
		p.unexpected("a key of meta, such as mark or l4proto", words...)
		return ""
	}
	return p.advance().text
}

// payload reads a field of the header that the token t named.
func (p *parser) payload(t token) Expr {
	switch {
	case p.isWord("option") && (t.text == "tcp" || t.text == "ip" || t.text == "dccp"):
		p.i++
		return p.option(t.Pos, t.text)
	case p.isWord("chunk") && t.text == "sctp":
		p.i++
		o := &Option{Pos: t.Pos, Of: "sctp", Name: p.expectWord(chunkNames...)}
		if p.isWord(chunkFields...) {
			o.Field = p.advance().text
		}
		return o
	}
	field := p.expectWord(headerFields[t.text]...)
	if t.text == "arp" && (field == "saddr" || field == "daddr") {
		field += " " + p.expectWord("ether", "ip")
	}
	return &Payload{t.Pos, t.text, field}
}

// option reads what follows `tcp option` and the like.
func (p *parser) option(pos Pos, of string) *Option {
	o := &Option{Pos: pos, Of: of}
	if of == "ip" {
		o.Name = p.expectWord("lsrr", "rr", "ssrr", "ra")
		if p.isWord("type", "length", "value", "ptr", "addr") {
			o.Field = p.advance().text
		}
		return o
	}
	if of == "dccp" {
		o.Name = p.optionNumber()
		return o
	}
	if p.take('@') {
		o.Name = "@" + p.optionName()
		p.expect(',')
		o.Offset = int(p.number("an offset in bits", 1<<16))
		p.expect(',')
		o.Len = int(p.number("a length in bits", 1<<16))
		return o
	}
	o.Name = p.optionName()
	if p.isWord("length") || p.isWord(tcpOptionFields[o.Name]...) {
		o.Field = p.advance().text
	}
	return o
}

func (p *parser) optionNumber() string {
	t := p.tok()
	p.number("the number of an option", 255)
	return t.text
}

// optionName reads the name of an option of TCP, or its number. An option with
// several names goes by one.
func (p *parser) optionName() string {
	if p.is(tokenNumber) {
		return p.optionNumber()
	}
	name := p.expectWord(tcpOptionWords...)
	if other, ok := tcpOptionNames[name]; ok {
		return other
	}
	return name
}

// ct reads a key of the connection.
func (p *parser) ct(pos Pos) Expr {
	c := &Ct{Pos: pos}
	if p.isWord("original", "reply") {
		c.Dir = p.advance().text
		if p.isWord("ip", "ip6") {
			c.Key = p.advance().text + " " + p.expectWord("saddr", "daddr")
			return c
		}
		c.Key = p.expectWord(ctDirKeys...)
		return c
	}
	if p.isWord("count") {
		p.fail(p.pos(), "", "`ct count` is a statement, and nothing to compare with")
	}
	c.Key = p.expectWord(ctWords...)
	return c
}

func (p *parser) rt(pos Pos) Expr {
	r := &Rt{Pos: pos}
	if p.isWord("ip", "ip6") {
		r.Family = p.advance().text
	}
	r.Key = p.expectWord("classid", "nexthop", "mtu", "ipsec")
	return r
}

func (p *parser) fib(pos Pos) Expr {
	f := &Fib{Pos: pos}
	for {
		f.Flags = append(f.Flags, p.valueWord("saddr", "daddr", "mark", "iif", "oif"))
		if !p.take('.') {
			break
		}
	}
	if p.isWord("check") {
		p.notSupported(p.pos(), "`check` of fib")
	}
	f.Result = p.expectWord("oif", "oifname", "type")
	return f
}

func (p *parser) socket(pos Pos) Expr {
	s := &Socket{Pos: pos, Key: p.expectWord("transparent", "mark", "wildcard", "cgroupv2")}
	if s.Key == "cgroupv2" {
		p.expectWord("level")
		s.Level = p.uint32("a level")
	}
	return s
}

func (p *parser) osf(pos Pos) Expr {
	o := &Osf{Pos: pos}
	if p.takeWord("ttl") {
		o.TTL = p.expectWord("loose", "skip")
	}
	o.Key = p.expectWord("name", "version")
	return o
}

func (p *parser) ipsec(pos Pos) Expr {
	i := &Ipsec{Pos: pos, Dir: p.expectWord("in", "out")}
	if p.takeWord("spnum") {
		i.SPNum = uint32(p.number("a number", 255))
	}
	if p.isWord("ip", "ip6") {
		i.Family = p.advance().text
		i.Key = p.expectWord("saddr", "daddr")
		return i
	}
	i.Key = p.expectWord("spi", "reqid", "ip", "ip6")
	return i
}

// modulus reads `mod 2 seed 0xdead offset 100`; with no seed to be had, seed is
// nil.
func (p *parser) modulus(mod, offset *uint32, seed **uint32) {
	p.expectWord("mod")
	*mod = p.uint32("a number")
	if seed != nil && p.takeWord("seed") {
		n := p.uint32("a number")
		*seed = &n
	}
	if p.takeWord("offset") {
		*offset = p.uint32("a number")
	}
}
