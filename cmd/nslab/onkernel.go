package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"nslab/netsetup/kernel"
	"nslab/netsetup/netns"
)

// enter sees to privilege: where the user has none, or asked for it with
// --rootless, the program is started a second time in namespaces of the user's
// own, and the statusError that comes back is its exit status.
func (a *app) enter() error {
	if os.Getenv(netns.RootlessEnv) == "1" {
		return nil
	}
	if !a.rootless {
		err := netns.Privileged()
		if err == nil || a.rootlessSet {
			return err
		}
	}
	status, err := netns.EnterRootless(a.args)
	if err != nil {
		return err
	}
	return statusError(status)
}

// onKernel runs f with privilege and a kernel. The context ends with --timeout
// and with the first SIGINT, SIGTERM or SIGHUP; the second ends the program.
func (a *app) onKernel(f func(ctx context.Context, k *kernel.Kernel) error) error {
	if err := a.enter(); err != nil {
		return err
	}
	ctx, stop := a.interruptible()
	defer stop()
	k, err := a.newKernel()
	if err != nil {
		return err
	}
	defer k.Close()
	return endedBy(ctx, f(ctx, k))
}

// threads is more than are made: by the runtime of Go, for work in namespaces,
// and for the first programs of tests.
const threads = 40

// newKernel gives a kernel that, with -v, tells of every change before it is
// made.
func (a *app) newKernel() (*kernel.Kernel, error) {
	if err := netns.RaiseFileLimit(); err != nil {
		return nil, err
	}
	if err := netns.NeedTasks(threads); err != nil {
		return nil, err
	}
	opt := kernel.Options{Workers: a.jobs}
	if a.verbose {
		opt.Trace = func(command string) { fmt.Fprintln(a.stderr, command) }
	}
	return kernel.New(opt)
}

// sameSignal is how long after a signal another one counts as the same: timeout(1)
// sends its own twice, to the program and to the program's group.
const sameSignal = 300 * time.Millisecond

// interruptible gives a context as onKernel describes it, and what ends its
// hold on signals.
func (a *app) interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	release := func() {}
	if a.timeout > 0 {
		ctx, release = context.WithTimeoutCause(ctx, a.timeout, fmt.Errorf("--timeout of %v is over", a.timeout))
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	// Without a reader of its output the program still has to take down what it
	// made: a caught SIGPIPE turns into an error of the write.
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	go func() {
		<-signals
		cancel(errInterrupted)
		first := time.Now()
		for range signals {
			if time.Since(first) > sameSignal {
				os.Exit(statusInterrupted)
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		signal.Stop(pipe)
		release()
		cancel(nil)
	}
}
