package probe

import (
	"net/netip"

	"nslab/topology"
)

// flow is one request of a job that is watched, and what came back for it.
type flow struct {
	echo  echoID         // of an echo
	local netip.AddrPort // of the others: where it was sent from

	requests []sighting // in order of time
	answers  []sighting // its answers, and errors about it
}

// answered reports whether something came back to the sender.
func (f *flow) answered(sender *node) bool {
	for i := range f.answers {
		if s := &f.answers[i]; s.node == sender && !s.out && !s.foreign {
			return true
		}
	}
	return false
}

// flow gives the request of a job to tell of: one that nothing came back for,
// else the last.
func (j *job) flow() *flow {
	if len(j.flows) == 0 {
		return &flow{}
	}
	last := j.flows[len(j.flows)-1]
	switch j.test.Verb {
	case topology.MTU:
		return j.flows[0] // the smaller one, which should pass
	case topology.Path:
		return last // the one whose time to live is the longest
	}
	for _, f := range j.flows {
		if !f.answered(j.from.node) {
			return f
		}
	}
	return last
}

// way is what a packet without an echoID is known by in one node: translators
// change addresses and ports from node to node.
type way struct {
	node     *node
	protocol int
	src, dst netip.AddrPort
}

// sorter finds the flows that sightings are of.
type sorter struct {
	echoes map[echoID]*flow
	ways   map[way]*flow
	// What a translator leaves as it is.
	sequences map[uint32]*flow
	payloads  map[string][]*flow
}

// newSorter knows the requests of jobs as their senders sent them.
func newSorter(jobs []*job, protocol int) *sorter {
	s := &sorter{
		echoes: make(map[echoID]*flow), ways: make(map[way]*flow),
		sequences: make(map[uint32]*flow), payloads: make(map[string][]*flow),
	}
	for _, j := range jobs {
		to := netip.AddrPortFrom(j.to.addr.WithZone(""), uint16(j.to.port))
		for _, f := range j.flows {
			if f.echo.token != 0 {
				s.echoes[f.echo] = f
			} else {
				s.ways[way{j.from.node, protocol, f.local, to}] = f
			}
		}
	}
	return s
}

// add gives the sightings, which are in order of time, to their flows.
func (s *sorter) add(seen []sighting) {
	for i := range seen {
		x := &seen[i]
		switch f, request := s.find(x.node, &x.glimpse); {
		case f == nil:
		case request:
			f.requests = append(f.requests, *x)
		default:
			f.answers = append(f.answers, *x)
		}
	}
}

// find is the flow of a packet in a node, and whether the packet is its request.
func (s *sorter) find(n *node, g *glimpse) (f *flow, request bool) {
	if g.about != nil {
		f, request = s.find(n, g.about)
		if !request {
			return nil, false // it is about an answer
		}
		return f, false
	}
	if g.echo.token != 0 {
		return s.echoes[g.echo], !g.isReply
	}
	if f = s.ways[way{n, g.protocol, g.dst, g.src}]; f != nil {
		return f, false
	}
	here := way{n, g.protocol, g.src, g.dst}
	if f = s.ways[here]; f == nil {
		if f = s.translated(g); f == nil {
			return nil, false
		}
		s.ways[here] = f
	}
	if g.syn {
		s.sequences[g.seq] = f
	}
	if g.payload != "" && len(f.requests) == 0 {
		s.payloads[g.payload] = append(s.payloads[g.payload], f)
	}
	return f, true
}

// translated is the flow of a request whose addresses were changed on its way.
func (s *sorter) translated(g *glimpse) *flow {
	if g.syn {
		return s.sequences[g.seq]
	}
	same := s.payloads[g.payload]
	for _, f := range same {
		if f.local.Port() == g.src.Port() {
			return f
		}
	}
	if len(same) == 1 && g.payload != "" {
		return same[0]
	}
	return nil
}
