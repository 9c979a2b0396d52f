// Package probe carries out the tests of a lab and reports on them.
//
// It knows the verbs of `tests:`: how a request is sent from inside a node, how
// it is seen to arrive at another one and what its answer means, and the forms
// of a report. It must not know how a lab is made: it opens namespaces that
// are there, and leaves them as they were, but for what a scenario asks for, which
// it leaves to its caller.
package probe

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"nslab/netsetup/netns"
	"nslab/netsetup/proc"
	"nslab/topology"
)

// Options are how Run goes about it.
type Options struct {
	// Open opens the namespace of a node. Run closes what it opened.
	Open func(node string) (*netns.Handle, error)
	// Enter gives a node as programs get into it; nil: through its network alone.
	// Run closes what it gave.
	Enter func(node string) (*proc.Node, error)
	// Parallel is how many items of `tests:` run at once; 0 and 1: one after
	// the other, in file order. The pairs of one item always run at once.
	Parallel int
	// Run, where it is not nil, leaves out the cases whose name it does not
	// match.
	Run *regexp.Regexp
	// Select leaves out the cases of which neither the sender nor the target is
	// a node with all these labels. Empty: all cases.
	Select map[string]string
	// Repeat is how often all is done; 0 is once.
	Repeat int
	// Change carries out an event of the scenario that is no test. Undo is called
	// when a scenario has ended, however it did, and brings the lab back to what it
	// was. Both are needed only where the lab has a scenario.
	Change func(ctx context.Context, e *topology.Event) error
	Undo   func()
	// Progress, where it is not nil, is told how many cases there are, with no
	// Case, before any is tried, and of each when it is done. It is not called
	// by two goroutines at once.
	Progress func(done, total int, c *Case)
}

// Run carries out the tests of a lab that is up. What a test finds, and that it
// could not be carried out, is in the report. The error is that of ctx, or of
// Options; with that of ctx there is a report too, in which the cases that were
// not done are errors.
func Run(ctx context.Context, lab *topology.Lab, o Options) (*Report, error) {
	if o.Open == nil {
		return nil, errors.New("probe: Options.Open is nil")
	}
	if len(lab.Scenario) > 0 && (o.Change == nil || o.Undo == nil) {
		return nil, errors.New("probe: Options.Change or Undo is nil")
	}
	r := newRunner(lab, o)
	defer r.close()
	r.files = fileBudget(max(1, o.Parallel, len(lab.Scenario)))
	stamps, err := keepTimestamps()
	if err != nil {
		return nil, err
	}
	defer unix.Close(stamps)

	started := time.Now()
	report := &Report{Lab: lab.Name, File: lab.File, Started: started}
	rounds := r.rounds()
	for _, round := range rounds {
		r.total += len(round.cases())
	}
	if o.Progress != nil {
		o.Progress(0, r.total, nil)
	}
	for _, round := range rounds {
		r.runItems(ctx, round.items)
		r.panics.raise()
		r.runScenario(ctx, round.events)
		r.panics.raise()
		for _, c := range round.cases() {
			report.add(c)
		}
	}
	report.Duration = time.Since(started)
	return report, ctx.Err()
}

func newRunner(lab *topology.Lab, o Options) *runner {
	r := &runner{
		lab: lab, opts: o, nodes: make(map[string]*node, len(lab.Nodes)),
		listeners: make(map[listenerKey]*listener), neighbors: neighborTables{read: readNeighborTables},
	}
	for _, n := range lab.Nodes {
		r.nodes[n.Name] = &node{name: n.Name, topo: n, open: o.Open, enter: o.Enter, run: r}
	}
	return r
}

// runner is one Run.
type runner struct {
	lab   *topology.Lab
	opts  Options
	nodes map[string]*node
	files int // how many files one item may have open

	mu    sync.Mutex // of what follows
	done  int
	total int

	refusals  refusals
	neighbors neighborTables
	explained atomic.Int32                  // how many cases
	stopped   atomic.Pointer[topology.Test] // the one with stop_on_fail that did not pass
	panics    panics

	listening sync.Mutex
	listeners map[listenerKey]*listener
}

