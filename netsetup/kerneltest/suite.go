package kerneltest

import (
	"context"
	"slices"
	"testing"

	"nslab/netsetup"
)

// Suite holds a kernel to what netsetup expects of any: random labs, made one
// out of the other in a walk of so many steps, and so many failures and
// interrupts, each at a random op. It leaves nothing of its lab.
func Suite(t *testing.T, k netsetup.Kernel, lab string, seed uint64, steps, faults int) {
	t.Logf("seed %d", seed)
	ctx := context.Background()
	t.Cleanup(func() {
		if _, err := netsetup.Down(ctx, k, lab, netsetup.Options{}); err != nil {
			t.Error(err)
		}
	})
	t.Run("walk", func(t *testing.T) { walk(t, k, lab, seed, steps) })
	t.Run("failures", func(t *testing.T) { failures(t, k, lab, seed, faults) })
	t.Run("silence", func(t *testing.T) { silence(t, k, lab, seed, faults/4) })
	t.Run("down", func(t *testing.T) { down(t, k, lab) })
}

// walk goes from one random lab to the next. After each step the plan is
// empty, what stays is the very same, and the model foresaw all of it: nothing
// had to be repaired.
func walk(t *testing.T, k netsetup.Kernel, lab string, seed uint64, steps int) {
	rng := Rand(seed)
	for step := range steps {
		want := RandomState(rng, lab)
		before := observe(t, k, want)
		plan := diff(t, before, want)
		model := netsetup.NewModel(before)
		for _, op := range plan.Ops {
			model.Play(op)
		}
		if rest := diff(t, model.State(), want); !rest.Empty() {
			t.Fatalf("step %d: the plan does not lead to what is wanted:\n%s", step, commands(rest))
		}
		counting := &Faulty{Kernel: k}
		if _, err := netsetup.Up(t.Context(), counting, want, netsetup.Options{}); err != nil {
			t.Fatalf("step %d: up: %v\nplan:\n%s", step, err, commands(plan))
		}
		if counting.Done != len(plan.Ops) {
			t.Fatalf("step %d: %d ops were planned, %d needed: the model is not what the kernel does\nplan:\n%s",
				step, len(plan.Ops), counting.Done, commands(plan))
		}
		after := observe(t, k, want)
		if rest := diff(t, after, want); !rest.Empty() {
			t.Fatalf("step %d: a second up would do:\n%s", step, commands(rest))
		}
		checkSame(t, step, before, after, plan)
	}
}

// checkSame checks that namespaces and links that the plan did not make are the
// very same as before.
func checkSame(t *testing.T, step int, before, after *netsetup.State, plan *netsetup.Plan) {
	made := map[netsetup.Endpoint]bool{}
	for _, op := range plan.Ops {
		if l, ok := op.Object.(*netsetup.Link); ok && op.Verb == netsetup.Add {
			made[netsetup.Endpoint{Namespace: op.Namespace, Link: l.Name}] = true
			if op.PeerLink != nil {
				made[l.Peer] = true
			}
		}
	}
	was := map[string]netsetup.Namespace{}
	for _, n := range before.Namespaces {
		was[n.Name] = n
	}
	for _, n := range after.Namespaces {
		old, ok := was[n.Name]
		if !ok {
			continue
		}
		if old.Inode != n.Inode {
			t.Fatalf("step %d: %s was inode %d and is %d", step, n.Name, old.Inode, n.Inode)
		}
		index := map[string]int{}
		for _, l := range old.Links {
			index[l.Name] = l.Index
		}
		for _, l := range n.Links {
			i, ok := index[l.Name]
			if ok && i != l.Index && !made[netsetup.Endpoint{Namespace: n.Name, Link: l.Name}] {
				t.Fatalf("step %d: link %s in %s had index %d and has %d", step, l.Name, n.Name, i, l.Index)
			}
		}
	}
}

