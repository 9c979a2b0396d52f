package probe

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nslab/topology"
)

// stream is the verbs tcp and udp, and what http and dns have in common with
// them.
type stream struct {
	tcp     bool
	serve   *bool  // the test serves the port on the target; nil: where that runs no processes
	payload []byte // nil: none is given
	timeout time.Duration
	ask     func(*client) result // nil, or what http and dns do over the connection
	slots   chan struct{}        // how many connections there are at once
	young   chan struct{}        // as the window is of echoes

	runner    *runner
	test      *topology.Test
	service   service
	listeners map[listenerKey]*listener
	far       map[farKey]*arrivals
	unheard   bool // it is to be seen that requests do not arrive
}

// farKey is what jobs share the arrivals of their targets by.
type farKey struct {
	node *node
	v6   bool
}

// Files that a connection needs: its own, and that of its other end.
const filesPerStream = 2

func newStream(r *runner, t *topology.Test) *stream {
	s := &stream{
		runner: r, test: t, service: echoes,
		tcp: t.Verb == topology.TCP, serve: t.Listen, timeout: t.Timeout,
		slots:     make(chan struct{}, max(1, min(4096, r.files/filesPerStream/2))),
		young:     make(chan struct{}, maxWindow/2),
		listeners: make(map[listenerKey]*listener), far: make(map[farKey]*arrivals),
		unheard: t.Expect == expectFail || t.Expect == expectDrop,
	}
	if t.Payload != "" {
		s.payload = []byte(t.Payload)
	}
	return s
}

func (s *stream) close() {
	for _, l := range s.listeners {
		s.runner.release(l)
	}
	for _, a := range s.far {
		a.close()
	}
}

func (s *stream) try(ctx context.Context, jobs []*job, report func(*job, result)) {
	var wg sync.WaitGroup
	queues := openBacklog()
	defer queues.close()
	before := queues.dropped
	var mu sync.Mutex // of queues
	// dropping reports whether the host dropped packets, maybe ours.
	dropping := func() bool {
		mu.Lock()
		defer mu.Unlock()
		queues.read()
		return queues.dropped > before
	}
	for _, j := range jobs {
		listeners, err := s.listen(j)
		var far []*arrivals
		if err == nil {
			far, err = s.farSide(j, listeners)
		}
		if err != nil {
			report(j, broken("%v", err))
			continue
		}
		s.slots <- struct{}{}
		s.young <- struct{}{}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-s.slots }()
			defer s.runner.panics.keep()
			grown := sync.OnceFunc(func() { <-s.young })
			defer time.AfterFunc(youth, grown).Stop()
			defer grown()
			report(j, s.persist(ctx, j, listeners, far, dropping))
		}()
	}
	wg.Wait()
}

// persist attempts again what this host may have lost: where the sender's kernel
// had no buffer, until its time is over; where there was silence and a queue or the
// table of neighbours was full, a few times.
func (s *stream) persist(ctx context.Context, j *job, listeners []*listener, far []*arrivals, dropping func() bool) result {
	first := s.runner.neighbors.table(j.ipv6).fulls
	fulls := first
	res := s.attempt(ctx, j, listeners, far)
	began := res.began
	for end := began.Add(s.timeout); res.busy && time.Now().Before(end) && ctx.Err() == nil; {
		time.Sleep(shortPause)
		res = s.attempt(ctx, j, listeners, far)
	}
	full := func() bool { return s.runner.neighbors.table(j.ipv6).fulls > fulls }
	for range maxExtensions {
		if !late(res, s.timeout) && !(res.silent && dropping()) && !((res.silent || res.alone) && full()) {
			break
		}
		fulls = s.runner.neighbors.table(j.ipv6).fulls
		res = s.attempt(ctx, j, listeners, far)
	}
	switch {
	case res.busy:
		res = broken("%s", noBuffer(j.from.node.name, j.c.Family, s.runner.neighbors.table(j.ipv6), first))
	case (res.silent || res.alone) && full():
		res = res.fullTable(j.test, j.c.Family, s.runner.neighbors.table(j.ipv6))
	}
	res.began = began
	return res
}

// late reports whether an attempt ended so long after its time that this
// process cannot have run meanwhile: an answer may have been there.
func late(res result, timeout time.Duration) bool {
	return res.seen&(lost|arrived) != 0 && res.ended.Sub(res.began) > timeout+timeout/4
}

// listen serves the target's port wherever in the lab its address is. A target
// outside the lab has to have a server.
func (s *stream) listen(j *job) ([]*listener, error) {
	var all []*listener
	for _, n := range j.owners {
		if !s.serves(n) {
			continue
		}
		key := listenerKey{node: n, addr: netip.AddrPortFrom(j.to.addr, uint16(j.to.port)), tcp: s.tcp}
		if s.ask != nil {
			key.of = ownServer(s.test)
		}
		l, ok := s.listeners[key]
		if !ok {
			var err error
			if l, err = s.runner.listen(key, s.service); err != nil {
				return nil, err
			}
			s.listeners[key] = l
		}
		all = append(all, l)
	}
	return all, nil
}

