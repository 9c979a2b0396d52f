package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"nslab/labs"
)

func (a *app) labsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "labs",
		Short: "List, show or copy the labs that nslab ships",
		Long: `Lists the labs that are built into nslab. Each has tests that pass; run one by its
name, or copy it as the beginning of your own.`,
		Example: `  nslab labs
  nslab labs show quickstart
  nslab labs copy quickstart
  nslab test quickstart`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{cmd, fmt.Errorf("labs has no verb %q", args[0])}
			}
			return nil
		},
	}
	format := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		list := labs.List()
		if format.json() {
			return writeJSON(a.stdout, list)
		}
		rows := [][]string{{"LAB", "SHOWS"}}
		for _, l := range list {
			rows = append(rows, []string{l.Name, l.Summary})
		}
		return writeTable(a.stdout, rows)
	}
	cmd.AddCommand(a.labsShowCommand(), a.labsCopyCommand())
	return cmd
}

func (a *app) labsShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "show LAB",
		Short:             "Print the file of a shipped lab",
		Long:              "Prints the topology file of a shipped lab.",
		Example:           "  nslab labs show ecmp | less",
		Args:              exactly("LAB"),
		ValidArgsFunction: completeShipped,
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := shipped(cmd, args[0])
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(text)
			return err
		},
	}
}

func (a *app) labsCopyCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "copy LAB",
		Short:             "Copy a shipped lab into the current folder",
		Long:              "Writes a shipped lab to LAB.yaml in the current folder. A file that exists is\nnever overwritten.",
		Example:           "  nslab labs copy quickstart && nslab test quickstart.yaml",
		Args:              exactly("LAB"),
		ValidArgsFunction: completeShipped,
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := shipped(cmd, args[0])
			if err != nil {
				return err
			}
			file := args[0] + ".yaml"
			f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			if errors.Is(err, fs.ErrExist) {
				return usageError{cmd, fmt.Errorf("%s exists and is not overwritten\nhint: `nslab labs show %s` prints the lab", file, args[0])}
			}
			if err != nil {
				return err
			}
			if _, err := f.Write(text); err != nil {
				f.Close()
				return err
			}
			if err := f.Close(); err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.stdout, file)
			return err
		},
	}
}

func shipped(cmd *cobra.Command, name string) ([]byte, error) {
	text, err := labs.Read(name)
	if err != nil {
		return nil, usageError{cmd, err}
	}
	return text, nil
}

func completeShipped(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for _, l := range labs.List() {
		names = append(names, cobra.CompletionWithDesc(l.Name, l.Summary))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
