package probe

import (
	"sync"
	"time"
)

// The kernel sends few ICMP errors: to one peer a burst of 6 (XRLIM_BURST_FACTOR,
// net/ipv4/icmp.c) or 5 (ip_error, net/ipv4/route.c), then one a second
// (icmp_ratelimit, net.ipv4.route.error_cost). So silence after some errors can
// be a refusal that was not said.
const (
	refusalBurst  = 5
	refusalRefill = 1100 * time.Millisecond // until there is one more for each peer, with a margin
	refusalMemory = 6 * refusalRefill       // until a burst is there again
)

// refusals are the ICMP errors that one Run received.
type refusals struct {
	mu     sync.Mutex
	total  int
	recent []time.Time
}

func (r *refusals) add() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total++
	r.recent = append(r.recent, time.Now())
	if n := len(r.recent) - refusalBurst; n > 0 {
		r.recent = r.recent[n:]
	}
}

// doubt reports whether the silence that a job met is to be tried again before
// it is believed: there was a burst of errors just now, and some of them came
// since the job was last in doubt.
func (r *refusals) doubt(j *job) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	burst := len(r.recent) == refusalBurst && time.Since(r.recent[0]) < refusalMemory
	if !burst || j.doubted && r.total == j.doubtedAt {
		return false
	}
	j.doubted, j.doubtedAt = true, r.total
	return true
}
