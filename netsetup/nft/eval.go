package nft

import (
	"maps"
	"math/big"
	"slices"
	"strings"
)

// eval gives an expression its type. w is what it is to be; the zero want lets
// it be anything that tells its type itself. Matches that it needs are emitted.
func (r *rule) eval(e Expr, w want) *term {
	switch e := e.(type) {
	case *Value:
		return r.value(e, w)
	case *Range:
		return r.span(e, w)
	case *Prefix:
		return r.prefix(e, w)
	case *List:
		return r.list(e, w)
	case *Concat:
		return r.concat(e, w)
	case *Binary:
		return r.binary(e, w)
	case *SetLiteral:
		return r.literal(e, w)
	case *SetRef:
		return r.reference(e)
	case *Verdict:
		return &term{pos: e.Pos, kind: decision, typ: typeVerdict, verdict: r.decide(e)}
	case *Map:
		return r.mapped(e, w)
	}
	return r.selector(e, w)
}

// value reads a word as a constant of the type that is wanted.
func (r *rule) value(v *Value, w want) *term {
	switch {
	case w.typ == nil:
		fail(v.Pos, "it is not known what %s means here", quoteWord(v.Text))
	case w.parts != nil:
		fail(v.Pos, "%s stands where %s is expected", quoteWord(v.Text), w.typ.Name)
	case w.typ == typeVerdict:
		fail(v.Pos, "%s is not a verdict: accept, drop, return, continue, jump or goto", quoteWord(v.Text))
	}
	bits := w.bits
	if bits == 0 {
		bits = w.typ.Bits
	}
	t := &term{pos: v.Pos, typ: w.typ, order: w.order, bits: bits}
	if w.typ.isA(typeString) {
		return r.stringValue(v, t)
	}
	if w.typ.isA(typeIfIndex) {
		t.num = r.interfaceValue(v)
		return t
	}
	b, err := w.typ.value(v.Text, bits)
	if err != nil {
		failValue(v.Pos, err)
	}
	t.num = new(big.Int).SetBytes(b)
	if w.max > 0 && t.num.Cmp(new(big.Int).SetUint64(w.max)) > 0 {
		fail(v.Pos, "%s is more than %d, the highest value that it can have", v.Text, w.max)
	}
	return t
}

// interfaceValue is the index of an interface; digits alone are the index.
func (r *rule) interfaceValue(v *Value) *big.Int {
	if n, ok := number(v.Text); ok && !v.Quoted {
		if n.BitLen() > typeIfIndex.Bits {
			fail(v.Pos, "%s is not the index of an interface: it has more than %d bits", quoteWord(v.Text), typeIfIndex.Bits)
		}
		return n
	}
	return new(big.Int).SetUint64(uint64(r.interfaceIndex(v.Pos, v.Text)))
}

