package probe

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"nslab/topology"
)

// echoSocket is a raw ICMP socket in a node. It sends the node's requests and
// receives what is answered; as that of a target it sees the requests which
// the node's stack takes, that is after the input hook of netfilter.
type echoSocket struct {
	key    socketKey
	fd     int
	id     uint16
	token  uint64
	echoes []*echo // by sequence number
}

// socket gives the socket for a key, which it opens when it is first asked for.
func (b *burst) socket(key socketKey) (*echoSocket, error) {
	if s, ok := b.sockets[key]; ok {
		return s, nil
	}
	s := &echoSocket{key: key, id: uint16(rand.Uint32()), token: rand.Uint64() | 1}
	err := key.node.inside(func() (err error) {
		s.fd, err = openEcho(key, b.test)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ping needs a raw socket in %s: %w", key.node.name, err)
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(s.fd)}
	if err := unix.EpollCtl(b.epoll, unix.EPOLL_CTL_ADD, s.fd, &event); err != nil {
		unix.Close(s.fd)
		return nil, fmt.Errorf("epoll: %s", errnoText(err))
	}
	b.sockets[key], b.byFD[int32(s.fd)], b.byToken[s.token] = s, s, s
	return s, nil
}

func (b *burst) closeSockets() {
	for _, s := range b.sockets {
		unix.Close(s.fd)
	}
}

// openEcho opens a socket in the namespace of the calling thread.
func openEcho(key socketKey, t *topology.Test) (int, error) {
	protocol := unix.IPPROTO_ICMP
	if key.ipv6 {
		protocol = unix.IPPROTO_ICMPV6
	}
	fd, err := newSocket(key.ipv6, unix.SOCK_RAW, protocol)
	if err != nil {
		return -1, err
	}
	growReceiveBuffer(fd)
	if err = filterICMP(fd, key.ipv6); err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	}
	if err == nil {
		err = setHeader(fd, key.ipv6, t)
	}
	if err == nil && key.bind.IsValid() {
		if err = bindTo(fd, netip.AddrPortFrom(key.bind, 0)); err != nil {
			err = fmt.Errorf("bind %s: %s", key.bind, errnoText(err))
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// setHeader sets what a test says of the IP header. With df the kernel goes by
// the MTU of the interface alone, not by what it has learned of the path; without
// it, it may fragment.
func setHeader(fd int, v6 bool, t *topology.Test) error {
	level, discover, ttl := unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_TTL
	mode := unix.IP_PMTUDISC_DONT // as IPV6_PMTUDISC_DONT
	if t.DF {
		mode = unix.IP_PMTUDISC_PROBE
	}
	if v6 {
		level, discover, ttl = unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_UNICAST_HOPS
		if t.DF {
			if err := unix.SetsockoptInt(fd, level, unix.IPV6_DONTFRAG, 1); err != nil {
				return err
			}
		}
	}
	if err := unix.SetsockoptInt(fd, level, discover, mode); err != nil {
		return err
	}
	if t.TTL == 0 {
		return nil
	}
	return unix.SetsockoptInt(fd, level, ttl, t.TTL)
}

// timeToLive is the control message for one packet's time to live, ip(7) and
// ipv6(7); none for 0.
func timeToLive(v6 bool, ttl int) []byte {
	if ttl == 0 {
		return nil
	}
	b := make([]byte, unix.CmsgSpace(4))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = unix.SOL_IP, unix.IP_TTL
	if v6 {
		h.Level, h.Type = unix.SOL_IPV6, unix.IPV6_HOPLIMIT
	}
	h.SetLen(unix.CmsgLen(4))
	binary.NativeEndian.PutUint32(b[unix.CmsgLen(0):], uint32(ttl))
	return b
}

// filterICMP lets only echoes and errors through: neighbour discovery and
// multicast listener reports would fill the buffer of a node with many
// neighbours.
func filterICMP(fd int, v6 bool) error {
	if v6 {
		var f unix.ICMPv6Filter // a set bit blocks the type
		for i := range f.Data {
			f.Data[i] = ^uint32(0)
		}
		for _, t := range []ipv6.ICMPType{
			ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, ipv6.ICMPTypeDestinationUnreachable,
			ipv6.ICMPTypePacketTooBig, ipv6.ICMPTypeTimeExceeded, ipv6.ICMPTypeParameterProblem,
		} {
			f.Data[t/32] &^= 1 << (t % 32)
		}
		return unix.SetsockoptICMPv6Filter(fd, unix.SOL_ICMPV6, unix.ICMPV6_FILTER, &f)
	}
	const pass = 1<<0 | 1<<3 | 1<<8 | 1<<11 | 1<<12                      // echo reply, unreachable, echo, time exceeded, parameter problem
	return unix.SetsockoptInt(fd, unix.SOL_RAW, unix.ICMP_FILTER, ^pass) // a set bit blocks the type
}

// receive reads one packet and says whether there was one.
func (b *burst) receive(s *echoSocket) bool {
	var control [64]byte
	n, nc, _, from, err := unix.Recvmsg(s.fd, b.data[:], control[:], unix.MSG_DONTWAIT)
	if err != nil {
		return err == unix.EINTR
	}
	p := parsePacket(s.key.ipv6, b.data[:n])
	switch p.kind {
	case echoRequest:
		b.seeRequest(s.key.node, p)
	case echoReply:
		if e := s.find(p); e != nil && !e.done {
			e.rtt = roundTrip(e, control[:nc])
			b.end(e, answered, "")
		}
	case icmpError:
		if e := s.find(p); e != nil && !p.quotesReply && p.quotedDst == e.ping.job.to.addr.WithZone("") {
			b.seeError(e, p, addrPort(from).Addr())
		}
	}
	return true
}

// find is the echo that a packet which came back to its sender is about.
func (s *echoSocket) find(p packet) *echo {
	if p.id != s.id || p.token != 0 && p.token != s.token || int(p.seq) >= len(s.echoes) {
		return nil
	}
	return s.echoes[p.seq]
}

// seeRequest notes that a request reached a node. A translator of addresses may
// have changed its identifier.
func (b *burst) seeRequest(at *node, p packet) {
	s := b.byToken[p.token]
	if s == nil || int(p.seq) >= len(s.echoes) {
		return
	}
	if e := s.echoes[p.seq]; slices.Contains(e.ping.owners, at) {
		e.arrived = true
	}
}

func (b *burst) seeError(e *echo, p packet, from netip.Addr) {
	// The sender's own kernel reports to itself that nobody on the segment
	// answers for the address. That is silence; with a full table nobody can.
	if p.noNeighbor && from == p.quotedSrc {
		switch {
		case e.done:
		case e.extended < maxExtensions && b.full(e):
			e.extended++
			e.due = time.Now().Add(shortPause)
			b.pending = append(b.pending, e)
		default:
			b.lose(e, false, fmt.Sprintf("no neighbour of %s answers for the next hop to %s", e.sock.key.node.name, e.ping.job.to.addr))
		}
		return
	}
	// Now the kernel of the sender knows the MTU of the path, and fragments.
	if p.tooBig && !b.test.DF && e.fragmented < maxExtensions && !e.done {
		e.fragmented++
		e.due = time.Now()
		b.pending = append(b.pending, e)
		return
	}
	if !e.done {
		b.runner.refusals.add(e.sock.key.node, from)
		if p.exceeded {
			e.router = from
		}
	}
	b.end(e, refused, fmt.Sprintf("%s answered: %s", from, p.text))
}

// roundTrip is from sending to the kernel's time stamp of receiving, or, where
// the clock was set meanwhile, to now.
func roundTrip(e *echo, control []byte) time.Duration {
	elapsed := time.Since(e.sent)
	if at := timestamp(control); !at.IsZero() {
		if d := at.Sub(e.wall); d > 0 && d < elapsed {
			return d
		}
	}
	return elapsed
}
