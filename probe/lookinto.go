package probe

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"nslab/netsetup/kernel"
	"nslab/topology"
)

const (
	// maxLookedInto is how many failed cases of one item are tried again.
	maxLookedInto = 10
	// secondTimeout and thirdTimeout bound a request of the tries that look for
	// the place; a whole try has half as much again.
	secondTimeout = time.Second
	thirdTimeout  = 300 * time.Millisecond
	// maxAgain is how many echoes of a pair are sent again.
	maxAgain = 5
)

// failure is a case that failed, and what its last try found.
type failure struct {
	*job
	res result
	e   *Explanation

	second, third *job // the same pair, watched
	secondRes     result
}

// canLookInto reports whether a verb sends packets that can be watched.
func canLookInto(verb string) bool {
	switch verb {
	case topology.Ping, topology.TCP, topology.UDP, topology.HTTP, topology.DNS, topology.Path, topology.MTU:
		return true
	}
	return false
}

// lookInto tries failed cases of an item once more, all at once and watched, and
// once more where that ended, with the rules traced. It writes what it finds into
// the cases; their outcome stays.
func (r *runner) lookInto(ctx context.Context, t *topology.Test, failures []*failure) {
	l := &look{runner: r, test: t, failures: failures, tables: make(map[*node]*tables)}
	defer l.close()
	for _, f := range failures {
		f.e = &Explanation{}
	}
	if err := l.secondTry(ctx); err != nil {
		for _, f := range failures {
			f.e.SecondTry = "there was none: " + err.Error()
		}
	} else {
		l.thirdTry(ctx)
	}
	for _, f := range failures {
		f.e.Sent = f.sentText()
		f.e.Routes = append(f.e.Routes, r.explain(f.job, f.res)...)
		if f.e.LastSeen != nil {
			f.e.Routes = append(f.e.Routes, l.onward(f)...)
		}
		f.c.Explanation = f.e
		f.c.Details = slices.Concat(f.res.details, f.e.lines())
	}
}

// look is one lookInto.
type look struct {
	*runner
	test     *topology.Test
	failures []*failure
	watch    *watch
	tables   map[*node]*tables
}

func (l *look) close() {
	if l.watch != nil {
		l.watch.close()
	}
	for _, t := range l.tables {
		t.close()
	}
}

// try tries jobs of the failures again, watched, and gives the results by job and
// the flows sorted.
func (l *look) try(ctx context.Context, failures []*failure, timeout time.Duration, keep func(f *failure, j *job)) (map[*job]result, *sorter, error) {
	test := *l.test
	test.Timeout = min(test.Timeout, timeout)
	test.Count, test.Interval = min(test.Count, maxAgain), min(test.Interval, timeout/maxAgain)
	test.Loss, test.RTT = nil, nil
	v, err := l.verb(&test)
	if err != nil {
		return nil, nil, err
	}
	defer v.close()
	jobs := make([]*job, len(failures))
	for i, f := range failures {
		c := *f.c
		jobs[i] = &job{c: &c, test: &test, from: f.from, to: f.to, ipv6: f.ipv6, known: true, owners: f.owners, watched: true}
		keep(f, jobs[i])
	}
	ctx, cancel := context.WithTimeout(ctx, timeout*3/2)
	defer cancel()
	l.watch.read() // what came before
	results := make(map[*job]result)
	var mu sync.Mutex
	v.try(ctx, jobs, func(j *job, res result) {
		mu.Lock()
		defer mu.Unlock()
		results[j] = res
	})
	seen, missed := l.watch.read()
	protocol := unix.IPPROTO_TCP
	if test.Verb == topology.UDP || test.Verb == topology.DNS {
		protocol = unix.IPPROTO_UDP
	}
	s := newSorter(jobs, protocol)
	s.add(seen)
	if missed > 0 {
		for _, f := range failures {
			f.e.Notes = []string{fmt.Sprintf("%d packets could not be looked at: they did not fit in the buffers", missed)}
		}
	}
	return results, s, nil
}

// secondTry finds out how far the requests come.
func (l *look) secondTry(ctx context.Context) (err error) {
	if l.watch, err = l.openWatch(l.test.Verb); err != nil {
		return err
	}
	results, _, err := l.try(ctx, l.failures, secondTimeout, func(f *failure, j *job) { f.second = j })
	if err != nil {
		return err
	}
	for _, f := range l.failures {
		f.secondRes = results[f.second]
		verdict := judge(l.test.Expect, f.secondRes)
		switch {
		case verdict.outcome == Pass && l.test.Loss == nil && l.test.RTT == nil:
			f.e.Passed, f.e.SecondTry = true, "it passed"
		case verdict.outcome == Error:
			f.e.SecondTry = verdict.message
		}
		l.place(f)
	}
	return nil
}

