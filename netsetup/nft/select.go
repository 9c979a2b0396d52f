package nft

import (
	"math"
	"math/big"

	"golang.org/x/sys/unix"
)

// selector gives what a packet is asked for its type.
func (r *rule) selector(e Expr, w want) *term {
	switch e := e.(type) {
	case *Payload:
		return r.payload(e)
	case *RawPayload:
		return r.rawPayload(e)
	case *Exthdr:
		return r.exthdr(e, false)
	case *Option:
		return r.option(e, e.Field == "" && e.Len == 0)
	case *presence:
		return r.exists(e)
	case *Meta:
		return r.meta(e)
	case *Ct:
		return r.ct(e)
	case *Fib:
		return r.fib(e, false)
	case *Rt:
		return r.rt(e)
	case *Socket:
		return r.socket(e)
	case *Osf:
		return r.osf(e)
	case *Numgen:
		return r.numgen(e, w)
	case *Hash:
		return r.hash(e, w)
	case *Ipsec:
		return r.ipsec(e)
	}
	fail(e.At(), "this is not supported here")
	return nil
}

// exists is the question whether something is there.
func (r *rule) exists(e *presence) *term {
	switch x := e.Expr.(type) {
	case *Exthdr:
		return r.exthdr(x, true)
	case *Option:
		return r.option(x, true)
	case *Fib:
		return r.fib(x, true)
	case *Meta:
		return r.meta(x)
	case *Rt:
		return r.rt(x)
	}
	failHint(e.At(), "extension headers, options and routes can", "it cannot be asked whether this exists")
	return nil
}

func loadTerm(pos Pos, l load, typ *Type, order Order, bits int) *term {
	return &term{pos: pos, kind: loaded, load: l, typ: typ, order: order, bits: bits}
}

// payloadField finds a field of a header, with what the rule must know first.
func (r *rule) payloadField(e *Payload) (*payloadLoad, *Field) {
	h := headerByName(e.Proto)
	if h == nil {
		fail(e.Pos, "%q is not a protocol", e.Proto)
	}
	f := h.field(e.Field)
	if f == nil {
		failHint(e.Pos, didYouMean(e.Field, h.fieldNames()), "%s has no field %q", e.Proto, e.Field)
	}
	l := &payloadLoad{header: h, field: f, base: h.Base, offset: f.Offset, bits: f.Bits}
	// The ports of whatever protocol need no match of it.
	l.raw = h == thHeader
	l.says = h.saysNext(f) || h == ipHeader && f.Name == "protocol" || h == ip6Header && f.Name == "nexthdr"
	r.needPayload(e.Pos, l)
	return l, f
}

func (r *rule) payload(e *Payload) *term {
	l, f := r.payloadField(e)
	return r.bitField(loadTerm(e.Pos, l, f.Type, f.Order, f.Bits), l.offset)
}

// bitField makes of a term whose bits do not fill whole bytes the bytes that
// they are in, masked and shifted.
func (r *rule) bitField(t *term, offset int) *term {
	field := t.bits
	if offset%8 == 0 && field%8 == 0 || r.proto.anything {
		return t
	}
	shift := bytesOf(field)*8 - offset%8 - field
	for shift < 0 {
		shift += 8
	}
	bits := field + shift
	mask := ones(field)
	mask.Lsh(mask, uint(shift))
	t.bits = bytesOf(offset%8+field) * 8
	t.fieldBits = field
	and := &term{pos: t.pos, kind: computed, typ: t.typ, order: t.order, bits: bits, fieldBits: field, op: "&", x: t, num: mask}
	if shift == 0 {
		return and
	}
	return &term{pos: t.pos, kind: computed, typ: t.typ, order: t.order, bits: bits, fieldBits: field, op: ">>", x: and, num: big.NewInt(int64(shift))}
}

// rawMax is how many bits of the packet fit into a register.
const rawMax = 128

