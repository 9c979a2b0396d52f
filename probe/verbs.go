package probe

import (
	"fmt"

	"nslab/topology"
)

// verb is what carries out an item.
func (r *runner) verb(t *topology.Test) (verb, error) {
	switch t.Verb {
	case topology.Ping:
		return newPinger(r, t), nil
	case topology.HTTP:
		return newHTTP(r, t)
	case topology.DNS:
		return newDNS(r, t)
	case topology.Path:
		return newPath(r, t), nil
	case topology.MTU:
		return newMTU(r, t), nil
	case topology.TCP, topology.UDP:
		return newStream(r, t), nil
	case topology.Bandwidth:
		return newBandwidth(r, t), nil
	case topology.RouteTo:
		return &routes{}, nil
	case topology.Exec:
		return newCommands(r, t)
	}
	return nil, fmt.Errorf("the verb %q is not supported yet", t.Verb)
}
