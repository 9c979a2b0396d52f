package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"nslab/netsetup"
	"nslab/netsetup/kernel"
	"nslab/netsetup/proc"
)

// inspectReport is the JSON of `inspect`.
type inspectReport struct {
	Lab        string            `json:"lab"`
	Namespaces []namespaceReport `json:"namespaces"`
}

type namespaceReport struct {
	Namespace  string            `json:"namespace"` // "" is the host's
	Node       string            `json:"node,omitempty"`
	Inode      uint64            `json:"inode"`
	Kinds      []kindReport      `json:"kinds"` // of a node's own: the namespaces of every kind that its programs are in
	UIDs       []string          `json:"uid_map,omitempty"`
	GIDs       []string          `json:"gid_map,omitempty"`
	Cgroups    []string          `json:"cgroups,omitempty"`
	Mounts     []string          `json:"mounts,omitempty"` // that only the node has
	Processes  []process         `json:"processes"`
	Interfaces []interfaceReport `json:"interfaces"`
	Routes     []string          `json:"routes"`
	Rules      []string          `json:"rules"`
	Neighbors  []string          `json:"neighbors"`
	Tables     []tableReport     `json:"tables"`  // of nf_tables
	Foreign    []string          `json:"foreign"` // routes, rules and tables that others made
}

type process struct {
	PID     int    `json:"pid"`
	Inside  int    `json:"pid_inside"` // in its own PID namespace
	Command string `json:"command"`
}

// kindReport is a namespace: its kind and inode as under /proc/PID/ns.
type kindReport struct {
	Kind  string `json:"kind"`
	Inode uint64 `json:"inode"`
	// SharedWith is "host", or the other nodes that are in it; left out where it is
	// the node's alone.
	SharedWith []string `json:"shared_with,omitempty"`
}

type interfaceReport struct {
	Name      string    `json:"name"`
	Index     int       `json:"index"`
	Kind      string    `json:"kind"`
	Up        bool      `json:"up"`    // administratively
	State     string    `json:"state"` // operational, as ip-link(8) shows it
	MTU       int       `json:"mtu"`
	MAC       string    `json:"mac,omitempty"`
	Master    string    `json:"master,omitempty"`
	Peer      *peer     `json:"peer,omitempty"`
	Addresses []string  `json:"addresses"`
	Counters  *counters `json:"counters,omitempty"`
}

// peer is the other end of a veth; Namespace is "?" where it is in none of the
// lab's.
type peer struct {
	Namespace string `json:"namespace"`
	Interface string `json:"interface"`
}

type counters struct {
	RxPackets uint64 `json:"rx_packets"`
	RxBytes   uint64 `json:"rx_bytes"`
	RxErrors  uint64 `json:"rx_errors"`
	RxDropped uint64 `json:"rx_dropped"`
	TxPackets uint64 `json:"tx_packets"`
	TxBytes   uint64 `json:"tx_bytes"`
	TxErrors  uint64 `json:"tx_errors"`
	TxDropped uint64 `json:"tx_dropped"`
}

func (a *app) inspectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect LAB[/NODE]",
		Short: "Show all that the kernel has of a lab",
		Long: `Shows the namespaces of a running lab as the kernel has them: inode numbers and the
processes inside, interfaces with their peers, addresses and counters, routes,
rules, fixed neighbours; the tables, chains and rules of nftables, with what they
counted and the line of the file that each comes from. A namespace's inode is what
lsns and /proc/PID/ns show.`,
		Example: `  nslab inspect campus
  nslab inspect campus/r1
  nslab inspect -o json campus | jq '.namespaces[].inode'`,
		Args: atMost(1),
	}
	format := formatFlag(cmd)
	cmd.ValidArgsFunction = completeLabNode
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.onKernel(func(ctx context.Context, k *kernel.Kernel) error {
			lab, node, err := labAndNode(ctx, cmd, argument(args), k)
			if err != nil {
				return err
			}
			report, err := inspect(ctx, k, lab, node)
			if err != nil {
				return err
			}
			if node != "" && len(report.Namespaces) == 0 {
				return noNode(cmd, lab, node)
			}
			if format.json() {
				return writeJSON(a.stdout, report)
			}
			return writeInspection(a.stdout, report)
		})
	}
	return cmd
}

