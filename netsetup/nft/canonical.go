package nft

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What is sent to the kernel and what it gives back differ in form. Here both
// become a key, a string that is equal where the meaning is.
//
// By default an attribute that is absent is one that is zero, and NULs at its
// end do not count. forms says where that is not so.

// form is how the value of an attribute is to be read.
type form uint8

const (
	ordinary   form = iota
	exact           // absent is not zero
	register        // NFT_REG_1 is the first 16 bytes, NFT_REG32_00 the first 4 of the same
	datum           // nested NFTA_DATA_VALUE or NFTA_DATA_VERDICT
	setName         // of the set, anonymous where Expression.Set is not nil
	ignored         // numbers of the transaction, what the kernel counts, padding
	nested          // a nested expression
	nestedList      // a list of them
)

// forms are by expression and attribute, as linux/netfilter/nf_tables.h numbers
// them.
var forms = map[string]map[uint16]form{
	"immediate": {1: register, 2: datum},
	"bitwise":   {1: register, 2: register, 4: datum, 5: datum, 7: datum, 8: register},
	"byteorder": {1: register, 2: register},
	"cmp":       {1: register, 3: datum},
	"range":     {1: register, 3: datum, 4: datum},
	"lookup":    {1: setName, 2: register, 3: register, 4: ignored},
	"dynset":    {1: setName, 2: ignored, 4: register, 5: register, 7: nested, 8: ignored, 10: nestedList},
	"objref":    {3: register, 4: setName, 5: ignored},
	"payload":   {1: register, 5: register},
	"exthdr":    {1: register, 7: register},
	"meta":      {1: register, 3: register},
	"ct":        {1: register, 3: exact, 4: register},
	"rt":        {1: register},
	"fib":       {1: register},
	"hash":      {1: register, 2: register, 5: exact},
	"numgen":    {1: register},
	"osf":       {1: register},
	"socket":    {2: register},
	"xfrm":      {1: register},
	"tunnel":    {2: register},
	"nat":       {3: register, 4: register, 5: register, 6: register},
	"masq":      {2: register, 3: register},
	"redir":     {1: register, 2: register},
	"tproxy":    {2: register, 3: register},
	"dup":       {1: register, 2: register},
	"fwd":       {1: register, 2: register},
	"queue":     {4: register},
	"log":       {1: exact},
	"inner":     {5: nested},
	"counter":   {1: ignored, 2: ignored, 3: ignored},
	"quota":     {3: ignored, 4: ignored},
	"last":      {1: ignored, 2: ignored, 3: ignored},
	"limit":     {6: ignored},
}

// endOfRange are the attributes for the upper end of a range of addresses or
// ports, by that of the lower end: where the upper is not given it is the lower.
var endOfRange = map[string]map[uint16]uint16{
	"nat":   {3: 4, 5: 6},
	"masq":  {2: 3},
	"redir": {1: 2},
}

// flagsOfNat is the attribute with the flags of a translation. The kernel adds
// NF_NAT_RANGE_MAP_IPS and NF_NAT_RANGE_PROTO_SPECIFIED (linux/netfilter/nf_nat.h)
// where there are registers for them.
var flagsOfNat = map[string]uint16{"nat": 7, "masq": 1, "redir": 3}

const addedNatFlags = 1<<0 | 1<<1

// defaults are what the kernel gives back for an attribute that it was not
// given.
var defaults = map[string]map[uint16]uint64{
	"queue": {2: 1}, // NFTA_QUEUE_TOTAL
}

// canon makes keys of what is in one table.
type canon struct {
	chains map[uint32]*Chain // those with an ID
	sets   map[*Set]string   // keys of anonymous ones
}

func newCanon(t *Table) *canon {
	c := &canon{sets: make(map[*Set]string)}
	for _, ch := range t.Chains {
		if ch.ID != 0 {
			if c.chains == nil {
				c.chains = make(map[uint32]*Chain)
			}
			c.chains[ch.ID] = ch
		}
	}
	return c
}

// key is a string being built, of parts that cannot run into each other.
type key struct{ b []byte }

