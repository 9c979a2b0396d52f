package probe

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"nslab/topology"
)

// bandwidth is the verb of that name: payload is sent to the target as fast as it
// is taken, or, of datagrams, somewhat faster than the rate that is in question;
// and what arrives there is counted. Pairs go one after another: they would take
// from each other.
type bandwidth struct {
	*stream
	want   *topology.Measure // bits per second
	length time.Duration
	udp    bool
}

const (
	// chunk is how much is written and read at a time, in bytes.
	chunk = 128 << 10
	// offered is how much more datagrams are sent than the larger bound of the
	// rate, so that more than that would be seen.
	offered = 1.25
	// pace is how often datagrams are sent, catchUp how much that was not sent in
	// time is made up for.
	pace    = time.Millisecond
	catchUp = 100 * time.Millisecond
)

func newBandwidth(r *runner, t *topology.Test) *bandwidth {
	s := newStream(r, t)
	never := false
	s.tcp, s.serve = !t.OverUDP, &never
	return &bandwidth{stream: s, want: t.Rate, length: t.For, udp: t.OverUDP}
}

func (b *bandwidth) try(ctx context.Context, jobs []*job, report func(*job, result)) {
	queues := openBacklog()
	defer queues.close()
	for _, j := range jobs {
		queues.read()
		began, dropped := time.Now(), queues.dropped
		res := b.measure(ctx, j)
		if queues.read(); res.seen == failed && queues.dropped > dropped {
			res.what += fmt.Sprintf("; meanwhile this host dropped %d packets of all its namespaces, since the queue of a CPU was full (net.core.netdev_max_backlog)", queues.dropped-dropped)
		}
		res.began, res.ended = began, time.Now()
		report(j, res)
	}
}

// measure sends from one node to another.
func (b *bandwidth) measure(ctx context.Context, j *job) result {
	if err := ctx.Err(); err != nil {
		return broken("not finished: %v", err)
	}
	switch len(j.owners) {
	case 1:
	case 0:
		return broken("no node of the lab has %s: what arrives is counted there", j.to.addr)
	default:
		return broken("%s have the same address %s: what arrives is counted in one", j.ownerNames(), j.to.addr)
	}
	k, err := openSink(j.owners[0], j.to.addr, b.tcp, b.length)
	if err != nil {
		return broken("%v", err)
	}
	defer k.close()
	to := *j
	to.to.port = k.port
	s := *b.stream
	s.ask = func(c *client) result { return b.send(ctx, c, k) }
	return (&client{stream: &s, job: &to}).run(ctx)
}

