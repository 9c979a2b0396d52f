package supervisor

import (
	"fmt"
	"strings"
	"testing"

	"nslab/netsetup"
)

func TestDiff(t *testing.T) {
	names := []string{"same", "new", "failed", "stopped", "done", "undone", "changed", "again"}
	m := netsetup.Machine{Lab: "lab", Node: "n"}
	for _, name := range names {
		m.Processes = append(m.Processes, netsetup.Process{Name: name, Argv: []string{name}, Pos: "lab.yaml:1:1"})
	}
	moved := m
	moved.Processes = nil
	for _, p := range m.Processes {
		p.Pos = "lab.yaml:2:2"
		moved.Processes = append(moved.Processes, p)
	}
	status := func(i int, state string, pid int, ready bool) Status {
		return Status{Node: "n", Name: names[i], State: state, PID: pid, Ready: ready, Version: Version(&moved, moved.Processes[i])}
	}
	changed := status(6, Running, 6, true)
	changed.Version = "other"
	have := []Status{
		status(0, Running, 1, true), status(2, Failed, 0, false), status(3, Stopped, 0, false),
		status(4, Exited, 0, true), status(5, Exited, 0, false), changed, status(7, Restarting, 0, false),
		{Node: "n", Name: "gone", State: Running, PID: 9}, {Node: "n", Name: "dead", State: Failed},
		{Node: "m", Name: "gone", State: Running, PID: 10},
	}
	var got []string
	for _, c := range Diff(have, []netsetup.Machine{m}) {
		got = append(got, fmt.Sprintf("%s %s/%s %s", c.Sign, c.Node, c.Name, strings.Join(c.Argv, " ")))
	}
	want := "- m/gone \n- n/gone \n+ n/new new\n+ n/failed failed\n+ n/stopped stopped\n+ n/undone undone\n~ n/changed changed"
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

// TestVersion: what the process is started with makes another one of it, and
// what is only another place in the file does not.
func TestVersion(t *testing.T) {
	m := netsetup.Machine{Lab: "lab", Node: "n", Env: []string{"A=b"}, Limits: netsetup.Limits{Memory: 1}}
	p := netsetup.Process{Name: "p", Argv: []string{"p"}, Pos: "lab.yaml:1:1"}
	v := Version(&m, p)
	same := m
	same.Hosts, same.Limits = "10.0.0.1 other", netsetup.Limits{Memory: 2}
	moved := p
	moved.Pos = "lab.yaml:2:1"
	if Version(&same, moved) != v {
		t.Error("a place in the file, hosts and limits make it another one")
	}
	for name, change := range map[string]func(*netsetup.Machine, *netsetup.Process){
		"argv":        func(_ *netsetup.Machine, p *netsetup.Process) { p.Argv = []string{"p", "-x"} },
		"environment": func(m *netsetup.Machine, _ *netsetup.Process) { m.Env = []string{"A=c"} },
		"files":       func(m *netsetup.Machine, _ *netsetup.Process) { m.Files = []netsetup.File{{Path: "/etc/p.conf"}} },
		"user":        func(_ *netsetup.Machine, p *netsetup.Process) { p.User = "nobody" },
	} {
		m, p := m, p
		change(&m, &p)
		if Version(&m, p) == v {
			t.Errorf("a change of its %s does not", name)
		}
	}
}

func TestFormatBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 1023: "1023B", 1 << 10: "1KiB", 1536: "1.5KiB", 256 << 20: "256MiB",
		150<<20 + 1<<19: "150MiB", 3 << 30: "3GiB", 1 << 50: "1024TiB"} {
		if got := FormatBytes(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
