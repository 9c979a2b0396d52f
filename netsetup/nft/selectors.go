package nft

import "golang.org/x/sys/unix"

// Numbers of linux/netfilter/nf_tables.h and its neighbours that x/sys does not
// have.
const (
	NFT_RT_XFRM = 4

	NFT_SOCKET_TRANSPARENT = 0
	NFT_SOCKET_MARK        = 1
	NFT_SOCKET_WILDCARD    = 2
	NFT_SOCKET_CGROUPV2    = 3

	NFTA_FIB_F_SADDR   = 1 << 0
	NFTA_FIB_F_DADDR   = 1 << 1
	NFTA_FIB_F_MARK    = 1 << 2
	NFTA_FIB_F_IIF     = 1 << 3
	NFTA_FIB_F_OIF     = 1 << 4
	NFTA_FIB_F_PRESENT = 1 << 5 // whether there is a route

	NFT_OSF_F_VERSION   = 1 << 0
	NF_OSF_TTL_TRUE     = 0
	NF_OSF_TTL_LESS     = 1
	NF_OSF_TTL_NOCHECK  = 2
	NFT_OSF_MAXGENRELEN = 16

	NFT_XFRM_KEY_DADDR_IP4 = 1
	NFT_XFRM_KEY_DADDR_IP6 = 2
	NFT_XFRM_KEY_SADDR_IP4 = 3
	NFT_XFRM_KEY_SADDR_IP6 = 4
	NFT_XFRM_KEY_REQID     = 5
	NFT_XFRM_KEY_SPI       = 6
)

func selectorByName(selectors []Selector, name string) *Selector {
	for i := range selectors {
		if selectors[i].Name == name {
			return &selectors[i]
		}
	}
	return nil
}

// rtKeys are the keys of `rt`. `nexthop` without a family is what the rule says
// about the packet.
var rtKeys = []Selector{
	{"classid", unix.NFT_RT_CLASSID, typeRealm, 32, HostEndian},
	{"nexthop", unix.NFT_RT_NEXTHOP4, nil, 0, BigEndian},
	{"ip nexthop", unix.NFT_RT_NEXTHOP4, typeIPv4Addr, 32, BigEndian},
	{"ip6 nexthop", unix.NFT_RT_NEXTHOP6, typeIPv6Addr, 128, BigEndian},
	{"mtu", unix.NFT_RT_TCPMSS, typeInteger, 16, HostEndian},
	{"ipsec", NFT_RT_XFRM, typeBoolean, 8, HostEndian},
}

// rtByName gives a key of `rt`, or nil. family is "ip", "ip6" or "", and makes a
// difference to nexthop alone.
func rtByName(family, key string) *Selector {
	if key == "nexthop" && family != "" {
		key = family + " " + key
	}
	return selectorByName(rtKeys, key)
}

// socketKeys are the keys of `socket`.
var socketKeys = []Selector{
	{"transparent", NFT_SOCKET_TRANSPARENT, typeInteger, 8, HostEndian},
	{"mark", NFT_SOCKET_MARK, typeMark, 32, HostEndian},
	{"wildcard", NFT_SOCKET_WILDCARD, typeInteger, 8, HostEndian},
	{"cgroupv2", NFT_SOCKET_CGROUPV2, typeCgroupV2, 64, HostEndian},
}

// socketByName gives a key of `socket`, or nil.
func socketByName(name string) *Selector { return selectorByName(socketKeys, name) }

// fibResults are what `fib` gives; with NFTA_FIB_F_PRESENT it is a typeBoolean
// instead, as wide as the result.
var fibResults = []Selector{
	{"oif", unix.NFT_FIB_RESULT_OIF, typeIfIndex, 32, HostEndian},
	{"oifname", unix.NFT_FIB_RESULT_OIFNAME, typeString, ifNameBits, HostEndian},
	{"type", unix.NFT_FIB_RESULT_ADDRTYPE, typeFibAddr, 32, HostEndian},
}

// fibByName gives a result of `fib`, or nil.
func fibByName(name string) *Selector { return selectorByName(fibResults, name) }

// fibFlags are what `fib` looks up by. One of saddr and daddr is needed, not
// both, and of iif and oif there is no more than one.
var fibFlags = map[string]uint32{
	"saddr": NFTA_FIB_F_SADDR, "daddr": NFTA_FIB_F_DADDR, "mark": NFTA_FIB_F_MARK,
	"iif": NFTA_FIB_F_IIF, "oif": NFTA_FIB_F_OIF,
}

// osfKeys are what `osf` gives; Key holds its flags (NFT_OSF_F_*). nft has them 16
// letters long, and the version in the same string behind the name.
var osfKeys = []Selector{
	{"name", 0, typeString, NFT_OSF_MAXGENRELEN * 8, HostEndian},
	{"version", NFT_OSF_F_VERSION, typeString, NFT_OSF_MAXGENRELEN * 8, HostEndian},
}

// osfByName gives a key of `osf`, or nil.
func osfByName(name string) *Selector { return selectorByName(osfKeys, name) }

// osfTTL is how `osf ttl` compares the time to live; "" is where it is not said.
var osfTTL = map[string]uint8{"": NF_OSF_TTL_TRUE, "loose": NF_OSF_TTL_LESS, "skip": NF_OSF_TTL_NOCHECK}

// ipsecKeys are the keys of `ipsec`.
var ipsecKeys = []Selector{
	{"ip daddr", NFT_XFRM_KEY_DADDR_IP4, typeIPv4Addr, 32, BigEndian},
	{"ip6 daddr", NFT_XFRM_KEY_DADDR_IP6, typeIPv6Addr, 128, BigEndian},
	{"ip saddr", NFT_XFRM_KEY_SADDR_IP4, typeIPv4Addr, 32, BigEndian},
	{"ip6 saddr", NFT_XFRM_KEY_SADDR_IP6, typeIPv6Addr, 128, BigEndian},
	{"reqid", NFT_XFRM_KEY_REQID, typeInteger, 32, HostEndian},
	{"spi", NFT_XFRM_KEY_SPI, typeInteger, 32, BigEndian},
}

// ipsecByName gives a key of `ipsec`, or nil. family is "ip" or "ip6" for saddr
// and daddr, "" for the others.
func ipsecByName(family, key string) *Selector {
	if family != "" {
		key = family + " " + key
	}
	return selectorByName(ipsecKeys, key)
}

// ipsecDirections are XFRM_POLICY_* (linux/xfrm.h).
var ipsecDirections = map[string]uint8{"in": 0, "out": 1}

// numgenModes are `numgen inc` and `numgen random`.
var numgenModes = map[string]uint32{"inc": unix.NFT_NG_INCREMENTAL, "random": unix.NFT_NG_RANDOM}
