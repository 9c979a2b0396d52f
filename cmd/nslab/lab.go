package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nslab/labs"
	"nslab/netsetup"
	"nslab/topology"
)

// defaultFile is what verbs take that are given neither FILE nor LAB.
const defaultFile = "lab.yaml"

// where says where a lab comes from.
type where uint8

const (
	fromFile    where = iota // ref.name is a path, or - for standard input
	fromRunning              // ref.name is the name of a running lab
	fromShipped              // ref.name is the name of a shipped lab
)

// ref is what FILE or LAB stands for.
type ref struct {
	where where
	name  string
}

// lister gives the names of the running labs, sorted; *kernel.Kernel is one.
type lister interface {
	Labs(ctx context.Context) ([]string, error)
}

// isFile is the naming rule of FILE | LAB.
func isFile(arg string) bool {
	return arg == "-" || strings.Contains(arg, "/") ||
		strings.HasSuffix(arg, ".yaml") || strings.HasSuffix(arg, ".yml")
}

// resolveRef says what arg stands for. An empty arg is lab.yaml of the current
// folder, else the one running lab. Verbs that work without the kernel have no
// lister, and see no running labs.
func resolveRef(ctx context.Context, cmd *cobra.Command, arg string, running lister) (ref, error) {
	if isFile(arg) {
		return ref{fromFile, arg}, nil
	}
	if arg == "" {
		if _, err := os.Stat(defaultFile); err == nil {
			return ref{fromFile, defaultFile}, nil
		}
	}
	var names []string
	if running != nil {
		var err error
		if names, err = running.Labs(ctx); err != nil {
			return ref{}, err
		}
	}
	switch {
	case arg != "" && slices.Contains(names, arg):
		return ref{fromRunning, arg}, nil
	case arg != "" && isShipped(arg):
		return ref{fromShipped, arg}, nil
	case arg != "":
		_, err := labs.Read(arg) // has the hint
		if running != nil {
			err = fmt.Errorf("no lab %q runs; %w", arg, err)
		}
		return ref{}, usageError{cmd, err}
	case len(names) == 0:
		return ref{}, usageError{cmd, fmt.Errorf("there is no %s here and no lab runs\nhint: name a file, or one of `nslab labs`", defaultFile)}
	}
	lab, err := onlyLab(cmd, names, "name one of them")
	return ref{fromRunning, lab}, err
}

func isShipped(name string) bool {
	return slices.ContainsFunc(labs.List(), func(l labs.Lab) bool { return l.Name == name })
}

// source is a lab that was read, with the text that it was read from and what
// it compiles to.
type source struct {
	lab  *topology.Lab
	data []byte
	want *netsetup.State
}

// find reads and compiles the lab that arg stands for. A name (of --name; "" is
// none) takes the place of the file's.
func (a *app) find(ctx context.Context, cmd *cobra.Command, arg, name string, running lister) (*source, error) {
	lab, data, err := a.load(ctx, cmd, arg, name, running)
	if err != nil {
		return nil, err
	}
	want, err := netsetup.CompileMachines(lab)
	if err != nil {
		return nil, err
	}
	if running != nil {
		want.Join(joined(lab.Name))
	}
	return &source{lab, data, want}, nil
}

// load is find without compiling, for which the files that the lab names need not
// be there.
func (a *app) load(ctx context.Context, cmd *cobra.Command, arg, name string, running lister) (lab *topology.Lab, data []byte, err error) {
	r, err := resolveRef(ctx, cmd, arg, running)
	if err != nil {
		return nil, nil, err
	}
	file, data, err := a.text(r)
	if err != nil {
		return nil, nil, err
	}
	if r.where == fromRunning {
		if name != "" && name != r.name {
			return nil, nil, usageError{cmd, fmt.Errorf("lab %s runs already and keeps its name\nhint: --name goes with a file", r.name)}
		}
		name = r.name
	}
	if lab, err = topology.LoadAs(file, data, name); err != nil {
		return nil, nil, err
	}
	for _, w := range lab.Warnings {
		a.note("%s", a.warning(w))
	}
	return lab, data, nil
}

// text is the topology file of r, with its name for messages.
func (a *app) text(r ref) (file string, data []byte, err error) {
	switch r.where {
	case fromRunning:
		return savedFile(r.name)
	case fromShipped:
		data, err = labs.Read(r.name)
		return r.name, data, err
	}
	if r.name == "-" {
		data, err = read(r.name, a.stdin)
		return r.name, data, err
	}
	f, err := os.Open(r.name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && !strings.Contains(r.name, "/") && isShipped(strings.TrimSuffix(r.name, ".yaml")) {
			err = fmt.Errorf("%w\nhint: a shipped lab goes by its name alone: `%s`", err, strings.TrimSuffix(r.name, ".yaml"))
		}
		return "", nil, withStatus{statusUsage, err}
	}
	defer f.Close()
	data, err = read(r.name, f)
	return r.name, data, err
}

// savedFile is the copy of a running lab's file, its name as it is seen from the
// current folder.
func savedFile(lab string) (file string, data []byte, err error) {
	file, data, err = netsetup.LoadFile(lab)
	if dir, err := os.Getwd(); err == nil && filepath.IsAbs(file) {
		if near, err := filepath.Rel(dir, file); err == nil && filepath.IsLocal(near) {
			file = near
		}
	}
	return file, data, err
}

// fromAnywhere makes the name of a file mean the same in every folder: what a
// lab names beside its file is found from there.
func fromAnywhere(file string) string {
	if file == "-" || !isFile(file) {
		return file
	}
	if path, err := filepath.Abs(file); err == nil {
		return path
	}
	return file
}

// read reads a topology file to its end.
func read(name string, r io.Reader) ([]byte, error) {
	data, err := topology.Read(r)
	if path := new(fs.PathError); errors.As(err, &path) {
		return nil, withStatus{statusUsage, err}
	}
	if err != nil {
		return nil, withStatus{statusTopology, fmt.Errorf("%s: %w", name, err)}
	}
	return data, nil
}

func (a *app) warning(w *topology.Error) string {
	return a.colorsFor(a.stderr).paint(yellow, "warning: ") + w.Error()
}

// nameFlag gives a verb --name.
func nameFlag(cmd *cobra.Command) *string {
	name := new(string)
	cmd.Flags().StringVar(name, "name", "", "run the file's lab under this name")
	_ = cmd.RegisterFlagCompletionFunc("name", cobra.NoFileCompletions)
	return name
}

// argument is the verb's FILE or LAB, or "".
func argument(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// onlyLab is the lab that a verb means which was given none: the one that runs.
// hint says how to name one.
func onlyLab(cmd *cobra.Command, names []string, hint string) (string, error) {
	switch len(names) {
	case 0:
		return "", usageError{cmd, errors.New("no lab runs\nhint: `nslab up` brings one up")}
	case 1:
		return names[0], nil
	}
	return "", usageError{cmd, fmt.Errorf("several labs run: %s\nhint: %s", strings.Join(names, ", "), hint)}
}

func noLab(cmd *cobra.Command, lab string) error {
	return usageError{cmd, fmt.Errorf("no lab %q runs\nhint: `nslab ps` lists those that do", lab)}
}

func noNode(cmd *cobra.Command, lab, node string) error {
	return usageError{cmd, fmt.Errorf("lab %s has no node %q\nhint: `nslab ps %s` lists its nodes", lab, node, lab)}
}
