package nft

import "golang.org/x/sys/unix"

// pktTypeSymbols are PACKET_* (linux/if_packet.h). unicast is the older name of
// host.
var pktTypeSymbols = []Symbol{
	{"host", unix.PACKET_HOST},
	{"unicast", unix.PACKET_HOST},
	{"broadcast", unix.PACKET_BROADCAST},
	{"multicast", unix.PACKET_MULTICAST},
	{"other", unix.PACKET_OTHERHOST},
}

// ifaceTypeSymbols are ARPHRD_*.
var ifaceTypeSymbols = []Symbol{
	{"ether", unix.ARPHRD_ETHER},
	{"ppp", unix.ARPHRD_PPP},
	{"ipip", unix.ARPHRD_TUNNEL},
	{"ipip6", unix.ARPHRD_TUNNEL6},
	{"loopback", unix.ARPHRD_LOOPBACK},
	{"sit", unix.ARPHRD_SIT},
	{"ipgre", unix.ARPHRD_IPGRE},
}

// classIDSymbols are TC_H_* (linux/pkt_sched.h).
var classIDSymbols = []Symbol{
	{"root", 0xffffffff},
	{"none", 0},
}

// devGroupSymbols is the group in which an interface is made; more are in
// groupFile.
var devGroupSymbols = []Symbol{{"default", 0}}

// fibAddrSymbols are RTN_*.
var fibAddrSymbols = []Symbol{
	{"unspec", unix.RTN_UNSPEC},
	{"unicast", unix.RTN_UNICAST},
	{"local", unix.RTN_LOCAL},
	{"broadcast", unix.RTN_BROADCAST},
	{"anycast", unix.RTN_ANYCAST},
	{"multicast", unix.RTN_MULTICAST},
	{"blackhole", unix.RTN_BLACKHOLE},
	{"unreachable", unix.RTN_UNREACHABLE},
	{"prohibit", unix.RTN_PROHIBIT},
}

var daySymbols = []Symbol{
	{"Sunday", 0},
	{"Monday", 1},
	{"Tuesday", 2},
	{"Wednesday", 3},
	{"Thursday", 4},
	{"Friday", 5},
	{"Saturday", 6},
}