// place writes down where the packets of a failure were seen.
func (l *look) place(f *failure) {
	flow := f.second.flow()
	for i := range flow.requests {
		s := &flow.requests[i]
		if s.foreign && slices.Contains(l.ownersOf(s.dst.Addr()), s.node) && !l.isPort(s) {
			f.e.Notes = append(f.e.Notes, fmt.Sprintf("it came in at %s, but for the MAC address of another%s", l.placeOf(s), l.sentBy(flow.requests[:i])))
			break
		}
	}
	flow.requests, f.e.Way = l.places(flow.requests)
	flow.answers, f.e.Back = l.places(flow.answers)
	if len(flow.answers) > 0 && flow.answers[0].out && !slices.Contains(f.owners, flow.answers[0].node) {
		f.e.Notes = append(f.e.Notes, fmt.Sprintf("what came back is not from the target: %s sent it, by %s", flow.answers[0].node.name, f.e.Back[0].Interface))
	}
	switch arrived := f.arrived(flow); {
	case arrived && f.returned(flow):
	case arrived && len(f.e.Back) > 0:
		f.e.LastSeen = &f.e.Back[len(f.e.Back)-1]
	case len(f.e.Way) > 0:
		f.e.LastSeen = &f.e.Way[len(f.e.Way)-1]
	}
}

// sentBy is where a packet left that was seen at these places: the last that is
// no port.
func (l *look) sentBy(seen []sighting) string {
	for i := len(seen) - 1; i >= 0; i-- {
		if s := &seen[i]; s.out && !l.isPort(s) {
			return ": " + l.placeOf(s).String() + " sent it there"
		}
	}
	return ""
}

// arrived reports whether a request got to the target's stack.
func (f *failure) arrived(flow *flow) bool {
	return f.secondRes.seen&(answered|arrived) != 0 || slices.ContainsFunc(flow.answers, func(s sighting) bool { return s.about == nil })
}

// returned reports whether an answer got to the sender's stack.
func (f *failure) returned(flow *flow) bool {
	return flow.answered(f.from.node) && !f.secondRes.mute
}

// places are the interfaces where packets were seen, each once, with the first
// sighting there; without those that take no packet for another's MAC address.
func (l *look) places(seen []sighting) (first []sighting, list []Place) {
	for i := range seen {
		if s := &seen[i]; !s.foreign || l.isPort(s) {
			if p := l.placeOf(s); !slices.Contains(list, p) {
				first, list = append(first, *s), append(list, p)
			}
		}
	}
	return first, list
}

func (l *look) placeOf(s *sighting) Place {
	p := Place{Node: s.node.name, Interface: fmt.Sprintf("interface %d", s.index), Out: s.out}
	if t := l.tablesOf(s.node); t != nil {
		p.Interface = t.name(s.index)
	}
	return p
}

// isPort reports whether the interface is the port of a bridge, which takes
// packets for all MAC addresses.
func (l *look) isPort(s *sighting) bool {
	t := l.tablesOf(s.node)
	if t == nil {
		return false
	}
	link, err := t.h.LinkByIndex(s.index)
	return err == nil && link.Attrs().MasterIndex != 0
}

// tablesOf gives the tables of a node, nil where they cannot be read.
func (l *look) tablesOf(n *node) *tables {
	t, ok := l.tables[n]
	if !ok {
		t, _ = openTables(n)
		l.tables[n] = t
	}
	return t
}

// suspect is a node where packets were last seen.
type suspect struct {
	node    *node
	matches []string // of those packets, in nft's words
	before  *counters
	trace   *kernel.Trace
}

// thirdTry looks at the rules and counters of the nodes where the packets were
// last seen.
func (l *look) thirdTry(ctx context.Context) {
	var suspects []*suspect
	var failures []*failure
	of := make(map[*failure]*suspect)
	for _, f := range l.failures {
		n, match := f.last()
		if n == nil || f.e.Passed {
			continue
		}
		i := slices.IndexFunc(suspects, func(s *suspect) bool { return s.node == n })
		if i < 0 {
			i = len(suspects)
			suspects = append(suspects, &suspect{node: n})
		}
		suspects[i].matches = append(suspects[i].matches, match)
		failures, of[f] = append(failures, f), suspects[i]
	}
	if len(failures) == 0 {
		return
	}
	note := func(s *suspect, err error) {
		for _, f := range failures {
			if of[f] == s && err != nil {
				f.e.Notes = append(f.e.Notes, fmt.Sprintf("%s: %v", s.node.name, err))
			}
		}
	}
	for _, s := range suspects {
		note(s, s.begin(l.lab.Name))
		if s.trace != nil {
			defer s.trace.Close()
		}
	}
	_, sorter, err := l.try(ctx, failures, thirdTimeout, func(f *failure, j *job) { f.third = j })
	if err != nil {
		return
	}
	byFlow := make(map[*flow]*failure)
	for _, f := range failures {
		for _, flow := range f.third.flows {
			byFlow[flow] = f
		}
	}
	for _, s := range suspects {
		if s.trace != nil {
			verdicts, err := s.trace.Verdicts()
			note(s, err)
			for i := range verdicts {
				g, ok := glimpseOf(verdicts[i].Packet)
				if !ok {
					continue
				}
				if flow, _ := sorter.find(s.node, &g); flow != nil && byFlow[flow] != nil {
					byFlow[flow].hit(l.lab.File, s.node, &verdicts[i])
				}
			}
		}
		if s.before == nil {
			continue
		}
		after, err := readCounters(s.node)
		if note(s, err); err != nil {
			continue
		}
		for _, f := range failures {
			if of[f] == s {
				f.count(after.since(s.before, s.node.name))
			}
		}
	}
}