func (k *key) bytes(v []byte) {
	k.b = binary.AppendUvarint(k.b, uint64(len(v)))
	k.b = append(k.b, v...)
}

func (k *key) str(s string) {
	k.b = binary.AppendUvarint(k.b, uint64(len(s)))
	k.b = append(k.b, s...)
}

func (k *key) num(n uint64) { k.b = binary.AppendUvarint(k.b, n) }

// rule is the key of a rule; where it came from does not count.
func (c *canon) rule(r *Rule) string {
	k := key{make([]byte, 0, 32*len(r.Exprs))}
	k.str(r.Comment)
	for i := range r.Exprs {
		c.expression(&k, &r.Exprs[i])
	}
	return string(k.b)
}

func (c *canon) expressions(k *key, list []Expression) {
	k.num(uint64(len(list)))
	for i := range list {
		c.expression(k, &list[i])
	}
}

func (c *canon) expression(k *key, e *Expression) {
	k.str(e.Name)
	list := attributesOf(e.Data)
	list = e.complete(list)
	slices.SortStableFunc(list, func(a, b attribute) int { return int(a.typ) - int(b.typ) })
	form := forms[e.Name]
	for _, a := range list {
		c.attribute(k, e, a, form[a.typ])
	}
	k.num(0) // no attribute has the type 0
}

func (c *canon) attribute(k *key, e *Expression, a attribute, f form) {
	switch f {
	case ignored:
	case exact:
		k.num(uint64(a.typ))
		k.bytes(a.value)
	case register:
		if r := bigEndian(a.value); r != 0 {
			k.num(uint64(a.typ))
			k.num(32 * wholeRegister(r))
		}
	case datum:
		k.num(uint64(a.typ))
		c.datum(k, a.value)
	case setName:
		k.num(uint64(a.typ))
		if e.Set == nil {
			k.str(trimNUL(a.value))
		} else {
			k.str("")
			k.str(c.anonymous(e.Set))
		}
	case nested:
		k.num(uint64(statefulsOf[e.Name]))
		inner := expressionOf(a.value)
		c.expression(k, &inner)
	case nestedList:
		k.num(uint64(a.typ))
		for _, x := range attributesOf(a.value) {
			inner := expressionOf(x.value)
			c.expression(k, &inner)
		}
	default:
		if v := trimNUL(a.value); v != "" {
			k.num(uint64(a.typ))
			k.str(v)
		}
	}
}

// statefulsOf is the attribute with a list of expressions where there is also
// one for a single expression, which says the same.
var statefulsOf = map[string]uint16{"dynset": 10, "inner": 5}

// wholeRegister is the number of a register in units of 4 bytes, the verdict's
// below all.
func wholeRegister(r uint64) uint64 {
	if r < 8 { // NFT_REG32_00
		return 4 * r
	}
	return r - 4
}

// expressionOf reads a nested expression.
func expressionOf(b []byte) Expression {
	return Expression{Name: trimNUL(attributeOf(b, 1)), Data: attributeOf(b, 2)}
}

// complete adds and takes away what the kernel does.
func (e *Expression) complete(list []attribute) []attribute {
	find := func(typ uint16) int {
		return slices.IndexFunc(list, func(a attribute) bool { return a.typ == typ })
	}
	set := func(typ uint16, v []byte) { list = append(list, attribute{typ, v}) }
	for low, high := range endOfRange[e.Name] {
		if i := find(low); i >= 0 && find(high) < 0 {
			set(high, list[i].value)
		}
	}
	if typ, ok := flagsOfNat[e.Name]; ok {
		list = clearBits(list, find(typ), addedNatFlags)
	}
	for typ, v := range defaults[e.Name] {
		if i := find(typ); i >= 0 && bigEndian(list[i].value) == v {
			list = slices.Delete(list, i, i+1)
		}
	}
	switch e.Name {
	case "ct":
		// The protocols are those of both directions: one that is given with
		// them is not kept (net/netfilter/nft_ct.c:nft_ct_get_dump).
		if k, i := find(unix.NFTA_CT_KEY), find(unix.NFTA_CT_DIRECTION); k >= 0 && i >= 0 {
			if key := bigEndian(list[k].value); key == unix.NFT_CT_L3PROTOCOL || key == unix.NFT_CT_PROTOCOL {
				list = slices.Delete(list, i, i+1)
			}
		}
	case "quota":
		list = clearBits(list, find(2), 1<<1) // NFT_QUOTA_F_DEPLETED
	case "log":
		// To the kernel's log the level is LOGLEVEL_WARNING if not given; to
		// a group (nfnetlink) there is none.
		if i := find(5); i >= 0 && (find(1) >= 0 || bigEndian(list[i].value) == 4) {
			list = slices.Delete(list, i, i+1)
		} else if i >= 0 {
			list[i].value = append(slices.Clone(list[i].value), 1) // emerg is 0
		}
	case "reject":
		// NFT_REJECT_TCP_RST has no code.
		if t, i := find(1), find(2); t >= 0 && i >= 0 && bigEndian(list[t].value) == 1 {
			list = slices.Delete(list, i, i+1)
		}
	}
	return list
}

