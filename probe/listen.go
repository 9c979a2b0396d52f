package probe

import (
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"nslab/topology"
)

// listenerKey is what a listener serves.
type listenerKey struct {
	node *node
	addr netip.AddrPort
	tcp  bool
	// of is the test that is served by a server of its own; "": what comes is
	// sent back, to everybody alike.
	of string
}

// ownServer is listenerKey.of for a test. A test that is tried once more to look
// into its failure is the same.
func ownServer(t *topology.Test) string {
	return fmt.Sprintf("%d:%d %s %s", t.Pos.Line, t.Pos.Col, t.Name, t.Query)
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
// something. For TCP, a raw socket sees the SYNs, so
// that one is known that never became a connection because its answer was lost.
type listener struct {
	listenerKey
	service
	arrivals *arrivals
	users    int      // under runner.listening
	file     *os.File // the listening socket, or that of UDP

	mu     sync.Mutex
	conns  map[*os.File]bool
	closed bool
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
			if watch, err = watchRequests(key.addr, true); err != nil {
				unix.Close(fd)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("serve %s on %s: %w", key.addr, key.node.name, err)
	}
	l := &listener{listenerKey: key, service: s, file: os.NewFile(uintptr(fd), "listener"), conns: make(map[*os.File]bool)}
	a := newArrivals(key.node, key.addr.Addr().Is6(), key.tcp, p)
	l.arrivals, a.watch = a, l.file
	if key.tcp {
		a.watch = os.NewFile(uintptr(watch), "watch")
		a.serve(l.file, l.accept)
	} else {
		a.answer = s.answer
	}
	a.serve(a.watch, a.drain)
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
		l.arrivals.wg.Add(1)
		l.mu.Unlock()
		go l.converse(f, addrPort(from))
	}
}

// ear is a connection that notes what is received over it.
type ear struct {
	*os.File
	arrivals *arrivals
	sum      hash.Hash64
}

func (e *ear) Read(b []byte) (int, error) {
	n, err := e.File.Read(b)
	e.sum.Write(b[:n])
	e.arrivals.hear(e.sum)
	return n, err
}

// converse serves one connection.
func (l *listener) converse(f *os.File, from netip.AddrPort) {
	defer l.arrivals.wg.Done()
	defer l.arrivals.panics.keep()
	l.talk(&ear{f, l.arrivals, fnv.New64a()}, from)
	l.mu.Lock()
	delete(l.conns, f)
	l.mu.Unlock()
	f.Close()
}

func (l *listener) close() {
	l.mu.Lock()
	l.closed = true
	for f := range l.conns {
		f.SetDeadline(time.Unix(1, 0)) // converse closes it
	}
	l.mu.Unlock()
	l.file.Close()
	l.arrivals.close() // of UDP the same file; a second time is harmless
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
