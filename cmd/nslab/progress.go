package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Work shorter than progressAfter shows no progress; where there is no
// terminal, a line is written every progressEvery.
const (
	progressAfter = time.Second
	progressEvery = 5 * time.Second
)

// progress shows how far a long piece of work is. Several pieces may report to
// one progress at the same time, each under a label of its own; a bar shows
// the one that reported last.
type progress struct {
	out      io.Writer
	terminal bool
	now      func() time.Time

	mu    sync.Mutex
	start time.Time
	last  time.Time // when the last line was written
	bar   *progressbar.ProgressBar
	shown string // what the bar describes
}

// newProgress shows progress on standard error; with -q there is none, and it
// is nil.
func (a *app) newProgress() *progress {
	if a.quiet {
		return nil
	}
	now := time.Now()
	return &progress{out: a.stderr, terminal: isTerminal(a.stderr), now: time.Now, start: now, last: now}
}

// of gives what reports the progress of one lab.
func (p *progress) of(lab string) func(done, total int) {
	if p == nil {
		return nil
	}
	return func(done, total int) { p.report(lab, done, total) }
}

// report says that done of total steps are done.
func (p *progress) report(label string, done, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if now.Sub(p.start) < progressAfter || total <= 0 {
		return
	}
	if !p.terminal {
		if now.Sub(p.last) >= progressEvery {
			p.last = now
			fmt.Fprintf(p.out, "%s: %d/%d\n", label, done, total)
		}
		return
	}
	if p.bar == nil || p.shown != label || p.bar.GetMax() != total {
		if p.bar != nil {
			_ = p.bar.Clear()
		}
		p.shown = label
		p.bar = progressbar.NewOptions(total,
			progressbar.OptionSetDescription(label),
			progressbar.OptionSetWriter(p.out),
			progressbar.OptionSetWidth(30),
			progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(false),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish())
	}
	// The last step is not shown: a finished bar cannot be used again.
	_ = p.bar.Set(min(done, total-1))
}

// clear takes the bar off the terminal, so that what is printed next has the
// line to itself. A later report brings it back.
func (p *progress) clear() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}