// stringValue reads a string; a * at its end makes it the beginning of what it
// may be, unless there is a backslash before it.
func (r *rule) stringValue(v *Value, t *term) *term {
	text, wild := strings.CutSuffix(v.Text, "*")
	switch {
	case !wild:
	case text == "":
		fail(v.Pos, "a name that is only * is not supported")
	case strings.HasSuffix(text, `\`):
		text, wild = text[:len(text)-1]+"*", false
	}
	b, err := t.typ.value(text, t.bits)
	if err != nil {
		failValue(v.Pos, err)
	}
	t.num, t.bits = new(big.Int).SetBytes(b), len(b)*8
	t.order = BigEndian // its bytes in their order
	if wild {
		t.kind, t.length = prefix, len(text)*8
	}
	return t
}

func (r *rule) span(e *Range, w want) *term {
	lo, hi := r.rangeEnd(e.From, w), r.rangeEnd(e.To, w)
	if lo.num.Cmp(hi.num) > 0 {
		fail(e.Pos, "the range ends before it begins")
	}
	return spanOf(e.Pos, lo, hi)
}

func (r *rule) rangeEnd(e Expr, w want) *term {
	t := r.eval(e, w)
	if t.kind != constant || t.typ.isA(typeString) {
		fail(e.At(), "a range has numbers or addresses at its ends")
	}
	return t
}

func spanOf(pos Pos, lo, hi *term) *term {
	return &term{pos: pos, kind: span, typ: lo.typ, order: lo.order, bits: lo.bits, lo: lo, hi: hi}
}

func (r *rule) prefix(e *Prefix, w want) *term {
	t := r.eval(e.Addr, w)
	if t.kind != constant {
		fail(e.Pos, "a prefix length goes with one address")
	}
	if e.Len < 0 || e.Len > t.bits {
		fail(e.Pos, "a prefix of %s has at most %d bits, not %d", t.typ.Desc, t.bits, e.Len)
	}
	mask := new(big.Int).Xor(ones(t.bits), ones(t.bits-e.Len))
	return &term{pos: e.Pos, kind: prefix, typ: t.typ, order: t.order, bits: t.bits, num: mask.And(mask, t.num), length: e.Len}
}

// list is `established,related`: all the bits.
func (r *rule) list(e *List, w want) *term {
	all := &term{pos: e.Pos, typ: w.typ, order: w.order, bits: w.bits, num: new(big.Int)}
	for _, item := range e.Items {
		t := r.eval(item, w)
		if t.kind != constant || !t.typ.isA(typeBitmask) {
			failHint(item.At(), "several values of other types go into a set: { a, b }", "only flags can be listed with commas")
		}
		all.num.Or(all.num, t.num)
		all.bits = t.bits
	}
	return all
}

func (r *rule) concat(e *Concat, w want) *term {
	if w.typ != nil && w.parts == nil {
		fail(e.Pos, "a concatenation stands where %s is expected", w.typ.Desc)
	}
	if w.parts != nil && len(w.parts) != len(e.Items) {
		fail(e.Pos, "the concatenation has %d parts, %d are expected: %s", len(e.Items), len(w.parts), w.typ.Name)
	}
	t := &term{pos: e.Pos, kind: concat}
	for i, item := range e.Items {
		var of want
		if w.parts != nil {
			of = wantOf(w.parts[i])
		}
		p := r.eval(item, of)
		if p.typ == nil || p.bits == 0 {
			fail(item.At(), "what has no fixed size cannot be part of a concatenation")
		}
		t.parts = append(t.parts, p)
	}
	t.typ = concatType(t.parts)
	t.bits = t.size() * 8
	return t
}

// binary evaluates `x & y` and its like; the right side is a constant.
func (r *rule) binary(e *Binary, w want) *term {
	x := r.eval(e.X, w)
	shift := e.Op == "<<" || e.Op == ">>"
	beside := w
	if !x.isConstant() {
		beside = wantOf(x)
		beside.bits, beside.max = x.bits, 0
	}
	if shift {
		beside = want{typ: typeInteger, order: HostEndian, bits: 32}
	}
	y := r.eval(e.Y, beside)
	if y.kind != constant {
		fail(e.Y.At(), "the right side of %s is to be a constant", e.Op)
	}
	if x.kind == concat || x.kind == span || x.kind == prefix || x.typ == nil || x.typ.isA(typeVerdict) {
		fail(e.X.At(), "%s cannot be used with this", e.Op)
	}
	if shift {
		if y.num.Cmp(big.NewInt(int64(x.bits))) >= 0 {
			fail(e.Y.At(), "a value of %d bits cannot be shifted by %v", x.bits, y.num)
		}
		if x.kind != constant {
			x = swap(x, HostEndian)
		}
	}
	if x.kind == constant {
		t := *x
		t.pos, t.num = e.Pos, calculate(e.Op, x.num, y.num, x.bits)
		return &t
	}
	return &term{pos: e.Pos, kind: computed, typ: x.typ, order: x.order, bits: x.bits, fieldBits: x.fieldBits, op: e.Op, x: x, num: y.num}
}

func calculate(op string, x, y *big.Int, bits int) *big.Int {
	n := new(big.Int)
	switch op {
	case "&":
		n.And(x, y)
	case "|":
		n.Or(x, y)
	case "^":
		n.Xor(x, y)
	case "<<":
		n.Lsh(x, uint(y.Uint64()))
	case ">>":
		n.Rsh(x, uint(y.Uint64()))
	}
	return n.And(n, ones(bits))
}

// swap brings a term into a byte order. A string has none, nor has one byte.
func swap(t *term, order Order) *term {
	if t.kind == concat {
		c := *t
		c.parts = slices.Clone(t.parts)
		for i, p := range c.parts {
			c.parts[i] = swap(p, order)
		}
		return &c
	}
	if t.order == order || t.typ.isA(typeString) {
		return t
	}
	c := *t
	c.order = order
	switch t.kind {
	case constant:
		return &c
	case span:
		c.lo, c.hi = swap(t.lo, order), swap(t.hi, order)
		return &c
	case prefix:
		return &c
	}
	if t.bits/8 < 2 {
		return &c
	}
	if t.kind == swapped { // there and back
		return t.x
	}
	return &term{pos: t.pos, kind: swapped, typ: t.typ, order: order, bits: t.bits, fieldBits: t.fieldBits, max: t.max, x: t}
}

// literal evaluates the elements of `{ … }`; nested ones are spread out.
func (r *rule) literal(e *SetLiteral, w want) *term {
	if w.typ == nil {
		fail(e.Pos, "it is not known what the set is of")
	}
	t := &term{pos: e.Pos, kind: literal, typ: w.typ, order: w.order, bits: w.bits}
	for _, el := range e.Elements {
		t.elems = append(t.elems, r.element(el, w)...)
	}
	return t
}

// element evaluates the key of one element; where that is a set itself, it gives
// one for each of its elements.
func (r *rule) element(e *Element, w want) []*element {
	key := r.elementKey(e.Key, w)
	if key.kind == literal {
		var list []*element
		for _, inner := range key.elems {
			one := *inner
			if e.Data != nil {
				one.source = e
			}
			list = append(list, &one)
		}
		return list
	}
	return []*element{{pos: e.Pos, key: key, source: e}}
}

func (r *rule) elementKey(e Expr, w want) *term {
	if v, ok := e.(*Value); ok && v.Text == "*" && !v.Quoted {
		return &term{pos: v.Pos, kind: wildcard, typ: w.typ}
	}
	t := r.eval(e, w)
	switch {
	case t.kind == reference:
		fail(e.At(), "a set cannot hold another one by its name")
	case !t.isConstant() && t.kind != literal:
		fail(e.At(), "what is in a set is to be constant")
	}
	return t
}

func (r *rule) reference(e *SetRef) *term {
	s := r.sets[e.Name]
	if s == nil {
		failMissing(e.Pos, didYouMean(e.Name, slices.Sorted(maps.Keys(r.sets))), "table %s has no set or map %q", r.Name, e.Name)
	}
	return &term{pos: e.Pos, kind: reference, set: s}
}

// decide reads a verdict. An anonymous chain is compiled where it stands.
func (r *rule) decide(e *Verdict) verdict {
	// enum nft_verdicts; NF_DROP and NF_ACCEPT of linux/netfilter.h.
	code, ok := map[string]int32{"drop": 0, "accept": 1, "continue": -1, "jump": -3, "goto": -4, "return": -5}[e.Kind]
	if !ok {
		fail(e.Pos, "%q is not supported as a verdict here", e.Kind)
	}
	v := verdict{code: code}
	switch {
	case e.Block != nil:
		v.chainID = r.anonymousChain(e)
	case code == -3 || code == -4:
		if r.chain(e.Pos, e.Chain).Hook != nil {
			fail(e.Pos, "chain %s has a hook, and no rule can go to such a chain", e.Chain)
		}
		v.chain = e.Chain
	}
	return v
}

// anonymousChain makes the chain of `jump { … }`.
func (r *rule) anonymousChain(e *Verdict) uint32 {
	r.chainIDs++
	ch := &Chain{Pos: e.Pos, ID: r.chainIDs, Flags: chainBinding}
	r.Chains = append(r.Chains, ch)
	for _, in := range e.Block {
		ch.Rules = append(ch.Rules, r.table.rule(in))
	}
	return ch.ID
}

// mapped evaluates `key map { … }` and `key map @name`.
func (r *rule) mapped(e *Map, w want) *term {
	key := r.eval(e.Key, want{})
	if key.isConstant() {
		fail(e.Key.At(), "what is looked up in a map is to be of the packet, not constant")
	}
	t := &term{pos: e.Pos, kind: mapped}
	switch of := e.Of.(type) {
	case *SetLiteral:
		if w.typ == nil {
			fail(e.Pos, "it is not known what the map gives")
		}
		data := &term{typ: w.typ, order: w.order, bits: w.bits, parts: w.parts}
		if w.parts != nil {
			data.kind = concat
		}
		t.set = r.anonymousMap(of, &key, data)
	case *SetRef:
		t.set = r.reference(of).set
		if !t.set.isMap || t.set.data == nil {
			fail(of.Pos, "%s is a set, not a map", of.Name)
		}
	}
	t.key = r.lookupKey(e.Key.At(), key, t.set)
	t.typ, t.order, t.bits, t.parts = t.set.data.typ, t.set.data.order, t.set.data.bits, t.set.data.parts
	return t
}

// lookupKey makes a term ready to be looked up in a set: of its type, and in
// the order of ranges.
func (r *rule) lookupKey(pos Pos, key *term, s *set) *term {
	if !sameType(key.typ, s.key.typ) {
		fail(pos, "this is %s, and %s is of %s", key.typ.Name, s.title(), s.key.typ.Name)
	}
	if s.Flags&setInterval != 0 {
		return swap(key, BigEndian)
	}
	return key
}
