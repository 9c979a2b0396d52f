package nft

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is a mistake in the text, or something in it that is not supported.
type Error struct {
	Pos
	Text string // what was found, and what was expected
	Hint string // what mends it; may be empty

	// missing says that a name stands for nothing, which may only follow from a
	// mistake where it is given.
	missing bool
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%d:%d: %s", e.Line, e.Col, e.Text)
	if e.Hint != "" {
		s += "\nhint: " + e.Hint
	}
	return s
}

// Errors are all that were found, in the order of their places.
type Errors []*Error

func (l Errors) Error() string {
	texts := make([]string, len(l))
	for i, e := range l {
		texts[i] = e.Error()
	}
	return strings.Join(texts, "\n")
}

func (l Errors) sort() {
	slices.SortStableFunc(l, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
}

// didYouMean is the hint that a word may have been meant to be another one, or
// "" where none is near.
func didYouMean(word string, words []string) string {
	if n := nearest(word, words); n != "" && n != word {
		return "did you mean `" + n + "`?"
	}
	return ""
}