func (r *runner) close() {
	for _, n := range r.nodes {
		n.close()
	}
}

// round is all that is done once.
type round struct {
	items  []*item
	events []*event
}

// item is one item of `tests:` in one round of Options.Repeat.
type item struct {
	test *topology.Test
	jobs []*job
}

// rounds are all that Options leaves.
func (r *runner) rounds() []round {
	rounds := make([]round, max(1, r.opts.Repeat))
	for i := range rounds {
		number := i + 1
		if len(rounds) == 1 {
			number = 0
		}
		for _, t := range r.lab.Tests {
			rounds[i].items = append(rounds[i].items, r.left(r.item(t, number, "")))
		}
		rounds[i].events = r.events(number)
	}
	return rounds
}

// item gives the cases of a test; prefix goes before their names.
func (r *runner) item(t *topology.Test, round int, prefix string) *item {
	it := &item{test: t, jobs: r.expand(t)}
	for _, j := range it.jobs {
		j.c.Round, j.c.Name, j.c.Item = round, prefix+j.c.Name, prefix+j.c.Item
	}
	return it
}

// left takes the cases away that Options leaves out.
func (r *runner) left(it *item) *item {
	it.jobs = slices.DeleteFunc(it.jobs, func(j *job) bool { return !r.wanted(j) })
	return it
}

// cases are those of a round, in the order of the report.
func (r *round) cases() []*Case {
	var list []*Case
	for _, it := range r.items {
		list = append(list, it.cases()...)
	}
	for _, e := range r.events {
		list = append(list, e.cases()...)
	}
	return list
}

func (it *item) cases() []*Case {
	list := make([]*Case, len(it.jobs))
	for i, j := range it.jobs {
		list[i] = j.c
	}
	return list
}

func (r *runner) wanted(j *job) bool {
	if r.opts.Run != nil && !r.opts.Run.MatchString(j.c.Name) {
		return false
	}
	return len(r.opts.Select) == 0 || j.from.has(r.opts.Select) || j.to.has(r.opts.Select)
}

func (r *runner) runItems(ctx context.Context, items []*item) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, max(1, r.opts.Parallel))
	for _, it := range items {
		if len(it.jobs) == 0 {
			continue
		}
		slots <- struct{}{}
		if r.skip(it.cases()) {
			<-slots
			continue
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-slots }()
			defer r.panics.keep()
			r.runItem(ctx, it)
			r.mayStop(it)
		}()
	}
	wg.Wait()
}

// mayStop sees to stop_on_fail of an item that is done.
func (r *runner) mayStop(it *item) {
	if it.test.StopOnFail && slices.ContainsFunc(it.jobs, func(j *job) bool { return j.c.Outcome != Pass }) {
		r.stopped.CompareAndSwap(nil, it.test)
	}
}

// skip leaves cases out where a test with stop_on_fail did not pass.
func (r *runner) skip(cases []*Case) bool {
	by := r.stopped.Load()
	if by == nil {
		return false
	}
	for _, c := range cases {
		c.Outcome, c.Message = Skip, fmt.Sprintf("%q did not pass, and says stop_on_fail", by.Name)
		r.tell(c)
	}
	return true
}

// Pauses between the tries of `within`: the first, and the longest.
const (
	firstPause = 20 * time.Millisecond
	maxPause   = time.Second
)

