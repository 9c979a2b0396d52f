package probe

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"nslab/topology"
)

const (
	// beyond is how many hops past the wanted ones are probed, to say where a
	// longer way goes.
	beyond = 3
	// icmpHeader is the length of an echo's, in bytes, RFC 792 and RFC 4443.
	icmpHeader = 8
	// pathSize is the payload of what path sends, in bytes, as that of ping(8).
	pathSize = 56
)

// newPath is the verb path: one echo for each hop, whose time to live ends
// there.
func newPath(r *runner, t *topology.Test) *pinger {
	p := newPinger(r, t)
	p.echoes, p.size = len(t.Hops)+1+beyond, pathSize
	p.shape = func(e *echo, i int) { e.ttl = i + 1 }
	p.sum = r.sumPath
	return p
}

// sumPath holds the hops against those that the test wants.
func (r *runner) sumPath(p *pingJob) result {
	res := p.times()
	want := p.test.Hops
	right := p.echoes[len(want)].result == answered
	var names, words []string
	last, end := len(p.echoes), ", and the target does not answer after them"
	for i, e := range p.echoes {
		if e.result == answered {
			last, end = i, ""
			res.rtt = e.rtt
			break
		}
		if e.result == refused && !e.router.IsValid() {
			last, end = i, ", and then "+e.what
			break
		}
	}
	for i, e := range p.echoes[:last] {
		switch e.result {
		case unable:
			return p.unable(e)
		case usurped:
			res.seen, res.what = failed, e.what
			return res
		}
		if i < len(want) && !r.isHop(e.router, want[i].Value) {
			right = false
		}
		name := "*"
		switch {
		case e.router.IsValid():
			name = r.hopName(e.router)
			res.details = append(res.details, fmt.Sprintf("hop %d: %s %s", i+1, e.router, e.what))
		case e.arrived:
			res.details = append(res.details, fmt.Sprintf("hop %d: it reached %s, its answer did not come back", i+1, p.ownerNames()))
		default:
			res.details = append(res.details, fmt.Sprintf("hop %d: %s", i+1, e.what))
		}
		names = append(names, name)
	}
	if right && last == len(want) {
		res.seen, res.details = answered, nil
		return res
	}
	for _, h := range want {
		words = append(words, h.Value)
	}
	res.seen = failed
	res.what = "the hops are " + hopList(names) + end + "; expected " + hopList(words)
	return res
}

func hopList(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// isHop reports whether a router is the one that the file names, by node or by
// address.
func (r *runner) isHop(router netip.Addr, want string) bool {
	if !router.IsValid() {
		return false
	}
	if a, err := netip.ParseAddr(want); err == nil {
		return a == router.WithZone("")
	}
	n := r.nodes[want]
	return n != nil && n.owns(router)
}

// hopName names a router for people.
func (r *runner) hopName(a netip.Addr) string {
	var names []string
	for _, n := range r.ownersOf(a) {
		names = append(names, n.name)
	}
	if len(names) == 0 {
		return a.String()
	}
	return strings.Join(names, " or ")
}

// newMTU is the verb mtu: an echo in a packet of as many bytes as the test says,
// which has to arrive, and one of a byte more, which must not.
func newMTU(r *runner, t *topology.Test) *pinger {
	unfragmented := *t
	unfragmented.DF = true
	p := newPinger(r, &unfragmented)
	p.echoes, p.size = 2, t.Bytes
	p.shape = func(e *echo, i int) {
		header := ipv4.HeaderLen
		if e.ping.ipv6 {
			header = ipv6.HeaderLen
		}
		e.size = max(minPayload, t.Bytes+i-header-icmpHeader)
	}
	p.sum = sumMTU
	return p
}

// minPayload is what an echo is known by, see marshalEcho.
const minPayload = 10

// sumMTU judges by what arrived: an answer's way back has an MTU of its own.
func sumMTU(p *pingJob) result {
	res := p.times()
	for _, e := range p.echoes {
		if e.result == unable {
			return p.unable(e)
		}
	}
	fits, larger := p.echoes[0], p.echoes[1]
	res.rtt = fits.rtt
	bytes := p.test.Bytes
	switch {
	case fits.result == usurped:
		res.seen, res.what = failed, fits.what
	case fits.result != answered && !fits.arrived:
		res.seen, res.what = failed, fmt.Sprintf("a packet of %d bytes does not pass: %s", bytes, fits.what)
	case larger.result == answered || larger.arrived:
		res.seen, res.what = failed, fmt.Sprintf("a packet of %d bytes passes too", bytes+1)
	default:
		res.seen = answered
	}
	return res
}

// times is a result with when a job's first echo was sent and its last was done.
func (p *pingJob) times() result {
	res := result{began: p.began}
	for _, e := range p.echoes {
		if e.ended.After(res.ended) {
			res.ended = e.ended
		}
	}
	if res.began.IsZero() {
		res.began = time.Now()
	}
	return res
}

// unable is the result of a job of which an echo could not be carried out.
func (p *pingJob) unable(e *echo) result {
	res := p.times()
	res.seen, res.what = unable, e.what
	return res
}
