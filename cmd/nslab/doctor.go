package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"nslab/netsetup"
	"nslab/netsetup/kernel"
	"nslab/netsetup/netns"
	"nslab/netsetup/proc/cgroup"
	"nslab/topology"
)

// doctorReport is the JSON of `doctor`.
type doctorReport struct {
	Lab    string  `json:"lab,omitempty"`
	File   string  `json:"file,omitempty"`
	CanRun bool    `json:"can_run"` // nothing that is needed is missing
	Checks []check `json:"checks"`
}

// check is one thing that a host can do or not.
type check struct {
	Kind  string `json:"kind"` // privilege, feature, limit
	Name  string `json:"name"`
	State string `json:"state"` // as below
	Has   string `json:"has,omitempty"`
	Needs string `json:"needs,omitempty"` // by the file
	Hint  string `json:"hint,omitempty"`  // what mends it
}

// States of a check.
const (
	checkOK      = "ok"
	checkAbsent  = "absent"  // it is not there, and nothing asked for needs it
	checkWarning = "warning" // it may not suffice, as the hint says
	checkMissing = "missing" // it is needed
)

// hostEnv carries, into the namespaces of an ordinary user, the settings of the
// host that cannot be read in there.
const hostEnv = "NSLAB_HOST_SETTINGS"

var hostSettings = []string{
	"user.max_net_namespaces", wmemMax, "net.ipv4.neigh.default.gc_thresh3", "net.ipv6.neigh.default.gc_thresh3",
}

const wmemMax = "net.core.wmem_max"

func (a *app) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor [FILE|LAB]",
		Short: "Show what this host can do, for a lab",
		Long: `Shows what this host can do, and what is in the way, each with the command that
mends it: privilege, the features of the kernel (each is tried, in a namespace
that goes at once), and the limits that a large lab meets. With a FILE it says
what that lab needs, and ends with status 4 where something of it is missing.`,
		Example: `  nslab doctor
  nslab doctor lab.yaml
  nslab doctor -o json lab.yaml | jq '.checks[] | select(.state == "missing")'`,
		Args: atMost(1),
	}
	name := nameFlag(cmd)
	format := formatFlag(cmd)
	cmd.ValidArgsFunction = completeLab
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		host := readHostSettings()
		denied := a.enter()
		if status := statusError(0); errors.As(denied, &status) {
			return denied
		}
		var src *source
		if arg := argument(args); arg != "" {
			var err error
			if src, err = a.find(context.Background(), cmd, arg, *name, nil); err != nil {
				return err
			}
		}
		report, err := diagnose(src, host, denied)
		if err != nil {
			return err
		}
		if err := a.showDoctor(report, format); err != nil {
			return err
		}
		if !report.CanRun {
			return statusError(statusHost)
		}
		return nil
	}
	return cmd
}

// readHostSettings reads the host's, or takes them over from the process outside.
func readHostSettings() map[string]string {
	host := map[string]string{}
	if os.Getenv(netns.RootlessEnv) == "1" {
		for _, line := range strings.Fields(os.Getenv(hostEnv)) {
			name, value, _ := strings.Cut(line, "=")
			host[name] = value
		}
		return host
	}
	var list []string
	for _, name := range hostSettings {
		host[name] = netns.Sysctl(name)
		list = append(list, name+"="+host[name])
	}
	os.Setenv(hostEnv, strings.Join(list, " "))
	return host
}

// diagnose makes the report. src may be nil; denied is why there is no privilege
// at all.
func diagnose(src *source, host map[string]string, denied error) (*doctorReport, error) {
	report := &doctorReport{CanRun: true, Checks: []check{checkPrivilege(denied)}}
	d := demand{tasks: threads, features: map[string]bool{"veth": true}} // of any lab
	if src != nil {
		report.Lab, report.File = src.lab.Name, src.lab.File
		d = demandOf(src)
	}
	if denied == nil {
		features, err := kernel.Features()
		if err != nil {
			return nil, err
		}
		for _, f := range features {
			report.Checks = append(report.Checks, checkFeature(f, d.features[f.Name]))
		}
	}
	report.Checks = append(report.Checks, checkControllers(d.limits)...)
	limits, err := checkLimits(&d, host)
	report.Checks = append(report.Checks, limits...)
	for _, c := range report.Checks {
		report.CanRun = report.CanRun && c.State != checkMissing
	}
	return report, err
}

func checkPrivilege(denied error) check {
	c := check{Kind: "privilege", Name: "namespaces", State: checkOK, Has: "root"}
	switch {
	case denied != nil:
		c.State, c.Has, c.Hint = checkMissing, denied.Error(), hostHint(denied)
	case os.Getenv(netns.RootlessEnv) == "1":
		c.Has = "without root, in a user namespace"
	}
	return c
}

