package nft

import "golang.org/x/sys/unix"

// Field.Index is enum eth_hdr_fields, vlan_hdr_fields, … of nft's proto.h.

// etherHeader is of IEEE 802.3.
var etherHeader = &Header{
	Name: "ether",
	ID:   17,
	Base: LinkLayer,
	Next: "type",
	Bits: 112,
	Field: []Field{
		{Name: "daddr", Type: typeEtherAddr, Order: BigEndian, Offset: 0, Bits: 48, Index: 1},
		{Name: "saddr", Type: typeEtherAddr, Order: BigEndian, Offset: 48, Bits: 48, Index: 2},
		{Name: "type", Type: typeEtherType, Order: BigEndian, Offset: 96, Bits: 16, Index: 3},
	},
}

// vlanHeader is of IEEE 802.1Q, from the tag's second half on: Offset counts from
// the end of the Ethernet header. dei and cfi are one bit.
var vlanHeader = &Header{
	Name: "vlan",
	ID:   16,
	Base: LinkLayer,
	Next: "type",
	Bits: 32,
	Field: []Field{
		{Name: "pcp", Type: typeInteger, Order: BigEndian, Offset: 0, Bits: 3, Index: 1},
		{Name: "dei", Type: typeInteger, Order: BigEndian, Offset: 3, Bits: 1, Index: 2},
		{Name: "cfi", Type: typeInteger, Order: BigEndian, Offset: 3, Bits: 1, Index: 3},
		{Name: "id", Type: typeInteger, Order: BigEndian, Offset: 4, Bits: 12, Index: 4},
		{Name: "type", Type: typeEtherType, Order: BigEndian, Offset: 16, Bits: 16, Index: 5},
	},
}

// arpHeader is of RFC 826, for IPv4 over Ethernet.
var arpHeader = &Header{
	Name: "arp",
	ID:   15,
	Base: NetworkLayer,
	Bits: 224,
	Field: []Field{
		{Name: "htype", Type: typeInteger, Order: BigEndian, Offset: 0, Bits: 16, Index: 1},
		{Name: "ptype", Type: typeEtherType, Order: BigEndian, Offset: 16, Bits: 16, Index: 2},
		{Name: "hlen", Type: typeInteger, Order: BigEndian, Offset: 32, Bits: 8, Index: 3},
		{Name: "plen", Type: typeInteger, Order: BigEndian, Offset: 40, Bits: 8, Index: 4},
		{Name: "operation", Type: typeARPOp, Order: BigEndian, Offset: 48, Bits: 16, Index: 5},
		{Name: "saddr ether", Type: typeEtherAddr, Order: BigEndian, Offset: 64, Bits: 48, Index: 6},
		{Name: "saddr ip", Type: typeIPv4Addr, Order: BigEndian, Offset: 112, Bits: 32, Index: 7},
		{Name: "daddr ether", Type: typeEtherAddr, Order: BigEndian, Offset: 144, Bits: 48, Index: 8},
		{Name: "daddr ip", Type: typeIPv4Addr, Order: BigEndian, Offset: 192, Bits: 32, Index: 9},
	},
}

// ipHeader is of RFC 791.
var ipHeader = &Header{
	Name:         "ip",
	ID:           12,
	Base:         NetworkLayer,
	Next:         "protocol",
	NextMeta:     "l4proto",
	Bits:         160,
	ChecksumType: unix.NFT_PAYLOAD_CSUM_INET,
	Checksum:     10,
	Pseudo:       []string{"saddr", "daddr", "protocol", "length"},
	Field: []Field{
		{Name: "version", Type: typeInteger, Order: BigEndian, Offset: 0, Bits: 4, Index: 1},
		{Name: "hdrlength", Type: typeInteger, Order: BigEndian, Offset: 4, Bits: 4, Index: 2},
		{Name: "dscp", Type: typeDSCP, Order: BigEndian, Offset: 8, Bits: 6, Index: 3},
		{Name: "ecn", Type: typeECN, Order: BigEndian, Offset: 14, Bits: 2, Index: 4},
		{Name: "length", Type: typeInteger, Order: BigEndian, Offset: 16, Bits: 16, Index: 5},
		{Name: "id", Type: typeInteger, Order: BigEndian, Offset: 32, Bits: 16, Index: 6},
		{Name: "frag-off", Type: typeInteger, Order: BigEndian, Offset: 48, Bits: 16, Index: 7},
		{Name: "ttl", Type: typeInteger, Order: BigEndian, Offset: 64, Bits: 8, Index: 8},
		{Name: "protocol", Type: typeInetProto, Order: BigEndian, Offset: 72, Bits: 8, Index: 9},
		{Name: "checksum", Type: typeInteger, Order: BigEndian, Offset: 80, Bits: 16, Index: 10},
		{Name: "saddr", Type: typeIPv4Addr, Order: BigEndian, Offset: 96, Bits: 32, Index: 11},
		{Name: "daddr", Type: typeIPv4Addr, Order: BigEndian, Offset: 128, Bits: 32, Index: 12},
	},
}

