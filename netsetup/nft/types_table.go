package nft

// The datatypes that nft 1.0.6 has; the numbers are those of enum datatypes of
// its datatype.h, which it leaves in the kernel with every set.
var (
	typeVerdict = &Type{ID: 1, Name: "verdict", Desc: "verdict"}

	typeInteger = &Type{ID: 4, Name: "integer", Desc: "number", parse: parseInteger}
	typeBitmask = &Type{ID: 3, Name: "bitmask", Desc: "bit mask", Base: typeInteger}
	typeString  = &Type{ID: 5, Name: "string", Desc: "string", Order: HostEndian, parse: parseString}
	typeLLAddr  = &Type{ID: 6, Name: "ll_addr", Desc: "link layer address", Order: BigEndian, Base: typeInteger, parse: parseLLAddr}

	typeNFProto = &Type{ID: 2, Name: "nf_proto", Desc: "netfilter protocol", Bits: 8, Base: typeInteger, Symbols: nfProtoSymbols}

	typeIPv4Addr    = &Type{ID: 7, Name: "ipv4_addr", Desc: "IPv4 address", Bits: 32, Order: BigEndian, Base: typeInteger, parse: parseIPv4Addr}
	typeIPv6Addr    = &Type{ID: 8, Name: "ipv6_addr", Desc: "IPv6 address", Bits: 128, Order: BigEndian, Base: typeInteger, parse: parseIPv6Addr}
	typeEtherAddr   = &Type{ID: 9, Name: "ether_addr", Desc: "Ethernet address", Bits: 48, Order: BigEndian, Base: typeLLAddr}
	typeEtherType   = &Type{ID: 10, Name: "ether_type", Desc: "Ethernet protocol", Bits: 16, Order: BigEndian, Base: typeInteger, Symbols: etherTypeSymbols}
	typeARPOp       = &Type{ID: 11, Name: "arp_op", Desc: "ARP operation", Bits: 16, Order: BigEndian, Base: typeInteger, Symbols: arpOpSymbols}
	typeInetProto   = &Type{ID: 12, Name: "inet_proto", Desc: "internet protocol", Bits: 8, Base: typeInteger, Symbols: protocolSymbols}
	typeInetService = &Type{ID: 13, Name: "inet_service", Desc: "internet service", Bits: 16, Order: BigEndian, Base: typeInteger, Symbols: serviceSymbols}
	typeICMPType    = &Type{ID: 14, Name: "icmp_type", Desc: "ICMP type", Bits: 8, Order: BigEndian, Base: typeInteger, Symbols: icmpTypeSymbols}
	typeTCPFlag     = &Type{ID: 15, Name: "tcp_flag", Desc: "TCP flag", Bits: 8, Order: BigEndian, Base: typeBitmask, Symbols: tcpFlagSymbols}
	typeDCCPPktType = &Type{ID: 16, Name: "dccp_pkttype", Desc: "DCCP packet type", Bits: 4, Base: typeInteger, Symbols: dccpPktTypeSymbols}
	typeMHType      = &Type{ID: 17, Name: "mh_type", Desc: "mobility header type", Bits: 8, Order: BigEndian, Base: typeInteger, Symbols: mhTypeSymbols}

	typeTime      = &Type{ID: 18, Name: "time", Desc: "time", Bits: 32, Order: HostEndian, Base: typeInteger, parse: parseRelativeTime} // in ms
	typeMark      = &Type{ID: 19, Name: "mark", Desc: "packet mark", Bits: 32, Order: HostEndian, Base: typeInteger, parse: parseMark}
	typeIfIndex   = &Type{ID: 20, Name: "iface_index", Desc: "interface index", Bits: 32, Order: HostEndian, Base: typeInteger}
	typeIfaceType = &Type{ID: 21, Name: "iface_type", Desc: "interface type", Bits: 16, Order: HostEndian, Base: typeInteger, Symbols: ifaceTypeSymbols}
	typeRealm     = &Type{ID: 22, Name: "realm", Desc: "routing realm", Bits: 32, Order: HostEndian, Base: typeInteger, parse: parseRealm}
	typeClassID   = &Type{ID: 23, Name: "classid", Desc: "class of traffic control", Bits: 32, Order: HostEndian, Base: typeInteger, Symbols: classIDSymbols, parse: parseClassID}
	typeUID       = &Type{ID: 24, Name: "uid", Desc: "user", Bits: 32, Order: HostEndian, Base: typeInteger, parse: parseUID}
	typeGID       = &Type{ID: 25, Name: "gid", Desc: "group", Bits: 32, Order: HostEndian, Base: typeInteger, parse: parseGID}

	typeCtState  = &Type{ID: 26, Name: "ct_state", Desc: "connection state", Bits: 32, Order: HostEndian, Base: typeBitmask, Symbols: ctStateSymbols}
	typeCtDir    = &Type{ID: 27, Name: "ct_dir", Desc: "direction of a connection", Bits: 8, Base: typeInteger, Symbols: ctDirSymbols}
	typeCtStatus = &Type{ID: 28, Name: "ct_status", Desc: "connection status", Bits: 32, Order: HostEndian, Base: typeBitmask, Symbols: ctStatusSymbols}

	typeICMPv6Type = &Type{ID: 29, Name: "icmpv6_type", Desc: "ICMPv6 type", Bits: 8, Order: BigEndian, Base: typeInteger, Symbols: icmpv6TypeSymbols}
	typeCtLabel    = &Type{ID: 30, Name: "ct_label", Desc: "connection label", Bits: 128, Order: HostEndian, Base: typeBitmask, parse: parseCtLabel}
	typePktType    = &Type{ID: 31, Name: "pkt_type", Desc: "packet type", Bits: 8, Order: HostEndian, Base: typeInteger, Symbols: pktTypeSymbols}
	typeICMPCode   = &Type{ID: 32, Name: "icmp_code", Desc: "ICMP code", Bits: 8, Order: BigEndian, Base: typeInteger, Symbols: icmpCodeSymbols}
	typeICMPv6Code = &Type{ID: 33, Name: "icmpv6_code", Desc: "ICMPv6 code", Bits: 8, Order: BigEndian, Base: typeInteger, Symbols: icmpv6CodeSymbols}
	typeICMPXCode  = &Type{ID: 34, Name: "icmpx_code", Desc: "icmpx code", Bits: 8, Order: BigEndian, Base: typeInteger, Symbols: icmpxCodeSymbols}
	typeDevGroup   = &Type{ID: 35, Name: "devgroup", Desc: "group of interfaces", Bits: 32, Order: HostEndian, Base: typeInteger, Symbols: devGroupSymbols, parse: parseDevGroup}
	typeDSCP       = &Type{ID: 36, Name: "dscp", Desc: "DSCP", Bits: 6, Order: BigEndian, Base: typeInteger, Symbols: dscpSymbols}
	typeECN        = &Type{ID: 37, Name: "ecn", Desc: "ECN", Bits: 2, Order: BigEndian, Base: typeInteger, Symbols: ecnSymbols}
	typeFibAddr    = &Type{ID: 38, Name: "fib_addrtype", Desc: "address type", Bits: 32, Order: HostEndian, Base: typeInteger, Symbols: fibAddrSymbols}
	typeBoolean    = &Type{ID: 39, Name: "boolean", Desc: "existence", Bits: 1, Base: typeInteger, Symbols: booleanSymbols}
	typeCtEvent    = &Type{ID: 40, Name: "ct_event", Desc: "connection event", Bits: 32, Order: HostEndian, Base: typeBitmask, Symbols: ctEventSymbols}
	typeIfName     = &Type{ID: 41, Name: "ifname", Desc: "interface name", Bits: 128, Order: HostEndian, Base: typeString}
	typeIGMPType   = &Type{ID: 42, Name: "igmp_type", Desc: "IGMP type", Bits: 8, Order: BigEndian, Base: typeInteger, Symbols: igmpTypeSymbols}
	typeDate       = &Type{ID: 43, Name: "time", Desc: "date", Bits: 64, Order: HostEndian, Base: typeInteger, parse: parseDate} // in ns since 1970
	typeHour       = &Type{ID: 44, Name: "hour", Desc: "time of day", Bits: 32, Order: HostEndian, Base: typeInteger, parse: parseHour}
	typeDay        = &Type{ID: 45, Name: "day", Desc: "day of the week", Bits: 8, Order: HostEndian, Base: typeInteger, Symbols: daySymbols}
	typeCgroupV2   = &Type{ID: 46, Name: "cgroupsv2", Desc: "control group", Bits: 64, Order: HostEndian, Base: typeInteger, parse: parseCgroupV2}
)

// types are all of them, by number.
var types = []*Type{
	typeVerdict, typeNFProto, typeBitmask, typeInteger, typeString, typeLLAddr, typeIPv4Addr, typeIPv6Addr,
	typeEtherAddr, typeEtherType, typeARPOp, typeInetProto, typeInetService, typeICMPType, typeTCPFlag,
	typeDCCPPktType, typeMHType, typeTime, typeMark, typeIfIndex, typeIfaceType, typeRealm, typeClassID,
	typeUID, typeGID, typeCtState, typeCtDir, typeCtStatus, typeICMPv6Type, typeCtLabel, typePktType,
	typeICMPCode, typeICMPv6Code, typeICMPXCode, typeDevGroup, typeDSCP, typeECN, typeFibAddr, typeBoolean,
	typeCtEvent, typeIfName, typeIGMPType, typeDate, typeHour, typeDay, typeCgroupV2,
}

// typeByName gives a type by the name that `type` of a set takes, or nil. As nft
// has it, `time` is the relative one, and ct_label and ct_event can only be had
// by `typeof`.
func typeByName(name string) *Type {
	for _, t := range types {
		if t.Name == name && t != typeCtLabel && t != typeCtEvent {
			return t
		}
	}
	return nil
}
