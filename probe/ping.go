package probe

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nslab/topology"
)

// pinger is the verb ping, and what path and mtu have in common with it.
type pinger struct {
	runner     *runner
	test       *topology.Test
	maxSockets int
	echoes     int           // of one pair
	timeout    time.Duration // of one echo
	size       int           // of the payload, in bytes; the largest
	interval   time.Duration // between the echoes of one pair

	shape func(e *echo, i int)  // makes the i-th echo of a pair its own; nil: all are alike
	sum   func(*pingJob) result // of a pair whose echoes are all done
}

func newPinger(r *runner, t *topology.Test) *pinger {
	return &pinger{
		runner: r, test: t, maxSockets: r.files, echoes: max(1, t.Count), timeout: t.Timeout, size: t.Size, interval: t.Interval,
		sum: (*pingJob).sum,
	}
}

func (p *pinger) close() {}

// try sends the jobs' echoes. Where the round-trip time counts, one echo of each
// pair goes before them, so that it is not that of finding the neighbours.
func (p *pinger) try(ctx context.Context, jobs []*job, report func(*job, result)) {
	if p.test.RTT != nil {
		first := *p
		first.echoes = 1
		first.send(ctx, jobs, func(*job, result) {})
	}
	p.send(ctx, jobs, report)
}

// send sends the jobs' echoes, all at once, in parts where there are not enough
// files for their sockets.
func (p *pinger) send(ctx context.Context, jobs []*job, report func(*job, result)) {
	for len(jobs) > 0 {
		n := p.part(jobs)
		b := &burst{pinger: p, report: report}
		b.run(ctx, jobs[:n])
		jobs = jobs[n:]
	}
}

// part is how many of the jobs have sockets at once.
func (p *pinger) part(jobs []*job) int {
	sockets := make(map[socketKey]int) // to the number of echoes
	for i, j := range jobs {
		key := senderKey(j)
		sockets[key] += p.echoes
		for _, n := range j.owners {
			sockets[socketKey{n, j.ipv6, netip.Addr{}}] += 0
		}
		// A sequence number has 16 bits.
		if i > 0 && (len(sockets) > p.maxSockets || sockets[key] > 1<<16) {
			return i
		}
	}
	return len(jobs)
}

// socketKey is what jobs share a socket by.
type socketKey struct {
	node *node
	ipv6 bool
	bind netip.Addr
}

func senderKey(j *job) socketKey { return socketKey{j.from.node, j.ipv6, j.from.addr} }

// echo is one request.
type echo struct {
	ping *pingJob
	sock *echoSocket
	seq  uint16
	size int       // of the payload, in bytes
	ttl  int       // 0: that of the socket
	due  time.Time // when it is to be sent, the earliest

	sent       time.Time // zero: not yet; not that it was repeated
	wall       time.Time // the same, by the clock of SO_TIMESTAMPNS
	drops      uint64    // backlog.dropped when it was last sent
	fulls      uint64    // neighborTable.fulls when it was last sent
	firstFulls uint64    // and when it was first sent
	extended   int
	fragmented int       // times that it was sent again in more fragments
	young      time.Time // counts as under way, since then; zero: no more
	busy       error     // the kernel had no buffer for it

	arrived bool
	done    bool
	result  seen
	silent  bool // lost, and not because the sender's kernel said so
	what    string
	router  netip.Addr // that said that the time to live was over; else not valid
	rtt     time.Duration
	ended   time.Time
}

// pingJob is a job with its echoes.
type pingJob struct {
	*job
	to     unix.Sockaddr
	echoes []*echo
	left   int // echoes not done
	began  time.Time
}

// sum is the result of a job whose echoes are all done.
func (p *pingJob) sum() result {
	res := result{began: p.began}
	var rtt time.Duration
	returned, reached := 0, 0
	var what []string
	silent := false
	for _, e := range p.echoes {
		silent = silent || e.silent
		s := e.result
		if s != answered && s != unable && e.arrived {
			s, res.mute = arrived, true
			reached++
		}
		if s == answered {
			returned++
			rtt += e.rtt
		} else if len(what) == 0 || what[len(what)-1] != e.what {
			what = append(what, e.what)
		}
		res.seen |= s
		if e.ended.After(res.ended) {
			res.ended = e.ended
		}
	}
	if returned > 0 {
		res.rtt = rtt / time.Duration(returned)
	}
	res.silent = silent && res.seen == lost
	if p.bounded(&res, returned) {
		return res
	}
	if res.seen == answered {
		res.what = fmt.Sprintf("in %s", res.rtt.Round(time.Microsecond))
		return res
	}
	if res.seen&unable == 0 && reached > 0 {
		res.what = "the request reached " + p.ownerNames() + ", its answer did not come back: "
	}
	res.what += strings.Join(what, "; ")
	if n := len(p.echoes); n > 1 {
		res.details = append(res.details, fmt.Sprintf("%d requests sent, %d reached %s and went unanswered, %d answered", n, reached, p.c.To, returned))
	}
	return res
}

// bounded judges by the keys loss and rtt, and says whether that was all: where
// as many echoes were lost as may be, those that returned are the answer.
func (p *pingJob) bounded(res *result, returned int) bool {
	if p.test.Loss == nil && p.test.RTT == nil || res.seen&unable != 0 {
		return false
	}
	lost := 100 * float64(len(p.echoes)-returned) / float64(len(p.echoes))
	var wrong []string
	switch {
	case p.test.Loss == nil && lost > 0:
		return false
	case p.test.Loss != nil && !p.test.Loss.Holds(lost):
		wrong = append(wrong, fmt.Sprintf("%d of %d echoes were lost: %.3g%%, want %s", len(p.echoes)-returned, len(p.echoes), lost, p.test.Loss.Text))
	}
	if p.test.RTT != nil && returned > 0 && !p.test.RTT.Holds(float64(res.rtt)) {
		wrong = append(wrong, fmt.Sprintf("the mean round-trip time is %s, want %s", res.rtt.Round(time.Microsecond), p.test.RTT.Text))
	}
	if len(wrong) > 0 {
		res.seen, res.silent, res.what = arrived, false, strings.Join(wrong, "; ")
		return true
	}
	if p.test.RTT != nil && returned == 0 {
		return false
	}
	res.seen, res.silent, res.what = answered, false, fmt.Sprintf("in %s", res.rtt.Round(time.Microsecond))
	return true
}

func (j *job) ownerNames() string {
	names := make([]string, len(j.owners))
	for i, n := range j.owners {
		names[i] = n.name
	}
	return strings.Join(names, " or ")
}
