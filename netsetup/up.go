package netsetup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"nslab/netsetup/bug"
	"nslab/topology"
)

// Progress is told how far a plan is: ops done of all.
type Progress func(done, total int)

// Options of Up and Down; the zero value is the usual case.
type Options struct {
	Prune         bool     // also remove what is unmarked, whoever made it
	KeepOnFailure bool     // no rollback
	Progress      Progress // may be nil
	// Then, for Up, does the rest of what a lab is when its network is as wanted,
	// given what was changed of that. Where Up fails, Undo undoes it, as far as it
	// came, before the network returns to what it was. Both may be nil.
	Then func(ctx context.Context, plan *Plan) error
	Undo func(ctx context.Context) error
	// Save, which may be nil, is called by Up when the kernel was verified, last of
	// what can be undone: its error undoes all. It changes all or nothing.
	Save func() error
	// Joined names, for Down, the External namespaces that may have something of
	// the lab. One that is not there does no harm.
	Joined []string
}

// settleTries bounds how often Up looks again and repairs what a change
// destroyed that the model did not foresee.
const settleTries = 3

// rollbackTime bounds a rollback, which an interrupt does not stop.
const rollbackTime = 2 * time.Minute

// RolledBackError says that Up failed and what became of what it had done.
type RolledBackError struct {
	Lab   string
	Cause error
	Kept  bool     // KeepOnFailure: nothing was undone
	Ran   bool     // the lab was there before
	Left  []string // what could not be undone, as the commands that would
	Err   error    // why; nil where all was undone
}

func (e *RolledBackError) Error() string {
	var b strings.Builder
	b.WriteString(e.Cause.Error())
	switch {
	case e.Kept:
		fmt.Fprintf(&b, "\nkept as it is; `nslab down %s` removes it", e.Lab)
	case len(e.Left) == 0 && (e.Err == nil || bug.In(e.Err) != nil):
		b.WriteString("\nrolled back: everything is as it was before")
		if e.Err != nil { // a panic, and all was done in the end
			b.WriteString("; on the way: " + e.Err.Error())
		}
	default:
		b.WriteString("\nrolled back, but not all of it")
		writeLeft(&b, e.Left, e.Err)
		again := ""
		if e.Ran {
			again = fmt.Sprintf("`nslab up %s` tries again to bring back what ran, ", e.Lab)
		}
		fmt.Fprintf(&b, "\nhint: %s`nslab down %s` removes all of the lab", again, e.Lab)
	}
	return b.String()
}

// writeLeft tells why something is left, and the commands that see to it.
func writeLeft(b *strings.Builder, left []string, err error) {
	if err != nil {
		b.WriteString(": " + err.Error())
	}
	for _, c := range left {
		b.WriteString("\nto be done by hand: " + c)
	}
}

// Unwrap gives the cause.
func (e *RolledBackError) Unwrap() error { return e.Cause }

// UnsettledError says that the kernel, read back, is not what was asked of it.
type UnsettledError struct{ Rest *Plan }

