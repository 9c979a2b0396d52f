package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"nslab/labs"
	"nslab/netsetup"
	"nslab/netsetup/kernel"
	"nslab/netsetup/kerneltest"
	"nslab/probe"
	"nslab/topology"
)

// quickstart is the shipped lab, up on a kernel in memory.
func quickstart(t *testing.T) (*kerneltest.Kernel, *source) {
	t.Helper()
	text, err := labs.Read("quickstart")
	if err != nil {
		t.Fatal(err)
	}
	lab, err := topology.Load("quickstart.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	want, err := netsetup.Compile(lab)
	if err != nil {
		t.Fatal(err)
	}
	k := kerneltest.New()
	if _, err := netsetup.Up(context.Background(), k, want, netsetup.Options{}); err != nil {
		t.Fatal(err)
	}
	return k, &source{lab: lab, data: text, want: want}
}

// show gives what a function of the program writes to standard output.
func show(t *testing.T, color string, f func(a *app) error) string {
	t.Helper()
	var out bytes.Buffer
	a := &app{stdout: &out, stderr: &out, color: &choice{value: color}}
	if err := f(a); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

var table, asJSON = &choice{value: "table"}, &choice{value: "json"}

func TestShowPlan(t *testing.T) {
	g := openGolden(t, "plan.txtar")
	k, src := quickstart(t)
	fresh, err := netsetup.Diff(&netsetup.State{Lab: "quickstart"}, src.want, false)
	if err != nil {
		t.Fatal(err)
	}
	print := func(plan *netsetup.Plan, color string, format *choice) string {
		return show(t, color, func(a *app) error { return a.showPlan(plan, "quickstart", format) })
	}
	g.check("fresh", print(fresh, "never", table))
	drifted := drift(t, k, src)
	g.check("drifted", print(drifted, "never", table))
	g.check("drifted.json", print(drifted, "never", asJSON))
	colored := strings.ReplaceAll(print(drifted, "always", table), "\x1b", "ESC")
	g.check("drifted in colours", colored)
	same, err := netsetup.Diff(src.want, src.want, false)
	if err != nil {
		t.Fatal(err)
	}
	g.check("same", print(same, "never", table))
	g.check("same.json", print(same, "never", asJSON))
}

// drift changes the lab by hand: h1 loses its address, h2 its namespace, the
// router gets another MTU, and a namespace comes that the file does not have.
func drift(t *testing.T, k *kerneltest.Kernel, src *source) *netsetup.Plan {
	t.Helper()
	k.Edit(func(s *netsetup.State) {
		s.Namespaces = slices.DeleteFunc(s.Namespaces, func(n netsetup.Namespace) bool { return n.Name == "quickstart.h2" })
		for i := range s.Namespaces {
			n := &s.Namespaces[i]
			switch n.Name {
			case "quickstart.h1":
				n.Addresses = slices.DeleteFunc(n.Addresses, func(a netsetup.Address) bool { return a.Prefix.Addr().Is4() })
			case "quickstart.router":
				for j := range n.Links {
					if n.Links[j].Name == "eth0" {
						n.Links[j].MTU = 1400
					}
				}
			}
		}
		s.Namespaces = append(s.Namespaces, netsetup.Namespace{Name: "quickstart.old", Inode: 7})
	})
	_, plan, err := differences(context.Background(), k, src)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func TestShowLab(t *testing.T) {
	g := openGolden(t, "ps.txtar")
	k, src := quickstart(t)
	check := func(name string) {
		have, plan, err := differences(context.Background(), k, src)
		if err != nil {
			t.Fatal(err)
		}
		report := reportLab(src.lab, have, plan)
		print := func(format *choice) string {
			return show(t, "never", func(a *app) error { return a.showLab(report, plan, false, format) })
		}
		g.check(name, print(table))
		g.check(name+".json", print(asJSON))
	}
	check("up")
	drift(t, k, src)
	check("drifted")
}

func TestInspect(t *testing.T) {
	g := openGolden(t, "inspect.txtar")
	k, src := quickstart(t)
	k.Edit(func(s *netsetup.State) {
		s.Namespaces = slices.DeleteFunc(s.Namespaces, func(n netsetup.Namespace) bool { return n.Kind != netsetup.Own })
		for i := range s.Namespaces {
			s.Namespaces[i].Inode = 4026532000 + uint64(i)
		}
		n := &s.Namespaces[0]
		n.Routes = append(n.Routes, netsetup.Route{Origin: netsetup.Foreign, Protocol: 12, Dst: netip.MustParsePrefix("10.7.0.0/16"),
			Table: 254, Type: netsetup.Unicast, Nexthops: []netsetup.Nexthop{{Dev: "eth0", Weight: 1}}})
	})
	rules := func(text string) []netsetup.Table { return kerneltest.Tables("quickstart", text) }
	const text = "table inet filter {\n set s { type ipv4_addr; flags interval; elements = { 10.0.0.0/8 }; }\n counter c { packets 7 bytes 8 }\n chain input {\n" +
		"  type filter hook input priority 0; policy drop;\n  iif eth0 accept\n  tcp dport 22 counter packets 5 bytes 6 accept\n %s }\n}"
	k.Edit(func(s *netsetup.State) {
		n := &s.Namespaces[0]
		n.Tables = append(rules(fmt.Sprintf(text, "udp dport 53 drop\n")), rules("table ip other { }")...)
		content, err := n.Tables[0].Compile(n.Index)
		if err != nil {
			t.Fatal(err)
		}
		r := content.Chains[0].Rules
		r[len(r)-1].Text = "" // the kernel has no words for it
		n.Tables[0].Content, n.Tables[0].Source = content, nil
		n.Tables[1].Origin = netsetup.Manual
	})
	src.want.Namespaces[0].Tables = rules(fmt.Sprintf(text, ""))
	have, err := netsetup.Observe(context.Background(), k, src.want)
	if err != nil {
		t.Fatal(err)
	}
	stats := []kernel.LinkStats{{Name: "eth0", OperState: "up", RxPackets: 1, TxPackets: 2, RxBytes: 3, TxBytes: 4,
		RxErrors: 5, TxErrors: 6, RxDropped: 7, TxDropped: 8}, {Name: "lo", OperState: "unknown"}}
	report := inspectReport{Lab: have.Lab}
	for i := range have.Namespaces[:2] {
		r := reportNamespace(&have.Namespaces[i], "node", stats)
		reportTables(&r, &have.Namespaces[i], src.want)
		r.Processes = append(r.Processes, process{42, 7, "sleep"})
		r.Kinds = append(r.Kinds, kindReport{Kind: "pid", Inode: 4026531836}, kindReport{Kind: "uts", Inode: 4026531838, SharedWith: []string{"host"}})
		r.UIDs, r.Cgroups, r.Mounts = []string{"0 1000 1"}, []string{"/sys/fs/cgroup/nslab-0.26/x/node"}, []string{"tmpfs on /tmp from /own0"}
		report.Namespaces = append(report.Namespaces, r)
	}
	for i := range report.Namespaces {
		for j := range report.Namespaces[i].Interfaces {
			report.Namespaces[i].Interfaces[j].Index = j + 1
		}
	}
	g.check("table", show(t, "never", func(a *app) error { return writeInspection(a.stdout, report) }))
	report.Namespaces = report.Namespaces[:1]
	g.check("json", show(t, "never", func(a *app) error { return writeJSON(a.stdout, report) }))
}

func TestProcesses(t *testing.T) {
	inside, err := processes()
	if err != nil {
		t.Fatal(err)
	}
	for inode, list := range inside {
		if inode == 0 || !slices.IsSortedFunc(list, func(a, b process) int { return a.PID - b.PID }) {
			t.Errorf("namespace %d has %v", inode, list)
		}
	}
	if len(inside) == 0 {
		t.Error("not even this process is in a namespace")
	}
}

func TestReportFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	f := &reportFile{name: "report.tap", write: probe.Reports.WriteTAP}
	if err := openEach([]*reportFile{f, {}}); err != nil {
		t.Fatal(err)
	}
	if err := f.put(probe.Reports{{Lab: "campus", Passed: 1, Cases: []probe.Case{{Name: "ping a -> b", Outcome: probe.Pass}}}}); err != nil {
		t.Fatal(err)
	}
	closeEach([]*reportFile{f, {}})
	if err := openEach([]*reportFile{{name: "no/such/folder"}}); exitStatus(err) != statusUsage {
		t.Errorf("a report in a folder that is not there: %v", err)
	}
}

func TestValidate(t *testing.T) {
	g := openGolden(t, "validate.txtar")
	const file = `name: two
nodes:
  a: {}
  b: {}
links:
  - {endpoints: [a, b], subnet: auto}
tests:
  - ping: a -> b
`
	for _, args := range [][]string{
		{"validate", "-"},
		{"validate", "-", "-o", "json"},
		{"validate", "-", "--resolved"},
		{"validate", "-", "--resolved", "--name", "other"},
		{"validate", "quickstart"},
	} {
		status, stdout, stderr := nslab(file, args...)
		if status != 0 || stderr != "" {
			t.Errorf("%s: status %d, %s", args, status, stderr)
		}
		g.check(strings.Join(args, " "), stdout)
	}
	for _, test := range []struct{ args, file string }{
		{"validate -", "name: two\nnodes:\n  a: {kind: hosst}\n"},
		{"validate - --name No", file},
		{"validate -", strings.Repeat("#", topology.MaxSize+1)},
	} {
		status, stdout, stderr := nslab(test.file, strings.Fields(test.args)...)
		if status != statusTopology || stdout != "" {
			t.Errorf("%s: status %d, %s", test.args, status, stdout)
		}
		if len(test.file) < 1000 {
			g.check("wrong: "+test.args, stderr)
		}
	}
}
