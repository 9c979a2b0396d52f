package supervisor

import (
	"cmp"
	"slices"
	"strings"

	"nslab/netsetup"
)

// Change is a process that Apply starts (+), starts anew since the file says
// something else of it (~), or stops (-).
type Change struct {
	Sign string
	Node string
	Name string
	Argv []string // of the file; nil of one that is stopped
}

// Diff gives what Apply would change.
func Diff(have []Status, machines []netsetup.Machine) []Change {
	there := map[string]*Status{}
	for i := range have {
		there[have[i].ID()] = &have[i]
	}
	var list []Change
	for i := range machines {
		m := &machines[i]
		for _, p := range m.Processes {
			c := Change{Sign: "+", Node: m.Node, Name: p.Name, Argv: p.Argv}
			st := there[m.Node+"/"+p.Name]
			delete(there, m.Node+"/"+p.Name)
			switch {
			case st == nil, st.State == Failed, st.State == Stopped, st.State == Exited && !st.Ready:
				list = append(list, c)
			case st.Version != Version(m, p):
				c.Sign = "~"
				list = append(list, c)
			}
		}
	}
	var gone []Change
	for _, st := range there {
		if st.PID != 0 {
			gone = append(gone, Change{Sign: "-", Node: st.Node, Name: st.Name})
		}
	}
	slices.SortFunc(gone, func(a, b Change) int { return cmp.Or(strings.Compare(a.Node, b.Node), strings.Compare(a.Name, b.Name)) })
	return append(gone, list...)
}
