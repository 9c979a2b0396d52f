package nft

import (
	"math/big"

	"golang.org/x/sys/unix"
)

// rule is one rule being compiled.
type rule struct {
	*table
	proto protocols
	out   []Expression
	// front are matches that go before everything else in the rule: a packet
	// that is not to be rejected is not to be logged as such.
	front    []Expression
	next     int // first free register, in words of 32 bits
	terminal bool
	matches  []payloadMatch // since the last statement that is no match
}

// verdictRegister is the register that the kernel takes a verdict from.
const verdictRegister = -1

// registerWords is how many words the registers have; a value that is not a
// concatenation takes four of them, as nft counts.
const registerWords = 16

func (t *table) rule(in *AddRule) *Rule {
	r := t.newRule()
	for i, s := range in.Stmts {
		if r.terminal {
			fail(s.At(), "what comes after a verdict is never reached")
		}
		if _, ok := s.(*Match); !ok {
			r.mergeMatches()
		}
		r.statement(s, i == len(in.Stmts)-1)
	}
	r.mergeMatches()
	return &Rule{Pos: in.Pos, Text: in.Text, Comment: in.Comment, Exprs: append(r.front, r.out...)}
}

func (t *table) newRule() *rule {
	return &rule{table: t, proto: newProtocols(t.Family)}
}

func (r *rule) emit(name string, a attrs) { r.out = append(r.out, expression(name, a)) }

// hold takes registers for a term while f runs.
func (r *rule) hold(pos Pos, t *term, f func(reg int)) {
	words := 4
	if t != nil && t.kind == concat {
		words = t.size() / 4
	}
	if r.next+words > registerWords {
		fail(pos, "the rule needs more registers than the kernel has")
	}
	reg := r.next
	r.next += words
	f(reg)
	r.next -= words
}

// into emits what puts a term into a register, and gives the register to f.
func (r *rule) into(t *term, f func(reg int)) {
	r.hold(t.pos, t, func(reg int) {
		r.generate(t, reg)
		f(reg)
	})
}

// generate emits what puts a term into a register.
func (r *rule) generate(t *term, reg int) {
	switch t.kind {
	case constant:
		r.immediate(t.export(), reg)
	case decision:
		r.verdict(t.verdict, reg)
	case concat:
		for _, p := range t.parts {
			r.generate(p, reg)
			reg += wordsOf(p.bits)
		}
	case loaded:
		t.load.emit(r, reg, t.bits)
	case computed:
		if t.op == "<<" || t.op == ">>" {
			r.shift(t, reg)
		} else {
			r.bitwise(t, reg)
		}
	case swapped:
		r.byteOrder(t, reg)
	case mapped:
		r.lookupMap(t, reg)
	default:
		fail(t.pos, "this cannot be used as a value here")
	}
}

func (r *rule) immediate(v []byte, reg int) {
	var a attrs
	a.reg(unix.NFTA_IMMEDIATE_DREG, reg)
	a.value(unix.NFTA_IMMEDIATE_DATA, v)
	r.emit("immediate", a)
}

func (r *rule) verdict(v verdict, reg int) {
	var a, d attrs
	a.reg(unix.NFTA_IMMEDIATE_DREG, reg)
	d.nest(unix.NFTA_DATA_VERDICT, v.attrs())
	a.nest(unix.NFTA_IMMEDIATE_DATA, d)
	r.emit("immediate", a)
}

// attrs are those in NFTA_DATA_VERDICT.
func (v *verdict) attrs() attrs {
	var a attrs
	a.u32(unix.NFTA_VERDICT_CODE, uint32(v.code))
	switch {
	case v.chain != "":
		a.str(unix.NFTA_VERDICT_CHAIN, v.chain)
	case v.chainID != 0:
		a.u32(nftaVerdictChainID, v.chainID)
	}
	return a
}

// nftaVerdictChainID is NFTA_VERDICT_CHAIN_ID.
const nftaVerdictChainID = 3

