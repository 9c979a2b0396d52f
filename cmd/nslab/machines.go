package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nslab/netsetup"
	"nslab/netsetup/proc"
	"nslab/netsetup/proc/cgroup"
	"nslab/netsetup/proc/supervisor"
	"nslab/topology"
)

// runMachines makes the nodes of a lab, whose network is as wanted, the machines
// of its file: limits, what new ones do once, and processes. plan is what was
// changed of the network.
func runMachines(ctx context.Context, src *source, plan *netsetup.Plan) error {
	made := map[string]bool{}
	for _, op := range plan.Ops {
		if op.Phase == netsetup.Namespaces && op.Verb == netsetup.Add {
			made[op.Namespace] = true
		}
	}
	lab := src.lab.Name
	if err := proc.Save(lab, src.want.Hosts, src.want.Machines); err != nil {
		return err
	}
	groups, err := cgroup.All(lab)
	if err != nil {
		return err
	}
	for i := range src.want.Machines {
		m := &src.want.Machines[i]
		if err := group(m, groups[m.Node] != nil); err != nil {
			return err
		}
		if !made[lab+"."+m.Node] {
			continue
		}
		for _, argv := range m.Setup {
			if err := setUp(ctx, m, argv); err != nil {
				return err
			}
		}
	}
	if err := supervisor.Apply(ctx, lab, src.want.Machines); err != nil {
		return err
	}
	return endOthers(lab, src.want.Machines)
}

// group gives a node its cgroup, where it needs or has one.
func group(m *netsetup.Machine, has bool) error {
	if !has && m.Limits == (netsetup.Limits{}) && len(m.Processes)+len(m.Setup) == 0 {
		return nil
	}
	_, err := cgroup.Create(m.Lab, m.Node, m.Limits)
	return err
}

// setupError is a command of `setup` that failed.
type setupError struct {
	node   string
	argv   []string
	exit   int
	output string
}

func (e *setupError) Error() string {
	s := fmt.Sprintf("node %s: setup command `%s` ended with status %d", e.node, strings.Join(e.argv, " "), e.exit)
	if out := strings.TrimRight(e.output, "\n"); out != "" {
		s += "; it wrote:\n  " + strings.ReplaceAll(out, "\n", "\n  ")
	}
	return s
}

// setUp runs a command of `setup`.
func setUp(ctx context.Context, m *netsetup.Machine, argv []string) error {
	n, err := proc.Open(m.Lab, m.Node)
	if err != nil {
		return err
	}
	defer n.Close()
	env, err := supervisor.Env(m, "", "")
	if err != nil {
		return err
	}
	var out bytes.Buffer
	c := proc.Command{Node: n, Argv: argv, Dir: "/", Base: []string{}, Env: env, Stdout: &out, Stderr: &out}
	exit, err := c.Run(ctx)
	if start := new(proc.StartError); errors.As(err, &start) {
		return &setupError{m.Node, argv, start.Status, err.Error()}
	}
	if err == nil && exit != 0 {
		err = &setupError{m.Node, argv, exit, out.String()}
	}
	return err
}

// endOthers ends what nodes have that are not of the lab any more.
func endOthers(lab string, machines []netsetup.Machine) error {
	groups, err := cgroup.All(lab)
	errs := []error{err}
	for node := range groups {
		if !slices.ContainsFunc(machines, func(m netsetup.Machine) bool { return m.Node == node }) {
			errs = append(errs, supervisor.EndNode(lab, node))
		}
	}
	return errors.Join(errs...)
}

// undoMachines returns to the processes and limits of the file that the lab was
// brought up with before; of one that was not there nothing is left.
func undoMachines(ctx context.Context, lab string) error {
	old := saved(lab)
	if old == nil {
		_, err := supervisor.End(ctx, lab)
		return errors.Join(err, netsetup.RemoveFiles(lab))
	}
	machines, err := netsetup.Machines(old)
	if err != nil {
		return err
	}
	groups, err := cgroup.All(lab)
	errs := []error{err, proc.Save(lab, netsetup.HostsFile(old), machines)}
	for i := range machines {
		errs = append(errs, group(&machines[i], groups[machines[i].Node] != nil))
	}
	errs = append(errs, supervisor.Apply(ctx, lab, machines), endOthers(lab, machines))
	return errors.Join(errs...)
}

// machineLines are the changes to limits and processes of a lab, as lines of a
// plan.
func machineLines(ctx context.Context, src *source) ([]netsetup.Line, error) {
	limits, err := limitLines(src)
	if err != nil {
		return nil, err
	}
	have, err := supervisor.List(ctx, src.lab.Name)
	return append(limits, processLines(have, src)...), err
}

// limitLines are the changes to limits.
func limitLines(src *source) ([]netsetup.Line, error) {
	groups, err := cgroup.All(src.lab.Name)
	if err != nil {
		return nil, err
	}
	var lines []netsetup.Line
	for _, m := range src.want.Machines {
		var have netsetup.Limits
		if g := groups[m.Node]; g != nil {
			if have, err = g.Limits(); err != nil {
				return nil, err
			}
		}
		if cgroup.SameLimits(have, m.Limits) {
			continue
		}
		l := netsetup.Line{Sign: "~", Namespace: m.Lab + "." + m.Node, Object: "limits", Command: "limit " + m.Node + ": " + describeLimits(m.Limits)}
		switch (netsetup.Limits{}) {
		case have:
			l.Sign = "+"
		case m.Limits:
			l.Sign, l.Command = "-", "limit "+m.Node+": "+describeLimits(have)
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// describeLimits writes limits as the file does.
func describeLimits(l netsetup.Limits) string {
	var list []string
	if l.CPU != 0 {
		list = append(list, fmt.Sprintf("cpu %g", l.CPU))
	}
	if l.Memory != 0 {
		list = append(list, "memory "+supervisor.FormatBytes(l.Memory))
	}
	if l.PIDs != 0 {
		list = append(list, fmt.Sprintf("pids %d", l.PIDs))
	}
	return strings.Join(list, ", ")
}

// processLines are the changes to the processes of a lab, as lines of a plan.
func processLines(have []supervisor.Status, src *source) []netsetup.Line {
	var lines []netsetup.Line
	for _, c := range supervisor.Diff(have, src.want.Machines) {
		id := c.Node + "/" + c.Name
		l := netsetup.Line{Sign: c.Sign, Namespace: src.lab.Name + "." + c.Node, Object: "process " + c.Name, Command: "run " + id}
		if c.Argv != nil {
			l.Command += ": " + strings.Join(c.Argv, " ")
		}
		l.Pos = processPos(src.lab, c.Node, c.Name)
		lines = append(lines, l)
	}
	return lines
}

// processPos is where the file says of a process; zero where it does not.
func processPos(lab *topology.Lab, node, name string) topology.Pos {
	for _, n := range lab.Nodes {
		for _, p := range n.Run {
			if n.Name == node && p.Name == name {
				return p.Pos
			}
		}
	}
	return topology.Pos{}
}
