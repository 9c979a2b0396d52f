package probe

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"nslab/topology"
)

// listenerKey is what a listener serves.
type listenerKey struct {
	node *node
	addr netip.AddrPort
	tcp  bool
	// of has what is served by a server of its own; nil: what comes is sent
	// back, to everybody alike.
	of *topology.Test
}

// service is what a listener does: talk over a connection until it returns, or
// answer a datagram; nil is no answer.
type service struct {
	talk   func(conn io.ReadWriter, from netip.AddrPort)
	answer func(request []byte) []byte
}

// echoes is the service of the verbs tcp and udp.
var echoes = service{
	talk: func(conn io.ReadWriter, _ netip.AddrPort) {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if n > 0 {
				_, err = conn.Write(buf[:n])
			}
			if err != nil || n == 0 {
				return
			}
		}
	},
	answer: func(request []byte) []byte { return request },
}

// listener serves a port of a node for the time of a test, and knows who sent
// something. For TCP, a raw socket sees the SYNs that
// the node's stack takes, that is after the input hook of netfilter; so one is
// known that never became a connection because its answer was lost.
type listener struct {
	listenerKey
	service
	panics *panics
	users  int      // under runner.listening
	file   *os.File // the listening socket, or that of UDP
	watch  *os.File // where requests are seen to arrive: of UDP the same as file
	wg     sync.WaitGroup

	mu      sync.Mutex
	seen    map[netip.AddrPort]time.Time // senders, and when their last request came
	claimed map[netip.AddrPort]bool      // addresses that clients are known by
	conns   map[*os.File]bool
	closed  bool
}

// listen gives the listener for a key, which all items share that run at once;
// whoever has it calls release.
func (r *runner) listen(key listenerKey, s service) (*listener, error) {
	r.listening.Lock()
	defer r.listening.Unlock()
	l, ok := r.listeners[key]
	if !ok {
		var err error
		if l, err = openListener(key, s, &r.panics); err != nil {
			return nil, err
		}
		r.listeners[key] = l
	}
	l.users++
	return l, nil
}

func (r *runner) release(l *listener) {
	r.listening.Lock()
	defer r.listening.Unlock()
	if l.users--; l.users == 0 {
		delete(r.listeners, l.listenerKey)
		l.close()
	}
}

