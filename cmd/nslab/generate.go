package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"nslab/topology"
)

func (a *app) generateCommand() *cobra.Command {
	var (
		opt    topology.GenerateOptions
		subnet string
	)
	cmd := &cobra.Command{
		Use:   "generate SHAPE",
		Short: "Write a topology of a given shape",
		Long: `Writes a topology file, with tests that pass, to standard output. SHAPE is one of
` + strings.Join(topology.Shapes, ", ") + `.`,
		Example: `  nslab generate ring --nodes 10 > ring.yaml
  nslab generate fat-tree --k 4 | nslab test -
  nslab generate grid --nodes 9 --subnet 172.16.0.0/12`,
		Args:      oneOf("shape", topology.Shapes),
		ValidArgs: topology.Shapes,
	}
	f := cmd.Flags()
	f.IntVar(&opt.Nodes, "nodes", 0, "how many `NODES`; of a star, how many hosts (default: a few)")
	f.IntVar(&opt.K, "k", 0, "ports of a fat-tree's switch (4), children of a tree's node (2), length of a grid's row")
	f.StringVar(&subnet, "subnet", "", "cut the addresses out of this `PREFIX` (10.0.0.0/8)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.Changed("nodes") && opt.Nodes < 1 || f.Changed("k") && opt.K < 1 {
			return usageError{cmd, errors.New("--nodes and --k want a number of at least 1")}
		}
		if subnet != "" {
			p, err := netip.ParsePrefix(subnet)
			if err != nil {
				return usageError{cmd, fmt.Errorf("--subnet: %q is not a prefix such as 10.0.0.0/8", subnet)}
			}
			opt.Subnet = p
		}
		text, err := topology.Generate(args[0], opt)
		if err != nil {
			return usageError{cmd, err}
		}
		_, err = a.stdout.Write(text)
		return err
	}
	return cmd
}
