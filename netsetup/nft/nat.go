package nft

import "golang.org/x/sys/unix"

// nat compiles snat, dnat, masquerade and redirect.
func (r *rule) nat(s *NAT) {
	n := &natting{rule: r, s: s}
	for _, f := range s.Flags {
		bit, ok := natFlags[f.Text]
		if !ok {
			fail(f.Pos, "%q is not a flag of nat: random, fully-random or persistent", f.Text)
		}
		n.flags |= bit
	}
	n.family()
	if s.Addr != nil {
		n.address()
	}
	if s.Port != nil {
		n.needTransport(s.Port.At())
		n.port = r.argument(s.Port, typeInetService, 16, BigEndian)
		n.flags |= unix.NF_NAT_RANGE_PROTO_SPECIFIED
	}
	n.emit()
}

// natting is one nat statement being compiled.
type natting struct {
	*rule
	s      *NAT
	flags  uint32
	of     Family // of the addresses
	addr   *term
	port   *term
	concat bool // addr gives an address and a port
	a      attrs
}

// natPrefix is NF_NAT_RANGE_NETMAP: the address keeps its lower bits.
const natPrefix = 1 << 6

func (n *natting) family() {
	n.of = map[string]Family{"ip": FamilyIP, "ip6": FamilyIP6}[n.s.Family]
	switch n.Family {
	case FamilyIP, FamilyIP6:
		if n.of == 0 {
			n.of = n.Family
		}
	case FamilyInet:
		switch {
		case n.s.Addr == nil:
			n.of = FamilyInet
		case n.of != 0:
		case n.proto.at[NetworkLayer] == ipHeader:
			n.of = FamilyIP
		case n.proto.at[NetworkLayer] == ip6Header:
			n.of = FamilyIP6
		}
	default:
		fail(n.s.Pos, "%s is for tables of family ip, ip6 and inet", n.s.Kind)
	}
}

// checkVersion refuses an address of the other version of IP.
func (r *rule) checkVersion(pos Pos, of Family) {
	switch has := r.proto.at[NetworkLayer]; {
	case has == ipHeader && of != FamilyIP, has == ip6Header && of != FamilyIP6:
		failHint(pos, "say `ip` or `ip6` before `to`", "packets that are %s here cannot be given such an address", has.Name)
	}
}

func addressOf(f Family) *Type {
	switch f {
	case FamilyIP:
		return typeIPv4Addr
	case FamilyIP6:
		return typeIPv6Addr
	}
	return nil
}

func (n *natting) address() {
	n.checkVersion(n.s.Pos, n.of)
	typ := addressOf(n.of)
	if typ == nil {
		failHint(n.s.Pos, "such as `"+n.s.Kind+" ip to …`", "in family inet it is to be said whether the address is of ip or ip6")
	}
	n.concat = n.s.AddrPort || n.givesPort()
	if n.concat {
		parts := []*term{
			{typ: typ, order: BigEndian, bits: typ.Bits},
			{typ: typeInetService, order: BigEndian, bits: 16},
		}
		c := &term{kind: concat, parts: parts, typ: concatType(parts)}
		c.bits = c.size() * 8
		n.addr = n.eval(n.s.Addr, wantOf(c))
		if !sameType(n.addr.typ, c.typ) {
			fail(n.s.Addr.At(), "this gives %s, not an address and a port", n.addr.typ.Name)
		}
		n.needTransport(n.s.Addr.At())
	} else {
		n.addr = n.argument(n.s.Addr, typ, typ.Bits, BigEndian)
	}
	if n.s.Prefix {
		n.flags |= natPrefix
	}
}

// givesPort reports a map that gives an address and a port for each key.
func (n *natting) givesPort() bool {
	m, ok := n.s.Addr.(*Map)
	if !ok {
		return false
	}
	switch of := m.Of.(type) {
	case *SetLiteral:
		for _, e := range of.Elements {
			if _, ok := e.Data.(*Concat); ok {
				return true
			}
		}
	case *SetRef:
		s := n.reference(of).set
		return s.data != nil && s.data.kind == concat
	}
	return false
}

// needTransport refuses a port where the protocol is not known.
func (n *natting) needTransport(pos Pos) {
	if n.proto.at[TransportLayer] != nil || n.addr != nil && n.keyHasTransport() {
		return
	}
	failHint(pos, "match the protocol before, such as `meta l4proto tcp`", "a port needs a protocol")
}

// keyHasTransport reports a map whose key tells the protocol.
func (n *natting) keyHasTransport() bool {
	t := n.addr
	if t.kind != mapped || t.key.kind != concat {
		return false
	}
	for _, p := range t.key.parts {
		for p.kind == computed || p.kind == swapped {
			p = p.x
		}
		switch l := p.load.(type) {
		case *payloadLoad:
			if l.base == TransportLayer && l.header != thHeader || l.says && l.base == NetworkLayer {
				return true
			}
		case *metaLoad:
			if l.key.Name == "l4proto" {
				return true
			}
		}
	}
	return false
}

// natAttrs are the numbers of the attributes, which differ by statement.
type natAttrs struct {
	name                    string
	flags, portMin, portMax uint16
	kind                    uint32
	hasType                 bool
}

