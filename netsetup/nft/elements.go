package nft

import (
	"slices"
)

// element is one of a set being compiled.
type element struct {
	pos    Pos
	key    *term
	data   *term
	object string   // what a map of objects gives
	source *Element // nil: of a set that the compiler made
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
