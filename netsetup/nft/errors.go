package nft

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Error is a mistake in the text, or something in it that is not supported.
type Error struct {
	Pos
	Text string // what was found, and what was expected
	Hint string // what mends it; may be empty
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

// didYouMean is a hint for a misspelt name, or "".
func didYouMean(word string, names iter.Seq[string]) string {
	return nearestHint(word, slices.Sorted(names))
}

func nearestHint(word string, names []string) string {
	if n := nearest(word, names); n != "" {
		return "did you mean `" + n + "`?"
	}
	return ""
}
