package probe

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"nslab/topology"
)

// event is one item of `scenario:` in one round of Options.Repeat.
type event struct {
	*topology.Event
	item *item // nil: a change
	c    *Case // of a change
}

func (e *event) cases() []*Case {
	if e.item != nil {
		return e.item.cases()
	}
	return []*Case{e.c}
}

// events are those that Options leaves. Changes are not left out, nor are commands,
// which may change something, unless all tests are.
func (r *runner) events(round int) []*event {
	var list []*event
	wanted := false
	for _, e := range r.lab.Scenario {
		prefix := e.At.String() + ": "
		switch {
		case e.Test == nil:
			c := &Case{Name: e.Title(), Item: e.Title(), Round: round, Verb: e.Do, Pos: e.Pos, Expect: expectPass, From: e.Process.Value}
			if e.Link.Node != "" {
				c.Verb, c.From = "link", e.Link.Node+":"+e.Link.Interface
			}
			list = append(list, &event{Event: e, c: c})
			continue
		case e.Test.Verb == topology.Exec:
			it := r.item(e.Test, round, prefix)
			wanted = wanted || slices.ContainsFunc(it.jobs, r.wanted)
			list = append(list, &event{Event: e, item: it})
			continue
		}
		if it := r.left(r.item(e.Test, round, prefix)); len(it.jobs) > 0 {
			list = append(list, &event{Event: e, item: it})
			wanted = true
		}
	}
	if !wanted && (r.opts.Run != nil || len(r.opts.Select) > 0) {
		return nil
	}
	return list
}

// runScenario lets the events happen at their times. A change, and a command, is
// done before what comes after it at the same time; other tests take their time
// while the scenario goes on. Its clock stands still while it waits for a change,
// so that what lies between two events does not depend on how long they take.
func (r *runner) runScenario(ctx context.Context, events []*event) {
	if len(events) == 0 || r.skipAll(events) {
		return
	}
	var wg sync.WaitGroup
	defer func() {
		wg.Wait()
		r.opts.Undo()
	}()
	began := time.Now()
	stopped, stop := context.WithCancel(ctx) // what is left out is not waited for
	defer stop()
	commands := make(chan struct{}) // closed when the last command is done
	close(commands)
	var last time.Duration // when the last event was to happen
	for _, e := range events {
		if e.At == last {
			began = began.Add(during(func() { <-commands }))
		}
		last = e.At
		select {
		case <-stopped.Done():
		case <-time.After(time.Until(began.Add(e.At))):
		}
		if r.skip(e.cases()) {
			continue
		}
		if e.item == nil {
			began = began.Add(during(func() { r.change(ctx, e) }))
			continue
		}
		done := make(chan struct{})
		if e.Test.Verb == topology.Exec {
			commands = done
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer close(done)
			defer r.panics.keep()
			r.runItem(ctx, e.item)
			if r.mayStop(e.item); r.stopped.Load() != nil {
				stop()
			}
		}()
	}
}

// during is how long f takes.
func during(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

// skipAll leaves a scenario out where a test before it says so.
func (r *runner) skipAll(events []*event) bool {
	if r.stopped.Load() == nil {
		return false
	}
	for _, e := range events {
		r.skip(e.cases())
	}
	return true
}

// change carries out an event that is no test.
func (r *runner) change(ctx context.Context, e *event) {
	began := time.Now()
	err := ctx.Err()
	if err == nil {
		err = r.opts.Change(ctx, e.Event)
		e.c.Attempts = 1
	}
	e.c.Outcome, e.c.Duration = Pass, time.Since(began)
	if err != nil {
		e.c.Outcome, e.c.Message = Error, err.Error()
		if ctx.Err() != nil {
			e.c.Message = fmt.Sprintf("not finished: %v", context.Cause(ctx))
		}
	}
	r.tell(e.c)
}
