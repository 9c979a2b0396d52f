package probe

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// packet is one received ICMP message.
type packet struct {
	kind  packetKind
	id    uint16
	seq   uint16
	token uint64 // 0: cut off, in the quote of an error

	// Of an error: what it says, and the addresses of the packet it is about.
	text        string
	tooBig      bool // packet too big: it did not fit into the next link
	exceeded    bool // the time to live was over on its way
	noNeighbor  bool // host unreachable: nobody answered for the address on the last segment
	quotedSrc   netip.Addr
	quotedDst   netip.Addr
	quotesReply bool // it is about an answer, not about a request
}

type packetKind uint8

const (
	otherPacket packetKind = iota
	echoRequest
	echoReply
	icmpError
)

// marshalEcho is a request with size bytes of payload. It begins with the token of the
// socket that sent the request, 8 bytes, and the sequence number, 2 bytes, so
// that it is known again whatever became of the header on its way.
// The kernel fills in the checksum of ICMPv6.
func marshalEcho(v6 bool, id, seq uint16, token uint64, size int) ([]byte, error) {
	data := make([]byte, size)
	binary.BigEndian.PutUint64(data, token)
	binary.BigEndian.PutUint16(data[8:], seq)
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: int(id), Seq: int(seq), Data: data}}
	if v6 {
		m.Type = ipv6.ICMPTypeEchoRequest
	}
	return m.Marshal(nil)
}

// parsePacket reads what a raw ICMP socket received: of IPv4 with the IP
// header, raw(7).
func parsePacket(v6 bool, b []byte) packet {
	protocol := unix.IPPROTO_ICMP
	if v6 {
		protocol = unix.IPPROTO_ICMPV6
	} else {
		if len(b) < ipv4.HeaderLen || len(b) < headerLen(b) {
			return packet{}
		}
		b = b[headerLen(b):]
	}
	m, err := icmp.ParseMessage(protocol, b)
	if err != nil {
		return packet{}
	}
	switch body := m.Body.(type) {
	case *icmp.Echo:
		p := packet{id: uint16(body.ID), seq: uint16(body.Seq)}
		switch m.Type {
		case ipv4.ICMPTypeEcho, ipv6.ICMPTypeEchoRequest:
			p.kind = echoRequest
		case ipv4.ICMPTypeEchoReply, ipv6.ICMPTypeEchoReply:
			p.kind = echoReply
		default:
			return packet{}
		}
		p.readPayload(body.Data)
		return p
	case *icmp.DstUnreach:
		p := parseError(v6, m, body.Data)
		if !v6 && m.Code == 4 && p.kind == icmpError {
			p.text += fmt.Sprintf(", MTU %d", binary.BigEndian.Uint16(b[6:])) // RFC 1191, 4
		}
		return p
	case *icmp.TimeExceeded:
		p := parseError(v6, m, body.Data)
		p.exceeded = m.Code == 0 // 1 is of reassembling fragments
		return p
	case *icmp.ParamProb:
		return parseError(v6, m, body.Data)
	case *icmp.PacketTooBig:
		p := parseError(v6, m, body.Data)
		if p.kind == icmpError {
			p.text += fmt.Sprintf(", MTU %d", body.MTU)
		}
		return p
	}
	return packet{}
}

func headerLen(b []byte) int { return int(b[0]&0xf) * 4 }

func (p *packet) readPayload(b []byte) {
	if len(b) >= 10 {
		p.token = binary.BigEndian.Uint64(b)
		p.seq = binary.BigEndian.Uint16(b[8:])
	}
}

// parseError reads an error about an echo; RFC 792 and RFC 4443 have it quote
// the packet, at least 8 bytes of ICMP.
func parseError(v6 bool, m *icmp.Message, quote []byte) packet {
	const echoLen = 8
	p := packet{kind: icmpError}
	var number, request, reply int
	if v6 {
		if len(quote) < ipv6.HeaderLen+echoLen || quote[6] != unix.IPPROTO_ICMPV6 {
			return packet{}
		}
		p.quotedSrc = netip.AddrFrom16([16]byte(quote[8:24]))
		p.quotedDst = netip.AddrFrom16([16]byte(quote[24:40]))
		quote = quote[ipv6.HeaderLen:]
		number = int(m.Type.(ipv6.ICMPType))
		request, reply = int(ipv6.ICMPTypeEchoRequest), int(ipv6.ICMPTypeEchoReply)
	} else {
		if len(quote) < ipv4.HeaderLen || len(quote) < headerLen(quote)+echoLen || quote[9] != unix.IPPROTO_ICMP {
			return packet{}
		}
		p.quotedSrc = netip.AddrFrom4([4]byte(quote[12:16]))
		p.quotedDst = netip.AddrFrom4([4]byte(quote[16:20]))
		quote = quote[headerLen(quote):]
		number = int(m.Type.(ipv4.ICMPType))
		request, reply = int(ipv4.ICMPTypeEcho), int(ipv4.ICMPTypeEchoReply)
	}
	switch int(quote[0]) {
	case request:
	case reply:
		p.quotesReply = true
	default:
		return packet{}
	}
	p.id = binary.BigEndian.Uint16(quote[4:])
	p.seq = binary.BigEndian.Uint16(quote[6:])
	p.readPayload(quote[echoLen:])
	p.text = icmpText(v6, number, m.Code)
	p.tooBig = v6 && number == int(ipv6.ICMPTypePacketTooBig)
	p.noNeighbor = noNeighbor(v6, number, m.Code)
	return p
}

// noNeighbor reports whether an error is the one that the kernel makes when
// nobody answers its neighbour requests (arp_error_report, ndisc_error_report).
func noNeighbor(v6 bool, typ, code int) bool {
	if v6 {
		return typ == 1 && code == 3
	}
	return typ == 3 && code == 1
}

// Codes of destination unreachable: RFC 792, RFC 1122, RFC 1812; RFC 4443.
var (
	unreachable4 = []string{
		"network unreachable", "host unreachable", "protocol unreachable", "port unreachable",
		"fragmentation needed", "source route failed", "network unknown", "host unknown",
		"source host isolated", "network administratively prohibited", "host administratively prohibited",
		"network unreachable for type of service", "host unreachable for type of service",
		"communication administratively prohibited", "host precedence violation", "precedence cutoff in effect",
	}
	unreachable6 = []string{
		"no route to destination", "communication administratively prohibited", "beyond scope of source address",
		"address unreachable", "port unreachable", "source address failed policy", "route rejected",
	}
	errors4 = map[int]string{3: "destination unreachable", 11: "time to live exceeded", 12: "parameter problem"}
	errors6 = map[int]string{1: "destination unreachable", 2: "packet too big", 3: "hop limit exceeded", 4: "parameter problem"}
)

// icmpText names an ICMP error.
func icmpText(v6 bool, typ, code int) string {
	name, codes, protocol, unreachable := errors4, unreachable4, "ICMP", 3
	if v6 {
		name, codes, protocol, unreachable = errors6, unreachable6, "ICMPv6", 1
	}
	text := name[typ]
	if typ == unreachable && code < len(codes) {
		text = codes[code]
	}
	return fmt.Sprintf("%s (%s type %d code %d)", text, protocol, typ, code)
}