func openListener(key listenerKey, s service, p *panics) (*listener, error) {
	var fd, watch int
	err := key.node.inside(func() (err error) {
		if fd, err = listenOn(key); err != nil {
			return err
		}
		watch = fd
		if key.tcp {
			if watch, err = watchSYN(key.addr); err != nil {
				unix.Close(fd)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("serve %s on %s: %w", key.addr, key.node.name, err)
	}
	l := &listener{
		listenerKey: key,
		service:     s,
		panics:      p,
		seen:        make(map[netip.AddrPort]time.Time),
		claimed:     make(map[netip.AddrPort]bool),
		conns:       make(map[*os.File]bool),
	}
	l.file = os.NewFile(uintptr(fd), "listener")
	l.watch = l.file
	if key.tcp {
		l.watch = os.NewFile(uintptr(watch), "watch")
		l.serve(l.file, l.accept)
	}
	l.serve(l.watch, l.drain)
	return l, nil
}

// listenOn opens the socket in the namespace of the calling thread.
func listenOn(key listenerKey) (fd int, err error) {
	kind := unix.SOCK_DGRAM
	if key.tcp {
		kind = unix.SOCK_STREAM
	}
	if fd, err = newSocket(key.addr.Addr().Is6(), kind, 0); err != nil {
		return -1, err
	}
	if key.tcp {
		// What the last test left in TIME_WAIT does not count as in use.
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil {
		var sa unix.Sockaddr
		if sa, err = sockaddr(key.addr); err == nil {
			err = bindAlone(fd, sa)
		}
	}
	if err == nil && key.tcp {
		err = unix.Listen(fd, unix.SOMAXCONN)
	}
	if err == nil {
		return fd, nil
	}
	unix.Close(fd)
	switch err {
	case unix.EADDRINUSE:
		err = errors.New("the port is already in use; to test the server that is there, say listen: false")
	case unix.EADDRNOTAVAIL:
		err = fmt.Errorf("%s is not an address of %s now", key.addr.Addr(), key.node.name)
	default:
		err = errors.New(errnoText(err))
	}
	return -1, err
}

// copiesGone bounds the wait for children that are about to become programs.
const copiesGone = time.Second

// bindAlone binds while no program is being started: a child has copies of all
// sockets until it becomes its program, those too that were closed here
// meanwhile, and a port that was given up is still in use. The lock keeps new
// children away; those that there are close their copies after it was released
// (fs/exec.c:begin_new_exec), in moments. A server that is there stays.
func bindAlone(fd int, sa unix.Sockaddr) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	for end := time.Now().Add(copiesGone); ; time.Sleep(time.Millisecond) {
		err := unix.Bind(fd, sa)
		if err != unix.EADDRINUSE || time.Now().After(end) {
			return err
		}
	}
}

// watchSYN opens a raw socket that receives the first segments of connections
// to addr.
func watchSYN(addr netip.AddrPort) (int, error) {
	fd, err := newSocket(addr.Addr().Is6(), unix.SOCK_RAW, unix.IPPROTO_TCP)
	if err != nil {
		return -1, err
	}
	growReceiveBuffer(fd)
	err = attachFilter(fd, synFilter(addr.Addr().Is6(), addr.Port()))
	if err == nil {
		var sa unix.Sockaddr
		if sa, err = sockaddr(netip.AddrPortFrom(addr.Addr(), 0)); err == nil {
			err = unix.Bind(fd, sa)
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("watch for requests: %s", errnoText(err))
	}
	return fd, nil
}

// Offsets in a TCP header, and the flags of its first segment; RFC 9293.
const (
	tcpDestination = 2
	tcpFlags       = 13
	tcpSYN         = 0x02
	tcpACK         = 0x10
	tcpHeaderLen   = 20
)

// synFilter passes segments to a port that have SYN and not ACK. A raw IPv4
// socket sees the IP header too, a raw IPv6 socket does not.
func synFilter(v6 bool, port uint16) []bpf.Instruction {
	header := bpf.Instruction(bpf.LoadMemShift{Off: 0})
	if v6 {
		header = bpf.LoadConstant{Dst: bpf.RegX, Val: 0}
	}
	return []bpf.Instruction{
		header,
		bpf.LoadIndirect{Off: tcpDestination, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(port), SkipTrue: 4},
		bpf.LoadIndirect{Off: tcpFlags, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: tcpSYN | tcpACK},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: tcpSYN, SkipTrue: 1},
		bpf.RetConstant{Val: 256},
		bpf.RetConstant{Val: 0},
	}
}

func attachFilter(fd int, filter []bpf.Instruction) error {
	program, err := bpf.Assemble(filter)
	if err != nil {
		return err
	}
	// bpf.RawInstruction and unix.SockFilter are both struct sock_filter.
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{
		Len: uint16(len(program)), Filter: (*unix.SockFilter)(unsafe.Pointer(&program[0])),
	})
}

// serve calls do whenever f can be read, until f is closed.
func (l *listener) serve(f *os.File, do func(fd int)) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	l.wg.Add(1)
	go func() {
		defer l.wg.Done()
		defer l.panics.keep()
		raw.Read(func(fd uintptr) bool {
			do(int(fd))
			return false // wait for more; Read ends when f is closed
		})
	}()
}

// accept takes all connections that wait.
func (l *listener) accept(fd int) {
	for {
		conn, from, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
		case unix.EINTR, unix.ECONNABORTED:
			continue
		default:
			return
		}
		f := os.NewFile(uintptr(conn), "accepted")
		l.mu.Lock()
		if l.closed {
			l.mu.Unlock()
			f.Close()
			return
		}
		l.conns[f] = true
		l.wg.Add(1)
		l.mu.Unlock()
		go l.converse(f, addrPort(from))
	}
}