var natKinds = map[string]natAttrs{
	"snat": {name: "nat", hasType: true, kind: unix.NFT_NAT_SNAT,
		flags: unix.NFTA_NAT_FLAGS, portMin: unix.NFTA_NAT_REG_PROTO_MIN, portMax: unix.NFTA_NAT_REG_PROTO_MAX},
	"dnat": {name: "nat", hasType: true, kind: unix.NFT_NAT_DNAT,
		flags: unix.NFTA_NAT_FLAGS, portMin: unix.NFTA_NAT_REG_PROTO_MIN, portMax: unix.NFTA_NAT_REG_PROTO_MAX},
	"masquerade": {name: "masq",
		flags: unix.NFTA_MASQ_FLAGS, portMin: unix.NFTA_MASQ_REG_PROTO_MIN, portMax: unix.NFTA_MASQ_REG_PROTO_MAX},
	"redirect": {name: "redir",
		flags: unix.NFTA_REDIR_FLAGS, portMin: unix.NFTA_REDIR_REG_PROTO_MIN, portMax: unix.NFTA_REDIR_REG_PROTO_MAX},
}

func (n *natting) emit() {
	k := natKinds[n.s.Kind]
	if k.hasType {
		n.a.u32(unix.NFTA_NAT_TYPE, k.kind)
		n.a.u32(unix.NFTA_NAT_FAMILY, uint32(n.of))
	}
	if n.flags != 0 {
		n.a.u32(k.flags, n.flags)
	}
	n.span(n.addr, unix.NFTA_NAT_REG_ADDR_MIN, unix.NFTA_NAT_REG_ADDR_MAX, func(reg int) {
		n.fromMap(k, reg)
		n.span(n.port, k.portMin, k.portMax, func(int) {})
	})
	n.rule.emit(k.name, n.a)
}

// span puts a term, or both ends of a range, into registers while f runs.
func (n *natting) span(t *term, lo, hi uint16, f func(reg int)) {
	if t == nil {
		f(-1)
		return
	}
	if t.kind == span {
		n.hold(t.pos, nil, func(from int) {
			n.hold(t.pos, nil, func(to int) {
				n.generate(t.lo, from)
				n.generate(t.hi, to)
				n.a.reg(lo, from)
				n.a.reg(hi, to)
				f(from)
			})
		})
		return
	}
	n.hold(t.pos, nil, func(reg int) {
		n.generate(t, reg)
		n.a.reg(lo, reg)
		f(reg)
	})
}

// fromMap names the registers behind the first that a map fills: the end of a
// range of addresses, and the port of an address with one.
func (n *natting) fromMap(k natAttrs, reg int) {
	if n.addr == nil {
		return
	}
	words := wordsOf(addressBits(n.of))
	ranges := n.addr.kind == mapped && n.addr.set.dataInterval
	if !n.concat {
		if ranges {
			n.a.reg(unix.NFTA_NAT_REG_ADDR_MAX, reg+words)
		}
		return
	}
	// address . port, or address . port . address . port.
	n.a.reg(k.portMin, reg+words)
	if ranges {
		n.a.reg(unix.NFTA_NAT_REG_ADDR_MAX, reg+words+1)
		n.a.reg(k.portMax, reg+2*words+1)
	}
}

func addressBits(f Family) int {
	if f == FamilyIP6 {
		return typeIPv6Addr.Bits
	}
	return typeIPv4Addr.Bits
}

// tproxy hands the packet to a socket of this machine.
func (r *rule) tproxy(s *TProxy) {
	of := map[string]Family{"ip": FamilyIP, "ip6": FamilyIP6}[s.Family]
	switch r.Family {
	case FamilyIP, FamilyIP6:
		if of == 0 {
			of = r.Family
		}
	case FamilyInet:
	default:
		fail(s.Pos, "tproxy is for tables of family ip, ip6 and inet")
	}
	if r.proto.at[TransportLayer] == nil {
		failHint(s.Pos, "match it before, such as `meta l4proto tcp`", "tproxy needs the protocol")
	}
	if s.Addr == nil && s.Port == nil {
		fail(s.Pos, "tproxy needs an address or a port")
	}
	r.checkTproxy(s, of)
	var a attrs
	a.u32(nftaTproxyFamily, uint32(of))
	port := func() {
		if s.Port != nil {
			r.into(r.single(s.Port, typeInetService), func(reg int) { a.reg(nftaTproxyRegPort, reg) })
		}
	}
	if s.Addr == nil {
		port()
	} else {
		typ := addressOf(of)
		if typ == nil {
			failHint(s.Pos, "`tproxy ip to …` or `tproxy ip6 to …`", "in family inet it is to be said whether the address is of ip or ip6")
		}
		r.into(r.single(s.Addr, typ), func(reg int) {
			a.reg(nftaTproxyRegAddr, reg)
			port()
		})
	}
	r.emit("tproxy", a)
}

func (r *rule) checkTproxy(s *TProxy, of Family) {
	if of != 0 || s.Addr != nil {
		r.checkVersion(s.Pos, of)
	}
}

// single is an argument that is no range.
func (r *rule) single(e Expr, typ *Type) *term {
	t := r.argument(e, typ, typ.Bits, BigEndian)
	if t.kind == span {
		fail(e.At(), "a range is not supported here")
	}
	return t
}

// NFTA_TPROXY_*.
const (
	nftaTproxyFamily  = 1
	nftaTproxyRegAddr = 2
	nftaTproxyRegPort = 3
)
