// Command nslab makes network labs of Linux namespaces from topology files,
// tests them and takes them down.
//
// It knows flags, arguments, printing and exit statuses, one file a verb, and
// leaves everything else to the packages that it calls.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nslab/netsetup/bug"
	"nslab/netsetup/netns"
	"nslab/netsetup/proc"
	"nslab/netsetup/proc/supervisor"
)

// app is one run of the program: its streams and the common flags.
type app struct {
	args           []string // as given, for a second start inside namespaces of the user's own
	stdin          io.Reader
	stdout, stderr io.Writer

	quiet       bool
	verbose     bool
	color       *choice
	timeout     time.Duration
	lockTimeout time.Duration
	jobs        int
	rootless    bool
	rootlessSet bool // --rootless or --rootless=false was given
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == netns.HolderArg {
		os.Exit(netns.RunHolder())
	}
	if len(os.Args) > 1 && os.Args[1] == proc.KeeperArg {
		os.Exit(proc.RunKeeper())
	}
	if len(os.Args) == 3 && os.Args[0] == "nslab:" && os.Args[2] == supervisor.Arg {
		os.Exit(supervisor.Run(os.Args[1]))
	}
	a := &app{args: os.Args[1:], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(a.main())
}

// main runs the verb that the arguments name, prints its error and gives the
// exit status.
func (a *app) main() int {
	err := bug.Guard(a.command().Execute)
	if b := bug.In(err); b != nil && a.verbose {
		a.stderr.Write(b.Stack)
	}
	if text := errorText(err); text != "" {
		fmt.Fprintln(a.stderr, a.paintError(text))
	}
	return exitStatus(err)
}

// paintError marks the first word of hints, so that they stand apart.
func (a *app) paintError(text string) string {
	c := a.colorsFor(a.stderr)
	if !c {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if rest, ok := strings.CutPrefix(line, "hint:"); ok {
			lines[i] = c.paint(green, "hint:") + rest
		} else {
			lines[i] = c.paint(red, line)
		}
	}
	return strings.Join(lines, "\n")
}

// note tells something on standard error that is not a result; -q silences it.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.stderr, format+"\n", args...)
	}
}

// command is the command line as cobra knows it.
func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:                   "nslab VERB [FILE|LAB]",
		DisableFlagsInUseLine: true,
		Short:                 "Network labs of Linux namespaces, from one YAML file",
		Long: `nslab makes the network that a YAML file describes out of Linux namespaces,
tests it, and takes it down without a trace. No daemon, no container engine.

Where a verb takes FILE or LAB: what contains a slash, ends in .yaml or .yml or
is - (standard input) is a file; anything else is the name of a running lab,
else of a lab that nslab ships. With neither, it is lab.yaml of the current
folder, else the one running lab.`,
		Example: `  nslab test quickstart      make a shipped lab, run its tests, take it down
  nslab up lab.yaml          make the lab be what the file says
  nslab exec h1 -- ip route  run a program in a node
  nslab down --all           remove every lab`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownVerb(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	root.SetArgs(a.args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.CompletionOptions.DisableDefaultCmd = true
	root.SuggestionsMinimumDistance = 2
	root.SetHelpCommand(helpCommand())
	root.SetUsageTemplate(usageTemplate)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{cmd, err}
	})

	flags := root.PersistentFlags()
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "no progress, warnings or summary")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "every change to the kernel, as the command that does the same")
	a.color = &choice{value: "auto", words: []string{"auto", "always", "never"}}
	flags.Var(a.color, "color", "colours; auto: on a terminal, unless NO_COLOR is set")
	_ = root.RegisterFlagCompletionFunc("color", cobra.FixedCompletions(a.color.words, cobra.ShellCompDirectiveNoFileComp))
	flags.DurationVar(&a.timeout, "timeout", 0, "give up, and undo, after this `TIME`, as 90s (0: never)")
	flags.DurationVar(&a.lockTimeout, "lock-timeout", 30*time.Second, "wait this `TIME` for another nslab at work on the same lab")
	flags.IntVar(&a.jobs, "jobs", 0, "work on `N` namespaces at a time (0: 2)")
	flags.BoolVar(&a.rootless, "rootless", false, "use namespaces of your own user; the default without root")
	root.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		a.rootlessSet = cmd.Flags().Changed("rootless")
		if a.jobs < 0 || a.timeout < 0 || a.lockTimeout < 0 {
			return usageError{cmd, errors.New("--jobs, --timeout and --lock-timeout cannot be negative")}
		}
		return nil
	}

	for _, verb := range []*cobra.Command{
		a.upCommand(), a.downCommand(), a.planCommand(), a.testCommand(), a.validateCommand(),
		a.psCommand(), a.inspectCommand(), a.linkCommand(), a.execCommand(), a.shellCommand(),
		a.logsCommand(), a.startCommand(), a.stopCommand(), a.restartCommand(),
		a.generateCommand(), a.labsCommand(), a.doctorCommand(),
		a.versionCommand(), a.completionCommand(), a.schemaCommand(),
	} {
		root.AddCommand(verb)
	}
	return root
}
