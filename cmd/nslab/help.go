package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// usageTemplate is what --help shows below the text of a verb.
const usageTemplate = `Usage:
  {{.UseLine}}
{{- if .Aliases}}

Also called:
  {{range $i, $a := .Aliases}}{{if $i}}, {{end}}{{$a}}{{end}}
{{- end}}
{{- if .HasExample}}

Examples:
{{.Example}}
{{- end}}
{{- if .HasAvailableSubCommands}}

Verbs:
{{- range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}
{{- end}}{{end}}
{{- end}}
{{- if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{- end}}
{{- if .HasAvailableInheritedFlags}}

Flags of every verb:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}
{{- end}}
{{- if .HasAvailableSubCommands}}

{{.CommandPath}} VERB --help tells more.
{{- end}}
`

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [VERB]",
		Short:   "Show what a verb does and its flags",
		Long:    "Shows what a verb does and its flags, as VERB --help does.",
		Example: "  nslab help up",
		RunE: func(cmd *cobra.Command, args []string) error {
			verb, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 && verb == cmd.Root() {
				return unknownVerb(cmd.Root(), args[0])
			}
			verb.InitDefaultHelpFlag()
			return verb.Help()
		},
	}
}

// unknownVerb is the error for a verb that there is not, with the one that was
// probably meant.
func unknownVerb(root *cobra.Command, verb string) error {
	text := fmt.Sprintf("there is no verb %q", verb)
	if near := root.SuggestionsFor(verb); len(near) > 0 {
		text += fmt.Sprintf("\nhint: did you mean `%s`?", near[0])
	}
	return usageError{root, errors.New(text)}
}