// send sends until the sink has counted for long enough, and judges.
func (b *bandwidth) send(ctx context.Context, c *client, k *sink) result {
	end := time.Now().Add(b.length + b.timeout)
	if err := c.file.SetDeadline(end); err != nil {
		return broken("%v", err)
	}
	stop := context.AfterFunc(ctx, func() { c.file.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	go func() {
		<-k.done
		c.file.SetDeadline(time.Unix(1, 0)) // nothing more is to be sent
	}()
	var err error
	if b.tcp {
		// What is still on its way is not waited for.
		c.raw.Control(func(fd uintptr) {
			unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		})
		err = b.flood(c.file)
	} else {
		// A deep queue is kept full while this process does not run.
		c.raw.Control(func(fd uintptr) { growSendBuffer(int(fd)) })
		err = b.pour(c, k, end)
	}
	if ctx.Err() != nil {
		return broken("not finished: %v", ctx.Err())
	}
	bits, took := k.rate(time.Now())
	switch {
	case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
		return c.failure(err)
	case took == 0:
		return result{seen: lost, what: fmt.Sprintf("nothing arrived at %s", k.node.name)}
	case !b.want.Holds(bits):
		return result{seen: failed, rate: bits, what: fmt.Sprintf("the bandwidth is %s over %s, want %s", rateText(bits), short(took), b.want.Text)}
	}
	return result{seen: answered, rate: bits, what: rateText(bits)}
}

// flood writes until the deadline.
func (b *bandwidth) flood(f *os.File) error {
	data := make([]byte, chunk)
	for {
		if _, err := f.Write(data); err != nil {
			return err
		}
	}
}

// pour writes datagrams, each of which fills a packet of the path's MTU, at a
// steady pace. That there is nobody, as an ICMP error says, is for the end to
// tell.
func (b *bandwidth) pour(c *client, k *sink, end time.Time) error {
	size := datagramSize(c)
	bits := b.want.Max
	if math.IsInf(bits, 1) {
		bits = b.want.Min
	}
	perSecond := max(1, offered*bits/8/float64(size))
	data := make([]byte, size)
	began := time.Now()
	for sent := 0.0; ; {
		now := time.Now()
		if now.After(end) {
			return nil
		}
		due := perSecond * now.Sub(began).Seconds()
		sent = max(sent, due-perSecond*catchUp.Seconds())
		for ; sent < due; sent++ {
			_, err := c.file.Write(data)
			switch {
			case err == nil, errors.Is(err, unix.ENOBUFS):
			default:
				return err
			}
		}
		select {
		case <-k.done:
			return nil
		case <-time.After(pace):
		}
	}
}

// datagramSize is the payload of a datagram that fills a packet, in bytes.
func datagramSize(c *client) int {
	const udpHeader, header4, header6, least = 8, 20, 40, 512
	level, option, header := unix.SOL_IP, unix.IP_MTU, header4
	if c.job.ipv6 {
		level, option, header = unix.SOL_IPV6, unix.IPV6_MTU, header6
	}
	mtu := 0
	c.raw.Control(func(fd uintptr) { mtu, _ = unix.GetsockoptInt(int(fd), level, option) })
	return min(max(mtu-header-udpHeader, least), 64<<10-header-udpHeader-1)
}

// sink counts what arrives at a node for some time from the first byte on.
type sink struct {
	node   *node
	port   int
	length time.Duration
	file   *os.File
	done   chan struct{} // closed when the time is over
	wg     sync.WaitGroup

	mu    sync.Mutex
	bytes int
	first time.Time // zero: nothing came yet
	conns []*os.File
	ended bool
}

func openSink(n *node, addr netip.Addr, tcp bool, length time.Duration) (*sink, error) {
	k := &sink{node: n, length: length, done: make(chan struct{})}
	var fd int
	err := n.inside(func() (err error) {
		if fd, err = listenOn(listenerKey{node: n, addr: netip.AddrPortFrom(addr, 0), tcp: tcp}); err != nil {
			return err
		}
		sa, err := unix.Getsockname(fd)
		if err != nil {
			unix.Close(fd)
			return err
		}
		k.port = int(addrPort(sa).Port())
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count what arrives at %s: %w", n.name, err)
	}
	if !tcp {
		growReceiveBuffer(fd)
	}
	k.file = os.NewFile(uintptr(fd), "sink")
	k.wg.Add(1)
	go func() {
		defer k.wg.Done()
		defer close(k.done)
		if tcp {
			k.accept()
		} else {
			k.count(k.file)
		}
	}()
	return k, nil
}

// accept counts what comes over the first connection.
func (k *sink) accept() {
	raw, err := k.file.SyscallConn()
	if err != nil {
		return
	}
	conn := -1
	err = raw.Read(func(fd uintptr) bool {
		conn, _, err = unix.Accept4(int(fd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return err == nil
	})
	if err != nil || conn < 0 {
		return
	}
	f := os.NewFile(uintptr(conn), "counted")
	k.mu.Lock()
	k.conns = append(k.conns, f)
	ended := k.ended
	k.mu.Unlock()
	if ended {
		return
	}
	k.count(f)
}

// count reads until the time is over.
func (k *sink) count(f *os.File) {
	data := make([]byte, chunk)
	for {
		n, err := f.Read(data)
		now := time.Now()
		k.mu.Lock()
		switch {
		case n > 0 && k.first.IsZero():
			k.first = now // its own size does not count: the time begins with its end
			f.SetReadDeadline(now.Add(k.length))
		case n > 0 && now.Sub(k.first) <= k.length:
			k.bytes += n
		}
		over := err != nil || !k.first.IsZero() && now.Sub(k.first) > k.length
		k.mu.Unlock()
		if over {
			return
		}
	}
}

// rate gives bits per second, and over how long; 0 and 0 if nothing came.
func (k *sink) rate(now time.Time) (bits float64, took time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.first.IsZero() {
		return 0, 0
	}
	took = max(1, min(k.length, now.Sub(k.first)))
	return float64(k.bytes) * 8 / took.Seconds(), took
}

func (k *sink) close() {
	k.mu.Lock()
	k.ended = true
	conns := k.conns
	k.mu.Unlock()
	k.file.SetDeadline(time.Unix(1, 0))
	for _, f := range conns {
		f.SetDeadline(time.Unix(1, 0))
	}
	k.wg.Wait()
	k.file.Close()
	for _, f := range conns {
		f.Close()
	}
}

// rateText is a rate in the units of tc(8), to three digits.
func rateText(bits float64) string {
	for _, u := range []struct {
		name string
		bits float64
	}{{"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}} {
		if bits >= u.bits {
			return fmt.Sprintf("%.3g%s", bits/u.bits, u.name)
		}
	}
	return fmt.Sprintf("%.3gbit", bits)
}