// failures lets Up fail, or be interrupted, and checks that everything is as it
// was before: on the way to a new lab, and from one lab to another.
func failures(t *testing.T, k netsetup.Kernel, lab string, seed uint64, faults int) {
	rng := Rand(seed + 1)
	var runs *netsetup.State // what was last brought up
	for try := range faults {
		want := RandomState(rng, lab)
		want.Before = runs
		before := observe(t, k, want)
		plan := diff(t, before, want)
		ops := slices.IndexFunc(plan.Ops, func(op netsetup.Op) bool { return op.Phase == netsetup.Unpublish })
		if ops < 0 {
			ops = len(plan.Ops)
		}
		if ops == 0 {
			continue
		}
		at := 1 + rng.IntN(ops)
		failOnce(t, k, want, before, at, try%2 == 0)
		if t.Failed() {
			t.Fatalf("try %d: failed at op %d: %s", try, at, plan.Ops[at-1].Command())
		}
		if try%8 == 0 {
			if _, err := netsetup.Up(t.Context(), k, want, netsetup.Options{}); err != nil {
				t.Fatalf("try %d: up: %v", try, err)
			}
			runs = want
		}
	}
	t.Logf("failed or interrupted %d times; each time all was as before", faults)
}

func failOnce(t *testing.T, k netsetup.Kernel, want, before *netsetup.State, at int, interrupt bool) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := &Faulty{Kernel: k, FailAt: at}
	if interrupt {
		f.Instead = cancel
	}
	_, err := netsetup.Up(ctx, f, want, netsetup.Options{})
	rolled, ok := err.(*netsetup.RolledBackError)
	if !ok {
		t.Fatalf("up that fails at op %d gave %v", at, err)
	}
	if len(rolled.Left) > 0 || rolled.Err != nil {
		t.Errorf("rollback: %v", rolled)
	}
	now := observe(t, k, want)
	if rest := diff(t, now, before); !rest.Empty() {
		t.Errorf("rollback left:\n%s", commands(rest))
	}
	if runs := want.Before; runs != nil {
		if rest := diff(t, observe(t, k, runs), runs); !rest.Empty() {
			t.Errorf("after the rollback the lab is not what it was:\n%s", commands(rest))
		}
	}
}

// silence loses the answer to one op. Up has to look before it does anything
// again, and to succeed.
func silence(t *testing.T, k netsetup.Kernel, lab string, seed uint64, faults int) {
	rng := Rand(seed + 2)
	for try := range faults {
		want := RandomState(rng, lab)
		plan := diff(t, observe(t, k, want), want)
		if len(plan.Ops) == 0 {
			continue
		}
		f := &Faulty{Kernel: k, FailAt: 1 + rng.IntN(len(plan.Ops)), Silent: true}
		if _, err := netsetup.Up(t.Context(), f, want, netsetup.Options{}); err != nil {
			t.Fatalf("try %d: no answer to op %d: %v", try, f.FailAt, err)
		}
		if rest := diff(t, observe(t, k, want), want); !rest.Empty() {
			t.Fatalf("try %d: no answer to op %d; it is left to do:\n%s", try, f.FailAt, commands(rest))
		}
	}
}

func down(t *testing.T, k netsetup.Kernel, lab string) {
	found, err := netsetup.Down(t.Context(), k, lab, netsetup.Options{})
	if err != nil || !found {
		t.Fatalf("down: found %v, %v", found, err)
	}
	if left := observe(t, k, &netsetup.State{Lab: lab}); len(left.Namespaces) > 0 {
		t.Fatalf("down left %d namespaces", len(left.Namespaces))
	}
	if found, err := netsetup.Down(t.Context(), k, lab, netsetup.Options{}); err != nil || found {
		t.Fatalf("second down: found %v, %v", found, err)
	}
}

func observe(t *testing.T, k netsetup.Kernel, want *netsetup.State) *netsetup.State {
	t.Helper()
	s, err := netsetup.Observe(t.Context(), k, want)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func diff(t *testing.T, have, want *netsetup.State) *netsetup.Plan {
	t.Helper()
	p, err := netsetup.Diff(have, want, false)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func commands(p *netsetup.Plan) string {
	var s string
	for _, op := range p.Ops {
		s += op.Verb.Sign() + " " + op.Command() + "\n"
	}
	return s
}
