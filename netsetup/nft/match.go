package nft

import (
	"math/big"

	"golang.org/x/sys/unix"
)

// enum nft_cmp_ops.
const (
	cmpEq  = unix.NFT_CMP_EQ
	cmpNeq = unix.NFT_CMP_NEQ
)

var cmpOps = map[string]uint32{
	"": cmpEq, "==": cmpEq, "!=": cmpNeq,
	"<": unix.NFT_CMP_LT, "<=": unix.NFT_CMP_LTE, ">": unix.NFT_CMP_GT, ">=": unix.NFT_CMP_GTE,
}

// match compiles a comparison.
func (r *rule) match(m *Match, last bool) {
	left := r.eval(asked(m), want{})
	switch {
	case left.kind == reference, left.kind == decision, left.isConstant():
		fail(m.Left.At(), "what is compared is to be of the packet, not constant")
	case left.kind == mapped:
		fail(m.Left.At(), "a map gives a value to be used, not to be compared")
	}
	op := m.Op
	right := r.rightSide(m, left, &op)
	equal := op == "" || op == "=="
	if equal {
		r.learn(left, right)
	}
	if equal && !last && r.saysFamily(left, right) {
		return // nothing else is in such a table
	}
	switch right.kind {
	case literal:
		r.matchSet(m, left, right, op)
	case reference:
		r.checkSetOp(m, op)
		left = r.lookupKey(m.Right.At(), left, right.set)
		r.matchIn(left, right.set, op)
	case span:
		r.matchSpan(m, left, right, op)
	case prefix:
		r.matchPrefix(m, left, right, op)
	case constant:
		r.matchValue(m, left, right, op)
	default:
		failHint(m.Right.At(), "put it into a set: { a . b }", "this cannot be compared with")
	}
}

// asked is the left side of a match: where it is asked whether something exists,
// that question.
func asked(m *Match) Expr {
	v, ok := m.Right.(*Value)
	if !ok || v.Quoted || v.Text != "exists" && v.Text != "missing" {
		return m.Left
	}
	return &presence{m.Left}
}

// presence asks whether an option, header or route is there.
type presence struct{ Expr }

// rightSide evaluates what is compared with.
func (r *rule) rightSide(m *Match, left *term, op *string) *term {
	w := wantOf(left)
	if span, ok := m.Right.(*Range); ok && (w.typ == typeHour || w.typ == typeDay) {
		// 23:15-03:22 is what is not between the two.
		lo, hi := r.rangeEnd(span.From, w), r.rangeEnd(span.To, w)
		if lo.num.Cmp(hi.num) > 0 {
			switch *op {
			case "", "==":
				*op = "!="
			case "!=":
				*op = "=="
			}
			return spanOf(span.Pos, hi, lo)
		}
	}
	right := r.eval(m.Right, w)
	switch right.kind {
	case reference:
		return right
	case literal:
		if len(right.elems) == 0 {
			fail(m.Right.At(), "the set is empty")
		}
		if one := right.elems[0]; len(right.elems) == 1 && one.isPlain() {
			return one.key
		}
		return right
	}
	if !right.isConstant() {
		fail(m.Right.At(), "the right side is to be constant")
	}
	if !sameType(left.typ, right.typ) {
		fail(m.Right.At(), "%s is compared with %s", left.typ.Desc, right.typ.Desc)
	}
	return right
}

// isPlain reports whether an element says the same without a set around it.
func (el *element) isPlain() bool {
	e := el.source
	return el.key.kind != concat && el.key.kind != wildcard && e.Data == nil && e.Timeout == nil && e.Expires == nil && len(e.Stmts) == 0
}

// learn notes what an equality tells of the packet.
func (r *rule) learn(left, right *term) {
	if left.kind != loaded {
		return
	}
	switch right.kind {
	case constant:
		r.proto.learnFrom(left, right.num)
	case literal:
		for _, el := range right.elems {
			if el.key.kind == constant {
				r.proto.learnFrom(left, el.key.num)
			}
		}
	}
}

// saysFamily reports `meta protocol ip` in a table of family ip.
func (r *rule) saysFamily(left, right *term) bool {
	l, ok := left.load.(*metaLoad)
	if left.kind != loaded || !ok || l.key.Name != "protocol" || right.kind != constant {
		return false
	}
	switch r.Family {
	case FamilyIP:
		return right.num.Int64() == unix.ETH_P_IP
	case FamilyIP6:
		return right.num.Int64() == unix.ETH_P_IPV6
	}
	return false
}

func (r *rule) checkSetOp(m *Match, op string) {
	switch op {
	case "", "==", "!=":
		return
	}
	fail(m.Pos, "%s cannot be used with a set", op)
}

func (r *rule) matchSet(m *Match, left, right *term, op string) {
	r.checkSetOp(m, op)
	left = transfer(left, keysOf(right.elems)...)
	s := r.anonymousSet(m.Right.At(), left, nil, right)
	if s.Flags&setInterval != 0 {
		left = swap(left, BigEndian)
	}
	r.matchIn(left, s, op)
}

func keysOf(list []*element) []**term {
	out := make([]**term, len(list))
	for i, el := range list {
		out[i] = &el.key
	}
	return out
}

func (r *rule) matchIn(left *term, s *set, op string) {
	r.into(left, func(reg int) {
		r.lookup(s, reg, func(a *attrs) {
			if op == "!=" {
				a.u32(unix.NFTA_LOOKUP_FLAGS, unix.NFT_LOOKUP_F_INV)
			}
		})
	})
}

