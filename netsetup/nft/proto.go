package nft

import (
	"math/big"
	"slices"
)

// protocols is what is known of a packet at a place in a rule: from the family
// of the table, and from what was matched before.
type protocols struct {
	family    Family
	at        [4]*Header // by Base
	transport []*Header  // all that the transport header may be
	stacked   []*Header  // link layer headers before the last one
	icmpType  int        // of the ICMP message; 0: not known
	anything  bool       // it is no packet, only the type of a set
}

func newProtocols(family Family) protocols {
	p := protocols{family: family}
	h := familyHeader(family)
	p.at[h.Base] = h
	return p
}

// base is where the packets of a family begin.
func (p *protocols) base() Base { return familyHeader(p.family).Base }

// learn notes that a packet has a header.
func (p *protocols) learn(h *Header, base Base) {
	if base == TransportLayer {
		if !slices.Contains(p.transport, h) {
			p.transport = append(p.transport, h)
		}
	}
	p.at[base] = h
}

// learnFrom notes what an equality tells: `ip protocol tcp`, `meta l4proto tcp`,
// `ether type ip`, `icmp type echo-request`.
func (p *protocols) learnFrom(left *term, value *big.Int) {
	switch l := left.load.(type) {
	case *payloadLoad:
		if l.says {
			p.learnPayload(l, value.Uint64())
		}
	case *metaLoad:
		p.learnMeta(l.key.Name, value.Uint64())
	case *ctLoad:
		p.learnCt(l.key.Name, value.Uint64())
	}
}

func (p *protocols) learnPayload(l *payloadLoad, value uint64) {
	base := p.at[l.base]
	if base == nil {
		return
	}
	upper := base.upper(value)
	if upper == nil {
		switch {
		case base == icmpHeader && value == 0, base == icmpHeader && value == 8:
			p.icmpType = 8 // an echo reply is 0, which is not known
		case base == icmpHeader:
			p.icmpType = int(value)
		case base == icmpv6Header && value == 129:
			p.icmpType = 128
		case base == icmpv6Header:
			p.icmpType = int(value)
		}
		return
	}
	if upper.Base == base.Base && upper.Base == LinkLayer {
		p.stacked = append(p.stacked, base)
	}
	p.learn(upper, upper.Base)
}

func (p *protocols) learnMeta(key string, value uint64) {
	known := func(h *Header) *Header {
		if h == nil {
			return unknownHeader
		}
		return h
	}
	family := familyHeader(p.family)
	switch key {
	case "iiftype":
		if family.Base == LinkLayer && p.family != FamilyInet && p.family != FamilyNetdev {
			return
		}
		h := unknownHeader
		if value == arphrdEther {
			h = etherHeader
		}
		p.learn(h, LinkLayer)
	case "nfproto":
		h := family.upper(value)
		if h == nil && value == uint64(p.family) && family.Base == NetworkLayer {
			h = family
		}
		p.learn(known(h), NetworkLayer)
	case "l4proto":
		p.learn(known(inetServiceHeader.upper(value)), TransportLayer)
	case "protocol":
		if p.family == FamilyNetdev || p.family == FamilyBridge {
			p.learn(known(family.upper(value)), NetworkLayer)
		}
	}
}

func (p *protocols) learnCt(key string, value uint64) {
	base := NetworkLayer
	switch key {
	case "l3proto":
		base = LinkLayer
	case "protocol":
	default:
		return
	}
	if p.at[base] == nil {
		return
	}
	if h := p.at[base].upper(value); h != nil {
		p.learn(h, base+1)
	}
}

// arphrdEther is ARPHRD_ETHER.
const arphrdEther = 1

// needPayload makes sure that the packet has the header that a field is of:
// where that is not known, it emits the match that nft would.
func (r *rule) needPayload(pos Pos, l *payloadLoad) {
	if l.raw || r.proto.anything {
		return
	}
	p := &r.proto
	if p.at[l.base] == nil {
		r.needLower(pos, l)
		if p.at[l.base] == l.header {
			r.needICMPType(pos, l)
			return
		}
		if l.base == LinkLayer {
			r.needLinkLayer(pos, l)
			return
		}
	}
	here := p.at[l.base]
	if len(p.transport) > 1 && l.base == TransportLayer {
		for _, x := range p.transport {
			if x != l.header {
				r.conflict(pos, x, l.header)
			}
		}
	}
	switch {
	case here == l.header:
		if here.Base == LinkLayer {
			l.offset += stackedBits(p.stacked)
		}
		r.needICMPType(pos, l)
	case here.Base == l.base && r.resolveConflict(pos, here, l):
	default:
		r.conflict(pos, here, l.header)
	}
}

func stackedBits(headers []*Header) int {
	n := 0
	for _, h := range headers {
		n += h.Bits
	}
	return n
}

func (r *rule) conflict(pos Pos, has, asked *Header) {
	fail(pos, "a packet that is %s here has no %s header", has.Name, asked.Name)
}

// needLower emits the match of the layer below: `tcp dport` needs `meta l4proto
// tcp`.
func (r *rule) needLower(pos Pos, l *payloadLoad) {
	p := &r.proto
	if l.base < p.base() {
		if l.base+1 < p.base() || l.header != etherHeader && l.header != vlanHeader {
			fail(pos, "packets of a table of family %s have no %s header", r.Family, l.header.Name)
		}
		r.needEther(pos)
		return
	}
	var below *Header
	if l.base > 0 {
		below = p.at[l.base-1]
	}
	if below == nil {
		below = r.specialLower(pos, l)
	}
	if below == nil {
		fail(pos, "it is not known what is below the %s header", l.header.Name)
	}
	if p.family == FamilyBridge && below == etherHeader && (l.header == ipHeader || l.header == ip6Header) {
		below = netdevHeader // as the kernel saw it, so that VLAN tags do not matter
	}
	r.matchUpper(pos, below, l.header)
}

