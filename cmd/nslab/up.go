package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"nslab/netsetup"
	"nslab/netsetup/kernel"
	"nslab/netsetup/netns"
	"nslab/topology"
)

func (a *app) upCommand() *cobra.Command {
	var opt netsetup.Options
	cmd := &cobra.Command{
		Use:     "up [FILE|LAB]",
		Aliases: []string{"deploy", "apply"},
		Short:   "Make the lab be what its file says",
		Long: `Creates the lab, or changes a running one by the difference alone: what stays is
not touched. What was changed by hand is repaired. The result is verified by
reading the kernel back; on an error or Ctrl-C the lab returns to what it was.`,
		Example: `  nslab up                       lab.yaml of this folder
  nslab up quickstart            a shipped lab
  nslab up lab.yaml --name two   the same file once more, under another name
  nslab up - < lab.yaml`,
		Args: atMost(1),
	}
	name := nameFlag(cmd)
	cmd.Flags().BoolVar(&opt.Prune, "prune", false, "also remove what others added to the lab's nodes")
	cmd.Flags().BoolVar(&opt.KeepOnFailure, "keep-on-failure", false, "after an error leave what was made, for a look")
	cmd.ValidArgsFunction = completeLab
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.onKernel(func(ctx context.Context, k *kernel.Kernel) (err error) {
			src, err := a.find(ctx, cmd, argument(args), *name, k)
			if err != nil {
				return err
			}
			lock, err := netsetup.LockLab(ctx, src.lab.Name, a.lockTimeout)
			if err != nil {
				return err
			}
			defer unlock(lock, &err)
			if lock.Stale { // what was begun then may be in namespaces that no file tells of
				names, err := k.Joined(ctx, src.lab.Name, src.want.Externals())
				if err != nil {
					return err
				}
				src.want.Join(names)
			}
			bar := a.newProgress()
			plan, err := a.up(ctx, k, src, opt, bar)
			bar.clear()
			if err != nil {
				return err
			}
			did := "nothing to change"
			if !plan.Empty() {
				did = plural(len(plan.Lines()), "change")
			}
			return a.say("%s is up: %s, %s; %s\n", src.lab.Name,
				plural(len(src.lab.Nodes), "node"), plural(len(src.lab.Links), "link"), did)
		})
	}
	return cmd
}

// up brings a lab up whose lock is held, and keeps a copy of its file for verbs
// that are given its name.
func (a *app) up(ctx context.Context, k netsetup.Kernel, src *source, opt netsetup.Options, bar *progress) (*netsetup.Plan, error) {
	opt.Progress = bar.of(src.lab.Name)
	opt.Save = func() error { return netsetup.SaveFile(src.lab.Name, fromAnywhere(src.lab.File), src.data) }
	defer bar.finish(src.lab.Name)
	src.want.Before = before(src)
	machines, err := machineLines(ctx, src)
	if err != nil {
		return nil, err
	}
	opt.Then = func(ctx context.Context, plan *netsetup.Plan) error { return runMachines(ctx, src, plan) }
	opt.Undo = func(ctx context.Context) error { return undoMachines(ctx, src.lab.Name) }
	plan, err := netsetup.Up(ctx, k, src.want, opt)
	if err == nil {
		plan.Processes = machines
	}
	var failed *netsetup.RolledBackError
	if errors.As(err, &failed) && failed.Kept {
		err = errors.Join(err, opt.Save())
	}
	return plan, errors.Join(err, netns.Tidy(src.lab.Name+"."))
}

// unlock, deferred, gives a lock back and joins the error to *err.
func unlock(lock *netsetup.Lock, err *error) { *err = errors.Join(*err, lock.Unlock()) }

// before is what the running lab's last file asked for; nil where that is what
// src asks for, or is not known.
func before(src *source) *netsetup.State {
	file, data, err := savedFile(src.lab.Name)
	if err != nil || bytes.Equal(data, src.data) {
		return nil
	}
	lab, err := topology.LoadAs(file, data, src.lab.Name)
	if err != nil {
		return nil
	}
	want, err := netsetup.CompileMachines(lab)
	if err != nil {
		return nil
	}
	return want
}

// say prints a result in words for people; -q silences it.
func (a *app) say(format string, args ...any) error {
	if a.quiet {
		return nil
	}
	_, err := fmt.Fprintf(a.stdout, format, args...)
	return err
}
