package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"nslab/netsetup"
	"nslab/netsetup/kernel"
	"nslab/topology"
)

// labRow is one lab in the JSON of `ps`.
type labRow struct {
	Lab   string `json:"lab"`
	Nodes int    `json:"nodes"`
	File  string `json:"file,omitempty"` // as it was named to up
}

// labReport is the JSON of `ps LAB`.
type labReport struct {
	Lab       string       `json:"lab"`
	File      string       `json:"file,omitempty"`
	Nodes     []nodeRow    `json:"nodes"`
	Processes []processRow `json:"processes,omitempty"`
	Drift     []change     `json:"drift"`
}

type nodeRow struct {
	Node      string       `json:"node"`
	Kind      string       `json:"kind,omitempty"` // left out where no file tells it
	Namespace string       `json:"namespace"`
	State     string       `json:"state"` // up, drifted, missing, unwanted
	Addresses []addressRow `json:"addresses"`
	Limits    *limitsRow   `json:"limits,omitempty"`
}

type addressRow struct {
	Interface string `json:"interface"`
	Address   string `json:"address"`
}

// States of a node.
const (
	stateUp       = "up"       // as the file says
	stateDrifted  = "drifted"  // there, and different
	stateMissing  = "missing"  // in the file and not in the kernel
	stateUnwanted = "unwanted" // in the kernel and not in the file
)

func (a *app) psCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "ps [LAB|FILE]",
		Short: "List the labs, or the nodes of one",
		Long: `Lists the running labs; of one lab, its nodes with their addresses and state: up,
drifted (the kernel differs from the file), missing, or unwanted. Below are its
processes: waiting (for others), starting, running, restarting (in a moment),
stopped (by ` + "`nslab stop`" + `), exited (by itself, with 0) or failed, with the time of
processors and the memory that each uses, together with what it has started; and
what the nodes use of their limits.`,
		Example: `  nslab ps
  nslab ps campus
  nslab ps campus --drift   exit status 6 where the kernel differs from the file`,
		Args: atMost(1),
	}
	name := nameFlag(cmd)
	format := formatFlag(cmd)
	cmd.Flags().BoolVar(&check, "drift", false, "show what differs, and exit with status 6 if anything does")
	cmd.ValidArgsFunction = completeLab
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.onKernel(func(ctx context.Context, k *kernel.Kernel) error {
			if len(args) == 0 && !check {
				return a.listLabs(ctx, k, format)
			}
			report, plan, err := a.examine(ctx, cmd, k, argument(args), *name)
			if err != nil {
				return err
			}
			if err := a.showLab(report, plan, check, format); err != nil {
				return err
			}
			if check && !plan.Empty() {
				return statusError(statusDifferent)
			}
			return nil
		})
	}
	return cmd
}

func (a *app) listLabs(ctx context.Context, k *kernel.Kernel, format *choice) error {
	labs, err := k.Labs(ctx)
	if err != nil {
		return err
	}
	list := []labRow{}
	nodes := published()
	for _, lab := range labs {
		row := labRow{Lab: lab, Nodes: len(nodes[lab])}
		row.File, _, err = savedFile(lab)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		list = append(list, row)
	}
	if format.json() {
		return writeJSON(a.stdout, list)
	}
	rows := [][]string{{"LAB", "NODES", "FILE"}}
	for _, l := range list {
		rows = append(rows, []string{l.Lab, fmt.Sprint(l.Nodes), l.File})
	}
	return writeTable(a.stdout, rows)
}

// examine compares a running lab with its file.
func (a *app) examine(ctx context.Context, cmd *cobra.Command, k *kernel.Kernel, arg, name string) (labReport, *netsetup.Plan, error) {
	src, err := a.find(ctx, cmd, arg, name, k)
	if err != nil {
		return labReport{}, nil, err
	}
	have, plan, err := differences(ctx, k, src)
	if err != nil {
		return labReport{}, nil, err
	}
	report := reportLab(src.lab, have, plan)
	if err := report.addMachines(ctx, src); err != nil {
		return labReport{}, nil, err
	}
	return report, plan, nil
}

// reportLab makes the report: the nodes of the file, in its order, then those
// that only the kernel has.
func reportLab(lab *topology.Lab, have *netsetup.State, plan *netsetup.Plan) labReport {
	report := labReport{Lab: lab.Name, File: lab.File, Nodes: []nodeRow{}, Drift: changes(plan)}
	drifted := map[string]bool{}
	for _, op := range plan.Ops {
		drifted[op.Namespace] = true
		if l, ok := op.Object.(*netsetup.Link); ok && op.PeerLink != nil {
			drifted[l.Peer.Namespace] = true
		}
	}
	for _, l := range plan.Processes {
		drifted[l.Namespace] = true
	}
	there := map[string]*netsetup.Namespace{}
	for i := range have.Namespaces {
		there[have.Namespaces[i].Name] = &have.Namespaces[i]
	}
	for _, n := range lab.Nodes {
		row := nodeRow{Node: n.Name, Kind: n.Kind, Namespace: namespaceName(lab.Name, n), State: stateUp, Addresses: []addressRow{}}
		ns := there[row.Namespace]
		delete(there, row.Namespace)
		switch {
		case ns == nil:
			row.State = stateMissing
		case drifted[row.Namespace]:
			row.State = stateDrifted
		}
		if ns != nil {
			row.Addresses = addressRows(ns)
		}
		report.Nodes = append(report.Nodes, row)
	}
	for _, ns := range have.Namespaces {
		if there[ns.Name] != nil && ns.Kind == netsetup.Own {
			report.Nodes = append(report.Nodes, nodeRow{Node: nodeName(lab.Name, ns.Name), Namespace: ns.Name,
				State: stateUnwanted, Addresses: addressRows(&ns)})
		}
	}
	return report
}

func addressRows(ns *netsetup.Namespace) []addressRow {
	rows := []addressRow{}
	for _, addr := range ns.Addresses {
		rows = append(rows, addressRow{addr.Link, addr.Prefix.String()})
	}
	return rows
}

func (a *app) showLab(report labReport, plan *netsetup.Plan, check bool, format *choice) error {
	if format.json() {
		return writeJSON(a.stdout, report)
	}
	if check {
		return a.showPlan(plan, report.Lab, format)
	}
	rows := [][]string{{"NODE", "KIND", "STATE", "ADDRESSES"}}
	for _, n := range report.Nodes {
		rows = append(rows, []string{n.Node, n.Kind, n.State, joinAddresses(n.Addresses)})
	}
	if err := writeTable(a.stdout, rows); err != nil {
		return err
	}
	for _, rows := range [][][]string{processTable(report.Processes), limitsTable(report.Nodes)} {
		if len(rows) == 1 {
			continue
		}
		if _, err := fmt.Fprintln(a.stdout); err != nil {
			return err
		}
		if err := writeTable(a.stdout, rows); err != nil {
			return err
		}
	}
	return nil
}

// joinAddresses gives "eth0 10.0.1.1/24 fd00::1/64, eth1 10.0.2.1/24".
func joinAddresses(rows []addressRow) string {
	var b strings.Builder
	for i, r := range rows {
		switch {
		case i == 0:
			b.WriteString(r.Interface)
		case rows[i-1].Interface != r.Interface:
			b.WriteString(", " + r.Interface)
		}
		b.WriteString(" " + r.Address)
	}
	return b.String()
}
