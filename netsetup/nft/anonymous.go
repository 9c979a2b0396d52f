package nft

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
