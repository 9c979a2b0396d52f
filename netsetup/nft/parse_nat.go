package nft

// nat reads what follows snat, dnat, masquerade or redirect.
func (p *parser) nat(t token) Stmt {
	n := &NAT{Pos: t.Pos, Kind: t.text}
	if t.text == "masquerade" || t.text == "redirect" {
		if p.takeWord("to") {
			if colon := p.take(':'); !colon && t.text == "masquerade" {
				p.unexpected("`:` and a port")
			}
			n.Port = p.assigned()
		}
		p.natFlags(n)
		return n
	}
	if p.isWord("ip", "ip6") && p.after(1).kind == tokenWord && contains([]string{"to", "addr", "interval", "prefix"}, p.after(1).text) {
		n.Family = p.advance().text
	}
	switch {
	case p.takeWord("addr"):
		n.AddrPort = true
		p.expect('.')
		p.expectWord("port")
	case p.takeWord("interval"):
		n.Interval = true
		if p.takeWord("addr") {
			n.AddrPort = true
			p.expect('.')
			p.expectWord("port")
		}
	case p.takeWord("prefix"):
		n.Prefix = true
	}
	if n.Family != "" || n.AddrPort || n.Interval || n.Prefix {
		p.expectWord("to")
	} else {
		p.takeWord("to")
	}
	n.Addr, n.Port = p.addressAndPort()
	p.natFlags(n)
	return n
}

// addressAndPort reads `addr`, `:port` or `addr:port`.
func (p *parser) addressAndPort() (addr, port Expr) {
	if !p.is(':') {
		addr = p.assigned()
	}
	if p.take(':') {
		port = p.assigned()
	}
	return addr, port
}

var natFlagWords = []string{"random", "fully-random", "persistent"}

func (p *parser) natFlags(n *NAT) {
	for p.isWord(natFlagWords...) {
		n.Flags = append(n.Flags, p.value())
		if p.take(',') && !p.isWord(natFlagWords...) {
			p.unexpected(oneOf(natFlagWords), natFlagWords...)
		}
	}
}

// toFamily reads `to`, or a family and `to`.
func (p *parser) toFamily() (family string) {
	if p.isWord("ip", "ip6") {
		family = p.advance().text
	}
	p.expectWord("to")
	return family
}

func (p *parser) tproxy(pos Pos) Stmt {
	t := &TProxy{Pos: pos, Family: p.toFamily()}
	t.Addr, t.Port = p.addressAndPort()
	return t
}

func (p *parser) dup(pos Pos) Stmt {
	p.expectWord("to")
	d := &Dup{Pos: pos, To: p.assigned()}
	if p.takeWord("device") {
		d.Dev = p.assigned()
	}
	return d
}

func (p *parser) fwd(pos Pos) Stmt {
	f := &Fwd{Pos: pos, Family: p.toFamily()}
	if f.Family == "" {
		f.Dev = p.assigned()
		return f
	}
	f.To = p.assigned()
	p.expectWord("device")
	f.Dev = p.assigned()
	return f
}
