package kerneltest

import (
	"context"
	"slices"
	"syscall"

	"nslab/netsetup"
)

// Faulty is a kernel that fails at one op.
type Faulty struct {
	netsetup.Kernel
	// FailAt is the number of the op that fails, counted from 1 over all calls
	// of Do; 0 is never. It is not done, nor is what comes behind it in the call.
	FailAt int
	// Instead, if not nil, is called instead of failing: to end a context, say.
	Instead func()
	// Silent is that the op is done, and the rest as well, and nothing answered:
	// netsetup.ErrNoAnswer.
	Silent bool
	// Done counts the ops so far.
	Done int
}

// Do passes ops on until the one that fails.
func (f *Faulty) Do(ctx context.Context, ops []netsetup.Op) error {
	at := f.FailAt - f.Done - 1
	f.Done += len(ops)
	if at < 0 || at >= len(ops) {
		return f.Kernel.Do(ctx, ops)
	}
	if f.Silent {
		if err := f.Kernel.Do(ctx, ops); err != nil {
			return err
		}
		return &netsetup.OpError{Op: ops[at], Err: netsetup.ErrNoAnswer}
	}
	if err := f.Kernel.Do(ctx, slices.Clone(ops[:at])); err != nil {
		return err
	}
	if f.Instead != nil {
		f.Instead()
		return ctx.Err()
	}
	return &netsetup.OpError{Op: ops[at], Err: syscall.EIO}
}
