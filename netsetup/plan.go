package netsetup

import (
	"nslab/topology"
)

// Line is one op as `plan` shows it.
type Line struct {
	Sign      string // + adds, ~ changes, - removes
	Namespace string // as in Op; "" is the root one
	Object    string // such as "link eth0"
	Command   string // of iproute2 or sysctl(8)
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
