package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"nslab/netsetup"
)

// validateReport is the JSON of `validate`.
type validateReport struct {
	File     string    `json:"file"`
	Lab      string    `json:"lab"`
	Nodes    int       `json:"nodes"`
	Links    int       `json:"links"`
	Tests    int       `json:"tests"`
	Warnings []problem `json:"warnings"`
}

// problem is a mistake or warning of a topology file.
type problem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func (a *app) validateCommand() *cobra.Command {
	var resolved bool
	cmd := &cobra.Command{
		Use:   "validate [FILE|LAB]",
		Short: "Check a topology file",
		Long: `Reads, resolves and compiles a topology file, and reports every mistake in it at
its line and column. It needs no root and changes nothing.`,
		Example: `  nslab validate lab.yaml
  nslab validate lab.yaml --resolved   with every address and default filled in
  nslab generate ring --nodes 5 | nslab validate -`,
		Args: atMost(1),
	}
	name := nameFlag(cmd)
	format := formatFlag(cmd)
	cmd.Flags().BoolVar(&resolved, "resolved", false, "print the lab with every address and default filled in")
	cmd.ValidArgsFunction = completeLab
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		lab, _, err := a.load(context.Background(), cmd, argument(args), *name, nil)
		if err != nil {
			return err
		}
		if _, err := netsetup.Compile(lab); err != nil {
			return err
		}
		switch {
		case resolved:
			return lab.WriteYAML(a.stdout)
		case format.json():
			report := validateReport{lab.File, lab.Name, len(lab.Nodes), len(lab.Links), len(lab.Tests), []problem{}}
			for _, w := range lab.Warnings {
				report.Warnings = append(report.Warnings,
					problem{w.File, int(w.Pos.Line), int(w.Pos.Col), w.Path, w.Msg, w.Hint})
			}
			return writeJSON(a.stdout, report)
		}
		_, err = fmt.Fprintf(a.stdout, "%s: %s, %s, %s: ok\n", lab.File,
			plural(len(lab.Nodes), "node"), plural(len(lab.Links), "link"), plural(len(lab.Tests), "test"))
		return err
	}
	return cmd
}
