package probe

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// glimpse is what the beginning of a packet, from its IP header on, tells of it.
type glimpse struct {
	protocol int            // unix.IPPROTO_*
	src, dst netip.AddrPort // of ICMP with port 0
	length   int            // of the whole packet, in bytes, as its header has it

	seq     uint32 // TCP
	syn     bool   // TCP: the first segment of a connection
	payload string // UDP: as much as was caught

	echo    echoID   // ICMP: of an echo or its reply, else zero
	isReply bool     // ICMP: it is the reply
	about   *glimpse // ICMP: the packet that an error is about
}

// echoID is what an echo is known by, see marshalEcho.
type echoID struct {
	token uint64
	seq   uint16
}

// glimpseOf reads a packet. A fragment that is not the first tells nothing.
func glimpseOf(b []byte) (g glimpse, ok bool) {
	if len(b) < 1 {
		return g, false
	}
	var src, dst netip.Addr
	v6 := b[0]>>4 == 6
	switch {
	case v6 && len(b) >= ipv6.HeaderLen:
		src, dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		g.protocol, g.length = int(b[6]), ipv6.HeaderLen+int(binary.BigEndian.Uint16(b[4:]))
		b = b[ipv6.HeaderLen:]
		if g.protocol == unix.IPPROTO_FRAGMENT {
			// RFC 8200, 4.5.
			if len(b) < 8 || binary.BigEndian.Uint16(b[2:])&^7 != 0 {
				return g, false
			}
			g.protocol = int(b[0])
			b = b[8:]
		}
	case b[0]>>4 == 4 && len(b) >= ipv4.HeaderLen && len(b) >= headerLen(b):
		const offset = 0x1fff
		if binary.BigEndian.Uint16(b[6:])&offset != 0 {
			return g, false
		}
		src, dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		g.protocol, g.length = int(b[9]), int(binary.BigEndian.Uint16(b[2:]))
		b = b[headerLen(b):]
	default:
		return g, false
	}
	g.src, g.dst = netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0)
	const udpLen = 8
	switch g.protocol {
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		if len(b) < icmpHeader {
			return g, false
		}
		g.readICMP(v6, b)
		return g, true
	case unix.IPPROTO_TCP, unix.IPPROTO_UDP:
		// An error about a segment quotes no more than 8 bytes of it.
		if len(b) < udpLen {
			return g, false
		}
	default:
		return g, false
	}
	g.src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(b))
	g.dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2:]))
	if g.protocol == unix.IPPROTO_UDP {
		g.payload = string(b[udpLen:])
		return g, true
	}
	g.seq = binary.BigEndian.Uint32(b[4:])
	g.syn = len(b) > tcpFlags && b[tcpFlags]&(tcpSYN|tcpACK) == tcpSYN
	return g, true
}

// Types of ICMP and ICMPv6: RFC 792, RFC 4443. Those of ICMPv6 from 128 on are no
// errors.
const (
	echoReply4, unreachable4Type, echoRequest4, exceeded4, parameter4 = 0, 3, 8, 11, 12
	echoRequest6, echoReply6                                          = 128, 129
)

func (g *glimpse) readICMP(v6 bool, b []byte) {
	typ := int(b[0])
	switch {
	case !v6 && (typ == echoRequest4 || typ == echoReply4), v6 && (typ == echoRequest6 || typ == echoReply6):
		g.isReply = typ == echoReply4 || typ == echoReply6
		if payload := b[icmpHeader:]; len(payload) >= minPayload {
			g.echo = echoID{binary.BigEndian.Uint64(payload), binary.BigEndian.Uint16(payload[8:])}
		}
	case v6 && typ < echoRequest6, !v6 && (typ == unreachable4Type || typ == exceeded4 || typ == parameter4):
		if about, ok := glimpseOf(b[icmpHeader:]); ok {
			g.about = &about
		}
	}
}
