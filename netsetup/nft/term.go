package nft

import (
	"encoding/binary"
	"math/big"
	"slices"
)

// term is an expression that has a type: a constant, what a packet is asked for,
// or something computed from that.
type term struct {
	pos  Pos
	kind termKind
	typ  *Type
	// order and bits are those of the value in a register. A field that does
	// not fill its bytes has more bits there than fieldBits, which a constant
	// that it is compared with may have.
	order     Order
	bits      int
	fieldBits int
	max       uint64 // of constants that it is compared with; 0: no bound but bits

	num    *big.Int // constant, computed (the right side), prefix (its lowest value)
	length int      // prefix: how many bits
	lo, hi *term    // span
	parts  []*term  // concat
	op     string   // computed
	x      *term    // computed, swapped
	load   load     // loaded
	set    *set     // reference, mapped
	key    *term    // mapped
	elems  []*element
	verdict
}

type termKind uint8

const (
	constant  termKind = iota // num
	span                      // lo to hi
	prefix                    // num/length
	concat                    // parts, each on a word of its own
	literal                   // elems: a set that is not made yet
	reference                 // set
	decision                  // verdict
	wildcard                  // * in a set: everything else
	loaded                    // load
	computed                  // x op num
	swapped                   // x, in the other byte order
	mapped                    // what set has at key
)

// verdict is what becomes of a packet.
type verdict struct {
	code    int32
	chain   string
	chainID uint32 // of an anonymous chain
}

// isConstant reports whether the term does not depend on a packet.
func (t *term) isConstant() bool {
	if t.kind == concat {
		return !slices.ContainsFunc(t.parts, func(p *term) bool { return !p.isConstant() })
	}
	return t.kind <= wildcard
}

// isSingle reports a constant that is one value, not several.
func (t *term) isSingle() bool {
	switch t.kind {
	case constant, decision:
		return true
	case concat:
		return !slices.ContainsFunc(t.parts, func(p *term) bool { return !p.isSingle() })
	}
	return false
}

// width is how many bits a constant that stands beside the term may have.
func (t *term) width() int {
	if t.fieldBits != 0 {
		return t.fieldBits
	}
	return t.bits
}

// size is how many bytes the term takes in a register.
func (t *term) size() int {
	if t.kind == concat {
		n := 0
		for _, p := range t.parts {
			n += wordsOf(p.bits) * 4
		}
		return n
	}
	return bytesOf(t.bits)
}

// bounds are the lowest and highest value of a constant.
func (t *term) bounds() (lo, hi *big.Int) {
	switch t.kind {
	case span:
		return t.lo.num, t.hi.num
	case prefix:
		return t.num, new(big.Int).Or(t.num, ones(t.bits-t.length))
	}
	return t.num, t.num
}

// export is a constant as it lies in a register.
func (t *term) export() []byte { return export(t.num, t.bits, t.order) }

func bytesOf(bits int) int { return (bits + 7) / 8 }
func wordsOf(bits int) int { return (bits + 31) / 32 }

// ones is a number of so many bits, all of them set.
func ones(bits int) *big.Int {
	n := big.NewInt(1)
	n.Lsh(n, uint(bits))
	return n.Sub(n, big.NewInt(1))
}

// export gives the bytes of a number in an order.
func export(n *big.Int, bits int, order Order) []byte {
	b := make([]byte, bytesOf(bits))
	mask := ones(len(b) * 8)
	mask.And(mask, n).FillBytes(b)
	if order == HostEndian && littleEndian {
		slices.Reverse(b)
	}
	return b
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// pad fills bytes up to whole words.
func pad(b []byte) []byte { return append(b, make([]byte, (4-len(b)%4)%4)...) }

// isA reports whether a type is another, or a kind of it.
func (t *Type) isA(other *Type) bool {
	for ; t != nil; t = t.Base {
		if t == other {
			return true
		}
	}
	return false
}

// concatType is the type of a concatenation: nft's number of it has six bits
// for each part (datatype.h: TYPE_BITS).
func concatType(parts []*term) *Type {
	t := &Type{Name: "", Desc: "concatenation", Order: BigEndian}
	for i, p := range parts {
		t.ID = t.ID<<6 | p.typ.ID
		if i > 0 {
			t.Name += " . "
		}
		t.Name += p.typ.Name
	}
	return t
}

// sameType reports whether values of the types can be compared. Types are
// known by their numbers, since that of a concatenation is made where it is
// needed.
func sameType(a, b *Type) bool { return a != nil && b != nil && a.ID == b.ID }

// want is what an expression is to be, from what it stands beside: the right
// side of a match is of the type of the left one. The zero want is anything.
type want struct {
	typ   *Type
	order Order
	bits  int
	max   uint64
	parts []*term // of a concatenation
}

// wantOf is what stands beside a term.
func wantOf(t *term) want {
	switch t.kind {
	case computed:
		return wantOf(t.x)
	case swapped:
		return wantOf(t.x)
	case concat:
		return want{typ: t.typ, bits: t.bits, parts: t.parts}
	}
	return want{typ: t.typ, order: t.order, bits: t.width(), max: t.max}
}