// specialLower is what is below a header where nothing is known of the packet.
func (r *rule) specialLower(pos Pos, l *payloadLoad) *Header {
	link := map[Family]*Header{FamilyInet: inetHeader, FamilyBridge: etherHeader, FamilyNetdev: netdevHeader}[r.Family]
	switch l.base {
	case NetworkLayer:
		return link
	case TransportLayer:
		if l.header != icmpHeader && l.header != icmpv6Header && l.header != igmpHeader {
			return inetServiceHeader
		}
		below := r.proto.at[LinkLayer]
		if below == nil {
			below = link
		}
		if below == nil {
			return nil
		}
		ip := ipHeader
		if l.header == icmpv6Header {
			ip = ip6Header
		}
		r.matchUpper(pos, below, ip)
		return ip
	}
	return nil
}

// matchUpper emits that what follows a header is another, and notes it.
func (r *rule) matchUpper(pos Pos, below, upper *Header) {
	value, ok := below.upperValue(upper)
	if !ok {
		r.conflict(pos, below, upper)
	}
	var left *term
	if below.NextMeta != "" {
		left = r.eval(&Meta{Pos: pos, Key: below.NextMeta}, want{})
	} else {
		left = r.eval(&Payload{Pos: pos, Proto: below.Name, Field: below.Next}, want{})
	}
	n := new(big.Int).SetUint64(value)
	r.equal(left, n)
	r.proto.learnFrom(left, n)
}

// equal emits that a term is a number.
func (r *rule) equal(left *term, n *big.Int) {
	v := export(n, left.bits, left.order)
	r.noteMatch(left, v)
	r.into(left, func(reg int) { r.compare(reg, cmpEq, v) })
}

// needEther emits that the packet came in over Ethernet.
func (r *rule) needEther(pos Pos) {
	left := r.eval(&Meta{Pos: pos, Key: "iiftype"}, want{})
	n := big.NewInt(arphrdEther)
	r.equal(left, n)
	r.proto.learn(etherHeader, LinkLayer)
}

// needLinkLayer resolves `vlan id` where only Ethernet is known.
func (r *rule) needLinkLayer(pos Pos, l *payloadLoad) {
	here := r.proto.at[LinkLayer]
	value, ok := here.upperValue(l.header)
	if !ok {
		r.conflict(pos, here, l.header)
	}
	r.matchStacked(pos, here, value)
	l.offset += stackedBits(r.proto.stacked)
}

// matchStacked emits that behind a link layer header there is another one.
func (r *rule) matchStacked(pos Pos, here *Header, value uint64) {
	left := r.eval(&Payload{Pos: pos, Proto: here.Name, Field: here.Next}, want{})
	n := new(big.Int).SetUint64(value)
	r.equal(left, n)
	r.proto.learnFrom(left, n)
}

// resolveConflict makes a header possible beside what is known of its layer, as
// a VLAN tag is behind Ethernet, and reports whether it could.
func (r *rule) resolveConflict(pos Pos, here *Header, l *payloadLoad) bool {
	p := &r.proto
	if l.base == LinkLayer {
		if here == inetHeader || here == netdevHeader {
			if l.header != etherHeader && l.header != vlanHeader {
				return false
			}
			r.needEther(pos)
			if l.header == etherHeader {
				return true
			}
			here = etherHeader
		} else {
			for _, h := range p.stacked {
				if h == l.header {
					return true
				}
			}
		}
	}
	if int(l.base)+1 < len(p.at) && p.at[l.base+1] != nil {
		return false
	}
	value, ok := here.upperValue(l.header)
	if !ok {
		return false
	}
	r.matchStacked(pos, here, value)
	if l.base == LinkLayer {
		l.offset += stackedBits(p.stacked)
	}
	return true
}

// needICMPType emits the match of the types of message that have a field.
func (r *rule) needICMPType(pos Pos, l *payloadLoad) {
	if l.field == nil || len(l.field.ICMPTypes) == 0 {
		return
	}
	types := l.field.ICMPTypes
	if r.proto.icmpType != 0 {
		for _, t := range types {
			if r.proto.icmpType == int(t) {
				return
			}
		}
		fail(pos, "%s %s is not in messages of type %d", l.header.Name, l.field.Name, r.proto.icmpType)
	}
	left := r.eval(&Payload{Pos: pos, Proto: l.header.Name, Field: "type"}, want{})
	if len(types) == 1 {
		n := big.NewInt(int64(types[0]))
		r.equal(left, n)
		r.proto.icmpType = int(types[0])
		return
	}
	lit := &term{pos: pos, kind: literal}
	for _, t := range types {
		key := &term{pos: pos, kind: constant, typ: left.typ, order: left.order, bits: left.bits, num: big.NewInt(int64(t))}
		lit.elems = append(lit.elems, &element{pos: pos, key: key})
	}
	s := r.anonymousSet(pos, left, nil, lit)
	r.into(left, func(reg int) { r.lookup(s, reg, func(*attrs) {}) })
	r.proto.icmpType = int(types[0])
	if r.proto.icmpType == 0 { // an echo reply, beside the request
		r.proto.icmpType = int(types[1])
	}
}
