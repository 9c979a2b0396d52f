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
	"nslab/topology"
)

// linkWords are what `link` does.
var linkWords = []string{"down", "up", "reset"}

func (a *app) linkCommand() *cobra.Command {
	var admin bool
	cmd := &cobra.Command{
		Use:   "link NODE:INTERFACE down|up|reset",
		Short: "Take a link of a running lab down and up",
		Long: `Changes one link of a running lab; nothing else is touched. down takes the carrier
away, as a pulled cable does: the other end goes down. up takes both ends up and
puts back the routes and neighbours that the kernel dropped. reset makes the link
be what the file says. NODE is a node of the one running lab, or LAB/NODE. plan and
ps --drift show a link that is down, and up puts it right.`,
		Example: `  nslab link r1:eth1 down
  nslab link campus/r1:eth1 up
  nslab link r1:eth1 down --admin   r1:eth1 itself goes down, and its routes with it`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := exactly("NODE:INTERFACE", "down|up|reset")(cmd, args); err != nil {
				return err
			}
			if !slices.Contains(linkWords, args[1]) {
				return usageError{cmd, fmt.Errorf("%q is none of %s", args[1], strings.Join(linkWords, ", "))}
			}
			if admin && args[1] != "down" {
				return usageError{cmd, errors.New("--admin goes with down")}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&admin, "admin", false, "take down the end that is named, not the other one")
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 1 {
			return linkWords, cobra.ShellCompDirectiveNoFileComp
		}
		if len(args) > 1 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		nodes, _ := completeNode(cmd, args, word)
		for i := range nodes {
			nodes[i] += ":"
		}
		return nodes, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.onKernel(func(ctx context.Context, k *kernel.Kernel) error {
			src, end, err := a.linkEnd(ctx, cmd, k, args[0])
			if err != nil {
				return err
			}
			lock, err := netsetup.LockLab(ctx, src.lab.Name, a.lockTimeout)
			if err != nil {
				return err
			}
			defer lock.Unlock()
			at := endpoint(src.lab, end)
			switch args[1] {
			case "down":
				err = netsetup.LinkDown(ctx, k, src.want, at, admin)
			case "up":
				err = netsetup.LinkUp(ctx, k, src.want, at)
			case "reset":
				err = netsetup.LinkReset(ctx, k, src.want, at)
			}
			if err != nil {
				return err
			}
			state := map[string]string{"down": "down", "up": "up", "reset": "as the file says"}[args[1]]
			return a.say("%s:%s is %s\n", end.Node, end.Interface, state)
		})
	}
	return cmd
}

// linkEnd finds the running lab and the end of a link that [LAB/]NODE:INTERFACE
// names.
func (a *app) linkEnd(ctx context.Context, cmd *cobra.Command, k *kernel.Kernel, arg string) (*source, topology.Endpoint, error) {
	var end topology.Endpoint
	names, err := k.Labs(ctx)
	if err != nil {
		return nil, end, err
	}
	lab, rest, named := strings.Cut(arg, "/")
	switch {
	case !named:
		rest = arg
		if lab, err = onlyLab(cmd, names, "name the lab, as in LAB/"+arg); err != nil {
			return nil, end, err
		}
	case !slices.Contains(names, lab):
		return nil, end, noLab(cmd, lab)
	}
	end.Node, end.Interface, _ = strings.Cut(rest, ":")
	src, err := a.find(ctx, cmd, lab, "", k)
	if err != nil {
		return nil, end, err
	}
	i := slices.IndexFunc(src.lab.Nodes, func(n *topology.Node) bool { return n.Name == end.Node })
	if i < 0 {
		return nil, end, noNode(cmd, lab, end.Node)
	}
	var ends []string
	for _, in := range src.lab.Nodes[i].Interfaces {
		if in.Link != nil {
			ends = append(ends, end.Node+":"+in.Name)
		}
	}
	if !slices.Contains(ends, end.Node+":"+end.Interface) {
		hint := ""
		if len(ends) > 0 {
			hint = "\nhint: its ends of links are " + strings.Join(ends, ", ")
		}
		return nil, end, usageError{cmd, fmt.Errorf("%s is not the end of a link of %s%s", rest, end.Node, hint)}
	}
	return src, end, nil
}
