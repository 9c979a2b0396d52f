package probe

import (
	"net/netip"
	"sync"
	"time"
)

// The kernel sends few ICMP errors: to one peer a burst of 6 (XRLIM_BURST_FACTOR,
// net/ipv4/icmp.c) or 5 (ip_error, net/ipv4/route.c), then one a second
// (icmp_ratelimit, net.ipv4.route.error_cost); to all peers together a burst of 50
// (icmp_msgs_burst). So silence after some errors can be a refusal that was not
// said.
const (
	refusalBurst  = 5
	refusalsOfAll = 50
	refusalRefill = 1100 * time.Millisecond // until there is one more for each peer, with a margin
	refusalMemory = 6 * refusalRefill       // until a burst is there again
)

// refusals are the ICMP errors that one Run received.
type refusals struct {
	mu    sync.Mutex
	total int
	all   recently
	to    map[*node]*refusalsTo
}

// refusalsTo are those that one node received, by who sent them.
type refusalsTo struct {
	total int
	from  map[netip.Addr]*recently
}

// recently are the times of the last errors.
type recently struct{ times []time.Time }

func (r *recently) add(most int) {
	r.times = append(r.times, time.Now())
	if n := len(r.times) - most; n > 0 {
		r.times = r.times[n:]
	}
}

// burst reports whether there were as many as are sent at once.
func (r *recently) burst(most int) bool {
	return len(r.times) == most && time.Since(r.times[0]) < refusalMemory
}

// add notes an error that a node received from an address.
func (r *refusals) add(to *node, from netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total++
	r.all.add(refusalsOfAll)
	if r.to == nil {
		r.to = make(map[*node]*refusalsTo)
	}
	t := r.to[to]
	if t == nil {
		t = &refusalsTo{from: make(map[netip.Addr]*recently)}
		r.to[to] = t
	}
	t.total++
	if t.from[from] == nil {
		t.from[from] = &recently{}
	}
	t.from[from].add(refusalBurst)
}

// doubt reports whether the silence that a job met is to be tried again before
// it is believed: there was a burst of errors just now, to its sender or to all,
// and some of them came since the job was last in doubt.
func (r *refusals) doubt(j *job) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	total, burst := r.total, r.all.burst(refusalsOfAll)
	if t := r.to[j.from.node]; t != nil && !burst {
		total = t.total
		for _, from := range t.from {
			burst = burst || from.burst(refusalBurst)
		}
	}
	if !burst || j.doubted && total == j.doubtedAt {
		return false
	}
	j.doubted, j.doubtedAt = true, total
	return true
}
