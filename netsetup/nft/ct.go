package nft

import "golang.org/x/sys/unix"

// ctHelperBits is the room for the name of a helper, with a NUL
// (NF_CT_HELPER_NAME_LEN).
const ctHelperBits = 16 * 8

// ctKeys are the keys of `ct`. What an address or port is, the protocol says; nft
// takes the type of a port from inet_service once a transport protocol is known.
var ctKeys = []CtKey{
	{Selector: Selector{"state", unix.NFT_CT_STATE, typeCtState, 32, HostEndian}},
	{Selector: Selector{"direction", unix.NFT_CT_DIRECTION, typeCtDir, 8, HostEndian}},
	{Selector: Selector{"status", unix.NFT_CT_STATUS, typeCtStatus, 32, HostEndian}},
	{Selector: Selector{"mark", unix.NFT_CT_MARK, typeMark, 32, HostEndian}, Settable: true},
	{Selector: Selector{"secmark", unix.NFT_CT_SECMARK, typeInteger, 32, HostEndian}, Settable: true},
	{Selector: Selector{"expiration", unix.NFT_CT_EXPIRATION, typeTime, 32, HostEndian}},
	{Selector: Selector{"helper", unix.NFT_CT_HELPER, typeString, ctHelperBits, HostEndian}},
	{Selector: Selector{"l3proto", unix.NFT_CT_L3PROTOCOL, typeNFProto, 8, HostEndian}, TakesDirection: true},
	{Selector: Selector{"saddr", unix.NFT_CT_SRC, nil, 0, BigEndian}, NeedsDirection: true, TakesDirection: true},
	{Selector: Selector{"daddr", unix.NFT_CT_DST, nil, 0, BigEndian}, NeedsDirection: true, TakesDirection: true},
	{Selector: Selector{"protocol", unix.NFT_CT_PROTOCOL, typeInetProto, 8, BigEndian}, TakesDirection: true},
	{Selector: Selector{"proto-src", unix.NFT_CT_PROTO_SRC, nil, 16, BigEndian}, NeedsDirection: true, TakesDirection: true},
	{Selector: Selector{"proto-dst", unix.NFT_CT_PROTO_DST, nil, 16, BigEndian}, NeedsDirection: true, TakesDirection: true},
	{Selector: Selector{"label", unix.NFT_CT_LABELS, typeCtLabel, ctLabelBits, HostEndian}, Settable: true},
	{Selector: Selector{"packets", unix.NFT_CT_PKTS, typeInteger, 64, HostEndian}, TakesDirection: true},
	{Selector: Selector{"bytes", unix.NFT_CT_BYTES, typeInteger, 64, HostEndian}, TakesDirection: true},
	{Selector: Selector{"avgpkt", unix.NFT_CT_AVGPKT, typeInteger, 64, HostEndian}, TakesDirection: true},
	{Selector: Selector{"zone", unix.NFT_CT_ZONE, typeInteger, 16, HostEndian}, TakesDirection: true, Settable: true},
	{Selector: Selector{"event", unix.NFT_CT_EVENTMASK, typeCtEvent, 32, HostEndian}, Settable: true},
	{Selector: Selector{"ip saddr", unix.NFT_CT_SRC_IP, typeIPv4Addr, 32, BigEndian}, NeedsDirection: true, TakesDirection: true},
	{Selector: Selector{"ip daddr", unix.NFT_CT_DST_IP, typeIPv4Addr, 32, BigEndian}, NeedsDirection: true, TakesDirection: true},
	{Selector: Selector{"ip6 saddr", unix.NFT_CT_SRC_IP6, typeIPv6Addr, 128, BigEndian}, NeedsDirection: true, TakesDirection: true},
	{Selector: Selector{"ip6 daddr", unix.NFT_CT_DST_IP6, typeIPv6Addr, 128, BigEndian}, NeedsDirection: true, TakesDirection: true},
	{Selector: Selector{"id", unix.NFT_CT_ID, typeInteger, 32, BigEndian}},
}

// ctByName gives a key of `ct`, or nil.
func ctByName(name string) *CtKey {
	for i := range ctKeys {
		if ctKeys[i].Name == name {
			return &ctKeys[i]
		}
	}
	return nil
}

// ctDirections are `original` and `reply` (IP_CT_DIR_*).
var ctDirections = map[string]uint8{"original": 0, "reply": 1}

// timeoutState is a state that a `ct timeout` may give a time for.
type timeoutState struct {
	Name string
	// Index is the number of the attribute less one: CTA_TIMEOUT_TCP_SYN_SENT
	// and so on, from 0.
	Index uint32
	// Seconds is what nft sends for a state that has no time given: it sends all.
	Seconds uint32
}

// ctTimeoutStates are the states by protocol (IPPROTO_*). nft knows those of tcp
// and udp alone (linux/netfilter/nfnetlink_cttimeout.h).
var ctTimeoutStates = map[uint8][]timeoutState{
	unix.IPPROTO_TCP: {
		{"syn_sent", 0, 120},
		{"syn_recv", 1, 60},
		{"established", 2, 432000},
		{"fin_wait", 3, 120},
		{"close_wait", 4, 60},
		{"last_ack", 5, 30},
		{"time_wait", 6, 120},
		{"close", 7, 10},
		{"syn_sent2", 8, 120},
		{"retrans", 9, 300},
		{"unack", 10, 300},
	},
	unix.IPPROTO_UDP: {
		{"unreplied", 0, 30},
		{"replied", 1, 120},
	},
}

// ctProtocols are the protocols of `ct helper`, `ct timeout` and `ct
// expectation`.
var ctProtocols = map[string]uint8{"tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP}
