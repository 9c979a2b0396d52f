package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nslab/netsetup/kernel"
	"nslab/netsetup/netns"
	"nslab/netsetup/proc"
	"nslab/topology"
)

func (a *app) execCommand() *cobra.Command {
	var c proc.Command
	cmd := &cobra.Command{
		Use:                   "exec [FLAGS] NODE [--] COMMAND [ARG]...",
		DisableFlagsInUseLine: true,
		Short:                 "Run a program in a node",
		Long: `Runs a program inside a node. NODE is a node of the one running lab, or LAB/NODE.
The exit status is the program's; 125: nslab failed, 126: the program cannot be
run, 127: there is no such program. Terminal and signals are the program's own.`,
		Example: `  nslab exec h1 -- ping -c 3 10.0.2.10
  nslab exec campus/r1 ip route
  nslab exec -u nobody -w /tmp -e LANG=C h1 -- id`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 || args[1] == "--" && len(args) < 3 {
				return execError(usageError{cmd, errors.New("NODE and COMMAND are wanted")})
			}
			return nil
		},
	}
	programFlags(cmd, &c)
	cmd.ValidArgsFunction = completeNode
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c.Argv = args[1:]
		if c.Argv[0] == "--" {
			c.Argv = c.Argv[1:]
		}
		return a.execIn(cmd, args[0], &c)
	}
	return cmd
}

func (a *app) shellCommand() *cobra.Command {
	var c proc.Command
	cmd := &cobra.Command{
		Use:                   "shell [FLAGS] NODE",
		DisableFlagsInUseLine: true,
		Short:                 "Open a shell in a node",
		Long: `Opens a shell inside a node: $SHELL, or /bin/sh where the node has none. NODE is a
node of the one running lab, or LAB/NODE. The exit status is the shell's.`,
		Example: `  nslab shell h1
  SHELL=/bin/bash nslab shell campus/r1`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := exactly("NODE")(cmd, args); err != nil {
				return execError(err)
			}
			return nil
		},
	}
	programFlags(cmd, &c)
	cmd.ValidArgsFunction = completeNode
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		shell := os.Getenv("SHELL")
		if shell == "" {
			shell = anyShell
		}
		c.Argv = []string{shell}
		err := a.execIn(cmd, args[0], &c)
		if no := new(proc.StartError); shell != anyShell && errors.As(err, &no) && no.Status == proc.StatusNotFound {
			c.Argv = []string{anyShell} // the node's root file system may not have the caller's
			err = execStatus(&c)
		}
		return err
	}
	return cmd
}

// anyShell is one that every system has.
const anyShell = "/bin/sh"

// programFlags gives a verb that runs a program its flags. They stop at the
// first argument, so that the program's own are left to it.
func programFlags(cmd *cobra.Command, c *proc.Command) {
	f := cmd.Flags()
	f.SetInterspersed(false)
	f.StringVarP(&c.User, "user", "u", "", "run as this user: name or number, with :GROUP if wanted")
	f.StringVarP(&c.Dir, "workdir", "w", "", "run in this folder")
	f.StringArrayVarP(&c.Env, "env", "e", nil, "set an environment variable, as `NAME=VALUE`")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return execError(usageError{cmd, err})
	})
}

// execError is nslab's own failure to run a program, told from the statuses
// that the program may end with.
func execError(err error) error { return withStatus{statusExec, err} }

// execIn becomes the program; it comes back only with an error.
func (a *app) execIn(cmd *cobra.Command, arg string, c *proc.Command) error {
	for _, variable := range c.Env {
		if name, _, ok := strings.Cut(variable, "="); !ok || name == "" {
			return execError(usageError{cmd, fmt.Errorf("--env: %q is not NAME=VALUE", variable)})
		}
	}
	err := a.enter()
	if err == nil {
		c.Node, err = a.node(cmd, arg)
	}
	if status := statusError(0); errors.As(err, &status) {
		return err
	}
	if err != nil {
		return execError(err)
	}
	return execStatus(c)
}

// execStatus runs the program; its exit status is the error.
func execStatus(c *proc.Command) error {
	exit, err := c.Exec()
	if err != nil {
		return execError(err)
	}
	if exit != 0 {
		return statusError(exit)
	}
	return nil
}

// node opens NODE or LAB/NODE. Of a large lab it looks at no other node, as long as
// the name can be only one's.
func (a *app) node(cmd *cobra.Command, arg string) (*proc.Node, error) {
	lab, name, named := strings.Cut(arg, "/")
	if !named {
		name = arg
		names, err := netns.Names("") // which may not all be namespaces
		if err != nil {
			return nil, err
		}
		nodes := nodesByLab(names)
		if len(nodes) == 1 {
			for only := range nodes {
				lab = only
			}
		}
	}
	if topology.CheckLabName(lab) == nil && name != "" && !strings.Contains(name, "/") {
		// The look at the mark costs as much as all else. up has refused namespaces
		// of the lab's nodes that others made.
		ours := proc.Kept(lab)
		if !ours {
			var err error
			if ours, err = kernel.IsMarked(lab + "." + name); err != nil {
				return nil, err
			}
		}
		if ours {
			if n, err := proc.Open(lab, name); !errors.Is(err, fs.ErrNotExist) {
				return n, err
			}
		}
	}
	k, err := a.newKernel()
	if err != nil {
		return nil, err
	}
	defer k.Close()
	labs, err := k.Labs(cmd.Context())
	if err != nil {
		return nil, err
	}
	switch {
	case !named:
		if lab, err = onlyLab(cmd, labs, "name the lab, as in LAB/"+arg); err != nil {
			return nil, err
		}
	case !slices.Contains(labs, lab):
		return nil, noLab(cmd, lab)
	}
	l := saved(lab)
	if slices.Contains(published()[lab], name) || l != nil && slices.ContainsFunc(l.Nodes, func(n *topology.Node) bool { return n.Name == name }) {
		return enterNode(lab, name, l)
	}
	return nil, noNode(cmd, lab, name)
}
