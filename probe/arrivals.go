package probe

import (
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"net/netip"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// arrivals are the requests that a node's stack takes, that is after the input
// hook of netfilter: connections that are begun, or datagrams.
type arrivals struct {
	node    *node
	v6, tcp bool
	answer  func([]byte) []byte // the socket is of UDP, and this is what it answers; nil: it is raw
	watch   *os.File            // where requests are seen
	wg      sync.WaitGroup
	panics  *panics

	seeing  sync.Mutex
	seen    map[netip.AddrPort]time.Time // senders, and when their last request came
	claimed map[netip.AddrPort]bool      // addresses that clients are known by
	heard   map[uint64]bool              // sums of what a server received: of datagrams, and of all that came over a connection so far
}

func newArrivals(n *node, v6, tcp bool, p *panics) *arrivals {
	return &arrivals{node: n, v6: v6, tcp: tcp, panics: p, seen: make(map[netip.AddrPort]time.Time), claimed: make(map[netip.AddrPort]bool), heard: make(map[uint64]bool)}
}

// openArrivals sees the requests to all ports and addresses of a node: to which
// one they come in the end the node's own translation decides.
func openArrivals(n *node, v6, tcp bool, p *panics) (*arrivals, error) {
	any := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	if v6 {
		any = netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
	}
	a := newArrivals(n, v6, tcp, p)
	var fd int
	err := n.inside(func() (err error) {
		fd, err = watchRequests(any, tcp)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.name, err)
	}
	a.watch = os.NewFile(uintptr(fd), "arrivals")
	a.serve(a.watch, a.drain)
	return a, nil
}

// watchRequests opens a raw socket that receives datagrams, or the first segments
// of connections, to addr; to port 0: to any.
func watchRequests(addr netip.AddrPort, tcp bool) (int, error) {
	protocol, v6 := unix.IPPROTO_UDP, addr.Addr().Is6()
	filter := []bpf.Instruction{bpf.RetConstant{Val: caught}}
	if tcp {
		protocol, filter = unix.IPPROTO_TCP, synFilter(v6, addr.Port())
	}
	fd, err := newSocket(v6, unix.SOCK_RAW, protocol)
	if err != nil {
		return -1, err
	}
	growReceiveBuffer(fd)
	err = attachFilter(fd, filter)
	if err == nil && !addr.Addr().IsUnspecified() {
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

// synFilter passes segments to a port, or with 0 to any, that have SYN and not
// ACK. A raw IPv4 socket sees the IP header too, a raw IPv6 socket does not.
func synFilter(v6 bool, port uint16) []bpf.Instruction {
	header := bpf.Instruction(bpf.LoadMemShift{Off: 0})
	if v6 {
		header = bpf.LoadConstant{Dst: bpf.RegX, Val: 0}
	}
	same := bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(port), SkipTrue: 4}
	if port == 0 {
		same.SkipTrue = 0
	}
	return []bpf.Instruction{
		header,
		bpf.LoadIndirect{Off: tcpDestination, Size: 2},
		same,
		bpf.LoadIndirect{Off: tcpFlags, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: tcpSYN | tcpACK},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: tcpSYN, SkipTrue: 1},
		bpf.RetConstant{Val: caught},
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
func (a *arrivals) serve(f *os.File, do func(fd int)) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	a.wg.Add(1)
	go func() {
		defer a.wg.Done()
		defer a.panics.keep()
		raw.Read(func(fd uintptr) bool {
			do(int(fd))
			return false // wait for more; Read ends when f is closed
		})
	}()
}

// drain reads all requests that wait, and answers those of a server.
func (a *arrivals) drain(fd int) {
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
		if a.answer == nil {
			port, ok := sourcePort(a.v6, a.tcp, buf[:n])
			if !ok {
				continue
			}
			source = netip.AddrPortFrom(source.Addr(), port)
		}
		a.seeing.Lock()
		a.seen[source] = time.Now()
		a.seeing.Unlock()
		if a.answer == nil {
			continue
		}
		sum := fnv.New64a()
		sum.Write(buf[:n])
		a.hear(sum)
		if answer := a.answer(buf[:n]); answer != nil {
			unix.Sendto(fd, answer, unix.MSG_DONTWAIT, from) // the sender sees if it fails
		}
	}
}

// sourcePort is that of a datagram, or of a segment that passed synFilter. It
// looks again: a segment can have come before the filter was there.
func sourcePort(v6, tcp bool, b []byte) (uint16, bool) {
	if !v6 {
		if len(b) < 1 || len(b) < headerLen(b) {
			return 0, false
		}
		b = b[headerLen(b):]
	}
	if tcp && (len(b) < tcpHeaderLen || b[tcpFlags]&(tcpSYN|tcpACK) != tcpSYN) || len(b) < 2 {
		return 0, false
	}
	return uint16(b[0])<<8 | uint16(b[1]), true
}

// claim says that a client is known by this address: what comes from it is its
// own.
func (a *arrivals) claim(client netip.AddrPort) {
	a.seeing.Lock()
	defer a.seeing.Unlock()
	a.claimed[client] = true
}

// saw reports whether a request of a client came since then. Where a translator
// changed the address on the way, the port tells, which it keeps if it can. The
// error says why it is not known.
func (a *arrivals) saw(client netip.AddrPort, since time.Time) (bool, error) {
	var drops uint32
	var dropsErr error
	raw, err := a.watch.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			a.drain(int(fd))
			drops, dropsErr = dropped(int(fd))
		})
	}
	if err = errors.Join(err, dropsErr); err != nil {
		return false, fmt.Errorf("look at what reached %s: %w", a.node.name, err)
	}
	a.seeing.Lock()
	defer a.seeing.Unlock()
	if at, ok := a.seen[client]; ok && at.After(since) {
		return true, nil
	}
	for source, at := range a.seen {
		if source.Port() == client.Port() && at.After(since) && !a.claimed[source] {
			return true, nil
		}
	}
	if drops > 0 {
		return false, fmt.Errorf("not everything that reached %s could be seen: %d packets did not fit in the socket's buffer", a.node.name, drops)
	}
	return false, nil
}

// hear notes what a server received.
func (a *arrivals) hear(sum hash.Hash64) {
	a.seeing.Lock()
	defer a.seeing.Unlock()
	a.heard[sum.Sum64()] = true
}

// got reports whether it was this server that received something.
func (a *arrivals) got(sum hash.Hash64) bool {
	a.seeing.Lock()
	defer a.seeing.Unlock()
	return a.heard[sum.Sum64()]
}

func (a *arrivals) close() {
	a.watch.Close()
	a.wg.Wait()
}
