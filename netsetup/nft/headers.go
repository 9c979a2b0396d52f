package nft

import "golang.org/x/sys/unix"

// Headers that stand for what is there before a packet is looked into: in inet
// it is IPv4 or IPv6, in netdev whatever the Ethernet type says. unknownHeader is
// one that the language has no name for; inetServiceHeader is IPv4 or IPv6, as
// seen from the headers that both carry.
var (
	unknownHeader     = &Header{Name: "unknown"}
	inetHeader        = &Header{Name: "inet", Base: LinkLayer, NextMeta: "nfproto"}
	netdevHeader      = &Header{Name: "netdev", Base: LinkLayer, NextMeta: "protocol"}
	inetServiceHeader = &Header{Name: "inet-service", Base: TransportLayer, NextMeta: "l4proto"}
)

// headers are those that the language names. Upper is filled in by init, as they
// refer to each other. Header.ID is enum proto_desc_id of nft's proto.h.
var headers = []*Header{
	etherHeader, vlanHeader, arpHeader, ipHeader, ip6Header, icmpHeader, igmpHeader, icmpv6Header,
	tcpHeader, udpHeader, udpliteHeader, sctpHeader, dccpHeader, thHeader, ahHeader, espHeader, compHeader,
}

// headerByName gives a header of the language, or nil.
func headerByName(name string) *Header {
	for _, h := range headers {
		if h.Name == name {
			return h
		}
	}
	return nil
}

// familyHeader is what a packet in a table of the family is known to begin with.
func familyHeader(f Family) *Header {
	switch f {
	case FamilyIP:
		return ipHeader
	case FamilyIP6:
		return ip6Header
	case FamilyInet:
		return inetHeader
	case FamilyARP:
		return arpHeader
	case FamilyBridge:
		return etherHeader
	case FamilyNetdev:
		return netdevHeader
	}
	return unknownHeader
}

// field gives a field by its name (`dport`, `saddr ip`), or nil. Of icmpv6 it
// takes the name by which nft lists param-problem, though nft itself does not.
func (h *Header) field(name string) *Field {
	if h == icmpv6Header && name == "parameter-problem" {
		name = "param-problem"
	}
	for i := range h.Field {
		if h.Field[i].Name == name {
			return &h.Field[i]
		}
	}
	return nil
}

// fieldNames are the names of the fields, for hints.
func (h *Header) fieldNames() []string {
	names := make([]string, len(h.Field))
	for i, f := range h.Field {
		names[i] = f.Name
	}
	return names
}

// saysNext reports whether the field says what follows.
func (h *Header) saysNext(f *Field) bool { return h.Next != "" && f.Name == h.Next }

// upper gives the header that a value of Next means, or nil.
func (h *Header) upper(value uint64) *Header {
	for _, u := range h.Upper {
		if u.Value == value {
			return u.Header
		}
	}
	return nil
}

// upperValue gives the value of Next that means a header.
func (h *Header) upperValue(upper *Header) (uint64, bool) {
	for _, u := range h.Upper {
		if u.Header == upper {
			return u.Value, true
		}
	}
	return 0, false
}

func init() {
	links := []Upper{
		{unix.ETH_P_IP, ipHeader},
		{unix.ETH_P_ARP, arpHeader},
		{unix.ETH_P_IPV6, ip6Header},
		{unix.ETH_P_8021Q, vlanHeader},
		{unix.ETH_P_8021AD, vlanHeader},
	}
	etherHeader.Upper, vlanHeader.Upper, netdevHeader.Upper = links, links, links

	transports := []Upper{
		{unix.IPPROTO_ESP, espHeader},
		{unix.IPPROTO_AH, ahHeader},
		{unix.IPPROTO_COMP, compHeader},
		{unix.IPPROTO_UDP, udpHeader},
		{unix.IPPROTO_UDPLITE, udpliteHeader},
		{unix.IPPROTO_TCP, tcpHeader},
		{unix.IPPROTO_DCCP, dccpHeader},
		{unix.IPPROTO_SCTP, sctpHeader},
	}
	ahHeader.Upper, compHeader.Upper = transports, transports

	all := append([]Upper{
		{unix.IPPROTO_ICMP, icmpHeader},
		{unix.IPPROTO_IGMP, igmpHeader},
		{unix.IPPROTO_ICMPV6, icmpv6Header},
	}, transports...)
	ipHeader.Upper, ip6Header.Upper, inetServiceHeader.Upper = all, all, all

	inetHeader.Upper = []Upper{{uint64(FamilyIP), ipHeader}, {uint64(FamilyIP6), ip6Header}}
}
