package probe

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// maxShown is how many failures of one item WriteTable shows.
const maxShown = 10

// ANSI colours, ECMA-48.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

// WriteTable writes the report for people: what did not pass, then a line for
// each item, then a summary. Lines are wrapped at width columns; 0 does not
// wrap.
func (r *Report) WriteTable(w io.Writer, color bool, width int) error {
	t := table{color: color, width: width}
	t.failures(r)
	t.items(r)
	t.summary(r)
	_, err := io.WriteString(w, t.b.String())
	return err
}

type table struct {
	b     strings.Builder
	color bool
	width int
}

func (t *table) paint(color, s string) string {
	if !t.color {
		return s
	}
	return "\x1b[" + color + "m" + s + "\x1b[0m"
}

// word is an outcome in a report, four columns wide at most five.
func (t *table) word(o Outcome) string {
	switch o {
	case Pass:
		return t.paint(green, "pass ")
	case Fail:
		return t.paint(red, "FAIL ")
	case Skip:
		return "skip "
	}
	return t.paint(yellow, "ERROR")
}

func (t *table) failures(r *Report) {
	shown := make(map[string]int)
	more := 0
	for _, c := range r.Cases {
		if c.Outcome == Pass || c.Outcome == Skip {
			continue
		}
		key := itemKey(c)
		if shown[key]++; shown[key] > maxShown {
			more++
			continue
		}
		fmt.Fprintf(&t.b, "%s %s  %s:%d:%d\n", t.word(c.Outcome), c.roundName(), r.File, c.Pos.Line, c.Pos.Col)
		t.wrapped("      ", c.Message)
		for _, d := range c.Details {
			t.wrapped("        ", d)
		}
	}
	if more > 0 {
		fmt.Fprintf(&t.b, "%s did not pass either; of each item the first %d are shown\n", cases(more), maxShown)
	}
	if len(shown) > 0 {
		t.b.WriteString("\n")
	}
}

func cases(n int) string {
	if n == 1 {
		return "1 case"
	}
	return fmt.Sprintf("%d cases", n)
}

// itemKey tells items apart that have the same name.
func itemKey(c Case) string { return fmt.Sprintf("%d:%d %s", c.Pos.Line, c.Pos.Col, c.Item) }

// itemSum is what an item's cases add up to.
type itemSum struct {
	name   string
	worst  Outcome
	passed int
	total  int
	took   time.Duration // the longest
}

func (t *table) items(r *Report) {
	var order []*itemSum
	sums := make(map[string]*itemSum)
	for _, c := range r.Cases {
		key := itemKey(c)
		s, ok := sums[key]
		if !ok {
			s = &itemSum{name: c.Item, worst: Pass}
			sums[key] = s
			order = append(order, s)
		}
		s.total++
		if c.Outcome == Pass {
			s.passed++
		} else if s.worst != Fail {
			s.worst = c.Outcome
		}
		s.took = max(s.took, c.Duration)
	}
	for _, s := range order {
		count := ""
		switch {
		case s.passed < s.total:
			count = fmt.Sprintf("  %d of %d passed", s.passed, s.total)
		case s.total > 1:
			count = fmt.Sprintf("  %d cases", s.total)
		}
		fmt.Fprintf(&t.b, "%s %s%s  %s\n", t.word(s.worst), s.name, count, short(s.took))
	}
}

func (t *table) summary(r *Report) {
	skipped := ""
	if r.Skipped > 0 {
		skipped = fmt.Sprintf(", %d skipped", r.Skipped)
	}
	flaky := ""
	if flakes := r.Flakes(); len(flakes) > 0 {
		for _, f := range flakes[:min(maxShown, len(flakes))] {
			fmt.Fprintf(&t.b, "%s %s\n", t.paint(yellow, "flaky"), f)
		}
		flaky = fmt.Sprintf(", %d flaky", len(flakes))
	}
	fmt.Fprintf(&t.b, "%s: %s%s%s in %s\n", r.Lab, t.counts(r.Passed, r.Failed, r.Errors), skipped, flaky, short(r.Duration))
}

// counts is "3 passed, 1 failed".
func (t *table) counts(passed, failed, errors int) string {
	color := green
	if failed > 0 {
		color = red
	} else if errors > 0 || passed == 0 {
		color = yellow
	}
	text := fmt.Sprintf("%d passed, %d failed", passed, failed)
	if errors == 1 {
		text += ", 1 error"
	} else if errors > 1 {
		text += fmt.Sprintf(", %d errors", errors)
	}
	return t.paint(color, text)
}

// short is a duration to three digits or so.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// wrapped writes text with an indent, on as many lines as it needs; those after
// the first are indented further.
func (t *table) wrapped(indent, text string) {
	for line := range strings.Lines(text) {
		column := 0
		for _, word := range strings.Fields(line) {
			n := utf8.RuneCountInString(word)
			switch {
			case column == 0:
				t.b.WriteString(indent + word)
				column = len(indent) + n
			case t.width > 0 && column+1+n > t.width:
				t.b.WriteString("\n" + indent + "  " + word)
				column = len(indent) + 2 + n
			default:
				t.b.WriteString(" " + word)
				column += 1 + n
			}
		}
		t.b.WriteString("\n")
	}
}
