package nft

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Difference is one thing that a table has and is not to have, or the other way
// round.
type Difference struct {
	Pos     Pos    // of what is to be; the zero Pos of what there is
	Added   bool   // it is to be
	Command string // as nft would say it, without the verb: "rule inet filter input drop"
}

// Compare says how a table that there is differs from the one that is to be, in
// the order of the latter. What changes by itself does not count: counters, what
// a quota has consumed, how long elements are still there, and the elements of
// sets that rules add to or that time takes from.
func Compare(have, want *Table) []Difference {
	c := &comparison{have: have, want: want, canonHave: newCanon(have), canonWant: newCanon(want)}
	if have.Flags != want.Flags || have.Comment != want.Comment {
		c.add(want.Pos, want.describe())
	}
	c.sets()
	named(c, have.Objects, want.Objects, (*Object).name, c.sameObject, (*Object).describe)
	named(c, have.Flowtables, want.Flowtables, (*Flowtable).name, func(h, w *Flowtable) bool {
		return c.canonHave.flowtable(h) == c.canonWant.flowtable(w)
	}, (*Flowtable).describe)
	named(c, namedChains(have), namedChains(want), (*Chain).name, func(h, w *Chain) bool {
		return c.canonHave.chainHead(h) == c.canonWant.chainHead(w)
	}, (*Chain).describe)
	c.rules()
	return c.list
}

// Same reports whether there is no difference.
func Same(have, want *Table) bool { return len(Compare(have, want)) == 0 }

type comparison struct {
	have, want           *Table
	canonHave, canonWant *canon
	list                 []Difference
}

func (c *comparison) add(pos Pos, command string) {
	c.list = append(c.list, Difference{pos, true, command})
}

func (c *comparison) remove(command string) {
	c.list = append(c.list, Difference{Command: command})
}

func (c *Chain) name() string     { return c.Name }
func (s *Set) name() string       { return s.Name }
func (o *Object) name() string    { return fmt.Sprint(o.Type, " ", o.Name) }
func (f *Flowtable) name() string { return f.Name }

// namedChains are those that are not part of a rule.
func namedChains(t *Table) []*Chain {
	if !slices.ContainsFunc(t.Chains, func(ch *Chain) bool { return ch.ID != 0 }) {
		return t.Chains
	}
	return slices.DeleteFunc(slices.Clone(t.Chains), func(ch *Chain) bool { return ch.ID != 0 })
}

// placed is what stands somewhere in the text.
type placed interface {
	comparable
	Node
}

// named compares things that go by a name. One that differs is there twice: as
// it is, and as it is to be.
func named[T placed](c *comparison, have, want []T, name func(T) string, same func(h, w T) bool, describe func(T, *Table) string) {
	there := make(map[string]T, len(have))
	for _, h := range have {
		there[name(h)] = h
	}
	for _, w := range want {
		h, ok := there[name(w)]
		delete(there, name(w))
		if ok && same(h, w) {
			continue
		}
		if ok {
			c.remove(describe(h, c.have))
		}
		c.add(w.At(), describe(w, c.want))
	}
	for _, h := range have {
		if _, extra := there[name(h)]; extra {
			c.remove(describe(h, c.have))
		}
	}
}

func (c *comparison) sameObject(h, w *Object) bool {
	if h.Type == objectTimeout && w.Type == objectTimeout {
		return h.Comment == w.Comment && sameTimeouts(h.Data, w.Data)
	}
	return c.canonHave.object(h) == c.canonWant.object(w)
}

func (c *comparison) sets() {
	isNamed := func(list []*Set) []*Set {
		return slices.DeleteFunc(slices.Clone(list), func(s *Set) bool { return s.Anonymous })
	}
	have, want := isNamed(c.have.Sets), isNamed(c.want.Sets)
	there := make(map[string]*Set, len(have))
	for _, h := range have {
		there[h.Name] = h
	}
	sameHead := func(h, w *Set) bool { return c.canonHave.setHead(h) == c.canonWant.setHead(w) }
	named(c, have, want, (*Set).name, sameHead, (*Set).describe)
	for _, w := range want {
		if h := there[w.Name]; h != nil && sameHead(h, w) {
			c.elements(h, w)
		}
	}
}

// elements compares what is in two sets of a name, in whatever order.
func (c *comparison) elements(have, want *Set) {
	count := make(map[string]int, len(want.Elements))
	for _, e := range want.Elements {
		count[c.canonWant.element(want, e)]++
	}
	var extra []*SetElement
	for _, e := range have.Elements {
		k := c.canonHave.element(have, e)
		if count[k] > 0 {
			count[k]--
		} else {
			extra = append(extra, e)
		}
	}
	if !want.atRunTime() {
		for _, e := range extra {
			c.remove(e.describe(c.have, have))
		}
	}
	for _, e := range want.Elements {
		k := c.canonWant.element(want, e)
		if count[k] > 0 && !want.mayLose(e) {
			count[k]--
			c.add(e.Pos, e.describe(c.want, want))
		}
	}
}

// mayLose reports whether an element goes by itself after a time.
func (s *Set) mayLose(e *SetElement) bool {
	return s.Flags&setTimeout != 0 && (s.Timeout > 0 || e.Timeout != nil && *e.Timeout > 0)
}

