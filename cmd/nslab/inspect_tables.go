package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"nslab/netsetup"
	"nslab/netsetup/nft"
	"nslab/topology"
)

// tableReport is a table of nf_tables.
type tableReport struct {
	Family string        `json:"family"`
	Name   string        `json:"name"`
	Chains []chainReport `json:"chains"`
	Sets   []setReport   `json:"sets"`
	// Objects are counters, quotas, limits and the like that have a name.
	Objects []objectReport `json:"objects"`
	place
}

// place is where in the file something comes from; left out where it does not.
type place struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

type chainReport struct {
	Name string `json:"name"`
	// Hook is "type filter hook input priority 0; policy drop;", or "".
	Hook  string       `json:"hook,omitempty"`
	Rules []ruleReport `json:"rules"`
}

// ruleReport is a rule: as the file has it, or, where it has none, the operations
// that the kernel has.
type ruleReport struct {
	Rule    string       `json:"rule"`
	Counter *ruleCounter `json:"counter,omitempty"`
	place
}

type ruleCounter struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

type setReport struct {
	Name     string `json:"name"`
	Elements int    `json:"elements"` // a range is one
}

type objectReport struct {
	Kind    string       `json:"kind"`
	Name    string       `json:"name"`
	Counter *ruleCounter `json:"counter,omitempty"`
}

// reportTables adds the tables of a namespace; want is what the file has.
func reportTables(r *namespaceReport, ns *netsetup.Namespace, want *netsetup.State) {
	var wanted []netsetup.Table
	if i := slices.IndexFunc(want.Namespaces, func(w netsetup.Namespace) bool { return w.Name == ns.Name }); i >= 0 {
		wanted = want.Namespaces[i].Tables
	}
	for i := range ns.Tables {
		t := &ns.Tables[i]
		at := slices.IndexFunc(wanted, func(w netsetup.Table) bool { return w.Family == t.Family && w.Name == t.Name })
		switch {
		case at >= 0:
			r.Tables = append(r.Tables, reportTable(ns, t, &wanted[at], want.File))
		case t.Origin == netsetup.Ours:
			r.Tables = append(r.Tables, reportTable(ns, t, &netsetup.Table{Content: &nft.Table{}}, ""))
		default:
			r.Foreign = append(r.Foreign, "table "+t.Content.Title())
		}
	}
}

func reportTable(ns *netsetup.Namespace, t, want *netsetup.Table, file string) tableReport {
	content, err := want.Compile(ns.Index)
	if err != nil {
		content = want.Content // an interface is missing
	}
	at := func(pos topology.Pos) place {
		if pos.IsZero() {
			return place{}
		}
		return place{file, int(pos.Line)}
	}
	r := tableReport{Family: t.Family.String(), Name: t.Name, Chains: []chainReport{}, Sets: []setReport{}, Objects: []objectReport{}, place: at(want.Pos)}
	for _, o := range t.Content.Objects {
		r.Objects = append(r.Objects, objectReport{o.Kind(), o.Name, counted(o.Counter())})
	}
	for _, s := range t.Content.Sets {
		if !s.Anonymous {
			r.Sets = append(r.Sets, setReport{s.Name, s.Count()})
		}
	}
	for _, ch := range t.Content.Chains {
		if ch.ID != 0 {
			continue // it is part of a rule
		}
		c := chainReport{Name: ch.Name, Rules: []ruleReport{}}
		if ch.Hook != nil {
			c.Hook = ch.Hook.Describe(t.Family)
		}
		same := nft.Pair(t.Content, ch, content)
		for i, rule := range ch.Rules {
			x := ruleReport{Rule: rule.Describe(), Counter: counted(rule.Counter())}
			if w := same[i]; w != nil {
				x.Rule, x.place = w.Describe(), at(want.At(w.Pos))
			}
			c.Rules = append(c.Rules, x)
		}
		r.Chains = append(r.Chains, c)
	}
	return r
}

func counted(packets, bytes uint64, counts bool) *ruleCounter {
	if !counts {
		return nil
	}
	return &ruleCounter{packets, bytes}
}

// writeRules writes a table of nf_tables for people.
func writeRules(w io.Writer, t tableReport) {
	line := func(indent int, text string, c *ruleCounter, p place) {
		var notes []string
		if c != nil {
			notes = append(notes, plural(int(c.Packets), "packet"), plural(int(c.Bytes), "byte"))
		}
		if p.File != "" {
			notes = append(notes, fmt.Sprintf("%s:%d", p.File, p.Line))
		}
		if len(notes) > 0 {
			text += "  # " + strings.Join(notes, ", ")
		}
		fmt.Fprintf(w, "%*s%s\n", indent, "", text)
	}
	line(2, "table "+t.Family+" "+t.Name, nil, t.place)
	for _, s := range t.Sets {
		line(4, "set "+s.Name+" of "+plural(s.Elements, "element"), nil, place{})
	}
	for _, o := range t.Objects {
		line(4, o.Kind+" "+o.Name, o.Counter, place{})
	}
	for _, c := range t.Chains {
		text := "chain " + c.Name
		if c.Hook != "" {
			text += " { " + c.Hook + " }"
		}
		line(4, text, nil, place{})
		for _, r := range c.Rules {
			line(6, r.Rule, r.Counter, r.place)
		}
	}
}