// serves reports whether the test itself serves the port on a node: where
// programs run, it is theirs to.
func (s *stream) serves(n *node) bool {
	if s.serve == nil {
		return len(n.topo.Run) == 0
	}
	return *s.serve
}

// farSide is where a request is seen to arrive: at the listeners, and, where it
// is not to arrive, at whatever port of the target.
func (s *stream) farSide(j *job, listeners []*listener) ([]*arrivals, error) {
	var all []*arrivals
	for _, l := range listeners {
		all = append(all, l.arrivals)
	}
	if !s.unheard {
		return all, nil
	}
	for _, n := range j.owners {
		key := farKey{n, j.ipv6}
		a, ok := s.far[key]
		if !ok {
			var err error
			if a, err = openArrivals(n, j.ipv6, s.tcp, &s.runner.panics); err != nil {
				return nil, err
			}
			s.far[key] = a
		}
		all = append(all, a)
	}
	return all, nil
}

// attempt makes one connection, or sends one datagram, and looks whether it
// arrived where there was no answer.
func (s *stream) attempt(ctx context.Context, j *job, listeners []*listener, far []*arrivals) result {
	c := &client{stream: s, job: j, listeners: listeners, far: far, sent: fnv.New64a()}
	if err := ctx.Err(); err != nil {
		return broken("not finished: %v", err)
	}
	res := c.run(ctx)
	res.began, res.ended = c.began, time.Now()
	if res.seen == answered && j.to.node != nil && len(listeners) > 0 && !listeners[0].arrivals.got(c.sent) {
		res.seen, res.what = usurped, j.usurpedText()
	}
	if res.seen&(lost|refused) == 0 {
		return res
	}
	what := "the request"
	if s.tcp {
		what = "the request (SYN)"
	}
	for _, a := range far {
		saw, err := a.saw(c.local, c.began)
		switch {
		case err != nil:
			return broken("%v", err)
		case saw && res.seen == refused:
			res.seen, res.what = arrived, fmt.Sprintf("%s reached %s: %s", what, a.node.name, res.what)
		case saw:
			res.silent, res.mute = false, true
			res.seen, res.what = arrived, fmt.Sprintf("%s reached %s, its answer did not come back: %s", what, a.node.name, res.what)
		}
		if saw {
			return res
		}
	}
	return res
}

// client is the sender's end of one attempt.
type client struct {
	*stream
	job       *job
	listeners []*listener
	far       []*arrivals
	began     time.Time
	file      *os.File
	sent      hash.Hash64 // of what was sent
	raw       syscall.RawConn
	local     netip.AddrPort
}

func (c *client) run(ctx context.Context) result {
	fd, err := c.open()
	c.began = time.Now()
	if err != nil {
		return broken("%s: %v", c.job.from.node.name, err)
	}
	// From here on the file is closed with fd.
	connectErr := c.connect(fd)
	c.file = os.NewFile(uintptr(fd), "connection")
	defer c.file.Close()
	if connectErr != nil {
		return sendError(c.job.from.node.name, connectErr)
	}
	if c.raw, err = c.file.SyscallConn(); err != nil {
		return broken("%v", err)
	}
	if err := c.file.SetDeadline(c.began.Add(c.timeout)); err != nil {
		return broken("%v", err)
	}
	defer context.AfterFunc(ctx, func() { c.file.SetDeadline(time.Unix(1, 0)) })()
	if c.tcp {
		return c.overTCP(fd)
	}
	if c.ask != nil {
		return c.ask(c)
	}
	return c.overUDP()
}

