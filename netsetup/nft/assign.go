package nft

import (
	"math/big"

	"golang.org/x/sys/unix"
)

// assign compiles `meta mark set …`, `ct mark set …`, `ip ttl set …`, `tcp option
// maxseg size set …`.
func (r *rule) assign(s *Assign) {
	switch target := s.Target.(type) {
	case *Meta:
		k := r.metaKey(target)
		if !k.Settable {
			fail(target.Pos, "meta %s cannot be set", target.Key)
		}
		if k.Name == "secmark" && namesObject(s.Value) {
			r.objectRef(&ObjectRef{Pos: s.Pos, Kind: "secmark", Name: s.Value})
			return
		}
		var a attrs
		a.u32(unix.NFTA_META_KEY, k.Key)
		r.into(r.argument(s.Value, k.Type, k.Bits, k.Order), func(reg int) { a.reg(unix.NFTA_META_SREG, reg) })
		r.emit("meta", a)
	case *Ct:
		r.assignCt(s, target)
	case *Payload:
		l, f := r.payloadField(target)
		r.assignPayload(s, l, f.Type, f.Order)
	case *RawPayload:
		t := r.rawPayload(target)
		for t.kind == computed {
			t = t.x
		}
		r.assignPayload(s, t.load.(*payloadLoad), t.typ, BigEndian)
	case *Exthdr:
		t := r.exthdr(target, false)
		r.assignExthdr(s, t)
	case *Option:
		t := r.option(target, false)
		r.assignExthdr(s, t)
	default:
		fail(s.Target.At(), "this cannot be set")
	}
}

func (r *rule) assignCt(s *Assign, target *Ct) {
	k := ctByName(target.Key)
	if k == nil || !k.Settable {
		fail(target.Pos, "ct %s cannot be set", target.Key)
	}
	l := r.ctKey(target)
	v := r.argument(s.Value, k.Type, k.Bits, k.Order)
	if k.Name == "secmark" && v.isConstant() {
		fail(s.Value.At(), "ct secmark is set from meta secmark")
	}
	var a attrs
	r.into(v, func(reg int) { a.reg(unix.NFTA_CT_SREG, reg) })
	a.u32(unix.NFTA_CT_KEY, l.num)
	l.direction(&a)
	r.emit("ct", a)
}

func (r *rule) assignExthdr(s *Assign, t *term) {
	l, ok := t.load.(*exthdrLoad)
	if t.kind != loaded || !ok || l.present || l.op != unix.NFT_EXTHDR_OP_TCPOPT {
		fail(s.Target.At(), "only whole fields of options of TCP can be set")
	}
	v := r.argument(s.Value, t.typ, t.bits, BigEndian)
	var a attrs
	r.into(v, func(reg int) { a.reg(unix.NFTA_EXTHDR_SREG, reg) })
	l.where(&a, t.bits)
	r.emit("exthdr", a)
}

// assignPayload writes bits of the packet. Bits that do not fill bytes, and an
// odd number of bytes that a checksum is over, are written together with those
// beside them, which are read first: the kernel mends a checksum by pairs of
// bytes.
func (r *rule) assignPayload(s *Assign, l *payloadLoad, typ *Type, order Order) {
	v := r.argument(s.Value, typ, l.bits, order)
	if !v.isConstant() {
		v = swap(v, order)
	}
	checksum := l.base == InnerLayer || l.header != nil && l.header.ChecksumType != unix.NFT_PAYLOAD_CSUM_NONE
	whole := l.offset%8 == 0 && l.bits%8 == 0
	if whole && (!checksum || l.bits/8%2 == 0) {
		r.writePayload(v, l, l.offset/8, l.bits/8)
		return
	}
	at, shift := l.offset/8, bytesOf(l.bits)*8-l.offset%8-l.bits
	for shift < 0 {
		shift += 8
	}
	size := bytesOf(l.offset%8 + l.bits)
	if checksum && size%2 == 1 {
		size++
		if at%2 == 1 {
			at--
		} else {
			shift += 8
		}
	}
	r.writePayload(r.munged(s, l, v, at, size, shift), l, at, size)
}

// munged is what is to be written: the bytes as they are, and v in its place.
func (r *rule) munged(s *Assign, l *payloadLoad, v *term, at, size, shift int) *term {
	bits := size * 8
	field := ones(l.bits)
	field.Lsh(field, uint(shift))
	keep := new(big.Int).Xor(ones(bits), field)
	bytes := loadTerm(s.Pos, &payloadLoad{header: l.header, base: l.base, offset: at * 8, bits: bits, raw: true}, typeInteger, BigEndian, bits)
	kept := &term{pos: s.Pos, kind: computed, typ: typeInteger, order: BigEndian, bits: bits, op: "&", x: bytes, num: keep}
	if v.kind != constant {
		fail(s.Value.At(), "a part of a byte, or of a pair of bytes with a checksum, can only be set to a constant")
	}
	n := new(big.Int).Lsh(v.num, uint(shift))
	return &term{pos: s.Pos, kind: computed, typ: typeInteger, order: BigEndian, bits: bits, op: "^", x: kept, num: n}
}

func (r *rule) writePayload(v *term, l *payloadLoad, at, size int) {
	var a attrs
	r.into(v, func(reg int) { a.reg(unix.NFTA_PAYLOAD_SREG, reg) })
	a.u32(unix.NFTA_PAYLOAD_BASE, uint32(l.base))
	a.u32(unix.NFTA_PAYLOAD_OFFSET, uint32(at))
	a.u32(unix.NFTA_PAYLOAD_LEN, uint32(size))
	h := l.header
	if h != nil && h.ChecksumType != unix.NFT_PAYLOAD_CSUM_NONE {
		a.u32(unix.NFTA_PAYLOAD_CSUM_TYPE, h.ChecksumType)
		a.u32(unix.NFTA_PAYLOAD_CSUM_OFFSET, uint32(h.Checksum))
	}
	if l.base == InnerLayer || l.base == NetworkLayer && l.inPseudoHeader() {
		a.u32(unix.NFTA_PAYLOAD_CSUM_FLAGS, unix.NFT_PAYLOAD_L4CSUM_PSEUDOHDR)
	}
	r.emit("payload", a)
}

// inPseudoHeader reports whether the checksum of what follows is over the field.
func (l *payloadLoad) inPseudoHeader() bool {
	if l.header == nil || l.field == nil {
		return false
	}
	for _, name := range l.header.Pseudo {
		if name == l.field.Name {
			return true
		}
	}
	return false
}

// namesObject reports the name of an object, or a map that gives one.
func namesObject(e Expr) bool {
	switch e.(type) {
	case *Value, *Map:
		return true
	}
	return false
}
