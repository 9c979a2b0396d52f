package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"nslab/netsetup/kernel"
	"nslab/netsetup/proc/supervisor"
)

func (a *app) logsCommand() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs NODE[/PROCESS]",
		Short: "Show what a node's processes have written",
		Long: `Shows what the processes of a node, or one of them, have written to standard output
and standard error since they were first started; of several, each line begins
with the name of its process. NODE is a node of the one running lab, or LAB/NODE.`,
		Example: `  nslab logs r1
  nslab logs r1/bgpd -f      go on with what it writes from now on
  nslab logs campus/r1/bgpd`,
		Args:              exactly("NODE"),
		ValidArgsFunction: completeProcess,
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until interrupted")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := a.onKernel(func(ctx context.Context, k *kernel.Kernel) error {
			lab, names, err := processNames(ctx, cmd, k, args)
			if err != nil {
				return err
			}
			all, err := supervisor.List(ctx, lab)
			if err != nil {
				return err
			}
			list := meant(all, names[0])
			if len(list) == 0 {
				return noProcess(cmd, lab, names[0])
			}
			return a.showLogs(ctx, lab, list, follow)
		})
		if follow && errors.Is(err, errInterrupted) {
			return statusError(statusInterrupted)
		}
		return err
	}
	return cmd
}

// showLogs writes logs, one after the other; followed, then what comes, as it
// comes.
func (a *app) showLogs(ctx context.Context, lab string, list []supervisor.Status, follow bool) error {
	var tails []*supervisor.Tail
	for _, st := range list {
		path := supervisor.LogFile(lab, st.Node, st.Name)
		prefix := ""
		if len(list) > 1 {
			prefix = st.Name + ": "
		}
		for _, t := range []*supervisor.Tail{supervisor.NewTail(path + ".old"), supervisor.NewTail(path)} {
			if err := a.showLines(t, prefix); err != nil {
				return err
			}
			if rest := t.Rest(); rest != "" && !follow {
				if _, err := fmt.Fprintln(a.stdout, prefix+rest); err != nil {
					return err
				}
			}
			tails = append(tails, t)
		}
	}
	for follow {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(supervisor.Pause):
		}
		for i, st := range list {
			prefix := ""
			if len(list) > 1 {
				prefix = st.Name + ": "
			}
			if err := a.showLines(tails[2*i+1], prefix); err != nil {
				return err
			}
		}
		if _, err := os.Stat(supervisor.LogFile(lab, list[0].Node, list[0].Name)); errors.Is(err, fs.ErrNotExist) {
			return nil // the lab is gone
		}
	}
	return nil
}

func (a *app) showLines(t *supervisor.Tail, prefix string) error {
	lines, err := t.Lines()
	if err != nil {
		return err
	}
	for _, l := range lines {
		if _, err := io.WriteString(a.stdout, prefix+l+"\n"); err != nil {
			return err
		}
	}
	return nil
}
