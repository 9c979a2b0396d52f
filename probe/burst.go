package probe

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"nslab/topology"
)

const (
	// Echoes that may be under way at once: at first, at least and at most. A
	// socket's buffer of the default size holds 277 echoes.
	firstWindow = 32
	minWindow   = 8
	maxWindow   = 256
	// batch is how many echoes are sent before the sockets are read again.
	batch = 32
	// maxQueued is how many packets of anybody may wait in a CPU's queue when
	// another batch is sent. A bridge makes many of one.
	maxQueued = 200
	// youth is how long an echo counts as under way: what has no answer by then
	// is in no queue of ours any more.
	youth = 10 * time.Millisecond
	// crowd is the number of echoes of one try from which on one that is not
	// answered is sent again, a third and two thirds of its time later: with
	// fewer of them nothing here can have lost it.
	crowd = 64
	// maxExtensions is how often an echo gets its time once more because the
	// host dropped packets meanwhile.
	maxExtensions = 3
	// patience is how long nothing is sent because the host's queues are full.
	// After that it is others who fill them.
	patience = time.Second
	// shortPause is before another try where there was no room for a packet.
	shortPause = 2 * time.Millisecond
	// wakeUp bounds each wait for packets, so that a cancelled context is seen.
	wakeUp = 50 * time.Millisecond
)

// burst is one part of a try: one loop that sends all its echoes and reads all
// its sockets.
type burst struct {
	*pinger
	report  func(*job, result)
	epoll   int
	sockets map[socketKey]*echoSocket
	byFD    map[int32]*echoSocket
	byToken map[uint64]*echoSocket

	data [1 << 16]byte // of the packet that is read

	jobs    []*pingJob
	unseen  []*pingJob // done, and finish has to look whether they arrived
	strange []*pingJob // answered, and not yet seen to have arrived
	pending []*echo    // to be sent, in order of due
	sent    []*echo    // in order of sending; without repetitions
	stages  []stage
	crowded bool
	left    int // echoes not done

	backlog *backlog
	window  int
	cramped time.Time // since when the host's queues are full; zero: they are not
	young   int       // echoes under way
	flying  []*echo   // those, and some that are not any more, in order of sending
}

// stage is what happens to an echo some time after it was sent.
type stage struct {
	after time.Duration
	do    func(*echo)
	next  int // index in sent of the first to which it did not happen yet
}

func (b *burst) run(ctx context.Context, jobs []*job) {
	b.sockets = make(map[socketKey]*echoSocket)
	b.byFD = make(map[int32]*echoSocket)
	b.byToken = make(map[uint64]*echoSocket)
	var err error
	if b.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		for _, j := range jobs {
			b.report(j, broken("epoll: %s", errnoText(err)))
		}
		return
	}
	defer unix.Close(b.epoll)
	defer b.closeSockets()
	b.backlog = openBacklog()
	defer b.backlog.close()
	b.window = firstWindow
	for _, j := range jobs {
		if err := b.add(j); err != nil {
			b.report(j, broken("%v", err))
		}
	}
	b.line()
	b.loop(ctx)
	b.finish()
}

// add opens what a job needs and makes its echoes.
func (b *burst) add(j *job) error {
	sock, err := b.socket(senderKey(j))
	if err != nil {
		return err
	}
	for _, n := range j.owners {
		if _, err := b.socket(socketKey{n, j.ipv6, netip.Addr{}}); err != nil {
			return err
		}
	}
	p := &pingJob{job: j, left: b.pinger.echoes}
	if p.to, err = j.from.node.sockaddr(netip.AddrPortFrom(j.to.addr, 0)); err != nil {
		return err
	}
	for i := range b.pinger.echoes {
		e := &echo{ping: p, sock: sock, seq: uint16(len(sock.echoes)), size: b.size}
		if b.shape != nil {
			b.shape(e, i)
		}
		sock.echoes = append(sock.echoes, e)
		p.echoes = append(p.echoes, e)
		if j.watched {
			j.flows = append(j.flows, &flow{echo: echoID{sock.token, e.seq}})
		}
	}
	b.jobs = append(b.jobs, p)
	b.left += b.pinger.echoes
	return nil
}

// line puts the echoes in the order of sending: the first of every pair, then
// the second.
func (b *burst) line() {
	now := time.Now()
	for i := range b.pinger.echoes {
		for _, p := range b.jobs {
			p.echoes[i].due = now.Add(time.Duration(i) * b.interval)
			b.pending = append(b.pending, p.echoes[i])
		}
	}
	b.crowded = b.left > crowd && !b.counted()
	b.stages = []stage{
		{after: b.timeout / 3, do: b.again},
		{after: 2 * b.timeout / 3, do: b.again},
		{after: b.timeout, do: b.expire},
	}
}