// count notes what grew where a packet was last seen.
func (f *failure) count(grown []Counter) {
	f.e.Counters = grown
	for _, c := range grown {
		if strings.HasSuffix(c.Name, " IPReversePathFilter") {
			f.e.Notes = append(f.e.Notes, fmt.Sprintf("the reverse path filter of %s drops what comes in by another interface than the way back leaves by (rp_filter)", c.Node))
		}
	}
}

// last is the node where a packet of a failure was last seen, and what the packet
// looked like there, in nft's words; nil where nothing was lost.
func (f *failure) last() (*node, string) {
	flow := f.second.flow()
	way, back := flow.requests, flow.answers
	match := func(src, dst netip.Addr) string {
		family := "ip"
		if dst.Is6() {
			family = "ip6"
		}
		if !src.IsValid() {
			return fmt.Sprintf("%s daddr %s", family, dst.WithZone(""))
		}
		return fmt.Sprintf("%s saddr %s %s daddr %s", family, src.WithZone(""), family, dst.WithZone(""))
	}
	switch arrived := f.arrived(flow); {
	case arrived && f.returned(flow):
		return nil, ""
	case arrived && len(back) > 0:
		s := &back[len(back)-1]
		return s.node, match(s.src.Addr(), s.dst.Addr())
	case arrived && len(way) > 0:
		s := &way[len(way)-1]
		return s.node, match(s.dst.Addr(), s.src.Addr())
	case len(way) > 0:
		s := &way[len(way)-1]
		return s.node, match(s.src.Addr(), s.dst.Addr())
	}
	return f.from.node, match(netip.Addr{}, f.to.addr)
}

// begin reads the counters of a node, and traces its rules where the node is the
// lab's own.
func (s *suspect) begin(lab string) (err error) {
	if s.before, err = readCounters(s.node); err != nil {
		return err
	}
	if k := s.node.topo.Kind; k == topology.Root || k == topology.External {
		return nil
	}
	h, err := s.node.handle()
	if err == nil {
		slices.Sort(s.matches)
		s.trace, err = kernel.StartTrace(h, lab, slices.Compact(s.matches))
	}
	return err
}

// sentText is what a failure's requests are, for people.
func (f *failure) sentText() string {
	var what string
	t := f.test
	switch t.Verb {
	case topology.Ping:
		what = fmt.Sprintf("an ICMP echo of %d bytes", t.Size)
		if t.Count > 1 {
			what = fmt.Sprintf("%d ICMP echoes of %d bytes each", t.Count, t.Size)
		}
	case topology.Path:
		what = fmt.Sprintf("ICMP echoes with a time to live from 1 to %d", len(t.Hops)+1+beyond)
	case topology.MTU:
		what = fmt.Sprintf("ICMP echoes in packets of %d and %d bytes", t.Bytes, t.Bytes+1)
	case topology.TCP:
		what = "the first segment (SYN) of a TCP connection"
	case topology.HTTP:
		what = "the first segment (SYN) of a TCP connection for GET " + f.to.url
	case topology.UDP:
		what = "a UDP datagram"
	case topology.DNS:
		what = fmt.Sprintf("a DNS question for %s %s", strings.TrimSuffix(t.Query, "."), t.Type)
	}
	from := f.from.node.name
	if f.second != nil {
		if flow := f.second.flow(); len(flow.requests) > 0 {
			from = addressText(flow.requests[0].src)
		} else if flow.local.IsValid() {
			from = addressText(flow.local)
		}
	}
	return fmt.Sprintf("%s from %s to %s", what, from, addressText(netip.AddrPortFrom(f.to.addr, uint16(f.to.port))))
}

// addressText leaves out a port that there is none of.
func addressText(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}