// ip6Header is of RFC 8200.
var ip6Header = &Header{
	Name:     "ip6",
	ID:       13,
	Base:     NetworkLayer,
	Next:     "nexthdr",
	NextMeta: "l4proto",
	Bits:     320,
	Pseudo:   []string{"saddr", "daddr", "nexthdr", "length"},
	Field: []Field{
		{Name: "version", Type: typeInteger, Order: BigEndian, Offset: 0, Bits: 4, Index: 1},
		{Name: "dscp", Type: typeDSCP, Order: BigEndian, Offset: 4, Bits: 6, Index: 2},
		{Name: "ecn", Type: typeECN, Order: BigEndian, Offset: 10, Bits: 2, Index: 3},
		{Name: "flowlabel", Type: typeInteger, Order: BigEndian, Offset: 12, Bits: 20, Index: 4},
		{Name: "length", Type: typeInteger, Order: BigEndian, Offset: 32, Bits: 16, Index: 5},
		{Name: "nexthdr", Type: typeInetProto, Order: BigEndian, Offset: 48, Bits: 8, Index: 6},
		{Name: "hoplimit", Type: typeInteger, Order: BigEndian, Offset: 56, Bits: 8, Index: 7},
		{Name: "saddr", Type: typeIPv6Addr, Order: BigEndian, Offset: 64, Bits: 128, Index: 8},
		{Name: "daddr", Type: typeIPv6Addr, Order: BigEndian, Offset: 192, Bits: 128, Index: 9},
	},
}

// ICMP messages that a field belongs to.
var (
	icmpEcho        = []uint8{icmpEchoRequest, icmpEchoReply}
	icmpRedirects   = []uint8{icmpRedirect}
	icmpFragNeeded  = []uint8{icmpUnreachable}
	icmpv6Echo      = []uint8{icmpv6EchoRequest, icmpv6EchoReply}
	icmpv6TooBig    = []uint8{icmpv6PacketTooBig}
	icmpv6Parameter = []uint8{icmpv6ParamProblem}
	icmpv6Query     = []uint8{icmpv6ListenerQuery}
)

// icmpHeader is of RFC 792.
var icmpHeader = &Header{
	Name:         "icmp",
	ID:           4,
	Base:         TransportLayer,
	Next:         "type",
	Bits:         64,
	ChecksumType: unix.NFT_PAYLOAD_CSUM_INET,
	Checksum:     2,
	Field: []Field{
		{Name: "type", Type: typeICMPType, Order: BigEndian, Offset: 0, Bits: 8, Index: 1},
		{Name: "code", Type: typeICMPCode, Order: BigEndian, Offset: 8, Bits: 8, Index: 2},
		{Name: "checksum", Type: typeInteger, Order: BigEndian, Offset: 16, Bits: 16, Index: 3},
		{Name: "id", Type: typeInteger, Order: BigEndian, Offset: 32, Bits: 16, Index: 4, ICMPTypes: icmpEcho},
		{Name: "sequence", Type: typeInteger, Order: BigEndian, Offset: 48, Bits: 16, Index: 5, ICMPTypes: icmpEcho},
		{Name: "gateway", Type: typeInteger, Order: BigEndian, Offset: 32, Bits: 32, Index: 6, ICMPTypes: icmpRedirects},
		{Name: "mtu", Type: typeInteger, Order: BigEndian, Offset: 48, Bits: 16, Index: 7, ICMPTypes: icmpFragNeeded},
	},
}

// igmpHeader is of RFC 2236.
var igmpHeader = &Header{
	Name:         "igmp",
	ID:           5,
	Base:         TransportLayer,
	Bits:         64,
	ChecksumType: unix.NFT_PAYLOAD_CSUM_INET,
	Checksum:     2,
	Field: []Field{
		{Name: "type", Type: typeIGMPType, Order: BigEndian, Offset: 0, Bits: 8, Index: 1},
		{Name: "checksum", Type: typeInteger, Order: BigEndian, Offset: 16, Bits: 16, Index: 2},
		{Name: "mrt", Type: typeInteger, Order: BigEndian, Offset: 8, Bits: 8, Index: 3},
		{Name: "group", Type: typeInteger, Order: BigEndian, Offset: 32, Bits: 32, Index: 4},
	},
}

// icmpv6Header is of RFC 4443, with the delay of RFC 2710.
var icmpv6Header = &Header{
	Name:         "icmpv6",
	ID:           14,
	Base:         TransportLayer,
	Next:         "type",
	Bits:         64,
	ChecksumType: unix.NFT_PAYLOAD_CSUM_INET,
	Checksum:     2,
	Field: []Field{
		{Name: "type", Type: typeICMPv6Type, Order: BigEndian, Offset: 0, Bits: 8, Index: 1},
		{Name: "code", Type: typeICMPv6Code, Order: BigEndian, Offset: 8, Bits: 8, Index: 2},
		{Name: "checksum", Type: typeInteger, Order: BigEndian, Offset: 16, Bits: 16, Index: 3},
		{Name: "param-problem", Type: typeInteger, Order: BigEndian, Offset: 32, Bits: 32, Index: 4, ICMPTypes: icmpv6Parameter},
		{Name: "mtu", Type: typeInteger, Order: BigEndian, Offset: 32, Bits: 32, Index: 5, ICMPTypes: icmpv6TooBig},
		{Name: "id", Type: typeInteger, Order: BigEndian, Offset: 32, Bits: 16, Index: 6, ICMPTypes: icmpv6Echo},
		{Name: "sequence", Type: typeInteger, Order: BigEndian, Offset: 48, Bits: 16, Index: 7, ICMPTypes: icmpv6Echo},
		{Name: "max-delay", Type: typeInteger, Order: BigEndian, Offset: 32, Bits: 16, Index: 8, ICMPTypes: icmpv6Query},
	},
}