// open makes the socket inside the sender.
func (c *client) open() (fd int, err error) {
	kind := unix.SOCK_DGRAM
	if c.tcp {
		kind = unix.SOCK_STREAM
	}
	err = c.job.from.node.inside(func() (err error) {
		fd, err = newSocket(c.job.ipv6, kind, 0)
		return err
	})
	if err != nil {
		return -1, err
	}
	// Ask for what answers tell: ip(7), IP_RECVERR.
	if c.job.ipv6 {
		err = unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVERR, 1)
	} else {
		err = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_RECVERR, 1)
	}
	if err == nil && c.job.from.addr.IsValid() {
		if err = bindTo(fd, netip.AddrPortFrom(c.job.from.addr, 0)); err != nil {
			err = fmt.Errorf("bind %s: %s", c.job.from.addr, errnoText(err))
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// connect begins the connection. The error is that of the sender's kernel.
func (c *client) connect(fd int) error {
	sa, err := c.job.from.node.sockaddr(netip.AddrPortFrom(c.job.to.addr, uint16(c.job.to.port)))
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, sa); err != nil && err != unix.EINPROGRESS {
		return err
	}
	if sa, err := unix.Getsockname(fd); err == nil {
		c.local = addrPort(sa)
		if c.job.watched {
			c.job.flows = append(c.job.flows, &flow{local: netip.AddrPortFrom(c.local.Addr().WithZone(""), c.local.Port())})
		}
		for _, a := range c.far {
			a.claim(c.local)
		}
	}
	return nil
}

// Write sends to the target.
func (c *client) Write(b []byte) (int, error) {
	c.sent.Write(b)
	return c.file.Write(b)
}

func (c *client) overTCP(fd int) result {
	var failure error
	err := c.raw.Write(func(uintptr) bool {
		n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && n != 0 {
			err = unix.Errno(n)
		}
		if err != nil {
			failure = err
			return true
		}
		_, err = unix.Getpeername(fd)
		return err == nil
	})
	if err == nil {
		err = failure
	}
	if err != nil {
		return c.failure(err)
	}
	if c.ask != nil {
		return c.ask(c)
	}
	rtt := time.Since(c.began)
	if len(c.listeners) == 0 {
		return result{seen: answered, rtt: rtt, what: "in " + rtt.Round(time.Microsecond).String()}
	}
	// Closing with a reset leaves nothing in TIME_WAIT.
	unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	sent := c.message()
	if _, err := c.Write(sent); err != nil {
		return c.unanswered("the connection was accepted, but sending failed: " + ioText(err))
	}
	got := make([]byte, 0, len(sent))
	for len(got) < len(sent) {
		n, err := c.file.Read(got[len(got):cap(got)])
		got = got[:len(got)+n]
		if err != nil || n == 0 {
			return c.unanswered(fmt.Sprintf("the connection was accepted, but %d of %d bytes came back: %s", len(got), len(sent), ioText(err)))
		}
	}
	if string(got) != string(sent) {
		return c.unanswered("the connection was accepted, but other data came back: another program answers")
	}
	return result{seen: answered, rtt: rtt, what: "in " + rtt.Round(time.Microsecond).String()}
}

func (c *client) unanswered(what string) result { return result{seen: arrived, what: what} }

// message is what is sent: the payload of the file, or one that no other
// attempt sends.
func (c *client) message() []byte {
	if c.payload != nil {
		return c.payload
	}
	var token [8]byte
	for i := range token {
		token[i] = byte(rand.Uint32())
	}
	return []byte("nslab " + hex.EncodeToString(token[:]))
}

func (c *client) overUDP() result {
	sent := c.message()
	began := time.Now()
	if _, err := c.Write(sent); err != nil {
		return c.failure(err)
	}
	got := make([]byte, 1<<16)
	n, err := c.file.Read(got)
	if err != nil && !(n == 0 && errors.Is(err, io.EOF)) {
		return c.failure(err)
	}
	rtt := time.Since(began)
	if len(c.listeners) > 0 && string(got[:n]) != string(sent) {
		return c.unanswered("other data came back: another program answers")
	}
	return result{seen: answered, rtt: rtt, what: "in " + rtt.Round(time.Microsecond).String()}
}

// failure says what an error of the connection means.
func (c *client) failure(err error) result {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return result{seen: lost, silent: true, what: fmt.Sprintf("no answer within %s", c.timeout)}
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return broken("%v", err)
	}
	// A rule for output that rejects says so and answers too.
	if errno == unix.EPERM || errno == unix.EINVAL {
		return sendError(c.job.from.node.name, errno)
	}
	if e, ok := c.queuedError(); ok {
		if e.noNeighbor && e.from == c.local.Addr() {
			return result{seen: lost, alone: true, what: fmt.Sprintf("no neighbour of %s answers for the next hop to %s", c.job.from.node.name, c.job.to.addr)}
		}
		if e.from == c.local.Addr() {
			return result{seen: refused, what: fmt.Sprintf("the kernel of %s refused it: %s", c.job.from.node.name, e.text)}
		}
		c.runner.refusals.add(c.job.from.node, e.from)
		return result{seen: refused, what: fmt.Sprintf("%s answered: %s", e.from, e.text)}
	}
	switch {
	case errno == unix.ECONNREFUSED && c.tcp:
		return result{seen: refused, what: fmt.Sprintf("%s refused the connection (RST)", c.job.to.addr)}
	case errno == unix.ETIMEDOUT:
		return result{seen: lost, silent: true, what: "no answer: " + errnoText(errno)}
	case errno == unix.ECONNRESET:
		return result{seen: refused, what: fmt.Sprintf("%s reset the connection (RST)", c.job.to.addr)}
	}
	return sendError(c.job.from.node.name, errno)
}

// icmpReport is an ICMP error that the kernel kept for a socket.
type icmpReport struct {
	from       netip.Addr
	text       string
	noNeighbor bool
}

// queuedError reads the socket's error queue, see ip(7).
func (c *client) queuedError() (e icmpReport, ok bool) {
	c.raw.Control(func(fd uintptr) {
		var data, control [512]byte
		for {
			_, n, _, _, err := unix.Recvmsg(int(fd), data[:], control[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
			if err != nil {
				return
			}
			messages, err := unix.ParseSocketControlMessage(control[:n])
			if err != nil {
				return
			}
			for _, m := range messages {
				if r, is := parseExtendedError(m); is {
					e, ok = r, true
				}
			}
		}
	})
	return e, ok
}

func ioText(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return "the other end closed it"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "no more within the timeout"
	case errors.As(err, &errno):
		return errnoText(errno)
	}
	return err.Error()
}
