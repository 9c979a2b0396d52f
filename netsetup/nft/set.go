package nft

import (
	"maps"
	"slices"

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

func typeNames() []string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.Name
	}
	return names
}

// elementCatchall is NFT_SET_ELEM_CATCHALL.
const elementCatchall = 2