func (r *rule) rawPayload(e *RawPayload) *term {
	base, ok := map[string]Base{"ll": LinkLayer, "nh": NetworkLayer, "th": TransportLayer, "ih": InnerLayer}[e.Base]
	if !ok {
		fail(e.Pos, "%q is not a place in the packet: ll, nh, th or ih", e.Base)
	}
	if e.Len < 1 || e.Len > rawMax || e.Offset < 0 || e.Offset > 1<<16*8 {
		fail(e.Pos, "from 1 to %d bits of the packet can be read at once", rawMax)
	}
	l := &payloadLoad{base: base, offset: e.Offset, bits: e.Len, raw: true}
	typ := typeInteger
	if base == TransportLayer && e.Len == 16 && (e.Offset == 0 || e.Offset == 16) {
		typ = typeInetService // the ports of every protocol that has any
		l.header = thHeader
		l.field = thHeader.field(map[int]string{0: "sport", 16: "dport"}[e.Offset])
	}
	return r.bitField(loadTerm(e.Pos, l, typ, BigEndian, e.Len), e.Offset)
}

// needIP makes sure that the packet is of a version of IP.
func (r *rule) needIP(pos Pos, h *Header) {
	has := r.proto.at[NetworkLayer]
	switch {
	case has == h || r.proto.anything:
		return
	case has != nil:
		r.conflict(pos, has, h)
	}
	below := r.proto.at[LinkLayer]
	if below == nil {
		r.conflict(pos, familyHeader(r.Family), h)
	}
	r.inFront(func() { r.matchUpper(pos, below, h) })
}

func (r *rule) exthdr(e *Exthdr, present bool) *term {
	h := exthdrByName(e.Header)
	if h == nil {
		fail(e.Pos, "%q is not an extension header", e.Header)
	}
	r.needIP(e.Pos, ip6Header)
	l := &exthdrLoad{op: unix.NFT_EXTHDR_OP_IPV6, kind: uint8(h.ID), id: h.Desc}
	if present || e.Field == "" {
		l.present, l.index = true, h.Present
		return loadTerm(e.Pos, l, typeBoolean, BigEndian, 8)
	}
	f := h.field(e.Field)
	if f == nil {
		fail(e.Pos, "extension header %s has no field %q", e.Header, e.Field)
	}
	l.offset, l.index = f.Offset, f.Index
	return r.bitField(loadTerm(e.Pos, l, f.Type, f.Order, f.Bits), f.Offset)
}

func (r *rule) option(e *Option, present bool) *term {
	l, f := r.optionField(e, present)
	if l.present {
		return loadTerm(e.Pos, l, typeBoolean, BigEndian, 8)
	}
	return r.bitField(loadTerm(e.Pos, l, f.Type, f.Order, f.Bits), f.Offset)
}

// optionField finds an option and its field.
func (r *rule) optionField(e *Option, present bool) (*exthdrLoad, *OptionField) {
	var h *OptionHeader
	l := &exthdrLoad{}
	switch e.Of {
	case "tcp":
		l.op = unix.NFT_EXTHDR_OP_TCPOPT
		if e.Len > 0 { // @kind,offset,length
			n, ok := number(e.Name[1:])
			if !ok || !n.IsUint64() || n.Uint64() > maxKind {
				fail(e.Pos, "the kind of an option is a number up to %d", maxKind)
			}
			l.kind, l.offset = uint8(n.Uint64()), e.Offset
			return l, &OptionField{Type: typeInteger, Order: BigEndian, Offset: e.Offset, Bits: e.Len}
		}
		h = tcpOptionByName(e.Name)
	case "ip":
		l.op = NFT_EXTHDR_OP_IPV4
		h = ipOptionByName(e.Name)
		r.needIP(e.Pos, ipHeader)
	case "sctp":
		l.op = NFT_EXTHDR_OP_SCTP
		h = sctpChunkByName(e.Name)
	case "dccp":
		l.op = NFT_EXTHDR_OP_DCCP
		h = dccpOptionByName(e.Name)
	}
	if h == nil {
		fail(e.Pos, "%q is not an option of %s", e.Name, e.Of)
	}
	l.kind = uint8(h.ID)
	if present || e.Field == "" {
		l.present, l.index = true, h.Present
		return l, nil
	}
	f := h.field(e.Field)
	if f == nil {
		fail(e.Pos, "option %s of %s has no field %q", e.Name, e.Of, e.Field)
	}
	l.offset, l.index = f.Offset, f.Index
	return l, f
}

