package nft

import "golang.org/x/sys/unix"

// nfProtoSymbols are NFPROTO_*.
var nfProtoSymbols = []Symbol{
	{"ipv4", uint64(FamilyIP)},
	{"ipv6", uint64(FamilyIP6)},
}

var booleanSymbols = []Symbol{
	{"exists", 1},
	{"missing", 0},
}

// etherTypeSymbols are ETH_P_*. vlan is the older name of 8021q.
var etherTypeSymbols = []Symbol{
	{"ip", unix.ETH_P_IP},
	{"arp", unix.ETH_P_ARP},
	{"ip6", unix.ETH_P_IPV6},
	{"8021q", unix.ETH_P_8021Q},
	{"8021ad", unix.ETH_P_8021AD},
	{"vlan", unix.ETH_P_8021Q},
}

// arpOpSymbols are ARPOP_* (linux/if_arp.h).
var arpOpSymbols = []Symbol{
	{"request", 1},
	{"reply", 2},
	{"rrequest", 3},
	{"rreply", 4},
	{"inrequest", 8},
	{"inreply", 9},
	{"nak", 10},
}

// tcpFlagSymbols are the bits of the 14th byte of the header (RFC 9293, 3.1).
var tcpFlagSymbols = []Symbol{
	{"fin", 0x01},
	{"syn", 0x02},
	{"rst", 0x04},
	{"psh", 0x08},
	{"ack", 0x10},
	{"urg", 0x20},
	{"ecn", 0x40},
	{"cwr", 0x80},
}

// dccpPktTypeSymbols are of RFC 4340, 5.1.
var dccpPktTypeSymbols = []Symbol{
	{"request", 0},
	{"response", 1},
	{"data", 2},
	{"ack", 3},
	{"dataack", 4},
	{"closereq", 5},
	{"close", 6},
	{"reset", 7},
	{"sync", 8},
	{"syncack", 9},
}

// mhTypeSymbols are IP6_MH_TYPE_* (IANA, Mobility Header Types).
var mhTypeSymbols = []Symbol{
	{"binding-refresh-request", 0},
	{"home-test-init", 1},
	{"careof-test-init", 2},
	{"home-test", 3},
	{"careof-test", 4},
	{"binding-update", 5},
	{"binding-acknowledgement", 6},
	{"binding-error", 7},
	{"fast-binding-update", 8},
	{"fast-binding-acknowledgement", 9},
	{"fast-binding-advertisement", 10},
	{"experimental-mobility-header", 11},
	{"home-agent-switch-message", 12},
}

// dscpSymbols are the code points of RFC 2474, 2597, 3246, 5865 and 8622.
var dscpSymbols = []Symbol{
	{"cs0", 0x00},
	{"cs1", 0x08},
	{"cs2", 0x10},
	{"cs3", 0x18},
	{"cs4", 0x20},
	{"cs5", 0x28},
	{"cs6", 0x30},
	{"cs7", 0x38},
	{"df", 0x00},
	{"be", 0x00},
	{"lephb", 0x01},
	{"af11", 0x0a},
	{"af12", 0x0c},
	{"af13", 0x0e},
	{"af21", 0x12},
	{"af22", 0x14},
	{"af23", 0x16},
	{"af31", 0x1a},
	{"af32", 0x1c},
	{"af33", 0x1e},
	{"af41", 0x22},
	{"af42", 0x24},
	{"af43", 0x26},
	{"va", 0x2c},
	{"ef", 0x2e},
}

// ecnSymbols are of RFC 3168, 5.
var ecnSymbols = []Symbol{
	{"not-ect", 0},
	{"ect1", 1},
	{"ect0", 2},
	{"ce", 3},
}