// converse serves one connection.
func (l *listener) converse(f *os.File, from netip.AddrPort) {
	defer l.wg.Done()
	defer l.panics.keep()
	l.talk(f, from)
	l.mu.Lock()
	delete(l.conns, f)
	l.mu.Unlock()
	f.Close()
}

// drain reads all requests that wait; those of UDP it answers.
func (l *listener) drain(fd int) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return
		}
		source := addrPort(from)
		if l.tcp {
			port, ok := synSource(l.addr.Addr().Is6(), buf[:n])
			if !ok {
				continue
			}
			source = netip.AddrPortFrom(source.Addr(), port)
		}
		l.mu.Lock()
		l.seen[source] = time.Now()
		l.mu.Unlock()
		if !l.tcp {
			if a := l.answer(buf[:n]); a != nil {
				unix.Sendto(fd, a, unix.MSG_DONTWAIT, from) // the sender sees if it fails
			}
		}
	}
}

// synSource is the source port of a segment that passed synFilter. It looks
// again: a segment can have come before the filter was there.
func synSource(v6 bool, b []byte) (uint16, bool) {
	if !v6 {
		if len(b) < 1 || len(b) < headerLen(b) {
			return 0, false
		}
		b = b[headerLen(b):]
	}
	if len(b) < tcpHeaderLen || b[tcpFlags]&(tcpSYN|tcpACK) != tcpSYN {
		return 0, false
	}
	return uint16(b[0])<<8 | uint16(b[1]), true
}

// claim says that a client is known by this address: what comes from it is its
// own.
func (l *listener) claim(client netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.claimed[client] = true
}

// saw reports whether a request of a client came since then. Where a translator
// changed the address on the way, the port tells, which it keeps if it can. The
// error says why it is not known.
func (l *listener) saw(client netip.AddrPort, since time.Time) (bool, error) {
	var drops uint32
	var dropsErr error
	raw, err := l.watch.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			l.drain(int(fd))
			drops, dropsErr = dropped(int(fd))
		})
	}
	if err = errors.Join(err, dropsErr); err != nil {
		return false, fmt.Errorf("look at what reached %s: %w", l.node.name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.seen[client]; ok && at.After(since) {
		return true, nil
	}
	for source, at := range l.seen {
		if source.Port() == client.Port() && at.After(since) && !l.claimed[source] {
			return true, nil
		}
	}
	if drops > 0 {
		return false, fmt.Errorf("not everything that reached %s could be seen: %d packets did not fit in the socket's buffer", l.node.name, drops)
	}
	return false, nil
}

func (l *listener) close() {
	l.mu.Lock()
	l.closed = true
	for f := range l.conns {
		f.SetDeadline(time.Unix(1, 0)) // converse closes it
	}
	l.mu.Unlock()
	l.file.Close()
	l.watch.Close() // of UDP the same; a second time is harmless
	l.wg.Wait()
}

// parseExtendedError reads a control message of the error queue that holds an
// ICMP error: struct sock_extended_err and the address of who sent it.
func parseExtendedError(m unix.SocketControlMessage) (icmpReport, bool) {
	var e unix.SockExtendedErr
	size := int(unsafe.Sizeof(e))
	if len(m.Data) < size {
		return icmpReport{}, false
	}
	e = *(*unix.SockExtendedErr)(unsafe.Pointer(&m.Data[0]))
	offender := m.Data[size:]
	var v6 bool
	var from netip.Addr
	switch {
	case e.Origin == unix.SO_EE_ORIGIN_ICMP && len(offender) >= 8:
		from = netip.AddrFrom4([4]byte(offender[4:8])) // sockaddr_in
	case e.Origin == unix.SO_EE_ORIGIN_ICMP6 && len(offender) >= 24:
		v6 = true
		from = netip.AddrFrom16([16]byte(offender[8:24])) // sockaddr_in6
	default:
		return icmpReport{}, false
	}
	typ, code := int(e.Type), int(e.Code)
	return icmpReport{from: from, text: icmpText(v6, typ, code), noNeighbor: noNeighbor(v6, typ, code)}, true
}
