package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"nslab/probe"
)

// Work shorter than progressAfter shows no progress; where there is no
// terminal, a line is written every progressEvery; a terminal is drawn anew
// every progressDraw.
const (
	progressAfter = time.Second
	progressEvery = 5 * time.Second
	progressDraw  = 100 * time.Millisecond
)

// progress shows how far long work is: on a terminal a table with a row for each
// piece of it, under a label of its own, elsewhere a line now and then. The pieces
// report at the same time.
type progress struct {
	out      io.Writer
	terminal bool
	colors   colors
	now      func() time.Time

	mu    sync.Mutex
	start time.Time
	last  time.Time // when the last line was written
	rows  []*row    // in order of their beginning
	drawn string    // what of the table is on the terminal
	stop  func()    // ends the drawing; nil: nothing draws
}

// row is one piece of work.
type row struct {
	label       string
	since       time.Time
	done, total int
	failed      int    // of its tests
	failure     string // the last of them
}

// newProgress shows progress on standard error; with -q there is none, and it
// is nil.
func (a *app) newProgress() *progress {
	if a.quiet {
		return nil
	}
	now := time.Now()
	return &progress{
		out: a.stderr, terminal: isTerminal(a.stderr) && os.Getenv("TERM") != "dumb", colors: a.colorsFor(a.stderr),
		now: time.Now, start: now, last: now,
	}
}

// of begins a piece of work, and gives what reports that done of total of its
// steps are done.
func (p *progress) of(label string) func(done, total int) {
	if p == nil {
		return nil
	}
	p.report(label, func(*row) {})
	return func(done, total int) {
		p.report(label, func(r *row) { r.done, r.total = done, total })
	}
}

// tests begins the tests of a lab, and gives what reports each case.
func (p *progress) tests(label string) func(done, total int, c *probe.Case) {
	if p == nil {
		return nil
	}
	p.report(label, func(*row) {})
	return func(done, total int, c *probe.Case) {
		p.report(label, func(r *row) {
			r.done, r.total = done, total
			if c != nil && (c.Outcome == probe.Fail || c.Outcome == probe.Error) {
				r.failed++
				r.failure = c.Name
			}
		})
	}
}

// labs begins the tests of several labs, and gives what reports that one is done.
func (p *progress) labs(total int) func() {
	if p == nil || total < 2 {
		return func() {}
	}
	p.report("labs", func(r *row) { r.total = total })
	return func() { p.report("labs", func(r *row) { r.done++ }) }
}

// report changes a row, the first time adds it, and shows it.
func (p *progress) report(label string, change func(*row)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var r *row
	for _, x := range p.rows {
		if x.label == label {
			r = x
		}
	}
	now := p.now()
	if r == nil {
		r = &row{label: label, since: now}
		p.rows = append(p.rows, r)
	}
	change(r)
	switch {
	case p.terminal:
		p.begin()
	case now.Sub(p.start) >= progressAfter && r.total > 0 && now.Sub(p.last) >= progressEvery:
		p.last = now
		fmt.Fprintf(p.out, "%s: %d/%d%s\n", r.label, r.done, r.total, r.failures())
	}
}

// failures is what a row says of tests that did not pass.
func (r *row) failures() string {
	if r.failed == 0 {
		return ""
	}
	return fmt.Sprintf(", %d failed", r.failed)
}

// finish takes away the row of a piece of work that is done.
func (p *progress) finish(label string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, r := range p.rows {
		if r.label == label {
			p.rows = append(p.rows[:i], p.rows[i+1:]...)
			return
		}
	}
}

// begin has the table drawn from time to time, until clear.
func (p *progress) begin() {
	if p.stop != nil {
		return
	}
	done := make(chan struct{})
	p.stop = sync.OnceFunc(func() { close(done) })
	go func() {
		tick := time.NewTicker(progressDraw)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			p.mu.Lock()
			if p.stop != nil && p.now().Sub(p.start) >= progressAfter {
				p.draw()
			}
			p.mu.Unlock()
		}
	}()
}

// clear takes the table off the terminal, so that what is printed next has it
// to itself. A later report brings it back.
func (p *progress) clear() {
	p.aside(func() {
		if p != nil && p.stop != nil {
			p.stop()
			p.stop = nil
		}
	})
}

// aside calls what prints something else than the table, which goes above it.
func (p *progress) aside(print func()) {
	if p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.erase()
	}
	print()
}

// erase moves the cursor to the first line of the table, and takes away all from
// there: the sequences CUU and ED of ECMA-48.
func (p *progress) erase() {
	if p.drawn != "" {
		fmt.Fprintf(p.out, "\x1b[%dA\x1b[J", strings.Count(p.drawn, "\n"))
		p.drawn = ""
	}
}

// draw puts the table in the place of the last one.
func (p *progress) draw() {
	width := 0
	for _, r := range p.rows {
		width = max(width, utf8.RuneCountInString(r.label))
	}
	var b strings.Builder
	for _, r := range p.rows {
		p.line(&b, r, width, columns(p.out))
	}
	if text := b.String(); text != p.drawn {
		p.erase()
		io.WriteString(p.out, text)
		p.drawn = text
	}
}

// barWidth is how long the bar of a row is, in columns.
const barWidth = 24

// line writes one row, cut at the width of the terminal: a line that wraps could
// not be taken away.
func (p *progress) line(b *strings.Builder, r *row, label, columns int) {
	full := 0
	if r.total > 0 {
		full = barWidth * r.done / r.total
	}
	text := fmt.Sprintf("%-*s  %s%s %d/%d  %s", label, r.label,
		strings.Repeat("█", full), strings.Repeat("░", barWidth-full), r.done, r.total, p.now().Sub(r.since).Truncate(time.Second))
	failure := ""
	if r.failed > 0 {
		failure = fmt.Sprintf("  %d failed: %s", r.failed, r.failure)
	}
	room := len(text) + len(failure)
	if columns > 0 {
		room = columns - 1
	}
	text, room = cut(text, room)
	failure, _ = cut(failure, room)
	b.WriteString(text)
	if failure != "" {
		b.WriteString(p.colors.paint(red, failure))
	}
	b.WriteString("\n")
}

// cut gives as much of a text as has room, and the room that is left.
func cut(text string, room int) (string, int) {
	runes := []rune(text)
	if len(runes) <= room {
		return text, room - len(runes)
	}
	return string(runes[:max(0, room)]), 0
}