func (r *rule) compare(reg int, op uint32, v []byte) {
	var a attrs
	a.reg(unix.NFTA_CMP_SREG, reg)
	a.u32(unix.NFTA_CMP_OP, op)
	a.value(unix.NFTA_CMP_DATA, v)
	r.emit("cmp", a)
}

func (r *rule) matchSpan(m *Match, left, right *term, op string) {
	left = swap(left, BigEndian)
	keys := []**term{&right}
	left = transfer(left, keys...)
	lo, hi := export(right.lo.num, right.lo.bits, BigEndian), export(right.hi.num, right.hi.bits, BigEndian)
	if left.typ.isA(typeString) {
		lo, hi = right.lo.export(), right.hi.export()
	}
	r.into(left, func(reg int) {
		switch op {
		case "", "==":
			r.compare(reg, unix.NFT_CMP_GTE, lo)
			r.compare(reg, unix.NFT_CMP_LTE, hi)
		case "!=":
			var a attrs
			a.reg(unix.NFTA_RANGE_SREG, reg)
			a.u32(unix.NFTA_RANGE_OP, unix.NFT_RANGE_NEQ)
			a.value(unix.NFTA_RANGE_FROM_DATA, lo)
			a.value(unix.NFTA_RANGE_TO_DATA, hi)
			r.emit("range", a)
		default:
			fail(m.Pos, "%s cannot be used with a range", op)
		}
	})
}

// matchPrefix compares the first bytes where the prefix ends with one, else
// those that a mask leaves.
func (r *rule) matchPrefix(m *Match, left, right *term, op string) {
	if op != "" && op != "==" && op != "!=" {
		fail(m.Pos, "%s cannot be used with a prefix", op)
	}
	whole := left.typ.isA(typeString) ||
		right.order == BigEndian && right.length > 0 && right.length%8 == 0
	if whole {
		short := *left
		if left.kind == loaded {
			short.bits = right.length
		}
		v := export(right.num, right.bits, BigEndian)[:right.length/8]
		r.into(&short, func(reg int) { r.compare(reg, cmpOps[op], v) })
		return
	}
	order := left.order
	mask := new(big.Int).Xor(ones(right.bits), ones(right.bits-right.length))
	n := bytesOf(right.bits)
	r.into(left, func(reg int) {
		r.mask(reg, n, export(mask, right.bits, order), make([]byte, n))
		r.compare(reg, cmpOps[op], export(right.num, right.bits, order))
	})
}

func (r *rule) matchValue(m *Match, left, right *term, op string) {
	switch op {
	case "<", ">", "<=", ">=":
		if left.kind == concat {
			fail(m.Pos, "%s cannot be used with a concatenation", op)
		}
		left, right = swap(left, BigEndian), swap(right, BigEndian)
	case "!":
		if right.typ.Base != typeBitmask || left.kind == computed {
			fail(m.Pos, "! is for flags, without a mask")
		}
	default:
		right = swap(right, left.order)
	}
	if (op == "" || op == "!") && right.typ.Base == typeBitmask {
		r.matchFlags(left, right, op)
		return
	}
	left = transfer(left, &right)
	if op == "" || op == "==" {
		r.noteMatch(left, right.export())
	}
	r.into(left, func(reg int) { r.compare(reg, cmpOps[op], right.export()) })
}

// matchFlags is true if any of the flags is set, or with ! none.
func (r *rule) matchFlags(left, right *term, op string) {
	r.into(left, func(reg int) {
		if left.kind == computed {
			r.compare(reg, cmpEq, right.export())
			return
		}
		n := bytesOf(left.bits)
		zero := make([]byte, n)
		r.mask(reg, n, right.export(), zero)
		cmp := uint32(cmpNeq)
		if op == "!" {
			cmp = cmpEq
		}
		r.compare(reg, cmp, zero)
	})
}

// transfer does to the constants on the right the opposite of a shift or xor on
// the left, which saves the kernel the work for each packet. A right shift
// leaves a mask.
func transfer(left *term, right ...**term) *term {
	if left.kind != computed || left.op == "&" || left.op == "|" {
		return left
	}
	for _, t := range right {
		if (*t).kind != constant && (*t).kind != span {
			return left
		}
	}
	bits := left.bits
	for _, t := range right {
		*t = transferred(*t, left, bits)
	}
	if left.op == ">>" {
		mask := ones(bits)
		mask.Lsh(mask, uint(left.num.Uint64())).And(mask, ones(bits))
		return &term{pos: left.pos, kind: computed, typ: left.typ, order: left.order, bits: bits, fieldBits: bits, op: "&", x: left.x, num: mask}
	}
	x := *left.x
	x.typ, x.fieldBits = left.typ, bits
	return &x
}

func transferred(t, left *term, bits int) *term {
	c := *t
	c.bits = bits
	if t.kind == span {
		c.lo, c.hi = transferred(t.lo, left, bits), transferred(t.hi, left, bits)
		return &c
	}
	switch left.op {
	case ">>":
		c.num = new(big.Int).Lsh(t.num, uint(left.num.Uint64()))
	case "<<":
		if t.num.Sign() != 0 && t.num.TrailingZeroBits() < uint(left.num.Uint64()) {
			fail(t.pos, "this is never so: the shift leaves zeros there")
		}
		c.num = new(big.Int).Rsh(t.num, uint(left.num.Uint64()))
	case "^":
		c.num = new(big.Int).Xor(t.num, left.num)
	}
	return &c
}