// runItem carries out one item, and looks into what fails.
func (r *runner) runItem(ctx context.Context, it *item) {
	t := it.test
	v, err := r.verb(t)
	if err != nil {
		for _, j := range it.jobs {
			r.conclude(ctx, j, broken("%v", err))
			r.tell(j.c)
		}
		return
	}
	var failures []*failure
	var failedMu sync.Mutex
	// done writes down the last result of a job. The first that fail are looked
	// into when all are done.
	done := func(j *job, res result) {
		r.conclude(ctx, j, res)
		if j.c.Outcome == Fail && canLookInto(t.Verb) && ctx.Err() == nil {
			failedMu.Lock()
			defer failedMu.Unlock()
			if len(failures) < maxLookedInto {
				failures = append(failures, &failure{job: j, res: res})
				return
			}
		}
		if j.c.Outcome != Pass && ctx.Err() == nil {
			j.c.Details = append(j.c.Details, r.explain(j, res)...)
			if j.c.Outcome == Fail && canLookInto(t.Verb) {
				j.c.Details = append(j.c.Details, fmt.Sprintf("not tried again: of each item the first %d that fail are", maxLookedInto))
			}
		}
		r.tell(j.c)
	}
	r.tryItem(ctx, it, v, done)
	if len(failures) > 0 {
		r.lookInto(ctx, t, failures)
	}
	for _, f := range failures {
		r.tell(f.c)
	}
}

// tryItem tries the cases of an item, all at once; those that do not pass again
// and again until `within` is over; those that pass until they have held for
// `stable`; those whose silence is in doubt until it is not.
func (r *runner) tryItem(ctx context.Context, it *item, v verb, done func(*job, result)) {
	defer v.close()
	t := it.test
	end := time.Now().Add(t.Within)
	left := it.jobs
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		var mu sync.Mutex
		var again []*job
		refill := false
		report := func(j *job, res result) {
			j.attempted(res)
			if res.silent && (t.Expect == expectReject || t.Expect == expectDrop) && ctx.Err() == nil && r.refusals.doubt(j) {
				mu.Lock()
				defer mu.Unlock()
				again, refill = append(again, j), true
				return
			}
			passed := judge(t.Expect, res).outcome == Pass
			if ctx.Err() != nil || j.settled(passed) || !passed && !time.Now().Before(end) {
				done(j, res)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			again = append(again, j)
		}
		v.try(ctx, r.prepare(left, report), report)
		if len(again) == 0 {
			return
		}
		left = again
		wait := pause
		if !slices.ContainsFunc(left, func(j *job) bool { return !j.holds.IsZero() }) {
			wait = min(pause, max(0, time.Until(end)))
		}
		if refill {
			wait = refusalRefill
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// prepare gives the jobs that can be tried, and reports on the others.
func (r *runner) prepare(jobs []*job, report func(*job, result)) []*job {
	ready := make([]*job, 0, len(jobs))
	for _, j := range jobs {
		if err := r.resolve(j); err != nil {
			report(j, broken("%v", err))
			continue
		}
		ready = append(ready, j)
	}
	return ready
}

// conclude writes what was found of a job into its case.
func (r *runner) conclude(ctx context.Context, j *job, res result) {
	if err := ctx.Err(); err != nil && res.seen != answered {
		res = broken("not finished: %v", context.Cause(ctx))
	}
	verdict := judge(j.test.Expect, res)
	if verdict.outcome == Fail && !j.held.IsZero() {
		verdict.message = fmt.Sprintf("it passed, and not %s later any more: %s", time.Since(j.held).Round(time.Millisecond), verdict.message)
	}
	j.c.Outcome, j.c.Message, j.c.Rate = verdict.outcome, verdict.message, res.rate
	if verdict.outcome != Pass {
		j.c.Details = res.details
	} else {
		j.c.RTT = res.rtt
	}
	if !res.ended.IsZero() {
		j.c.Duration = res.ended.Sub(j.began)
	}
}

// tell reports the progress by one case.
func (r *runner) tell(c *Case) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	if r.opts.Progress != nil {
		r.opts.Progress(r.done, r.total, c)
	}
}

// verb carries out one kind of test for one item.
type verb interface {
	// try does one try of each job, all at once, and calls report once for
	// each, from any goroutine, before it returns.
	try(ctx context.Context, jobs []*job, report func(*job, result))
	// close gives back what tries have in common.
	close()
}