// labAndNode takes LAB, LAB/NODE or nothing apart; the lab runs.
func labAndNode(ctx context.Context, cmd *cobra.Command, arg string, k *kernel.Kernel) (lab, node string, err error) {
	names, err := k.Labs(ctx)
	if err != nil {
		return "", "", err
	}
	lab, node, _ = strings.Cut(arg, "/")
	if arg == "" {
		lab, err = onlyLab(cmd, names, "name one of them")
		return lab, "", err
	}
	if !slices.Contains(names, lab) {
		return "", "", noLab(cmd, lab)
	}
	return lab, node, nil
}

// inspect reports on the namespaces of a lab, or on one node's.
func inspect(ctx context.Context, k *kernel.Kernel, lab, node string) (inspectReport, error) {
	report := inspectReport{Lab: lab, Namespaces: []namespaceReport{}}
	// What the file has is looked at too in namespaces that are not the lab's.
	want := &netsetup.State{Lab: lab}
	joined := map[string]string{} // nodes by such namespaces
	if l := saved(lab); l != nil {
		if compiled, err := netsetup.Compile(l); err == nil {
			want = compiled
		}
		for _, n := range l.Nodes {
			joined[namespaceName(lab, n)] = n.Name
		}
	}
	have, err := netsetup.Observe(ctx, k, want)
	if err != nil {
		return report, err
	}
	inside, err := processes()
	if err != nil {
		return report, err
	}
	for i := range have.Namespaces {
		ns := &have.Namespaces[i]
		name := joined[ns.Name]
		if ns.Kind == netsetup.Own {
			name = nodeName(lab, ns.Name)
		}
		if node != "" && name != node || ns.Kind != netsetup.Own && ns.IsEmpty() {
			continue
		}
		stats, err := k.Stats(ctx, ns.Name)
		if err != nil {
			return report, err
		}
		r := reportNamespace(ns, name, stats)
		reportTables(&r, ns, want)
		if ns.Kind == netsetup.Own {
			r.Processes = append(r.Processes, inside[ns.Inode]...)
			if err := r.look(lab, name); err != nil {
				return report, err
			}
		}
		report.Namespaces = append(report.Namespaces, r)
	}
	shareKinds(report.Namespaces)
	return report, nil
}

func reportNamespace(ns *netsetup.Namespace, node string, stats []kernel.LinkStats) namespaceReport {
	r := namespaceReport{Namespace: ns.Name, Node: node, Inode: ns.Inode, Processes: []process{}, Interfaces: []interfaceReport{},
		Kinds: []kindReport{}, Routes: []string{}, Rules: []string{}, Neighbors: []string{}, Tables: []tableReport{}, Foreign: []string{}}
	for i := range ns.Links {
		r.Interfaces = append(r.Interfaces, reportInterface(ns, &ns.Links[i], stats))
	}
	for i := range ns.Routes {
		if route := &ns.Routes[i]; route.Origin == netsetup.Foreign {
			r.Foreign = append(r.Foreign, "route "+route.String())
		} else {
			r.Routes = append(r.Routes, route.String())
		}
	}
	for i := range ns.Rules {
		if rule := &ns.Rules[i]; rule.Origin == netsetup.Foreign {
			r.Foreign = append(r.Foreign, "rule "+rule.String())
		} else {
			r.Rules = append(r.Rules, ruleWords(rule))
		}
	}
	for i := range ns.Neighbors {
		r.Neighbors = append(r.Neighbors, ns.Neighbors[i].String())
	}
	return r
}

