package nft

import "golang.org/x/sys/unix"

// Field.Index is enum tcp_hdr_fields, udp_hdr_fields, … of nft's proto.h.

// thHeader is what tcp, udp, udplite, dccp and sctp have in common.
var thHeader = &Header{
	Name: "th",
	ID:   11,
	Base: TransportLayer,
	Bits: 32,
	Field: []Field{
		{Name: "sport", Type: typeInetService, Order: BigEndian, Offset: 0, Bits: 16, Index: 1},
		{Name: "dport", Type: typeInetService, Order: BigEndian, Offset: 16, Bits: 16, Index: 2},
	},
}

// tcpHeader is of RFC 9293. Bits that RFC 3168 took from reserved are in flags.
var tcpHeader = &Header{
	Name:         "tcp",
	ID:           8,
	Base:         TransportLayer,
	Bits:         160,
	ChecksumType: unix.NFT_PAYLOAD_CSUM_INET,
	Checksum:     16,
	Field: []Field{
		{Name: "sport", Type: typeInetService, Order: BigEndian, Offset: 0, Bits: 16, Index: 1},
		{Name: "dport", Type: typeInetService, Order: BigEndian, Offset: 16, Bits: 16, Index: 2},
		{Name: "sequence", Type: typeInteger, Order: BigEndian, Offset: 32, Bits: 32, Index: 3},
		{Name: "ackseq", Type: typeInteger, Order: BigEndian, Offset: 64, Bits: 32, Index: 4},
		{Name: "doff", Type: typeInteger, Order: BigEndian, Offset: 96, Bits: 4, Index: 5},
		{Name: "reserved", Type: typeInteger, Order: BigEndian, Offset: 100, Bits: 4, Index: 6},
		{Name: "flags", Type: typeTCPFlag, Order: BigEndian, Offset: 104, Bits: 8, Index: 7},
		{Name: "window", Type: typeInteger, Order: BigEndian, Offset: 112, Bits: 16, Index: 8},
		{Name: "checksum", Type: typeInteger, Order: BigEndian, Offset: 128, Bits: 16, Index: 9},
		{Name: "urgptr", Type: typeInteger, Order: BigEndian, Offset: 144, Bits: 16, Index: 10},
	},
}

// udpHeader is of RFC 768.
var udpHeader = &Header{
	Name:         "udp",
	ID:           6,
	Base:         TransportLayer,
	Bits:         64,
	ChecksumType: unix.NFT_PAYLOAD_CSUM_INET,
	Checksum:     6,
	Field: []Field{
		{Name: "sport", Type: typeInetService, Order: BigEndian, Offset: 0, Bits: 16, Index: 1},
		{Name: "dport", Type: typeInetService, Order: BigEndian, Offset: 16, Bits: 16, Index: 2},
		{Name: "length", Type: typeInteger, Order: BigEndian, Offset: 32, Bits: 16, Index: 3},
		{Name: "checksum", Type: typeInteger, Order: BigEndian, Offset: 48, Bits: 16, Index: 4},
	},
}

// udpliteHeader is of RFC 3828. Its checksum covers as much as csumcov says, so
// that it cannot be mended by what was changed alone.
var udpliteHeader = &Header{
	Name: "udplite",
	ID:   7,
	Base: TransportLayer,
	Bits: 64,
	Field: []Field{
		{Name: "sport", Type: typeInetService, Order: BigEndian, Offset: 0, Bits: 16, Index: 1},
		{Name: "dport", Type: typeInetService, Order: BigEndian, Offset: 16, Bits: 16, Index: 2},
		{Name: "csumcov", Type: typeInteger, Order: BigEndian, Offset: 32, Bits: 16, Index: 3},
		{Name: "checksum", Type: typeInteger, Order: BigEndian, Offset: 48, Bits: 16, Index: 4},
	},
}

// sctpHeader is of RFC 9260.
var sctpHeader = &Header{
	Name:         "sctp",
	ID:           10,
	Base:         TransportLayer,
	Bits:         96,
	ChecksumType: unix.NFT_PAYLOAD_CSUM_SCTP,
	Checksum:     8,
	Field: []Field{
		{Name: "sport", Type: typeInetService, Order: BigEndian, Offset: 0, Bits: 16, Index: 1},
		{Name: "dport", Type: typeInetService, Order: BigEndian, Offset: 16, Bits: 16, Index: 2},
		{Name: "vtag", Type: typeInteger, Order: BigEndian, Offset: 32, Bits: 32, Index: 3},
		{Name: "checksum", Type: typeInteger, Order: BigEndian, Offset: 64, Bits: 32, Index: 4},
	},
}

// dccpHeader is of RFC 4340, 5.1.
var dccpHeader = &Header{
	Name: "dccp",
	ID:   9,
	Base: TransportLayer,
	Bits: 96,
	Field: []Field{
		{Name: "sport", Type: typeInetService, Order: BigEndian, Offset: 0, Bits: 16, Index: 1},
		{Name: "dport", Type: typeInetService, Order: BigEndian, Offset: 16, Bits: 16, Index: 2},
		{Name: "type", Type: typeDCCPPktType, Order: BigEndian, Offset: 67, Bits: 4, Index: 3},
	},
}

// ahHeader is of RFC 4302.
var ahHeader = &Header{
	Name: "ah",
	ID:   1,
	Base: TransportLayer,
	Next: "nexthdr",
	Bits: 96,
	Field: []Field{
		{Name: "nexthdr", Type: typeInetProto, Order: BigEndian, Offset: 0, Bits: 8, Index: 1},
		{Name: "hdrlength", Type: typeInteger, Order: BigEndian, Offset: 8, Bits: 8, Index: 2},
		{Name: "reserved", Type: typeInteger, Order: BigEndian, Offset: 16, Bits: 16, Index: 3},
		{Name: "spi", Type: typeInteger, Order: BigEndian, Offset: 32, Bits: 32, Index: 4},
		{Name: "sequence", Type: typeInteger, Order: BigEndian, Offset: 64, Bits: 32, Index: 5},
	},
}

// espHeader is of RFC 4303.
var espHeader = &Header{
	Name: "esp",
	ID:   2,
	Base: TransportLayer,
	Bits: 64,
	Field: []Field{
		{Name: "spi", Type: typeInteger, Order: BigEndian, Offset: 0, Bits: 32, Index: 1},
		{Name: "sequence", Type: typeInteger, Order: BigEndian, Offset: 32, Bits: 32, Index: 2},
	},
}

// compHeader is of RFC 3173.
var compHeader = &Header{
	Name: "comp",
	ID:   3,
	Base: TransportLayer,
	Next: "nexthdr",
	Bits: 32,
	Field: []Field{
		{Name: "nexthdr", Type: typeInetProto, Order: BigEndian, Offset: 0, Bits: 8, Index: 1},
		{Name: "flags", Type: typeBitmask, Order: BigEndian, Offset: 8, Bits: 8, Index: 2},
		{Name: "cpi", Type: typeInteger, Order: BigEndian, Offset: 16, Bits: 16, Index: 3},
	},
}