// counted reports whether it counts how many echoes of a pair are lost: to send
// them again would hide what the test is about.
func (b *burst) counted() bool {
	return b.test.Verb == topology.Ping && (b.test.Loss != nil || b.pinger.echoes > 1)
}

// loop goes on until every echo has its result.
func (b *burst) loop(ctx context.Context) {
	events := make([]unix.EpollEvent, maxWindow)
	for b.left > 0 && ctx.Err() == nil {
		wait := min(b.advance(time.Now()), b.send())
		if b.left == 0 {
			return
		}
		n, err := unix.EpollWait(b.epoll, events, int((wait+time.Millisecond-1)/time.Millisecond))
		if err != nil && err != unix.EINTR {
			b.abandon(fmt.Sprintf("epoll: %s", errnoText(err)))
			return
		}
		for i := range max(n, 0) {
			b.receive(b.byFD[events[i].Fd])
		}
		b.recognize()
	}
	if err := ctx.Err(); err != nil {
		b.abandon("not finished: " + err.Error())
	}
}

// send sends what is due and fits in the window. It says how long there is
// nothing to send.
func (b *burst) send() time.Duration {
	if len(b.pending) == 0 {
		return wakeUp
	}
	if !b.room() {
		return shortPause
	}
	for range min(batch, b.window) {
		now := time.Now()
		b.land(now)
		if len(b.pending) == 0 {
			return wakeUp
		}
		if b.young >= b.window {
			return b.flying[0].young.Add(youth).Sub(now)
		}
		e := b.pending[0]
		if wait := e.due.Sub(now); wait > 0 {
			return min(wait, wakeUp)
		}
		b.pending = b.pending[1:]
		if e.done {
			continue
		}
		if e.sent.IsZero() {
			e.sent, e.wall = now, now.Round(0)
			e.firstFulls = b.runner.neighbors.table(e.sock.key.ipv6).fulls
			b.sent = append(b.sent, e)
			if e.ping.began.IsZero() {
				e.ping.began = now
			}
		}
		if e.young.IsZero() {
			b.young++
			b.flying = append(b.flying, e)
			e.young = now
		}
		e.drops = b.backlog.dropped
		e.fulls = b.runner.neighbors.table(e.sock.key.ipv6).fulls
		b.transmit(e)
	}
	return 0
}

// room reports whether another batch is to be sent: the host's queues have room
// for it, or will have none. It sets the window by what they tell.
func (b *burst) room() bool {
	lost := b.backlog.read()
	if lost || b.backlog.queued > maxQueued {
		b.window = max(minWindow, b.window/2)
		if b.cramped.IsZero() {
			b.cramped = time.Now()
		}
		return time.Since(b.cramped) > patience
	}
	b.cramped = time.Time{}
	b.window = min(b.widest(), b.window+minWindow)
	return true
}

// widest is the largest window: fewer of large echoes, of which a buffer holds
// fewer.
func (b *burst) widest() int {
	const ordinary = 1500 // bytes, of a packet
	return max(minWindow, min(maxWindow, maxWindow*ordinary/max(ordinary, b.size)))
}

// land takes those echoes out of the window that are done or not young any
// more.
func (b *burst) land(now time.Time) {
	for len(b.flying) > 0 {
		e := b.flying[0]
		if !e.young.IsZero() && now.Sub(e.young) < youth {
			return
		}
		b.flying = b.flying[1:]
		b.grow(e)
	}
}

// grow takes an echo out of the window.
func (b *burst) grow(e *echo) {
	if !e.young.IsZero() {
		e.young = time.Time{}
		b.young--
	}
}

// transmit sends an echo, for the first time or again.
func (b *burst) transmit(e *echo) {
	s := e.sock
	message, err := marshalEcho(s.key.ipv6, s.id, e.seq, s.token, e.size)
	if err == nil {
		_, err = unix.SendmsgN(s.fd, message, timeToLive(s.key.ipv6, e.ttl), e.ping.to, unix.MSG_DONTWAIT)
	}
	switch err {
	case nil:
		e.busy = nil
	case unix.ENOBUFS, unix.EAGAIN, unix.EINTR:
		e.busy = err
		e.due = time.Now().Add(shortPause)
		b.pending = append(b.pending, e)
	default:
		res := sendError(s.key.node.name, err)
		b.end(e, res.seen, res.what)
	}
}

// advance lets the stages happen whose time has come, and says how long it is
// to the next.
func (b *burst) advance(now time.Time) time.Duration {
	wait := wakeUp
	for i := range b.stages {
		s := &b.stages[i]
		for s.next < len(b.sent) {
			e := b.sent[s.next]
			if !e.done {
				if d := e.sent.Add(s.after).Sub(now); d > 0 {
					wait = min(wait, d)
					break
				}
				s.do(e)
			}
			s.next++
		}
	}
	return wait
}

