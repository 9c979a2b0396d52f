package nft

import (
	"cmp"
	"slices"
)

// payloadMatch is an equality of whole bytes of the packet with a constant, as
// it was emitted: two expressions, from at on.
type payloadMatch struct {
	at           int
	base         Base
	offset, bits int
	says         bool // it says what follows, and must stay in front of that
	value        []byte
}

// noteMatch remembers an equality that is about to be emitted.
func (r *rule) noteMatch(left *term, value []byte) {
	l, ok := left.load.(*payloadLoad)
	if left.kind == loaded && ok && l.offset%8 == 0 && left.bits%8 == 0 {
		r.matches = append(r.matches, payloadMatch{len(r.out), l.base, l.offset, left.bits, l.says, value})
	}
}

// mergeMatches makes one comparison of those of bytes beside each other, where
// that spares the kernel work. Statements that are no matches are not crossed.
func (r *rule) mergeMatches() {
	list := r.matches
	r.matches = nil
	slices.SortStableFunc(list, func(a, b payloadMatch) int {
		return cmp.Or(cmp.Compare(a.base, b.base), cmp.Compare(a.offset, b.offset))
	})
	gone := make(map[int]bool)
	for i, last := 1, 0; i < len(list); i++ {
		a, b := &list[last], &list[i]
		if !a.mergesWith(b) {
			last = i
			continue
		}
		stays, goes := a, b
		if b.says {
			stays, goes = b, a
			last = i
		}
		value := slices.Concat(a.value, b.value)
		stays.offset, stays.bits, stays.value = a.offset, a.bits+b.bits, value
		gone[goes.at] = true
	}
	if len(gone) == 0 {
		return
	}
	r.rewrite(list, gone)
}

// mergesWith reports whether bytes behind each other are better compared
// together: the kernel has a quick way for up to 4 bytes that are not of the
// link layer (net/netfilter/nf_tables_core.c:nft_payload_fast_eval).
func (a *payloadMatch) mergesWith(b *payloadMatch) bool {
	const word, register = 32, 128
	total := a.bits + b.bits
	if a.base != b.base || a.offset+a.bits != b.offset || total > register {
		return false
	}
	return total <= word || a.base == LinkLayer || a.bits > word || b.bits > word
}

// rewrite emits the matches that stay anew, in their places, and takes those
// that are gone out.
func (r *rule) rewrite(list []payloadMatch, gone map[int]bool) {
	before := r.out
	stays := make(map[int][]Expression)
	for _, m := range list {
		if gone[m.at] {
			continue
		}
		r.out = nil
		l := &payloadLoad{base: m.base, offset: m.offset}
		r.next = 0
		l.emit(r, 0, m.bits)
		r.compare(0, cmpEq, m.value)
		stays[m.at] = r.out
	}
	r.out = nil
	for i := 0; i < len(before); i++ {
		switch pair := stays[i]; {
		case gone[i]:
			i++
		case pair != nil:
			r.out = append(r.out, pair...)
			i++
		default:
			r.out = append(r.out, before[i])
		}
	}
}

// inFront emits what f does in front of all else in the rule.
func (r *rule) inFront(f func()) {
	out, matches := r.out, r.matches
	r.out = nil
	f()
	r.front = append(r.out, r.front...)
	r.out, r.matches = out, matches
}
