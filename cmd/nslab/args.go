package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// atMost allows a verb up to n arguments.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usageError{cmd, fmt.Errorf("%s: unexpected argument %q", cmd.CommandPath(), args[n])}
		}
		return nil
	}
}

// exactly wants one argument for each name.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usageError{cmd, fmt.Errorf("%s: %s is missing", cmd.CommandPath(), names[len(args)])}
		}
		return atMost(len(names))(cmd, args)
	}
}

// oneOf wants one argument out of words.
func oneOf(noun string, words []string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := exactly("the "+noun)(cmd, args); err != nil {
			return err
		}
		if !slices.Contains(words, args[0]) {
			return usageError{cmd, fmt.Errorf("%s: there is no %s %q\nhint: there are %s",
				cmd.CommandPath(), noun, args[0], strings.Join(words, ", "))}
		}
		return nil
	}
}
