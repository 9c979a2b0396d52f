package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nslab/netsetup"
	"nslab/netsetup/kernel"
	"nslab/netsetup/proc/supervisor"
)

func (a *app) startCommand() *cobra.Command {
	return a.controlCommand("start", "started", "Start processes of a node",
		`Starts the processes of a node that do not run, or one of them, and those that they
come after, and waits until they are ready.`)
}

func (a *app) stopCommand() *cobra.Command {
	return a.controlCommand("stop", "stopped", "Stop processes of a node",
		`Stops the processes of a node, or one of them: with the process's stop_signal, and
with SIGKILL what has not ended after its stop_timeout. They stay stopped until
`+"`start`, `restart` or `up`.")
}

func (a *app) restartCommand() *cobra.Command {
	return a.controlCommand("restart", "restarted", "Stop processes of a node and start them again",
		`Stops the processes of a node, or one of them, starts them again, and waits until
they are ready.`)
}

// controlCommand is start, stop or restart; did is what has become of a process.
func (a *app) controlCommand(verb, did, short, long string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   verb + " NODE[/PROCESS]...",
		Short: short,
		Long:  long + "\nNODE is a node of the one running lab; with LAB/ before it, of that one.",
		Example: fmt.Sprintf(`  nslab %[1]s r1
  nslab %[1]s r1/bgpd r2/bgpd
  nslab %[1]s campus/r1/bgpd`, verb),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{cmd, errors.New("NODE or NODE/PROCESS is wanted")}
			}
			return nil
		},
		ValidArgsFunction: completeProcess,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.onKernel(func(ctx context.Context, k *kernel.Kernel) error {
			lab, names, err := processNames(ctx, cmd, k, args)
			if err != nil {
				return err
			}
			lock, err := netsetup.LockLab(ctx, lab, a.lockTimeout)
			if err != nil {
				return err
			}
			defer lock.Unlock()
			before, err := supervisor.List(ctx, lab)
			if err != nil {
				return err
			}
			for _, name := range names {
				if len(meant(before, name)) == 0 {
					return noProcess(cmd, lab, name)
				}
			}
			if err := supervisor.Control(ctx, lab, verb, names); err != nil {
				return err
			}
			for _, name := range names {
				for _, st := range meant(before, name) {
					if err := a.say("%s %s\n", st.ID(), did); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	return cmd
}

// meant gives those processes that NODE or NODE/PROCESS means.
func meant(list []supervisor.Status, name string) []supervisor.Status {
	var found []supervisor.Status
	for _, st := range list {
		if st.Node == name || st.ID() == name {
			found = append(found, st)
		}
	}
	return found
}

func noProcess(cmd *cobra.Command, lab, name string) error {
	node, process, named := strings.Cut(name, "/")
	text := fmt.Sprintf("node %s of lab %s has no processes", node, lab)
	if named {
		text = fmt.Sprintf("node %s of lab %s has no process %q", node, lab, process)
	}
	return usageError{cmd, fmt.Errorf("%s\nhint: `nslab ps %s` lists what there is", text, lab)}
}

// processNames splits the lab from arguments NODE[/PROCESS] and
// LAB/NODE[/PROCESS]; all are of one lab.
func processNames(ctx context.Context, cmd *cobra.Command, k *kernel.Kernel, args []string) (lab string, names []string, err error) {
	labs, err := k.Labs(ctx)
	if err != nil {
		return "", nil, err
	}
	for _, arg := range args {
		of, name := "", arg
		if first, rest, ok := strings.Cut(arg, "/"); ok && slices.Contains(labs, first) &&
			(strings.Contains(rest, "/") || len(labs) > 1 || !slices.Contains(published()[first], first)) {
			of, name = first, rest
		} else if of, err = onlyLab(cmd, labs, "name the lab, as in LAB/"+arg); err != nil {
			return "", nil, err
		}
		if lab != "" && of != lab {
			return "", nil, usageError{cmd, fmt.Errorf("%s is of lab %s, and the one before of lab %s", arg, of, lab)}
		}
		node, _, _ := strings.Cut(name, "/")
		if !slices.Contains(published()[of], node) {
			return "", nil, noNode(cmd, of, node)
		}
		lab, names = of, append(names, name)
	}
	return lab, names, nil
}
