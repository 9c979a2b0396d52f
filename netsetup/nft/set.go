package nft

import (
	"maps"
	"math/big"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Flags of a set (enum nft_set_flags).
const (
	setAnonymous = unix.NFT_SET_ANONYMOUS
	setConstant  = unix.NFT_SET_CONSTANT
	setInterval  = unix.NFT_SET_INTERVAL
	setMap       = unix.NFT_SET_MAP
	setTimeout   = unix.NFT_SET_TIMEOUT
	setEval      = unix.NFT_SET_EVAL
	setObject    = 0x40  // NFT_SET_OBJECT
	setConcat    = 0x80  // NFT_SET_CONCAT
	setExpr      = 0x100 // NFT_SET_EXPR
)

// dataVerdict is NFT_DATA_VERDICT.
const dataVerdict = 0xffffff00

// set is a set or map being compiled.
type set struct {
	*Set
	t     *table
	key   *term // of its type, order and bits; a concatenation has parts
	isMap bool
	data  *term // of a map that is not of objects
	// dataInterval: the data are ranges, given by both ends.
	dataInterval bool
	autoMerge    bool
	stmts        []Stmt
	pending      []*Element // as they were read
}

// element is one of a set being compiled.
type element struct {
	pos    Pos
	key    *term
	data   *term
	object string   // what a map of objects gives
	source *Element // nil: of a set that the compiler made
}

func (s *set) title() string {
	switch {
	case s.Anonymous && s.isMap:
		return "the map"
	case s.Anonymous:
		return "the set"
	case s.isMap:
		return "map " + s.Name
	}
	return "set " + s.Name
}

func (t *table) addSet(cmd *AddSet) {
	s := t.newSet(cmd)
	if old := t.sets[cmd.Name]; old != nil {
		switch {
		case cmd.Verb == Create:
			fail(cmd.Pos, "%s is there already", old.title())
		case !old.same(s):
			fail(cmd.Pos, "%s is there already, and is not the same", old.title())
		}
		old.pending = append(old.pending, cmd.Elements...)
		return
	}
	s.ID = t.nextSetID()
	t.sets[cmd.Name] = s
	t.named = append(t.named, s)
}

// same reports whether another set has the same type and settings.
func (s *set) same(o *set) bool {
	sameData := s.data == nil && o.data == nil ||
		s.data != nil && o.data != nil && sameType(s.data.typ, o.data.typ) && s.data.size() == o.data.size()
	samePolicy := s.Policy == nil && o.Policy == nil || s.Policy != nil && o.Policy != nil && *s.Policy == *o.Policy
	return s.isMap == o.isMap && sameType(s.key.typ, o.key.typ) && s.key.size() == o.key.size() &&
		sameData && samePolicy && s.dataInterval == o.dataInterval && s.ObjType == o.ObjType && s.Flags == o.Flags &&
		s.Timeout == o.Timeout && s.GC == o.GC && s.Size == o.Size && len(s.Exprs) == len(o.Exprs)
}

// keyMax is NFT_DATA_VALUE_MAXLEN: the bytes of all registers.
const keyMax = registerWords * 4

// newSet makes a set as it is described, without a number.
func (t *table) newSet(cmd *AddSet) *set {
	checkName(cmd.Pos, cmd.Name)
	s := &set{
		Set:   &Set{Pos: cmd.Pos, Name: cmd.Name, Comment: cmd.Comment},
		t:     t,
		isMap: cmd.IsMap, autoMerge: cmd.AutoMerge, stmts: cmd.Stmts, pending: cmd.Elements,
	}
	for _, f := range cmd.Flags {
		flag, ok := map[string]uint32{"constant": setConstant, "interval": setInterval, "timeout": setTimeout, "dynamic": setEval}[f.Text]
		if !ok {
			fail(f.Pos, "%q is not a flag of a set: constant, interval, timeout or dynamic", f.Text)
		}
		s.Flags |= flag
	}
	if cmd.AutoMerge && s.Flags&setInterval == 0 {
		failHint(cmd.Pos, "add `flags interval`", "auto-merge is for sets of ranges")
	}
	s.key = t.setType(cmd.Pos, cmd.KeyTypes, cmd.KeyTypeof)
	switch {
	case s.key.typ == typeVerdict:
		fail(cmd.Pos, "a verdict is not what a set or map can be looked up by")
	case s.key.size() > keyMax:
		fail(cmd.Pos, "the key has %d bytes, more than the %d that the kernel takes", s.key.size(), keyMax)
	}
	if cmd.IsMap {
		s.setDataType(cmd)
	}
	s.setSettings(cmd)
	return s
}

func (t *table) nextSetID() uint32 {
	t.setIDs++
	return t.setIDs
}

// setType is what a set is of.
func (t *table) setType(pos Pos, names []*Value, typeof Expr) *term {
	if typeof != nil {
		checkTypeof(typeof)
		r := t.newRule()
		r.proto.anything = true
		return r.eval(typeof, want{})
	}
	if len(names) == 0 {
		failHint(pos, "such as `type ipv4_addr` or `typeof ip saddr`", "it is not said what the set is of")
	}
	var parts []*term
	for _, n := range names {
		typ := typeByName(n.Text)
		if typ == nil {
			failHint(n.Pos, didYouMean(n.Text, typeNames()), "%q is not a type", n.Text)
		}
		if typ.Bits == 0 && typ != typeVerdict {
			failHint(n.Pos, "`typeof EXPRESSION` says how large it is", "values of type %s have no fixed size", typ.Name)
		}
		parts = append(parts, &term{pos: n.Pos, typ: typ, order: typ.Order, bits: typ.Bits})
	}
	if len(parts) == 1 {
		return parts[0]
	}
	for _, p := range parts {
		if p.typ == typeVerdict {
			fail(p.pos, "a verdict cannot be part of a concatenation")
		}
	}
	c := &term{pos: names[0].Pos, kind: concat, parts: parts, typ: concatType(parts)}
	c.bits = c.size() * 8
	return c
}

// checkTypeof refuses what is computed, which has no type of its own to leave
// with a set.
func checkTypeof(e Expr) {
	switch e := e.(type) {
	case *Binary:
		fail(e.Pos, "typeof takes what a packet is asked for, not what is computed of it")
	case *Concat:
		for _, item := range e.Items {
			checkTypeof(item)
		}
	}
}

// setDataType is what a map gives.
func (s *set) setDataType(cmd *AddSet) {
	if len(cmd.DataTypes) == 1 {
		if kind, ok := objectTypes[cmd.DataTypes[0].Text]; ok {
			s.ObjType = kind
			s.Flags |= setObject
			return
		}
	}
	s.data = s.t.setType(cmd.Pos, cmd.DataTypes, cmd.DataTypeof)
	s.Flags |= setMap
	s.dataInterval = cmd.DataInterval
}

func (s *set) setSettings(cmd *AddSet) {
	if cmd.Timeout != nil && *cmd.Timeout > 0 {
		s.Timeout = *cmd.Timeout
		s.Flags |= setTimeout
	}
	if cmd.GCInterval != nil {
		s.GC = *cmd.GCInterval
	}
	if cmd.Size != nil && s.Flags&setConstant == 0 {
		s.Size = uint32(*cmd.Size)
	}
	if cmd.Policy != nil {
		pol := uint32(unix.NFT_SET_POL_PERFORMANCE)
		switch cmd.Policy.Text {
		case "memory":
			pol = unix.NFT_SET_POL_MEMORY
		case "performance":
		default:
			fail(cmd.Policy.Pos, "%q is not a policy of a set: performance or memory", cmd.Policy.Text)
		}
		if s.Flags&setConstant == 0 && pol != unix.NFT_SET_POL_PERFORMANCE {
			s.Policy = &pol
		}
	}
	for _, st := range cmd.Stmts {
		s.Exprs = append(s.Exprs, stateful(st))
	}
	if len(s.Exprs) > 1 {
		s.Flags |= setExpr
	}
}

func (t *table) addElements(cmd *AddElements) {
	s := t.sets[cmd.Set]
	if s == nil {
		failMissing(cmd.Pos, didYouMean(cmd.Set, slices.Sorted(maps.Keys(t.sets))), "table %s has no set or map %q", t.Name, cmd.Set)
	}
	if cmd.Verb == Delete || cmd.Verb == Destroy {
		fail(cmd.Pos, "taking elements away is not supported")
	}
	s.pending = append(s.pending, cmd.Elements...)
}

// compileElements compiles what is in a named set.
func (s *set) compileElements() {
	r := s.t.newRule()
	r.proto.anything = true
	w := wantOf(s.key)
	w.bits = s.key.bits
	var list []*element
	for _, e := range s.pending {
		s.t.c.try(func() {
			for _, el := range r.element(e, w) {
				s.checkElement(el)
				s.elementData(r, el)
				list = append(list, el)
			}
		})
	}
	s.fill(list)
}

// needTimeouts refuses the timeout of an element in a set that has none.
func (s *set) needTimeouts(pos Pos) {
	if s.Flags&setTimeout == 0 {
		failHint(pos, "add `flags timeout` to it", "%s has no timeouts", s.title())
	}
}

// checkSource refuses what an element cannot have in the set: timeouts, and
// statements other than those of the set.
func (s *set) checkSource(e *Element) {
	if e.Timeout != nil || e.Expires != nil {
		s.needTimeouts(e.Pos)
	}
	switch {
	case len(e.Stmts) == 0:
	case len(s.Exprs) == 0 && s.Flags&setEval == 0:
		failHint(e.Stmts[0].At(), "say it in the set as well, or add `flags dynamic`", "%s has no statements", s.title())
	case len(s.Exprs) > 0 && len(e.Stmts) != len(s.Exprs):
		fail(e.Stmts[0].At(), "an element of %s has %d statements, not %d", s.title(), len(s.Exprs), len(e.Stmts))
	case len(s.Exprs) > 0:
		for i, st := range e.Stmts {
			if x := stateful(st); x.Name != s.Exprs[i].Name {
				fail(st.At(), "%s has %s here, not %s", s.title(), s.Exprs[i].Name, x.Name)
			}
		}
	}
}

// checkElement refuses what the set does not take, such as ranges.
func (s *set) checkElement(el *element) {
	s.checkSource(el.source)
	parts := []*term{el.key}
	if el.key.kind == concat {
		parts = el.key.parts
	}
	for _, p := range parts {
		if s.Flags&setInterval == 0 && (p.kind == span || p.kind == prefix) {
			failHint(p.pos, "add `flags interval` to it", "%s takes single values only", s.title())
		}
	}
}

// elementData evaluates what a map gives for an element.
func (s *set) elementData(r *rule, el *element) {
	e := el.source
	if e == nil {
		return
	}
	switch {
	case s.isMap && e.Data == nil:
		fail(e.Pos, "an element of a map has what it gives behind a colon")
	case !s.isMap && e.Data != nil:
		fail(e.Data.At(), "only the elements of a map give something")
	case !s.isMap:
		return
	}
	if s.data == nil {
		el.object = s.objectName(e.Data)
		return
	}
	w := wantOf(s.data)
	w.bits = s.data.bits
	el.data = r.eval(e.Data, w)
	if !el.data.isConstant() {
		fail(e.Data.At(), "what a map gives is to be constant")
	}
	if !sameType(el.data.typ, s.data.typ) {
		fail(e.Data.At(), "%s gives %s, not %s", s.title(), s.data.typ.Name, el.data.typ.Name)
	}
	if el.data.isSingle() {
		return
	}
	if s.Anonymous {
		s.dataInterval = true
	}
	if !s.dataInterval {
		fail(e.Data.At(), "%s gives single values, not ranges", s.title())
	}
}

// objectName is the name of the object that a map gives.
func (s *set) objectName(e Expr) string {
	v, ok := e.(*Value)
	if !ok {
		fail(e.At(), "%s gives objects, by their names", s.title())
	}
	if s.t.objects[objectKey{s.ObjType, v.Text}] == nil {
		fail(v.Pos, "table %s has no %s %q", s.t.Name, objectKind(s.ObjType), v.Text)
	}
	return v.Text
}

// fill gives the set its elements, in the form that the kernel takes.
func (s *set) fill(list []*element) {
	if s.Flags&setInterval != 0 && s.key.kind == concat {
		s.Flags |= setConcat
		for _, p := range s.key.parts {
			s.Fields = append(s.Fields, uint32(bytesOf(p.bits)))
		}
	}
	for _, el := range list {
		if el.key.kind == wildcard {
			s.add(el, &SetElement{Pos: el.pos, Flags: elementCatchall})
		}
	}
	list = slices.DeleteFunc(list, func(el *element) bool { return el.key.kind == wildcard })
	if s.Flags&setInterval != 0 && s.Flags&setConcat == 0 {
		s.intervals(list)
		return
	}
	for _, el := range list {
		out := &SetElement{Pos: el.pos}
		switch {
		case s.Flags&setConcat != 0:
			out.Key, out.KeyEnd = concatBounds(el.key, BigEndian)
		case el.key.kind == concat:
			out.Key, _ = concatBounds(el.key, NoOrder)
		default:
			out.Key = el.key.export()
		}
		s.add(el, out)
	}
}

// concatBounds are the lowest and the highest value of a concatenation; NoOrder
// leaves each part in its own order.
func concatBounds(t *term, order Order) (lo, hi []byte) {
	for _, p := range t.parts {
		o := order
		if o == NoOrder || p.typ.isA(typeString) {
			o = p.order
		}
		l, h := p.bounds()
		lo = append(lo, pad(export(l, p.bits, o))...)
		hi = append(hi, pad(export(h, p.bits, o))...)
	}
	return lo, hi
}

// add completes an element with what goes with it, and takes it.
func (s *set) add(el *element, out *SetElement) {
	e := el.source
	if e != nil {
		out.Timeout, out.Expires = e.Timeout, e.Expires
		var u udata
		if e.Comment != "" {
			u.str(udataElementComment, e.Comment)
		}
		out.UserData = append(u, out.UserData...)
		for _, st := range e.Stmts {
			out.Exprs = append(out.Exprs, stateful(st))
		}
	}
	switch {
	case el.object != "":
		out.Object = el.object
	case el.data == nil:
	case el.data.kind == decision:
		if el.data.chainID != 0 {
			fail(el.data.pos, "a chain without a name is not supported in a map")
		}
		out.Verdict = &SetVerdict{Code: el.data.code, Chain: el.data.verdict.chain}
	default:
		out.Data = s.exportData(el.data)
	}
	s.Elements = append(s.Elements, out)
}

// exportData is what a map gives, of a range both ends.
func (s *set) exportData(d *term) []byte {
	if d.kind == concat {
		lo, hi := concatBounds(d, NoOrder)
		if s.dataInterval {
			return append(lo, hi...)
		}
		return lo
	}
	lo, hi := d.bounds()
	out := export(lo, d.bits, d.order)
	if s.dataInterval {
		out = append(pad(out), export(hi, d.bits, d.order)...)
	}
	return out
}

// finish fills in what depends on all else.
func (s *set) finish() {
	s.KeyType, s.KeyLen = s.key.typ.ID, uint32(s.key.size())
	if s.key.typ == typeVerdict {
		s.KeyType = dataVerdict
	}
	order := s.key.order
	if s.key.kind == concat {
		order = NoOrder
	}
	var u udata
	u.u32(udataSetKeyOrder, orderNumber(s.key, order))
	if s.data != nil {
		s.DataType, s.DataLen = s.data.typ.ID, uint32(s.data.size())
		if s.data.typ == typeVerdict {
			s.DataType, s.DataLen = dataVerdict, 0
		}
		if s.dataInterval {
			s.DataLen *= 2
		}
		u.u32(udataSetDataOrder, orderNumber(s.data, s.data.order))
	}
	if s.autoMerge {
		u.u32(udataSetMerge, 1)
	}
	if d := typeofData(s.key); d != nil {
		u.bytes(udataSetKeyTypeof, d)
	}
	if s.data != nil {
		data := s.data
		if data.typ == typeVerdict {
			data = &term{kind: decision}
		}
		if d := typeofData(data); d != nil {
			u.bytes(udataSetDataTypeof, d)
		}
		n := uint32(0)
		if s.dataInterval {
			n = 1
		}
		u.u32(udataSetDataInterval, n)
	}
	if s.Comment != "" {
		u.str(udataSetComment, s.Comment)
	}
	s.UserData = u
	if s.Flags&setConstant != 0 && len(s.Elements) > 0 && s.Size == 0 {
		s.Size = uint32(len(s.Elements))
	}
}

// orderNumber is nft's number of a byte order (enum byteorder); it has none for
// concatenations.
func orderNumber(t *term, order Order) uint32 {
	if t.kind == concat {
		return 0
	}
	if t.typ.isA(typeString) {
		return uint32(HostEndian)
	}
	return uint32(order)
}

// anonymousSet makes the set of a match.
func (r *rule) anonymousSet(pos Pos, left, data *term, lit *term) *set {
	s := &set{
		Set: &Set{Pos: pos, Name: "__set%d", ID: r.nextSetID(), Anonymous: true, Flags: setAnonymous | setConstant},
		t:   r.table, key: left, data: data, isMap: data != nil,
	}
	if data != nil {
		s.Name = "__map%d"
		s.Flags |= setMap
	}
	r.completeAnonymous(s, lit)
	return s
}

func (r *rule) completeAnonymous(s *set, lit *term) {
	for _, el := range lit.elems {
		if !el.key.isSingle() && el.key.kind != wildcard {
			s.Flags |= setInterval
		}
	}
	// nft merges the ranges of sets, as they overlap or touch, and says so.
	s.autoMerge = s.Flags&setInterval != 0 && !s.isMap
	for _, el := range lit.elems {
		if el.source != nil {
			s.checkSource(el.source)
		}
		s.elementData(r, el)
	}
	s.fill(lit.elems)
	s.finish()
	r.Sets = append(r.Sets, s.Set)
}

// anonymousMap makes the map of `key map { … }`; what is done to the key to
// spare the kernel work is done to *key too.
func (r *rule) anonymousMap(lit *SetLiteral, key **term, data *term) *set {
	w := wantOf(*key)
	w.max = 0 // as nft has it: what can never be looked up may be there
	l := r.literal(lit, w)
	*key = transfer(*key, keysOf(l.elems)...)
	template := *key
	if template.kind != concat {
		template = &term{pos: lit.Pos, typ: (*key).typ, order: (*key).order, bits: (*key).width()}
	}
	return r.anonymousSet(lit.Pos, template, data, l)
}

// intervals turns the elements of a set of ranges into the starts and ends that
// the kernel takes, in ascending order. An end is the first value behind the
// range; a range up to the highest value has none.
func (s *set) intervals(list []*element) {
	type interval struct {
		lo, hi *big.Int
		el     *element
	}
	ranges := make([]interval, len(list))
	for i, el := range list {
		lo, hi := el.key.bounds()
		ranges[i] = interval{lo, hi, el}
	}
	slices.SortStableFunc(ranges, func(a, b interval) int {
		if c := a.lo.Cmp(b.lo); c != 0 {
			return c
		}
		return b.hi.Cmp(a.hi)
	})
	one := big.NewInt(1)
	merged := ranges[:0]
	for _, x := range ranges {
		if len(merged) > 0 {
			last := &merged[len(merged)-1]
			same := last.lo.Cmp(x.lo) == 0 && last.hi.Cmp(x.hi) == 0
			overlap := x.lo.Cmp(last.hi) <= 0
			touch := new(big.Int).Add(last.hi, one).Cmp(x.lo) == 0
			switch {
			case s.isMap && overlap && s.Anonymous, s.autoMerge && !s.isMap && (overlap || touch), same && !s.isMap:
				if s.isMap {
					fail(x.el.pos, "this overlaps with another element of %s", s.title())
				}
				if x.hi.Cmp(last.hi) > 0 {
					last.hi = x.hi
				}
				continue
			case overlap:
				failHint(x.el.pos, "`auto-merge` makes one of what overlaps", "this overlaps with another element of %s", s.title())
			}
		}
		merged = append(merged, x)
	}
	bits := s.key.bits
	highest := ones(bytesOf(bits) * 8)
	end := func(n *big.Int) *SetElement {
		return &SetElement{Pos: s.Pos, Key: export(n, bits, BigEndian), Flags: unix.NFT_SET_ELEM_INTERVAL_END}
	}
	if len(merged) > 0 && merged[0].lo.Sign() != 0 {
		s.Elements = append(s.Elements, end(new(big.Int)))
	}
	for i, x := range merged {
		out := &SetElement{Pos: x.el.pos, Key: export(x.lo, bits, BigEndian)}
		open := x.hi.Cmp(highest) >= 0 || x.hi.Cmp(ones(bits)) >= 0
		if open {
			var u udata
			u.u32(udataElementFlags, elementIntervalOpen)
			out.UserData = u
		}
		s.add(x.el, out)
		if open {
			continue
		}
		behind := new(big.Int).Add(x.hi, one)
		if s.Anonymous && i+1 < len(merged) && merged[i+1].lo.Cmp(behind) == 0 {
			continue
		}
		s.Elements = append(s.Elements, end(behind))
	}
}

// milliseconds of a duration, as the kernel takes timeouts.
func milliseconds64(d time.Duration) uint64 { return uint64(d / time.Millisecond) }

func typeNames() []string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.Name
	}
	return names
}

// elementCatchall is NFT_SET_ELEM_CATCHALL.
const elementCatchall = 2
