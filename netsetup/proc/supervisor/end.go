package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"nslab/netsetup/failpoint"
	"nslab/netsetup/proc"
	"nslab/netsetup/proc/cgroup"
)

// End ends all processes of a lab, found from the kernel alone, and removes its
// cgroups. First the supervisor, if there is one, stops those of the file in
// their order; then all is killed that is left, whatever it has done to hide. It
// reports whether there was anything, and goes on after errors.
func End(ctx context.Context, lab string) (found bool, err error) {
	err = failpoint.Around("supervisor.end", func() error {
		_, err := call(ctx, lab, request{Verb: verbEnd})
		return err
	})
	found = !errors.Is(err, ErrNone)
	if errors.Is(err, ErrNone) || err != nil && ctx.Err() == nil {
		err = nil // it is killed with the others
	}
	errs := []error{err}
	// A supervisor that does not listen would start again what is killed.
	supervised, err := killMarked(lab, func(m proc.Mark) bool { return m.Node == "" })
	errs = append(errs, err)
	groups, err := cgroup.All(lab)
	errs = append(errs, err)
	for _, g := range groups {
		errs = append(errs, g.Remove())
	}
	killed, err := killMarked(lab, func(proc.Mark) bool { return true })
	errs = append(errs, err)
	return found || supervised || killed || len(groups) > 0, errors.Join(errs...)
}

// Labs gives the names of the labs that have processes or cgroups, sorted.
func Labs() ([]string, error) {
	running, err := proc.Labs()
	if err != nil {
		return nil, err
	}
	grouped, err := cgroup.Labs()
	all := append(running, grouped...)
	slices.Sort(all)
	return slices.Compact(all), err
}

// EndNode ends all processes of a node, and removes its cgroup.
func EndNode(lab, node string) error {
	_, err := killMarked(lab, func(m proc.Mark) bool { return m.Node == node })
	g, err2 := cgroup.Open(lab, node)
	if err2 == nil && g != nil {
		err2 = g.Remove()
	}
	return errors.Join(err, err2)
}

// killTime bounds how long killed processes may take to end.
const killTime = 10 * time.Second

// killMarked kills what has the marks of a lab, and is meant.
func killMarked(lab string, which func(proc.Mark) bool) (found bool, err error) {
	found, err = killAll(func(all []proc.Process) []int {
		var list []int
		for _, p := range all {
			if m, ours := proc.ReadMark(p.PID, lab); ours && which(m) && p.PID != unix.Getpid() {
				list = append(list, p.PID)
			}
		}
		return list
	})
	if err != nil {
		err = fmt.Errorf("lab %s: %w", lab, err)
	}
	return found, err
}

// killBelow kills what a process has started, and what that has. Of a subreaper
// nothing gets away, not even what has another environment.
func killBelow(pid int) error {
	_, err := killAll(func(all []proc.Process) []int { return proc.Below(all, pid) })
	return err
}

// killAll kills those that which gives of all processes, until it gives none: one
// may be about to fork.
func killAll(which func([]proc.Process) []int) (found bool, err error) {
	for deadline := time.Now().Add(killTime); ; time.Sleep(5 * time.Millisecond) {
		all, err := proc.Processes()
		if err != nil {
			return found, err
		}
		left := which(all)
		if len(left) == 0 {
			return found, nil
		}
		found = true
		for _, pid := range left {
			// An error is that it has ended, which the next look tells.
			_ = failpoint.Around("supervisor.kill", func() error { return unix.Kill(pid, unix.SIGKILL) })
		}
		if time.Now().After(deadline) {
			return found, fmt.Errorf("processes %v do not end %v after SIGKILL", left, killTime)
		}
	}
}
