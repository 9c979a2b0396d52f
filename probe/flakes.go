package probe

import (
	"fmt"

	"nslab/topology"
)

// Flake is a case that passed in some rounds of Options.Repeat and not in others.
type Flake struct {
	Name   string
	Pos    topology.Pos
	Passed int // rounds
	Rounds int // in which it was not skipped
}

// Flakes are those of a report, in file order.
func (r *Report) Flakes() []Flake {
	var order []*Flake
	byCase := make(map[string]*Flake)
	for _, c := range r.Cases {
		if c.Round == 0 || c.Outcome == Skip {
			continue
		}
		key := fmt.Sprintf("%d:%d %s", c.Pos.Line, c.Pos.Col, c.Name)
		f, ok := byCase[key]
		if !ok {
			f = &Flake{Name: c.Name, Pos: c.Pos}
			byCase[key] = f
			order = append(order, f)
		}
		f.Rounds++
		if c.Outcome == Pass {
			f.Passed++
		}
	}
	var flakes []Flake
	for _, f := range order {
		if f.Passed > 0 && f.Passed < f.Rounds {
			flakes = append(flakes, *f)
		}
	}
	return flakes
}

func (f Flake) String() string {
	return fmt.Sprintf("%s passed in %d of %d rounds", f.Name, f.Passed, f.Rounds)
}