// again sends an echo once more that may have been lost on this host.
func (b *burst) again(e *echo) {
	if e.busy == nil && (b.crowded || b.droppedSince(e)) {
		e.due = time.Now()
		b.pending = append(b.pending, e)
	}
}

// droppedSince reports whether the host dropped packets since an echo was sent.
func (b *burst) droppedSince(e *echo) bool {
	b.backlog.read()
	return b.backlog.dropped > e.drops
}

func (b *burst) expire(e *echo) {
	if e.busy != nil {
		b.end(e, unable, noBuffer(e.sock.key.node.name, e.ping.c.Family, b.runner.neighbors.table(e.sock.key.ipv6), e.firstFulls))
		return
	}
	if e.extended < maxExtensions && (b.full(e) || b.droppedSince(e)) {
		e.extended++
		e.sent, e.due = time.Time{}, time.Now()
		b.pending = append(b.pending, e)
		return
	}
	// Where this process did not run for a while the answer may be there.
	for !e.done && b.receive(e.sock) {
	}
	if e.done {
		return
	}
	b.lose(e, true, fmt.Sprintf("no answer within %s", b.timeout))
}

// full reports whether the table of neighbours was full since an echo was sent.
func (b *burst) full(e *echo) bool {
	return b.runner.neighbors.table(e.sock.key.ipv6).fulls > e.fulls
}

// lose ends an echo that was not answered.
func (b *burst) lose(e *echo, silent bool, what string) {
	res := result{seen: lost, silent: silent, what: what}
	if b.full(e) {
		res = res.fullTable(b.test, e.ping.c.Family, b.runner.neighbors.table(e.sock.key.ipv6))
	}
	e.silent = res.silent
	b.end(e, res.seen, res.what)
}

// end gives an echo its result. Whether one that was not answered arrived is
// known only when all sockets are read: then finish reports.
func (b *burst) end(e *echo, s seen, what string) {
	if e.done {
		return
	}
	b.grow(e)
	e.done, e.result, e.what, e.ended = true, s, what, time.Now()
	b.left--
	p := e.ping
	if p.left--; p.left > 0 {
		return
	}
	strange := false
	for _, e := range p.echoes {
		if e.result != answered {
			b.unseen = append(b.unseen, p)
			return
		}
		strange = strange || !e.arrived
	}
	if strange && p.job.to.node != nil {
		b.strange = append(b.strange, p)
		return
	}
	b.report(p.job, b.sum(p))
}

// recognize reports on the jobs some of whose answers may not be the target's.
// What arrived is in the target's socket before the answer is on its way.
func (b *burst) recognize() {
	for len(b.strange) > 0 {
		p := b.strange[0]
		b.strange = b.strange[1:]
		for b.receive(b.sockets[socketKey{p.job.to.node, p.ipv6, netip.Addr{}}]) {
		}
		b.disown(p)
		b.report(p.job, b.sum(p))
	}
}

// disown finds those answers that the target did not give: another node has its
// address. The target's socket has been read.
func (b *burst) disown(p *pingJob) {
	if p.job.to.node == nil || b.blind(p) != "" {
		return
	}
	for _, e := range p.echoes {
		if e.result == answered && !e.arrived {
			e.result, e.what = usurped, p.job.usurpedText()
		}
	}
}

// abandon ends all that is not done.
func (b *burst) abandon(why string) {
	for _, p := range b.jobs {
		for _, e := range p.echoes {
			b.end(e, unable, why)
		}
	}
}

// finish reads what is left in the sockets and reports on the jobs that were
// not answered.
func (b *burst) finish() {
	b.recognize()
	if len(b.unseen) == 0 {
		return
	}
	for _, s := range b.sockets {
		for b.receive(s) {
		}
	}
	for _, p := range b.unseen {
		b.disown(p)
		res := b.sum(p)
		if res.seen&(answered|arrived) == 0 || b.test.Verb == topology.MTU {
			if why := b.blind(p); why != "" {
				res = broken("%s", why)
			}
		}
		b.report(p.job, res)
	}
}

// blind says why it is not known whether a job's echoes arrived: a packet that
// did not fit in the buffer of the target's socket can have been one of them.
func (b *burst) blind(p *pingJob) string {
	for _, n := range p.owners {
		s := b.sockets[socketKey{n, p.ipv6, netip.Addr{}}]
		if d, err := dropped(s.fd); err != nil || d > 0 {
			return fmt.Sprintf("not everything that reached %s could be seen: %d packets did not fit in the socket's buffer", n.name, d)
		}
	}
	return ""
}
