package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nslab/netsetup"
	"nslab/netsetup/bug"
	"nslab/netsetup/kernel"
	"nslab/netsetup/netns"
	"nslab/netsetup/proc"
	"nslab/netsetup/proc/supervisor"
	"nslab/topology"
)

func (a *app) downCommand() *cobra.Command {
	var all, wait bool
	cmd := &cobra.Command{
		Use:     "down [LAB|FILE]",
		Aliases: []string{"destroy"},
		Short:   "Remove a lab",
		Long: `Removes the lab: its namespaces, what it has in the host's, its run directory. The
kernel tells what there is, so the file may be gone, or wrong by now. A lab that
is not there is no error. It goes on after an error and says what is left and how
to remove it. Programs that were started in the nodes are ended; who else holds a
namespace is named.`,
		Example: `  nslab down campus
  nslab down lab.yaml
  nslab down --all --wait`,
		Args: func(cmd *cobra.Command, args []string) error {
			if all && len(args) > 0 {
				return usageError{cmd, errors.New("--all takes no LAB")}
			}
			return atMost(1)(cmd, args)
		},
	}
	name := nameFlag(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "remove every lab")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the kernel has freed everything")
	cmd.ValidArgsFunction = completeLab
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.onKernel(func(ctx context.Context, k *kernel.Kernel) error {
			labs, err := a.labsToRemove(ctx, cmd, k, all, argument(args), *name)
			if err != nil {
				return err
			}
			var errs []error
			if len(labs) == 0 {
				errs = append(errs, a.say("no lab runs: nothing to remove\n"))
			}
			bar := a.newProgress()
			for _, lab := range labs {
				found, err := a.down(ctx, k, lab, bar)
				bar.clear()
				if errs = append(errs, err); err != nil {
					continue
				}
				did := "is removed"
				if !found {
					did = "is not there: nothing to remove"
				}
				errs = append(errs, a.say("%s %s\n", lab, did))
			}
			if all {
				netsetup.RemoveRunDir()
				errs = append(errs, netns.Tidy(""))
			}
			if wait {
				k.Close() // what it holds open would not be freed
				errs = append(errs, netns.WaitFreed(ctx))
			}
			return errors.Join(errs...)
		})
	}
	return cmd
}

// labsToRemove gives names; a lab that is named need not run.
func (a *app) labsToRemove(ctx context.Context, cmd *cobra.Command, k *kernel.Kernel, all bool, arg, name string) ([]string, error) {
	switch {
	case all:
		return allLabs(ctx, k)
	case name == "" && arg != "" && !isFile(arg):
		name = arg
	}
	if name != "" {
		// It becomes part of paths.
		if err := topology.CheckLabName(name); err != nil {
			return nil, usageError{cmd, err}
		}
		return []string{name}, nil
	}
	if _, err := os.Stat(defaultFile); arg == "" && err != nil {
		if names, err := k.Labs(ctx); err != nil || len(names) == 0 {
			return nil, err
		}
	}
	r, err := resolveRef(ctx, cmd, arg, k)
	if err != nil {
		return nil, err
	}
	if r.where == fromRunning {
		return []string{r.name}, nil
	}
	file, data, err := a.text(r)
	if err != nil {
		return nil, err
	}
	// Of the file the name alone is wanted: the rest may have become wrong since.
	f, err := topology.Parse(file, data)
	if f == nil || f.Lab.Value == "" {
		return nil, fmt.Errorf("%w\nhint: `nslab down LAB` needs no file", err)
	}
	return []string{f.Lab.Value}, nil
}

// allLabs gives the labs that run, and those of which a crash left something else.
func allLabs(ctx context.Context, k *kernel.Kernel) ([]string, error) {
	labs, err := k.Labs(ctx)
	if err != nil {
		return nil, err
	}
	recorded, err := netsetup.Recorded()
	if err != nil {
		return nil, err
	}
	unfinished, err := netns.Unfinished("")
	if err != nil {
		return nil, err
	}
	busy, err := supervisor.Labs()
	if err != nil {
		return nil, err
	}
	labs = slices.Concat(labs, recorded, busy)
	for _, name := range unfinished {
		if lab, _, ok := strings.Cut(name, "."); ok && topology.CheckLabName(lab) == nil {
			labs = append(labs, lab)
		}
	}
	slices.Sort(labs)
	return slices.Compact(labs), nil
}

// down removes one lab and says whether there was anything.
func (a *app) down(ctx context.Context, k *kernel.Kernel, lab string, bar *progress) (found bool, err error) {
	lock, err := netsetup.LockLab(ctx, lab, a.lockTimeout)
	if err != nil {
		return false, err
	}
	defer unlock(lock, &err)
	names := joined(lab)
	if _, _, err := netsetup.LoadFile(lab); err != nil || lock.Stale {
		more, err := k.Joined(ctx, lab, names)
		if err != nil {
			return false, err
		}
		names = append(names, more...)
	}
	return a.remove(ctx, k, lab, names, bar)
}

// remove is down for a lab whose lock is held; joined are the namespaces of others
// that may have something of it.
func (a *app) remove(ctx context.Context, k netsetup.Kernel, lab string, joined []string, bar *progress) (found bool, err error) {
	defer bar.finish(lab)
	ran := false
	err = bug.Guard(func() (err error) {
		ran, err = supervisor.End(ctx, lab)
		return err
	})
	found, downErr := netsetup.Down(ctx, k, lab, netsetup.Options{Progress: bar.of(lab), Joined: joined})
	found = found || ran
	if left := new(netsetup.LeftError); downErr != nil && !(errors.As(downErr, &left) && len(left.Left) == 0) {
		return found, errors.Join(err, downErr)
	}
	if endErr := proc.EndAll(lab); endErr != nil {
		return found, errors.Join(err, downErr, endErr)
	}
	return found, errors.Join(err, downErr, netns.Tidy(lab+"."), netsetup.RemoveFiles(lab))
}
