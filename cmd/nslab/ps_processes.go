package main

import (
	"context"
	"fmt"
	"slices"

	"nslab/netsetup"
	"nslab/netsetup/proc"
	"nslab/netsetup/proc/cgroup"
	"nslab/netsetup/proc/supervisor"
)

type processRow struct {
	Node     string  `json:"node"`
	Name     string  `json:"name"`
	State    string  `json:"state"` // as package supervisor has them
	PID      int     `json:"pid,omitempty"`
	Restarts int     `json:"restarts"`
	CPU      float64 `json:"cpu_seconds"`  // with what it started
	Memory   int64   `json:"memory_bytes"` // resident, the same
	Reason   string  `json:"reason,omitempty"`
}

// limitsRow is what a node may use, and of that what it uses. 0 is no limit.
type limitsRow struct {
	CPU        float64 `json:"cpu,omitempty"` // processors
	Throttled  float64 `json:"throttled_seconds"`
	Memory     int64   `json:"memory,omitempty"` // bytes
	MemoryUsed int64   `json:"memory_used"`
	OOMKills   int64   `json:"oom_kills"`
	PIDs       int64   `json:"pids,omitempty"`
	PIDsUsed   int64   `json:"pids_used"`
}

// addMachines adds what nodes are beside their network.
func (r *labReport) addMachines(ctx context.Context, src *source) error {
	list, err := supervisor.List(ctx, r.Lab)
	if err != nil {
		return err
	}
	if len(list) > 0 {
		running, err := proc.Processes()
		if err != nil {
			return err
		}
		for i := range list {
			r.Processes = append(r.Processes, newProcessRow(&list[i], running))
		}
	}
	for i := range r.Nodes {
		n := &r.Nodes[i]
		m := slices.IndexFunc(src.want.Machines, func(m netsetup.Machine) bool { return m.Node == n.Node })
		if m < 0 || src.want.Machines[m].Limits == (netsetup.Limits{}) {
			continue
		}
		if n.Limits, err = newLimitsRow(&src.want.Machines[m]); err != nil {
			return err
		}
	}
	return nil
}

// tick is the unit of processor time in proc_pid_stat(5), USER_HZ, which is 100
// on every architecture that Go has.
const tick = 0.01

// newProcessRow adds up what a process and all below it use.
func newProcessRow(st *supervisor.Status, running []proc.Process) processRow {
	row := processRow{Node: st.Node, Name: st.Name, State: st.State, PID: st.PID, Restarts: st.Restarts, Reason: st.Reason}
	if st.PID == 0 {
		return row
	}
	with := append(proc.Below(running, st.PID), st.PID)
	for _, p := range running {
		if slices.Contains(with, p.PID) {
			row.CPU += float64(p.CPU) * tick
			row.Memory += p.Memory
		}
	}
	return row
}

func newLimitsRow(m *netsetup.Machine) (*limitsRow, error) {
	row := &limitsRow{CPU: m.Limits.CPU, Memory: m.Limits.Memory, PIDs: m.Limits.PIDs}
	g, err := cgroup.Open(m.Lab, m.Node)
	if err != nil || g == nil {
		return row, err
	}
	s, err := g.Stats()
	row.Throttled, row.MemoryUsed, row.OOMKills, row.PIDsUsed = s.Throttled.Seconds(), s.Memory, s.OOMKills, s.PIDs
	return row, err
}

func processTable(list []processRow) [][]string {
	rows := [][]string{{"PROCESS", "STATE", "PID", "RESTARTS", "CPU", "MEMORY", "REASON"}}
	for _, p := range list {
		row := []string{p.Node + "/" + p.Name, p.State, "", fmt.Sprint(p.Restarts), "", "", p.Reason}
		if p.PID != 0 {
			row[2], row[4], row[5] = fmt.Sprint(p.PID), fmt.Sprintf("%.2fs", p.CPU), supervisor.FormatBytes(p.Memory)
		}
		rows = append(rows, row)
	}
	return rows
}

func limitsTable(nodes []nodeRow) [][]string {
	rows := [][]string{{"LIMITS", "CPU", "MEMORY", "PIDS"}}
	for _, n := range nodes {
		l := n.Limits
		if l == nil {
			continue
		}
		row := []string{n.Node, "", "", ""}
		if l.CPU != 0 {
			row[1] = fmt.Sprintf("%g, throttled %.2fs", l.CPU, l.Throttled)
		}
		if l.Memory != 0 {
			row[2] = fmt.Sprintf("%s of %s", supervisor.FormatBytes(l.MemoryUsed), supervisor.FormatBytes(l.Memory))
			if l.OOMKills > 0 {
				row[2] += fmt.Sprintf(", killed %d", l.OOMKills)
			}
		}
		if l.PIDs != 0 {
			row[3] = fmt.Sprintf("%d of %d", l.PIDsUsed, l.PIDs)
		}
		rows = append(rows, row)
	}
	return rows
}