func (r *rule) meta(e *Meta) *term {
	k := r.metaKey(e)
	if k.SetOnly {
		fail(e.Pos, "meta %s can only be set", e.Key)
	}
	if k.Name == "nfproto" && r.Family != FamilyInet && r.Family != FamilyBridge && r.Family != FamilyNetdev && !r.proto.anything {
		fail(e.Pos, "meta nfproto is always the same in a table of family %s", r.Family)
	}
	t := loadTerm(e.Pos, &metaLoad{key: k}, k.Type, k.Order, k.Bits)
	if k.Type == typeDay {
		t.max = 6
	}
	return t
}

func (r *rule) metaKey(e *Meta) *MetaKey {
	k := metaByName(e.Key)
	if k == nil {
		fail(e.Pos, "%q is not a key of meta", e.Key)
	}
	return k
}

func (r *rule) ct(e *Ct) *term {
	l := r.ctKey(e)
	t := loadTerm(e.Pos, l, l.key.Type, l.key.Order, l.key.Bits)
	switch l.key.Name {
	case "saddr", "daddr":
		r.ctAddress(e, t)
	case "ip saddr", "ip daddr":
		r.notOther(e.Pos, ipHeader, ip6Header)
	case "ip6 saddr", "ip6 daddr":
		r.notOther(e.Pos, ip6Header, ipHeader)
	case "proto-src", "proto-dst":
		t.typ = typeInteger
		if r.proto.at[TransportLayer] != nil {
			t.typ = typeInetService
		}
	}
	return t
}

// notOther refuses what is asked of a packet of the other version of IP.
func (r *rule) notOther(pos Pos, asked, other *Header) {
	if r.proto.at[NetworkLayer] == other {
		r.conflict(pos, other, asked)
	}
}

func (r *rule) ctKey(e *Ct) *ctLoad {
	k := ctByName(e.Key)
	if k == nil {
		fail(e.Pos, "%q is not a key of ct", e.Key)
	}
	l := &ctLoad{key: k, num: k.Key, dir: -1}
	switch {
	case e.Dir != "":
		dir, ok := ctDirections[e.Dir]
		if !ok || !k.TakesDirection {
			fail(e.Pos, "ct %s has no direction", e.Key)
		}
		l.dir = int(dir)
	case k.NeedsDirection:
		failHint(e.Pos, "such as `ct original "+e.Key+"`", "it is not said which direction of the connection is meant")
	}
	return l
}

// ctAddress gives `ct original saddr` the type that the packet's version of IP
// says.
func (r *rule) ctAddress(e *Ct, t *term) {
	switch r.proto.at[NetworkLayer] {
	case ipHeader:
		t.typ = typeIPv4Addr
	case ip6Header:
		t.typ = typeIPv6Addr
	default:
		failHint(e.Pos, "`ct "+e.Dir+" ip "+e.Key+"` or `ct "+e.Dir+" ip6 "+e.Key+"`", "it is not known whether this is IPv4 or IPv6")
	}
	t.bits = t.typ.Bits
}

func (r *rule) fib(e *Fib, present bool) *term {
	k := fibByName(e.Result)
	if k == nil {
		fail(e.Pos, "fib gives oif, oifname or type, not %q", e.Result)
	}
	l := &fibLoad{result: k.Key}
	for _, f := range e.Flags {
		n, ok := fibFlags[f.Text]
		if !ok {
			fail(f.Pos, "%q is not what fib looks up by: saddr, daddr, mark, iif or oif", f.Text)
		}
		l.flags |= n
	}
	switch l.flags & (NFTA_FIB_F_SADDR | NFTA_FIB_F_DADDR) {
	case 0, NFTA_FIB_F_SADDR | NFTA_FIB_F_DADDR:
		fail(e.Pos, "fib looks up one of saddr and daddr")
	}
	if l.flags&NFTA_FIB_F_IIF != 0 && l.flags&NFTA_FIB_F_OIF != 0 {
		fail(e.Pos, "fib looks up by one of iif and oif")
	}
	typ := k.Type
	if present {
		l.flags |= NFTA_FIB_F_PRESENT
		typ = typeBoolean
	}
	return loadTerm(e.Pos, l, typ, k.Order, k.Bits)
}