func reportInterface(ns *netsetup.Namespace, l *netsetup.Link, stats []kernel.LinkStats) interfaceReport {
	r := interfaceReport{Name: l.Name, Index: l.Index, Kind: l.Kind, Up: l.Up, MTU: l.MTU, Master: l.Master, Addresses: []string{}}
	if !l.MAC.IsZero() {
		r.MAC = l.MAC.String()
	}
	if l.Kind == netsetup.KindVeth {
		r.Peer = &peer{l.Peer.Namespace, l.Peer.Link}
	}
	if i := slices.IndexFunc(stats, func(s kernel.LinkStats) bool { return s.Name == l.Name }); i >= 0 {
		s := &stats[i]
		r.State = s.OperState
		r.Counters = &counters{s.RxPackets, s.RxBytes, s.RxErrors, s.RxDropped, s.TxPackets, s.TxBytes, s.TxErrors, s.TxDropped}
	}
	for _, addr := range ns.Addresses {
		if addr.Link == l.Name {
			r.Addresses = append(r.Addresses, addressWords(&addr))
		}
	}
	return r
}

// addressWords is an address without its interface, as ip-address(8) has it.
func addressWords(a *netsetup.Address) string {
	if a.Peer.IsValid() {
		return a.Prefix.Addr().String() + " peer " + a.Peer.String()
	}
	return a.Prefix.String()
}

// ruleWords is a rule as ip-rule(8) has it, with the -6 of IPv6.
func ruleWords(r *netsetup.Rule) string {
	if r.IPv6 {
		return "-6 " + r.String()
	}
	return r.String()
}

// processes gives the processes in each network namespace, by its inode
// number. Those of other users that cannot be looked at are left out.
func processes() (map[uint64][]process, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	inside := map[uint64][]process{}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		info, err := os.Stat(dir + "/ns/net")
		if err != nil {
			continue // it has ended, or is another user's
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			continue
		}
		name, err := os.ReadFile(dir + "/comm")
		if err != nil {
			continue
		}
		inside[st.Ino] = append(inside[st.Ino], process{pid, proc.Inside(pid), strings.TrimSpace(string(name))})
	}
	for _, list := range inside {
		slices.SortFunc(list, func(a, b process) int { return a.PID - b.PID })
	}
	return inside, nil
}

// writeInspection writes a report for people: a paragraph a namespace.
func writeInspection(w io.Writer, report inspectReport) error {
	for i, ns := range report.Namespaces {
		if i > 0 {
			fmt.Fprintln(w)
		}
		name := ns.Namespace
		if name == "" {
			name = "(root)"
		}
		fmt.Fprintf(w, "%s  inode %d\n", name, ns.Inode)
		ns.writeMachine(w)
		for _, p := range ns.Processes {
			fmt.Fprintf(w, "  process %s\n", processText(p))
		}
		for _, f := range ns.Interfaces {
			fmt.Fprintf(w, "  %s\n", interfaceText(f))
			for _, addr := range f.Addresses {
				fmt.Fprintf(w, "    %s\n", addr)
			}
			if c := f.Counters; c != nil {
				fmt.Fprintf(w, "    received %d bytes in %d packets, %d errors, %d dropped; sent %d bytes in %d packets, %d errors, %d dropped\n",
					c.RxBytes, c.RxPackets, c.RxErrors, c.RxDropped, c.TxBytes, c.TxPackets, c.TxErrors, c.TxDropped)
			}
		}
		for _, list := range []struct {
			noun  string
			lines []string
		}{{"route", ns.Routes}, {"rule", ns.Rules}, {"neighbour", ns.Neighbors}, {"foreign", ns.Foreign}} {
			for _, line := range list.lines {
				fmt.Fprintf(w, "  %s %s\n", list.noun, line)
			}
		}
		for _, t := range ns.Tables {
			writeRules(w, t)
		}
	}
	return nil
}

// interfaceText is "2: eth0 veth set up, state up, mtu 1500, mac …, peer campus.r1/eth0".
func interfaceText(f interfaceReport) string {
	state := "set down"
	if f.Up {
		state = "set up"
	}
	text := fmt.Sprintf("%d: %s %s %s, state %s, mtu %d", f.Index, f.Name, f.Kind, state, f.State, f.MTU)
	if f.MAC != "" {
		text += ", mac " + f.MAC
	}
	if f.Master != "" {
		text += ", port of " + f.Master
	}
	if f.Peer != nil {
		namespace := f.Peer.Namespace
		if namespace == "" {
			namespace = "(root)"
		}
		text += ", peer " + namespace + "/" + f.Peer.Interface
	}
	return text
}
