package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versionReport is the JSON of `version`.
type versionReport struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long:  "Prints nslab's version, the Go that built it and the platform it is for.",
		Example: `  nslab version
  nslab version -o json`,
		Args:              atMost(0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	format := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		v := versionReport{version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
		if format.json() {
			return writeJSON(a.stdout, v)
		}
		_, err := fmt.Fprintf(a.stdout, "nslab %s (%s, %s)\n", v.Version, v.Go, v.Platform)
		return err
	}
	return cmd
}

// version is what the go command recorded: the tag of a release, else the
// commit, with +dirty where the tree had changes; "(devel)" without a
// repository.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	return info.Main.Version
}