// shift emits a shift by a constant; the kernel shifts words of 32 bits.
func (r *rule) shift(t *term, reg int) {
	r.generate(t.x, reg)
	op := uint32(bitwiseRightShift)
	if t.op == "<<" {
		op = bitwiseLeftShift
	}
	var a attrs
	a.reg(unix.NFTA_BITWISE_SREG, reg)
	a.reg(unix.NFTA_BITWISE_DREG, reg)
	a.u32(nftaBitwiseOp, op)
	a.u32(unix.NFTA_BITWISE_LEN, uint32(bytesOf(t.bits)))
	a.value(nftaBitwiseData, export(t.num, 32, HostEndian))
	r.emit("bitwise", a)
}

// Numbers of linux/netfilter/nf_tables.h that golang.org/x/sys/unix has not.
const (
	nftaBitwiseOp     = 6 // NFTA_BITWISE_OP
	nftaBitwiseData   = 7 // NFTA_BITWISE_DATA
	bitwiseLeftShift  = 1 // NFT_BITWISE_LSHIFT
	bitwiseRightShift = 2 // NFT_BITWISE_RSHIFT
)

// bitwise emits a chain of and, or and xor with constants as one operation:
// (value & mask) ^ xor.
func (r *rule) bitwise(t *term, reg int) {
	var chain []*term
	x := t
	for x.kind == computed && x.op != "<<" && x.op != ">>" {
		chain = append(chain, x)
		x = x.x
	}
	r.generate(x, reg)
	all := ones(bytesOf(t.bits) * 8)
	mask, xor := ones(t.bits), new(big.Int)
	for i := len(chain) - 1; i >= 0; i-- {
		n := chain[i].num
		switch chain[i].op {
		case "&":
			mask.And(mask, n)
			xor.And(xor, n)
		case "|":
			mask.AndNot(mask, n)
			xor.Or(xor, n)
		case "^":
			xor.Xor(xor, n)
		}
	}
	xor.And(xor, all)
	r.mask(reg, bytesOf(t.bits), export(mask, t.bits, t.order), export(xor, t.bits, t.order))
}

func (r *rule) mask(reg, n int, mask, xor []byte) {
	var a attrs
	a.reg(unix.NFTA_BITWISE_SREG, reg)
	a.reg(unix.NFTA_BITWISE_DREG, reg)
	a.u32(nftaBitwiseOp, 0) // NFT_BITWISE_BOOL
	a.u32(unix.NFTA_BITWISE_LEN, uint32(n))
	a.value(unix.NFTA_BITWISE_MASK, mask)
	a.value(unix.NFTA_BITWISE_XOR, xor)
	r.emit("bitwise", a)
}

// byteOrder turns a number round.
func (r *rule) byteOrder(t *term, reg int) {
	r.generate(t.x, reg)
	unit := uint32(2)
	switch {
	case t.bits%64 == 0:
		unit = 8
	case t.bits%32 == 0:
		unit = 4
	}
	op := uint32(unix.NFT_BYTEORDER_HTON)
	if t.order == HostEndian {
		op = unix.NFT_BYTEORDER_NTOH
	}
	var a attrs
	a.reg(unix.NFTA_BYTEORDER_SREG, reg)
	a.reg(unix.NFTA_BYTEORDER_DREG, reg)
	a.u32(unix.NFTA_BYTEORDER_OP, op)
	a.u32(unix.NFTA_BYTEORDER_LEN, uint32(t.bits/8))
	a.u32(unix.NFTA_BYTEORDER_SIZE, unit)
	r.emit("byteorder", a)
}

// lookupMap emits the look-up of what a map has at a key.
func (r *rule) lookupMap(t *term, reg int) {
	look := func(from int) {
		r.generate(t.key, from)
		r.lookup(t.set, from, func(a *attrs) { a.reg(unix.NFTA_LOOKUP_DREG, reg) })
	}
	if reg == verdictRegister {
		r.hold(t.pos, t.key, look)
		return
	}
	look(reg)
}

func (r *rule) lookup(s *set, reg int, more func(a *attrs)) {
	var a attrs
	a.str(unix.NFTA_LOOKUP_SET, s.Name)
	a.u32(unix.NFTA_LOOKUP_SET_ID, s.ID)
	a.reg(unix.NFTA_LOOKUP_SREG, reg)
	more(&a)
	r.emitSet("lookup", a, s)
}

// emitSet emits an expression that names a set.
func (r *rule) emitSet(name string, a attrs, s *set) {
	e := expression(name, a)
	if s.Anonymous {
		e.Set = s.Set
	}
	r.out = append(r.out, e)
}