// rules compares those of each chain, which have an order.
func (c *comparison) rules() {
	there := make(map[string]*Chain, len(c.have.Chains))
	for _, ch := range namedChains(c.have) {
		there[ch.Name] = ch
	}
	for _, w := range namedChains(c.want) {
		h := there[w.Name]
		if h == nil {
			h = &Chain{Name: w.Name}
		}
		delete(there, w.Name)
		c.rulesOf(h, w)
	}
	for _, h := range namedChains(c.have) {
		if there[h.Name] != nil {
			c.rulesOf(h, &Chain{Name: h.Name})
		}
	}
}

func (c *comparison) rulesOf(have, want *Chain) {
	hi, wi := 0, 0
	for _, p := range append(pairRules(c.canonHave, c.canonWant, have, want), [2]int{len(have.Rules), len(want.Rules)}) {
		for ; hi < p[0]; hi++ {
			c.remove(have.Rules[hi].describe(c.have, have))
		}
		for ; wi < p[1]; wi++ {
			c.add(want.Rules[wi].Pos, want.Rules[wi].describe(c.want, want))
		}
		hi, wi = p[0]+1, p[1]+1
	}
}

// Pair finds for each rule of a chain that there is the same one in the table
// that is to be; nil where it has none there.
func Pair(have *Table, chain *Chain, want *Table) []*Rule {
	pairs := make([]*Rule, len(chain.Rules))
	for _, w := range namedChains(want) {
		if w.Name == chain.Name {
			for _, p := range pairRules(newCanon(have), newCanon(want), chain, w) {
				pairs[p[0]] = w.Rules[p[1]]
			}
		}
	}
	return pairs
}

// mostCompared bounds the work on two lists of rules that differ.
const mostCompared = 4_000_000

// pairRules gives the places of the rules that two chains have in common, in
// their order: as many as can be. Of two chains that are very long where they
// differ it gives only the beginning and the end that are the same.
func pairRules(canonHave, canonWant *canon, have, want *Chain) [][2]int {
	h, w := make([]string, len(have.Rules)), make([]string, len(want.Rules))
	for i, r := range have.Rules {
		h[i] = canonHave.rule(r)
	}
	for i, r := range want.Rules {
		w[i] = canonWant.rule(r)
	}
	var pairs [][2]int
	start := 0
	for start < len(h) && start < len(w) && h[start] == w[start] {
		pairs = append(pairs, [2]int{start, start})
		start++
	}
	end := 0
	for end < len(h)-start && end < len(w)-start && h[len(h)-1-end] == w[len(w)-1-end] {
		end++
	}
	for _, p := range longestCommon(h[start:len(h)-end], w[start:len(w)-end]) {
		pairs = append(pairs, [2]int{start + p[0], start + p[1]})
	}
	for i := end; i > 0; i-- {
		pairs = append(pairs, [2]int{len(h) - i, len(w) - i})
	}
	return pairs
}

// longestCommon is the longest sequence that two lists have in common.
func longestCommon(a, b []string) (pairs [][2]int) {
	if len(a)*len(b) > mostCompared || len(a) == 0 || len(b) == 0 {
		return nil
	}
	// left[i][j] is how long it is for a[i:] and b[j:].
	width := len(b) + 1
	left := make([]int32, (len(a)+1)*width)
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				left[i*width+j] = left[(i+1)*width+j+1] + 1
			} else {
				left[i*width+j] = max(left[(i+1)*width+j], left[i*width+j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			pairs = append(pairs, [2]int{i, j})
			i, j = i+1, j+1
		case left[(i+1)*width+j] >= left[i*width+j+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}

// Contents are all the things of a table, as differences from one that has
// nothing.
func (t *Table) Contents() []Difference {
	return Compare(&Table{Family: t.Family, Name: t.Name, Flags: t.Flags, Comment: t.Comment}, t)
}

// Devices are the interfaces that chains and flowtables of the table hang on,
// sorted.
func (t *Table) Devices() []string {
	var list []string
	for _, ch := range t.Chains {
		if ch.Hook != nil {
			list = append(list, ch.Hook.Devices...)
		}
	}
	for _, f := range t.Flowtables {
		list = append(list, f.Devices...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Title is what nft calls the table: "inet filter".
func (t *Table) Title() string { return t.Family.String() + " " + t.Name }

func (f Family) String() string {
	switch f {
	case FamilyInet:
		return "inet"
	case FamilyIP:
		return "ip"
	case FamilyARP:
		return "arp"
	case FamilyNetdev:
		return "netdev"
	case FamilyBridge:
		return "bridge"
	case FamilyIP6:
		return "ip6"
	}
	return fmt.Sprintf("family %d", uint8(f))
}

func quoted(s string) string { return `"` + strings.ReplaceAll(s, `"`, `'`) + `"` }

// Counter gives what an object that is a counter has counted.
func (o *Object) Counter() (packets, bytes uint64, ok bool) {
	if o.Type != unix.NFT_OBJECT_COUNTER {
		return 0, 0, false
	}
	return bigEndian(attributeOf(o.Data, 2)), bigEndian(attributeOf(o.Data, 1)), true
}

// Counter gives what the first counter of the rule has counted.
func (r *Rule) Counter() (packets, bytes uint64, ok bool) {
	for i := range r.Exprs {
		if e := &r.Exprs[i]; e.Name == "counter" {
			return bigEndian(attributeOf(e.Data, 2)), bigEndian(attributeOf(e.Data, 1)), true
		}
	}
	return 0, 0, false
}
