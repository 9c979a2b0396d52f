package probe

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"nslab/topology"
)

// TestScenario checks when things happen: what changes in the order of the file,
// tests meanwhile, and the undoing at the end.
func TestScenario(t *testing.T) {
	l := pairLab(t)
	var did []string
	o := Options{
		Open: l.open,
		Change: func(_ context.Context, e *topology.Event) error {
			did = append(did, e.Title())
			switch e.Do {
			case topology.LinkDown:
				l.do("b", "ip link set eth0 down")
			case topology.LinkUp:
				l.do("b", "ip link set eth0 up")
			default:
				return errors.New("no")
			}
			return nil
		},
		Undo: func() { did = append(did, "undo") },
	}
	end := topology.Endpoint{Node: "a", Interface: "eth0"}
	test := func(at time.Duration, x *topology.Test) *topology.Event { return &topology.Event{At: at, Test: x} }
	waits := testItem("tcp", "a", "b", 80, func(x *topology.Test) { x.Within, x.Family = 20*time.Second, family4 })
	waits.Timeout = 100 * time.Millisecond
	l.Tests = nil
	l.Scenario = []*topology.Event{
		{Do: topology.LinkDown, Link: end},
		test(0, testItem("ping", "a", "b", 0, func(x *topology.Test) { x.Expect, x.Timeout, x.Family = expectFail, 100*time.Millisecond, family4 })),
		test(0, waits),
		{At: 300 * time.Millisecond, Do: topology.StopProcess, Process: topology.Text{Value: "b/web"}},
		{At: 500 * time.Millisecond, Do: topology.LinkUp, Link: end},
	}
	began := time.Now()
	r, err := Run(t.Context(), l.Lab, o)
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Since(began); d < 500*time.Millisecond {
		t.Errorf("the scenario took %v", d)
	}
	if want := []string{"0s: link a:eth0 down", "300ms: stop b/web", "500ms: link a:eth0 up", "undo"}; !slices.Equal(did, want) {
		t.Errorf("what was changed: %q", did)
	}
	var outcomes []Outcome
	for _, c := range r.Cases {
		outcomes = append(outcomes, c.Outcome)
	}
	if want := []Outcome{Pass, Pass, Pass, Error, Pass}; !slices.Equal(outcomes, want) {
		t.Errorf("outcomes %v, want %v: %+v", outcomes, want, r.Cases)
	}
	if c := r.Cases[2]; c.Attempts < 2 || c.Name != "0s: "+waits.Name+" ipv4" {
		t.Errorf("%q was tried %d times", c.Name, c.Attempts)
	}
	if c := r.Cases[3]; c.Verb != "stop" || c.From != "b/web" || c.Message != "no" {
		t.Errorf("the stop: %+v", c)
	}

	// An end of its own: what was to come is not waited for, and it is undone.
	did = nil
	l.Scenario = []*topology.Event{
		{Do: topology.LinkDown, Link: end},
		{At: time.Hour, Do: topology.LinkUp, Link: end},
		test(time.Hour, testItem("ping", "a", "b", 0, nil)),
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	r, _ = Run(ctx, l.Lab, o)
	if want := []string{"0s: link a:eth0 down", "undo"}; !slices.Equal(did, want) {
		t.Errorf("what was changed: %q", did)
	}
	if r.Passed != 1 || r.Errors < 2 {
		t.Errorf("%d passed, %d errors", r.Passed, r.Errors)
	}
}