// clearBits clears bits of a number of four bytes at one place of a list.
func clearBits(list []attribute, at int, bits uint64) []attribute {
	if at >= 0 {
		n := bigEndian(list[at].value) &^ bits
		list[at].value = binary.BigEndian.AppendUint32(nil, uint32(n))
	}
	return list
}

// datum is a value, byte by byte, or a verdict.
func (c *canon) datum(k *key, b []byte) {
	if v := attributeOf(b, 2); v != nil { // NFTA_DATA_VERDICT
		k.str("verdict")
		code := bigEndian(attributeOf(v, 1))
		if id := attributeOf(v, 3); id != nil {
			k.num(code)
			k.str("block")
			c.block(k, uint32(bigEndian(id)))
			return
		}
		c.verdict(k, int32(uint32(code)), trimNUL(attributeOf(v, 2)))
		return
	}
	k.str("value")
	k.bytes(attributeOf(b, 1))
}

func (c *canon) verdict(k *key, code int32, chain string) {
	k.num(uint64(uint32(code)))
	k.str(chain)
}

// block is what is in a chain without a name, which is part of the rule that
// jumps there.
func (c *canon) block(k *key, id uint32) {
	ch := c.chains[id]
	if ch == nil {
		return
	}
	delete(c.chains, id) // none is within itself; were it, this would not end
	k.num(uint64(len(ch.Rules)))
	for _, r := range ch.Rules {
		k.str(c.rule(r))
	}
	c.chains[id] = ch
}

// anonymous is the key of a set without a name, with all that is in it.
func (c *canon) anonymous(s *Set) string {
	if v, ok := c.sets[s]; ok {
		return v
	}
	k := key{}
	k.str(c.setHead(s))
	elements := make([]string, len(s.Elements))
	for i, e := range s.Elements {
		elements[i] = c.element(s, e)
	}
	slices.Sort(elements)
	for _, e := range elements {
		k.str(e)
	}
	c.sets[s] = string(k.b)
	return c.sets[s]
}

// atRunTime reports whether elements come and go by themselves.
func (s *Set) atRunTime() bool { return s.Flags&(setTimeout|setEval) != 0 }

// unlimited is the size that a dynamic set has which was given none
// (net/netfilter/nft_dynset.c).
const unlimited = 0xffff

// setHead is the key of a set but for what is in it and its name.
func (c *canon) setHead(s *Set) string {
	k := key{}
	for _, n := range []uint32{s.Flags, s.KeyType, s.KeyLen, s.DataType, s.ObjType} {
		k.num(uint64(n))
	}
	if s.DataType != dataVerdict { // that has a length of its own
		k.num(uint64(s.DataLen))
	}
	k.num(uint64(ticks(s.Timeout)))
	k.num(uint64(ticks(s.GC)))
	if s.Policy != nil {
		k.num(uint64(*s.Policy)) // performance is 0, and what there is without
	} else {
		k.num(0)
	}
	switch {
	case s.Anonymous:
	case s.Size == 0 && s.Flags&setEval != 0:
		k.num(unlimited)
	default:
		k.num(uint64(s.Size))
	}
	k.num(uint64(len(s.Fields)))
	for _, n := range s.Fields {
		k.num(uint64(n))
	}
	c.expressions(&k, s.Exprs)
	k.bytes(s.UserData)
	return string(k.b)
}