func checkFeature(f kernel.Feature, wanted bool) check {
	c := check{Kind: "feature", Name: f.Name, State: checkOK}
	if wanted {
		c.Needs = "yes"
	}
	if f.Err == nil {
		return c
	}
	c.State, c.Has = checkAbsent, f.Err.Error()
	if wanted {
		c.State = checkMissing
	}
	var mend []string
	if f.Module != "" {
		mend = append(mend, "sudo modprobe "+f.Module)
	}
	if f.Option != "" {
		mend = append(mend, "a kernel with "+f.Option)
	}
	c.Hint = strings.Join(mend, ", or ")
	return c
}

// checkControllers tries those controllers of cgroups that limits need.
func checkControllers(wanted netsetup.Limits) []check {
	var list []check
	for _, t := range []struct {
		name   string
		wanted bool
		limits netsetup.Limits
	}{
		{"cgroup cpu", wanted.CPU > 0, netsetup.Limits{CPU: 1}},
		{"cgroup memory", wanted.Memory > 0, netsetup.Limits{Memory: 1 << 30}},
		{"cgroup pids", wanted.PIDs > 0, netsetup.Limits{PIDs: 1000}},
	} {
		err := cgroup.Try(t.limits)
		c := checkFeature(kernel.Feature{Name: t.name, Err: err}, t.wanted)
		if missing := new(cgroup.MissingError); errors.As(err, &missing) {
			c.Hint = missing.Hint
		}
		list = append(list, c)
	}
	return list
}

// demand is what a lab needs of a host.
type demand struct {
	limits     netsetup.Limits // of any node, the largest
	features   map[string]bool
	namespaces uint64 // of its own
	files      uint64 // open at a time
	mounts     uint64
	tasks      uint64 // processes and threads
	text       uint64 // bytes of the topology file
	sendBuffer uint64 // bytes, see kernel.SendBuffer
	// neighbors are how many entries nodes learn where each speaks with all on its
	// subnets: of IPv4, and of IPv6.
	neighbors [2]uint64
}

func demandOf(src *source) demand {
	d := demand{text: uint64(len(src.data)), tasks: threads, features: map[string]bool{"veth": len(src.lab.Links) > 0}}
	for _, n := range src.lab.Nodes {
		demandOfNode(&d, n)
	}
	for i := range src.want.Namespaces {
		if n := &src.want.Namespaces[i]; n.Kind == netsetup.Own {
			d.namespaces++
		}
	}
	d.files = kernel.FilesFor(d.namespaces + 1) // with the host's
	d.mounts = d.namespaces + 1
	if src.lab.Neighbors != "static" {
		d.neighbors = learned(src.want)
	}
	d.sendBuffer, _ = kernel.SendBuffer(src.want) // what does not compile is an error of up
	return d
}

func demandOfNode(d *demand, n *topology.Node) {
	for _, i := range n.Interfaces {
		d.features[i.Type] = true
	}
	d.features["nftables"] = d.features["nftables"] || n.Nftables != nil
	d.features["policy routing"] = d.features["policy routing"] || len(n.Rules) > 0
	d.features["overlay"] = d.features["overlay"] || n.RootFS.Value != ""
	for name, wanted := range map[string]bool{"uts": n.Isolate.UTS, "mount": n.Isolate.Mount, "ipc": n.Isolate.IPC, "pid": n.Isolate.PID,
		"cgroup": n.Isolate.Cgroup, "time": n.Isolate.Time, "user": n.Isolate.User} {
		d.features[name] = d.features[name] || wanted
	}
	d.tasks += uint64(len(n.Run))
	l := n.Limits
	d.limits.CPU, d.limits.Memory, d.limits.PIDs = max(d.limits.CPU, l.CPU), max(d.limits.Memory, l.Memory), max(d.limits.PIDs, l.PIDs)
}

// learned counts the entries that neighbour tables can come to hold.
func learned(want *netsetup.State) (count [2]uint64) {
	on := map[string]uint64{}
	for i := range want.Namespaces {
		for _, addr := range want.Namespaces[i].Addresses {
			family := 0
			if addr.Prefix.Addr().Is6() {
				family = 1
			}
			if addr.Prefix.IsSingleIP() {
				continue
			}
			key := addr.Prefix.Masked().String()
			count[family] += 2 * on[key] // each learns the other
			on[key]++
		}
	}
	return count
}

func (a *app) showDoctor(report *doctorReport, format *choice) error {
	if format.json() {
		return writeJSON(a.stdout, report)
	}
	rows := [][]string{{"CHECK", "STATE", "HAS", "NEEDS"}}
	for _, c := range report.Checks {
		rows = append(rows, []string{c.Name, c.State, c.Has, c.Needs})
	}
	if err := writeTable(a.stdout, rows); err != nil {
		return err
	}
	for _, c := range report.Checks {
		if c.State != checkMissing && c.State != checkWarning {
			continue
		}
		if _, err := fmt.Fprintf(a.stdout, "%s: %s: %s\n", c.State, c.Name, c.Hint); err != nil {
			return err
		}
	}
	if report.Lab == "" {
		return nil
	}
	verdict := "can run here"
	if !report.CanRun {
		verdict = "cannot run here"
	}
	return a.say("%s %s\n", report.Lab, verdict)
}
