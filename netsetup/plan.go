package netsetup

import (
	"nslab/netsetup/nft"
	"nslab/topology"
)

// Line is one op as `plan` shows it.
type Line struct {
	Sign      string // + adds, ~ changes, - removes
	Namespace string // as in Op; "" is the root one
	Object    string // such as "link eth0"
	Command   string // of iproute2, nft(8) or sysctl(8)
	Pos       topology.Pos
}

// Lines are the ops in order. What every new namespace starts with (its base
// sysctls and lo) goes without saying.
func (p *Plan) Lines() []Line {
	made := make(map[string]bool)
	var lines []Line
	for _, op := range p.Ops {
		if op.Phase == Namespaces {
			made[op.Namespace] = true
		}
		if made[op.Namespace] && op.goesWithoutSaying() {
			continue
		}
		lines = append(lines, Line{Sign: op.Verb.Sign(), Namespace: op.Namespace, Object: op.object(), Command: op.Command(), Pos: op.Pos()})
		if t, ok := op.Object.(*Table); ok {
			lines = append(lines, op.tableLines(t)...)
		}
	}
	return append(lines, p.Processes...)
}

// tableLines are what is in a new table, or what is different in one that is
// replaced.
func (o *Op) tableLines(t *Table) []Line {
	var list []nft.Difference
	switch o.Verb {
	case Add:
		list = t.Content.Contents()
	case Change:
		list = nft.Compare(o.Was.(*Table).Content, t.Content)
	}
	lines := make([]Line, len(list))
	for i, d := range list {
		l := Line{Sign: Delete.Sign(), Namespace: o.Namespace, Object: o.object(), Pos: o.Pos()}
		command := "nft delete " + d.Command
		if d.Added {
			l.Sign, l.Pos, command = Add.Sign(), t.At(d.Pos), "nft add "+d.Command
		}
		l.Command = inside(o.Namespace, command)
		lines[i] = l
	}
	return lines
}

func (o *Op) goesWithoutSaying() bool {
	switch x := o.Object.(type) {
	case *Sysctl:
		return x.Pos.IsZero()
	case *Link:
		return x.Kind == KindLoopback && o.Phase == LinksUp
	}
	return false
}

// upTo splits the ops behind the last one of a phase.
func upTo(ops []Op, last Phase) (upTo, rest []Op) {
	i := 0
	for i < len(ops) && ops[i].Phase <= last {
		i++
	}
	return ops[:i], ops[i:]
}

// beforeUnpublish are the ops that a rollback can undo.
func (p *Plan) beforeUnpublish() []Op {
	ops, _ := upTo(p.Ops, Rules)
	return ops
}