func (r *rule) rt(e *Rt) *term {
	k := rtByName(e.Family, e.Key)
	if k == nil {
		fail(e.Pos, "%q is not a key of rt", e.Key)
	}
	t := loadTerm(e.Pos, nil, k.Type, k.Order, k.Bits)
	key := k.Key
	if t.typ == nil {
		switch r.proto.at[NetworkLayer] {
		case ipHeader:
			t.typ = typeIPv4Addr
		case ip6Header:
			t.typ, key = typeIPv6Addr, unix.NFT_RT_NEXTHOP6
		default:
			failHint(e.Pos, "`rt ip nexthop` or `rt ip6 nexthop`", "it is not known whether this is IPv4 or IPv6")
		}
		t.bits = t.typ.Bits
	}
	switch {
	case key == unix.NFT_RT_NEXTHOP4 && r.Family == FamilyIP6, key == unix.NFT_RT_NEXTHOP6 && r.Family == FamilyIP:
		fail(e.Pos, "the next hop of packets of a table of family %s is of the other kind", r.Family)
	}
	t.load = &rtLoad{key: key}
	return t
}

func (r *rule) socket(e *Socket) *term {
	k := socketByName(e.Key)
	if k == nil {
		fail(e.Pos, "%q is not a key of socket", e.Key)
	}
	t := loadTerm(e.Pos, &socketLoad{key: k.Key, level: e.Level}, k.Type, k.Order, k.Bits)
	if k.Key == NFT_SOCKET_TRANSPARENT || k.Key == NFT_SOCKET_WILDCARD {
		t.max = 1
	}
	return t
}

func (r *rule) osf(e *Osf) *term {
	k := osfByName(e.Key)
	ttl, ok := osfTTL[e.TTL]
	if k == nil || !ok {
		fail(e.Pos, "osf gives name or version, with ttl loose or skip")
	}
	return loadTerm(e.Pos, &osfLoad{ttl: ttl, flags: k.Key}, k.Type, k.Order, k.Bits)
}

// generated is the type of a number that the kernel makes up: that of what it is
// set to, if that is as large.
func generated(w want) *Type {
	if w.typ != nil && w.typ.Base == typeInteger && w.bits == 32 {
		return w.typ
	}
	return typeInteger
}

func (r *rule) numgen(e *Numgen, w want) *term {
	mode, ok := numgenModes[e.Mode]
	if !ok || e.Mod == 0 {
		fail(e.Pos, "numgen is inc or random, modulo at least 1")
	}
	t := loadTerm(e.Pos, &numgenLoad{mode: mode, mod: e.Mod, offset: e.Offset}, generated(w), HostEndian, 32)
	t.max = highest(e.Pos, e.Mod, e.Offset)
	return t
}

// highest is the highest number below mod, and offset more.
func highest(pos Pos, mod, offset uint32) uint64 {
	n := uint64(mod) + uint64(offset) - 1
	if n > math.MaxUint32 {
		fail(pos, "modulo and offset give numbers of more than 32 bits")
	}
	return n
}

func (r *rule) hash(e *Hash, w want) *term {
	l := &hashLoad{mod: e.Mod, offset: e.Offset, seed: e.Seed}
	if e.Of != nil {
		l.of = r.eval(e.Of, want{})
		if l.of.isConstant() {
			fail(e.Of.At(), "the hash of a constant is always the same")
		}
	}
	t := loadTerm(e.Pos, l, generated(w), HostEndian, 32)
	if e.Mod == 0 {
		fail(e.Pos, "a hash is modulo at least 1")
	}
	t.max = highest(e.Pos, e.Mod, e.Offset)
	return t
}

func (r *rule) ipsec(e *Ipsec) *term {
	switch r.Family {
	case FamilyIP, FamilyIP6, FamilyInet:
	default:
		fail(e.Pos, "ipsec is for tables of family ip, ip6 and inet")
	}
	k := ipsecByName(e.Family, e.Key)
	dir, ok := ipsecDirections[e.Dir]
	if k == nil || !ok {
		fail(e.Pos, "%q is not a key of ipsec", e.Key)
	}
	return loadTerm(e.Pos, &xfrmLoad{key: k.Key, dir: dir, spnum: e.SPNum}, k.Type, k.Order, k.Bits)
}
