package probe

import (
	"fmt"

	"nslab/topology"
)

// verb is what carries out an item.
func (r *runner) verb(t *topology.Test) (verb, error) {
	switch t.Verb {
	case topology.Ping:
		return &pinger{runner: r, test: t, maxSockets: r.files, echoes: max(1, t.Count), timeout: t.Timeout, size: t.Size, interval: t.Interval}, nil
	case topology.TCP, topology.UDP:
		return newStream(r, t), nil
	case topology.RouteTo:
		return &routes{}, nil
	case topology.Exec:
		return newCommands(t)
	}
	return nil, fmt.Errorf("the verb %q is not supported yet", t.Verb)
}