// ticks rounds a time down to what the kernel keeps of it, whatever its clock:
// 20 ms are whole ticks of 100, 250, 300 and 1000 a second (CONFIG_HZ). Less than
// one is one.
func ticks(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return max(d/(20*time.Millisecond), 1)
}

// element is the key of an element with all that belongs to it.
func (c *canon) element(s *Set, e *SetElement) string {
	k := key{}
	k.bytes(e.Key)
	k.bytes(e.KeyEnd)
	k.num(uint64(e.Flags))
	k.bytes(e.Data)
	if e.Verdict != nil {
		c.verdict(&k, e.Verdict.Code, e.Verdict.Chain)
	}
	k.str(e.Object)
	timeout := s.Timeout
	if e.Timeout != nil {
		timeout = *e.Timeout
	}
	if e.Flags&unix.NFT_SET_ELEM_INTERVAL_END == 0 {
		k.num(uint64(ticks(timeout)))
	}
	exprs := e.Exprs
	if len(exprs) == 0 && e.Flags&unix.NFT_SET_ELEM_INTERVAL_END == 0 {
		exprs = s.Exprs // the kernel gives every element those of the set
	}
	c.expressions(&k, exprs)
	k.bytes(e.UserData)
	return string(k.b)
}

// object is the key of an object but for its name.
func (c *canon) object(o *Object) string {
	k := key{}
	k.num(uint64(o.Type))
	k.str(o.Comment)
	e := Expression{Name: objectExpressions[o.Type], Data: o.Data}
	if e.Name != "" {
		c.expression(&k, &e)
	}
	return string(k.b)
}

// objectExpressions are the expressions whose attributes an object has, by
// NFT_OBJECT_*. A timeout policy is compared by sameTimeouts.
var objectExpressions = map[uint32]string{
	1: "counter", 2: "quota", 3: "ct helper", 4: "limit", 5: "connlimit",
	6: "tunnel object", 8: "secmark", 9: "ct expectation", 10: "synproxy",
}

// objectTimeout is NFT_OBJECT_CT_TIMEOUT.
const objectTimeout = 7

// sameTimeouts compares timeout policies: the kernel gives back one for every
// state, those that it was not given with its defaults.
func sameTimeouts(have, want []byte) bool {
	const ofStates = 3 // NFTA_CT_TIMEOUT_DATA
	for _, a := range attributesOf(want) {
		h := attributeOf(have, a.typ)
		if a.typ != ofStates {
			if bigEndian(h) != bigEndian(a.value) {
				return false
			}
			continue
		}
		for _, s := range attributesOf(a.value) {
			if bigEndian(attributeOf(h, s.typ)) != bigEndian(s.value) {
				return false
			}
		}
	}
	return true
}

// flowtable is the key of a flowtable but for its name.
func (c *canon) flowtable(f *Flowtable) string {
	k := key{}
	k.num(uint64(f.Hook))
	k.num(uint64(uint32(f.Priority)))
	k.num(uint64(f.Flags))
	k.str(strings.Join(slices.Sorted(slices.Values(f.Devices)), " "))
	return string(k.b)
}

// chainHead is the key of a chain but for its rules and name.
func (c *canon) chainHead(ch *Chain) string {
	k := key{}
	k.str(ch.Comment)
	k.num(uint64(ch.Flags))
	if h := ch.Hook; h != nil {
		k.str(h.Type)
		k.num(uint64(h.Hook))
		k.num(uint64(uint32(h.Priority)))
		k.num(uint64(h.policy()))
		k.str(strings.Join(slices.Sorted(slices.Values(h.Devices)), " "))
	}
	return string(k.b)
}

// policy is NF_ACCEPT where the chain has none.
func (h *ChainHook) policy() uint32 {
	if h.Policy == nil {
		return 1
	}
	return *h.Policy
}
