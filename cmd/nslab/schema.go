package main

import (
	"github.com/spf13/cobra"

	"nslab/topology"
)

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the topology file",
		Long: `Prints the JSON Schema (draft 2020-12) of the topology file, for editors that
complete and check YAML by one. nslab validate checks more than a schema can.`,
		Example: `  nslab schema > nslab.schema.json
  # then, as the first line of lab.yaml:
  # yaml-language-server: $schema=./nslab.schema.json`,
		Args:              atMost(0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.stdout.Write(topology.Schema())
			return err
		},
	}
}
