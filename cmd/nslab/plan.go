package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nslab/netsetup"
	"nslab/netsetup/kernel"
	"nslab/netsetup/netns"
)

// planReport is the JSON of `plan`.
type planReport struct {
	Lab     string   `json:"lab"`
	Changes []change `json:"changes"`
}

// change is one line of a plan. File, Line and Column say what asked for it;
// they are left out where nothing in the file did.
type change struct {
	Sign      string `json:"sign"`
	Namespace string `json:"namespace"` // "" is the host's
	Object    string `json:"object"`
	Command   string `json:"command"`
	File      string `json:"file,omitempty"`
	Line      int    `json:"line,omitempty"`
	Column    int    `json:"column,omitempty"`
}

func (a *app) planCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "plan [FILE|LAB]",
		Short: "Show what up would change",
		Long: `Shows what up would change, in the words of ip and nft: + adds, ~ changes,
- removes. Nothing is changed. For a lab that does not run it needs no root.`,
		Example: `  nslab plan lab.yaml
  nslab plan campus --check   exit status 6 if the lab is not what its file says
  nslab plan -o json lab.yaml | jq -r '.changes[].command'`,
		Args: atMost(1),
	}
	name := nameFlag(cmd)
	format := formatFlag(cmd)
	cmd.Flags().BoolVar(&check, "check", false, "exit with status 6 if there are changes")
	cmd.ValidArgsFunction = completeLab
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		show := func(plan *netsetup.Plan, lab string) error {
			if err := a.showPlan(plan, lab, format); err != nil {
				return err
			}
			if check && !plan.Empty() {
				return statusError(statusDifferent)
			}
			return nil
		}
		if err := a.enter(); errors.Is(err, netns.ErrPrivilege) {
			src, plan, err := a.planFromNothing(cmd, argument(args), *name, err)
			if err != nil {
				return err
			}
			return show(plan, src.lab.Name)
		} else if err != nil {
			return err
		}
		return a.onKernel(func(ctx context.Context, k *kernel.Kernel) error {
			src, err := a.find(ctx, cmd, argument(args), *name, k)
			if err != nil {
				return err
			}
			_, plan, err := differences(ctx, k, src)
			if err != nil {
				return err
			}
			return show(plan, src.lab.Name)
		})
	}
	return cmd
}

// planFromNothing is the plan of a lab that does not run, for those who may not
// look at the kernel, which is what denied says.
func (a *app) planFromNothing(cmd *cobra.Command, arg, name string, denied error) (*source, *netsetup.Plan, error) {
	src, err := a.find(context.Background(), cmd, arg, name, nil)
	if err != nil {
		return nil, nil, err
	}
	if len(published()[src.lab.Name]) > 0 {
		return nil, nil, denied
	}
	plan, err := netsetup.Diff(&netsetup.State{Lab: src.lab.Name}, src.want, false)
	if err != nil {
		return nil, nil, err
	}
	plan.Processes, err = machineLines(context.Background(), src)
	return src, plan, err
}

// differences is what the kernel has, and the plan from that to what is wanted.
func differences(ctx context.Context, k netsetup.Kernel, src *source) (have *netsetup.State, plan *netsetup.Plan, err error) {
	have, err = netsetup.Observe(ctx, k, src.want)
	if err != nil {
		return nil, nil, err
	}
	if plan, err = netsetup.Diff(have, src.want, false); err != nil {
		return nil, nil, err
	}
	plan.Processes, err = machineLines(ctx, src)
	return have, plan, err
}

func (a *app) showPlan(plan *netsetup.Plan, lab string, format *choice) error {
	if format.json() {
		return writeJSON(a.stdout, planReport{lab, changes(plan)})
	}
	if err := a.writePlan(a.stdout, plan); err != nil || a.quiet {
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "%s: %s\n", lab, planSummary(plan))
	return err
}

// writePlan writes a plan's lines, + green, ~ yellow, - red.
func (a *app) writePlan(w io.Writer, plan *netsetup.Plan) error {
	c := a.colorsFor(w)
	color := map[string]string{"+": green, "~": yellow, "-": red}
	for _, l := range plan.Lines() {
		if _, err := fmt.Fprintln(w, c.paint(color[l.Sign], l.Sign+" "+l.Command)); err != nil {
			return err
		}
	}
	return nil
}

// planSummary counts a plan's changes.
func planSummary(plan *netsetup.Plan) string {
	if plan.Empty() {
		return "nothing to change"
	}
	count := map[string]int{}
	for _, l := range plan.Lines() {
		count[l.Sign]++
	}
	return fmt.Sprintf("%d to add, %d to change, %d to remove", count["+"], count["~"], count["-"])
}

// changes is a plan as JSON has it.
func changes(plan *netsetup.Plan) []change {
	list := []change{}
	for _, l := range plan.Lines() {
		c := change{Sign: l.Sign, Namespace: l.Namespace, Object: l.Object, Command: l.Command}
		if !l.Pos.IsZero() {
			c.File, c.Line, c.Column = plan.File, int(l.Pos.Line), int(l.Pos.Col)
		}
		list = append(list, c)
	}
	return list
}
