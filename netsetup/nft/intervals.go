package nft

import (
	"math/big"
	"slices"

	"golang.org/x/sys/unix"
)

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
