package topology

import (
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// numbers is a run of numbers in a range: 01-10 is {1, 10, 2}.
type numbers struct {
	first, last int
	width       int // to which zeros fill up; 0: none
}

func (n numbers) count() int { return n.last - n.first + 1 }

// ranged is a text with ranges in it: h[1-3]-[a] is {"h", "-[a]"} about one
// range.
type ranged struct {
	between []string // one more than ranges
	ranges  [][]numbers
}

// maxDigits bounds a number in a range.
const maxDigits = 9

// splitRanges finds the ranges of a text: numbers and runs of them, separated by
// commas, in brackets. Other brackets are no ranges.
func splitRanges(s string) ranged {
	var r ranged
	from := 0
	for i := 0; i < len(s); {
		open := strings.IndexByte(s[i:], '[')
		if open < 0 {
			break
		}
		open += i
		end := open + 1
		for end < len(s) && (s[end] >= '0' && s[end] <= '9' || s[end] == '-' || s[end] == ',') {
			end++
		}
		i = end
		if end == len(s) || s[end] != ']' {
			continue
		}
		list, ok := parseNumbers(s[open+1 : end])
		if !ok {
			continue
		}
		r.between = append(r.between, s[from:open])
		r.ranges = append(r.ranges, list)
		i, from = end+1, end+1
	}
	r.between = append(r.between, s[from:])
	return r
}

func parseNumbers(s string) ([]numbers, bool) {
	var list []numbers
	for part := range strings.SplitSeq(s, ",") {
		low, high, run := strings.Cut(part, "-")
		if !run {
			high = low
		}
		if !isDigits(low, false) || !isDigits(high, false) || len(low) > maxDigits || len(high) > maxDigits {
			return nil, false
		}
		n := numbers{}
		n.first, _ = strconv.Atoi(low)
		n.last, _ = strconv.Atoi(high)
		if low[0] == '0' && len(low) > 1 {
			n.width = len(low)
		}
		list = append(list, n)
	}
	return list, true
}

// hasRange reports whether a text may have a range, cheaply.
func hasRange(s string) bool { return strings.IndexByte(s, '[') >= 0 }

// expandText gives the texts that the ranges of a scalar make; nil if it has
// none. A mistake in a range is reported, and gives nil too.
func (p *parser) expandText(n *yaml.Node) []string { return p.expandPart(n, posOf(n), n.Value) }

func (p *parser) expandPart(n *yaml.Node, pos Pos, s string) []string {
	if !hasRange(s) {
		return nil
	}
	r := splitRanges(s)
	if len(r.ranges) == 0 {
		return nil
	}
	count := 0
	for i, list := range r.ranges {
		c := 0
		for _, n := range list {
			if n.count() < 1 {
				p.errorAt(pos, "write the lower number first", "%s: the range ends before it begins", quote(s))
				return nil
			}
			c += n.count()
		}
		if i > 0 && c != count {
			p.errorAt(pos, "ranges in one item go in step, so they must be equally long", "%s: the ranges have %d and %d numbers", quote(s), count, c)
			return nil
		}
		count = c
	}
	p.spend(pos, count*sizeOfText(s))
	texts := make([]string, 0, count)
	runs := make([]int, len(r.ranges)) // where each range is: the run, and the number in it
	next := make([]int, len(r.ranges))
	var b []byte
	for range count {
		b = append(b[:0], r.between[0]...)
		for i, list := range r.ranges {
			run := list[runs[i]]
			b = appendNumber(b, run.first+next[i], run.width)
			b = append(b, r.between[i+1]...)
			if next[i]++; next[i] == run.count() {
				runs[i], next[i] = runs[i]+1, 0
			}
		}
		texts = append(texts, string(b))
	}
	return texts
}

func appendNumber(b []byte, n, width int) []byte {
	digits := strconv.Itoa(n)
	for range width - len(digits) {
		b = append(b, '0')
	}
	return append(b, digits...)
}

// sizeOfText is what a text counts for in the bound of expansion.
func sizeOfText(s string) int { return 1 + len(s)/16 }

// expansion is a value with ranges in its texts.
type expansion struct {
	value *yaml.Node
	count int                     // of values it makes; 0: it has no ranges
	texts map[*yaml.Node][]string // of the scalars that have ranges
	size  int                     // of the value
}

// itemCost is what a node, link or other item that a range makes counts for at
// least in the bound of expansion: its memory against that of a value.
const itemCost = 8

// expand finds the ranges in a value. They must have count numbers; 0: as many
// as each other.
func (p *parser) expand(n *yaml.Node, count int) expansion {
	x := expansion{value: n, count: count}
	p.findRanges(&x, n)
	if count == 0 && len(x.texts) > 0 {
		p.spend(posOf(n), x.count*max(itemCost, x.size))
	}
	return x
}

func (p *parser) findRanges(x *expansion, n *yaml.Node) {
	n = deref(n)
	x.size++
	switch n.Kind {
	case yaml.ScalarNode:
		if !hasRange(n.Value) || n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			return // a block of text is of another language
		}
		if _, again := x.texts[n]; again {
			return
		}
		texts := p.expandText(n)
		switch {
		case texts == nil:
		case x.count != 0 && x.count != len(texts):
			p.errorf(n, "ranges in one item go in step, so they must be equally long; a block of text (|) has none",
				"%s has %d numbers, the range before it %d", quote(n.Value), len(texts), x.count)
		default:
			x.count = len(texts)
			if x.texts == nil {
				x.texts = map[*yaml.Node][]string{}
			}
			x.texts[n] = texts
		}
	case yaml.SequenceNode:
		for _, c := range n.Content {
			p.findRanges(x, c)
		}
	case yaml.MappingNode:
		for i := 1; i < len(n.Content); i += 2 {
			p.findRanges(x, n.Content[i])
		}
	}
}

// at gives the i-th value that an expansion makes. What has no ranges is shared.
func (x *expansion) at(i int) *yaml.Node {
	if len(x.texts) == 0 {
		return x.value
	}
	return x.copy(x.value, i)
}

func (x *expansion) copy(n *yaml.Node, i int) *yaml.Node {
	n = deref(n)
	if n.Kind == yaml.ScalarNode {
		texts, is := x.texts[n]
		if !is {
			return n
		}
		c := *n
		// Numbers that were quoted for the sake of the bracket are numbers.
		c.Value, c.Style = texts[i], 0
		return &c
	}
	c := *n
	c.Content = make([]*yaml.Node, len(n.Content))
	for j, child := range n.Content {
		if n.Kind == yaml.MappingNode && j%2 == 0 {
			c.Content[j] = child
			continue
		}
		c.Content[j] = x.copy(child, i)
	}
	return &c
}

// expandItem calls f for every value that the ranges of an item make; once with
// the item itself where there are none, and not at all where they are wrong.
func (p *parser) expandItem(n *yaml.Node, f func(item *yaml.Node)) {
	if n.Kind == yaml.ScalarNode && !hasRange(n.Value) {
		f(n)
		return
	}
	var x expansion
	switch bad := p.scope(func() { x = p.expand(n, 0) }); {
	case bad:
	case len(x.texts) == 0:
		f(n)
	default:
		for i := range x.count {
			f(x.at(i))
		}
	}
}
