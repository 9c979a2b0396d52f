package nft

import "golang.org/x/sys/unix"

// Types of ICMP and ICMPv6 messages that fields of the headers belong to.
const (
	icmpEchoReply       = 0
	icmpUnreachable     = 3
	icmpRedirect        = 5
	icmpEchoRequest     = 8
	icmpv6PacketTooBig  = 2
	icmpv6ParamProblem  = 4
	icmpv6EchoRequest   = 128
	icmpv6EchoReply     = 129
	icmpv6ListenerQuery = 130
)

// icmpTypeSymbols are of IANA, ICMP Type Numbers.
var icmpTypeSymbols = []Symbol{
	{"echo-reply", icmpEchoReply},
	{"destination-unreachable", icmpUnreachable},
	{"source-quench", 4},
	{"redirect", icmpRedirect},
	{"echo-request", icmpEchoRequest},
	{"router-advertisement", 9},
	{"router-solicitation", 10},
	{"time-exceeded", 11},
	{"parameter-problem", 12},
	{"timestamp-request", 13},
	{"timestamp-reply", 14},
	{"info-request", 15},
	{"info-reply", 16},
	{"address-mask-request", 17},
	{"address-mask-reply", 18},
}

// icmpCodeSymbols are codes of destination-unreachable (linux/icmp.h).
var icmpCodeSymbols = []Symbol{
	{"net-unreachable", 0},
	{"host-unreachable", 1},
	{"prot-unreachable", 2},
	{"port-unreachable", 3},
	{"net-prohibited", 9},
	{"host-prohibited", 10},
	{"admin-prohibited", 13},
	{"frag-needed", 4},
}

// icmpv6TypeSymbols are of IANA, ICMPv6 "type" Numbers. mld-listener-reduction
// is the older name of mld-listener-done.
var icmpv6TypeSymbols = []Symbol{
	{"destination-unreachable", 1},
	{"packet-too-big", icmpv6PacketTooBig},
	{"time-exceeded", 3},
	{"parameter-problem", icmpv6ParamProblem},
	{"echo-request", icmpv6EchoRequest},
	{"echo-reply", icmpv6EchoReply},
	{"mld-listener-query", icmpv6ListenerQuery},
	{"mld-listener-report", 131},
	{"mld-listener-done", 132},
	{"mld-listener-reduction", 132},
	{"nd-router-solicit", 133},
	{"nd-router-advert", 134},
	{"nd-neighbor-solicit", 135},
	{"nd-neighbor-advert", 136},
	{"nd-redirect", 137},
	{"router-renumbering", 138},
	{"ind-neighbor-solicit", 141},
	{"ind-neighbor-advert", 142},
	{"mld2-listener-report", 143},
}

// icmpv6CodeSymbols are codes of destination-unreachable (linux/icmpv6.h).
var icmpv6CodeSymbols = []Symbol{
	{"no-route", 0},
	{"admin-prohibited", 1},
	{"addr-unreachable", 3},
	{"port-unreachable", 4},
	{"policy-fail", 5},
	{"reject-route", 6},
}

// icmpxCodeSymbols are what the kernel turns into a code of ICMP or ICMPv6.
var icmpxCodeSymbols = []Symbol{
	{"port-unreachable", unix.NFT_REJECT_ICMPX_PORT_UNREACH},
	{"admin-prohibited", unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED},
	{"no-route", unix.NFT_REJECT_ICMPX_NO_ROUTE},
	{"host-unreachable", unix.NFT_REJECT_ICMPX_HOST_UNREACH},
}

// igmpTypeSymbols are of IANA, IGMP Type Numbers.
var igmpTypeSymbols = []Symbol{
	{"membership-query", 0x11},
	{"membership-report-v1", 0x12},
	{"membership-report-v2", 0x16},
	{"membership-report-v3", 0x22},
	{"leave-group", 0x17},
}