func (e *UnsettledError) Error() string {
	var b strings.Builder
	b.WriteString("the kernel did not keep what it accepted; these differ:")
	for i, l := range e.Rest.Lines() {
		if i == 10 {
			fmt.Fprintf(&b, "\n  … %d more", len(e.Rest.Lines())-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s %s", l.Sign, l.Command)
	}
	return b.String()
}

// Observe reads what there is of a lab, with the name of the file in its errors.
func Observe(ctx context.Context, k Kernel, want *State) (*State, error) {
	have, err := k.Observe(ctx, want)
	return have, nameFile(err, want.File)
}

// Up makes the lab be what is wanted: by the difference alone, verified by
// reading the kernel back. When a change fails, the code panics or ctx ends, it
// returns to what was there before and gives a *RolledBackError. Once all is
// verified and saved it no longer does: what remains is to take away namespaces
// that nothing is in any more. The plan is what was done; it is empty where there
// was nothing to do.
func Up(ctx context.Context, k Kernel, want *State, o Options) (*Plan, error) {
	before, err := Observe(ctx, k, want)
	if err != nil {
		return nil, err
	}
	plan, err := Diff(before, want, o.Prune)
	if err != nil {
		return plan, err
	}
	err = bug.Guard(func() error {
		if !plan.Empty() {
			if err := converge(ctx, k, plan, want, o); err != nil {
				return err
			}
		}
		if o.Then != nil {
			if err := o.Then(ctx, plan); err != nil {
				return err
			}
		}
		if o.Save == nil {
			return nil
		}
		return o.Save()
	})
	if err != nil {
		if o.KeepOnFailure {
			return plan, &RolledBackError{Lab: want.Lab, Cause: err, Kept: true}
		}
		var failed error
		if o.Undo != nil {
			failed = undoRest(ctx, o)
		}
		result := rollback(ctx, k, want, before, err)
		result.Err = errors.Join(failed, result.Err)
		return plan, result
	}
	return plan, unpublish(ctx, k, plan, want)
}

// unpublish takes away the namespaces that are no longer wanted. There is no way
// back from it: it goes on after an error.
func unpublish(ctx context.Context, k Kernel, plan *Plan, want *State) error {
	_, last := upTo(plan.Ops, Rules)
	if len(last) == 0 {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	err := bug.Guard(func() error { return do(ctx, k, plan.File, last) })
	if err == nil {
		return nil
	}
	left, leftErr := force(ctx, k, want, want, nil)
	if len(left) == 0 && leftErr == nil && bug.In(err) == nil {
		return nil
	}
	if len(heldIn(leftErr)) == 0 {
		leftErr = errors.Join(err, leftErr)
	}
	return &LeftError{Lab: want.Lab, Up: true, Left: left, Err: leftErr}
}

// converge applies all but the unpublishing of a plan, and what reading the
// kernel back still shows to be done.
func converge(ctx context.Context, k Kernel, plan *Plan, want *State, o Options) error {
	for try := 1; ; try++ {
		err := apply(ctx, k, plan.File, plan.beforeUnpublish(), o.Progress)
		if err != nil && !(errors.Is(err, ErrNoAnswer) && try < settleTries) {
			return err
		}
		now, err := Observe(ctx, k, want)
		if err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		rest, err := Diff(now, want, o.Prune)
		if err != nil {
			return err
		}
		if len(rest.beforeUnpublish()) == 0 {
			return settle(ctx, k, now, want)
		}
		if try == settleTries {
			return &UnsettledError{rest}
		}
		plan = rest
	}
}

// settleTime bounds the wait for links to be good for use. The kernel is ready
// within milliseconds, unless others keep it busy with making and freeing
// interfaces.
const settleTime = time.Minute

// NotReadyError names links that are up and still carry nothing, or do not
// answer for their IPv6 addresses.
type NotReadyError struct{ Links []Endpoint }

func (e *NotReadyError) Error() string {
	l := e.Links[0]
	s := fmt.Sprintf("link %s in %s is up and not ready after %v", l.Link, displayNamespace(l.Namespace), settleTime)
	if n := len(e.Links) - 1; n > 0 {
		s += fmt.Sprintf(", nor are %d more", n)
	}
	return s
}

// settle waits for the links that were not ready when now was observed, or of
// which that was not seen: a lab that is up can be used at once.
func settle(ctx context.Context, k Kernel, now, want *State) error {
	up := make(map[Endpoint]bool)
	for i := range want.Namespaces {
		n := &want.Namespaces[i]
		for j := range n.Links {
			up[Endpoint{n.Name, n.Links[j].Name}] = n.Links[j].Up
		}
	}
	var waiting []Endpoint
	for i := range now.Namespaces {
		n := &now.Namespaces[i]
		for j := range n.Links {
			l := &n.Links[j]
			end := Endpoint{n.Name, l.Name}
			usable := up[end] && l.Kind != KindLoopback && (l.Kind != KindVeth || up[l.Peer])
			if usable && (l.Kind == KindVeth && !l.Running || hasIPv6(n, l.Name)) {
				waiting = append(waiting, end)
			}
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	left, err := k.Settle(ctx, waiting)
	if err == nil && len(left) > 0 {
		err = &NotReadyError{left}
	}
	return err
}

func hasIPv6(n *Namespace, link string) bool {
	for i := range n.Addresses {
		if a := &n.Addresses[i]; a.Link == link && a.Prefix.Addr().Is6() {
			return true
		}
	}
	return false
}

// apply carries out ops stage by stage and stops at the first stage that fails.
func apply(ctx context.Context, k Kernel, file string, ops []Op, progress Progress) error {
	total := len(ops)
	for _, last := range Stages {
		var stage []Op
		stage, ops = upTo(ops, last)
		for len(stage) > 0 {
			n := min(len(stage), chunkOps)
			if err := context.Cause(ctx); err != nil {
				return err
			}
			if err := do(ctx, k, file, stage[:n]); err != nil {
				return err
			}
			stage = stage[n:]
			if progress != nil {
				progress(total-len(ops)-len(stage), total)
			}
		}
	}
	return nil
}

// chunkOps is how many ops go to the kernel between two looks at an interrupt
// and two steps of a progress bar; large, so that those of one namespace in
// different phases travel together.
const chunkOps = 10000

// do is Kernel.Do with the name of the file in its errors.
func do(ctx context.Context, k Kernel, file string, ops []Op) error {
	if len(ops) == 0 {
		return nil
	}
	return nameFile(k.Do(ctx, ops), file)
}

// nameFile completes the positions in a kernel's errors.
func nameFile(err error, file string) error {
	switch e := err.(type) {
	case *OpError:
		e.File = file
	case *NotOursError:
		e.File = file
	case *NodeError:
		e.File = file
	case *MissingInterfaceError:
		e.File = file
	case interface{ Unwrap() []error }:
		for _, x := range e.Unwrap() {
			nameFile(x, file)
		}
	}
	return err
}

func undoRest(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	return bug.Guard(func() error { return o.Undo(ctx) })
}

// rollback returns to the state before, whatever ctx says by now.
func rollback(ctx context.Context, k Kernel, want, before *State, cause error) *RolledBackError {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	target := before.Clone()
	target.File = ""
	for i := range target.Namespaces {
		n := &target.Namespaces[i]
		// What others did in the meantime stays; but for neighbours, since
		// forwarding entries, which go with them, cannot be told apart.
		n.Keep = topology.Keep{Addresses: true, Routes: true, Rules: true, Links: true}
		// What the kernel took from an address is not asked to go again.
		for j := range n.Addresses {
			n.Addresses[j].Stranded = false
		}
		// A bridge's MTU follows its ports, and would no more once it is set
		// (net/bridge/br_device.c:br_change_mtu).
		for j := range n.Links {
			if l := &n.Links[j]; l.Kind == KindBridge && !givesMTU(want, n.Name, l.Name) && !givesMTU(want.Before, n.Name, l.Name) {
				l.MTU = 0
			}
		}
	}
	result := &RolledBackError{Lab: want.Lab, Cause: cause}
	result.Ran = slices.ContainsFunc(before.Namespaces, func(n Namespace) bool { return n.Kind == Own })
	result.Left, result.Err = force(ctx, k, want, target, nil)
	return result
}

// givesMTU reports whether s, which may be nil, wants a link to have a certain
// MTU.
func givesMTU(s *State, namespace, link string) bool {
	if s == nil {
		return false
	}
	i := slices.IndexFunc(s.Namespaces, func(n Namespace) bool { return n.Name == namespace })
	if i < 0 {
		return false
	}
	l := findLink(&s.Namespaces[i], link)
	return l != nil && l.MTU != 0
}

// force makes the lab be target as far as it can, going on after errors; seen
// tells Observe what to look at. It gives what is left to be done, as commands. A
// panic is an error even where all was done in the end.
func force(ctx context.Context, k Kernel, seen, target *State, progress Progress) (left []string, err error) {
	var failed, panicked error
	held := map[string]error{} // by namespace
	for try := 1; ; try++ {
		plan, err := lookFor(ctx, k, seen, target)
		if plan != nil {
			// Those who hold a namespace had their time.
			plan.Ops = slices.DeleteFunc(plan.Ops, func(o Op) bool { return o.Phase == Unpublish && held[o.Namespace] != nil })
		}
		if plan != nil && plan.Empty() {
			return nil, errors.Join(append(slices.Collect(maps.Values(held)), panicked)...)
		}
		if err != nil {
			failed = err
		}
		if try > settleTries || ctx.Err() != nil {
			return leftOf(plan, target.Lab), failed
		}
		if plan != nil {
			failed = applyAll(ctx, k, plan.Ops, progress)
		}
		for _, e := range heldIn(failed) {
			held[e.Op.Namespace] = e
		}
		if b := bug.In(failed); b != nil {
			panicked = b
		}
	}
}

// lookFor is the plan to target. Where the kernel could not be read there is
// none.
func lookFor(ctx context.Context, k Kernel, seen, target *State) (plan *Plan, err error) {
	defer bug.Catch(&err)
	now, err := Observe(ctx, k, seen)
	if err != nil {
		return nil, err
	}
	return Diff(now, target, false)
}

// leftOf is what a plan would do, as commands that can be run in their order; a
// table that was read from the kernel cannot be written as one. Where the plan is
// not known, there is but one way.
func leftOf(plan *Plan, lab string) (left []string) {
	if plan == nil {
		return []string{"nslab down " + lab}
	}
	tables := false
	for i := range plan.Ops {
		op := &plan.Ops[i]
		if _, ok := op.Object.(*Table); ok && op.Verb != Delete {
			tables = true
			continue
		}
		left = append(left, op.Command())
	}
	if tables {
		left = append(left, "nslab up "+lab)
	}
	return left
}

// applyAll carries out ops stage by stage and joins the errors.
func applyAll(ctx context.Context, k Kernel, ops []Op, progress Progress) error {
	var errs []error
	total := len(ops)
	for _, last := range Stages {
		var stage []Op
		stage, ops = upTo(ops, last)
		if len(stage) > 0 {
			errs = append(errs, bug.Guard(func() error { return k.Do(ctx, stage) }))
			if progress != nil {
				progress(total-len(ops), total)
			}
		}
	}
	return errors.Join(errs...)
}

// LeftError says what could not be removed.
type LeftError struct {
	Lab  string
	Up   bool     // by Up, which else has done all; false: by Down
	Left []string // the commands that remove it; none: it is gone, and Err is a bug
	Err  error
}

func (e *LeftError) Error() string {
	var b strings.Builder
	switch {
	case e.Up:
		fmt.Fprintf(&b, "lab %s is up, but what it no longer has was not removed as it should be", e.Lab)
	case len(e.Left) == 0 && bug.In(e.Err) != nil:
		fmt.Fprintf(&b, "lab %s is gone, but not as it should", e.Lab)
	default:
		fmt.Fprintf(&b, "lab %s is not gone", e.Lab)
	}
	writeLeft(&b, e.Left, e.Err)
	if errors.As(e.Err, new(*HeldError)) {
		b.WriteString("\nhint: end what holds it, then do the same once more")
	}
	return b.String()
}

func (e *LeftError) Unwrap() error { return e.Err }

// Down removes a lab, found from the kernel alone. It goes on after errors; what
// is left is a *LeftError. It reports whether there was anything.
func Down(ctx context.Context, k Kernel, lab string, o Options) (found bool, err error) {
	nothing := (&State{Lab: lab}).Join(o.Joined)
	have, err := Observe(ctx, k, nothing)
	if err != nil {
		return false, err
	}
	left, err := force(ctx, k, nothing, nothing, o.Progress)
	if len(left) > 0 || err != nil {
		return true, &LeftError{Lab: lab, Left: left, Err: err}
	}
	return slices.ContainsFunc(have.Namespaces, func(n Namespace) bool { return n.Kind == Own || !n.IsEmpty() }), nil
}
