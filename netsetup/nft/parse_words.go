package nft

import (
	"slices"
	"strings"
)

func contains(list []string, word string) bool { return slices.Contains(list, word) }

// wordSet is the words of texts, with blanks between them.
func wordSet(texts ...string) map[string]bool {
	m := map[string]bool{}
	for _, text := range texts {
		for _, word := range strings.Fields(text) {
			m[word] = true
		}
	}
	return m
}

// reserved are the words that nft knows wherever they stand, and which are no
// names therefore.
var reserved = wordSet(
	"include define redefine undefine describe",
	"hook device devices table chain rule set element map flowtable handle ruleset",
	"add replace update create insert delete get list reset flush rename import export monitor",
	"position index comment constant interval dynamic auto-merge timeout gc-interval elements expires policy size",
	"accept drop continue jump goto return vmap",
	"inet netdev bridge ip ip6 arp",
	"flow offload meter counter log queue limit quota reject snat dnat masquerade redirect random tproxy",
	"dup fwd synproxy notrack xt hour day time priority type typeof flags ecn all exists missing",
	"ether vlan icmp icmpv6 igmp ah esp comp udp udplite tcp dccp sctp th",
	"rt rt0 rt2 srh hbh frag dst mh exthdr",
	"meta mark iif iifname iiftype oif oifname oiftype skuid skgid nftrace rtclassid ibriport ibrname obriport obrname",
	"pkttype cpu iifgroup oifgroup cgroup",
	"ct socket fib osf numgen jhash symhash ipsec secmark",
)

// valueWords are reserved, and are values all the same: `ip protocol tcp`,
// `icmp type redirect`.
var valueWords = wordSet(
	"ether ip ip6 vlan arp dnat snat ecn reset",
	"tcp udp udplite esp ah icmp igmp icmpv6 comp dccp sctp redirect",
	"exists missing",
)

// headerFields are the fields of headers.
var headerFields = map[string][]string{
	"ether":   {"saddr", "daddr", "type"},
	"vlan":    {"id", "cfi", "dei", "pcp", "type"},
	"arp":     {"htype", "ptype", "hlen", "plen", "operation", "saddr", "daddr"},
	"ip":      {"version", "hdrlength", "dscp", "ecn", "length", "id", "frag-off", "ttl", "protocol", "checksum", "saddr", "daddr"},
	"icmp":    {"type", "code", "checksum", "id", "sequence", "gateway", "mtu"},
	"igmp":    {"type", "checksum", "mrt", "group"},
	"ip6":     {"version", "dscp", "ecn", "flowlabel", "length", "nexthdr", "hoplimit", "saddr", "daddr"},
	"icmpv6":  {"type", "code", "checksum", "param-problem", "mtu", "id", "sequence", "max-delay"},
	"ah":      {"nexthdr", "hdrlength", "reserved", "spi", "sequence"},
	"esp":     {"spi", "sequence"},
	"comp":    {"nexthdr", "flags", "cpi"},
	"udp":     {"sport", "dport", "length", "checksum"},
	"udplite": {"sport", "dport", "csumcov", "checksum"},
	"tcp":     {"sport", "dport", "sequence", "ackseq", "doff", "reserved", "flags", "window", "checksum", "urgptr"},
	"dccp":    {"sport", "dport", "type"},
	"sctp":    {"sport", "dport", "vtag", "checksum"},
	"th":      {"sport", "dport"},
}

// exthdrFields are the fields of extension headers of IPv6.
var exthdrFields = map[string][]string{
	"hbh":  {"nexthdr", "hdrlength"},
	"rt":   {"nexthdr", "hdrlength", "type", "seg-left"},
	"rt0":  {"addr"},
	"rt2":  {"addr"},
	"srh":  {"last-entry", "flags", "tag", "sid"},
	"frag": {"nexthdr", "reserved", "frag-off", "reserved2", "more-fragments", "id"},
	"dst":  {"nexthdr", "hdrlength"},
	"mh":   {"nexthdr", "hdrlength", "type", "reserved", "checksum"},
}

// otherFields begin what a packet is asked for beside its headers.
var otherFields = wordSet("meta ct rt fib socket osf numgen jhash symhash ipsec exthdr")

// metaWords are keys of meta that may stand without `meta` before them.
var metaWords = wordSet(
	"mark iif iifname iiftype oif oifname oiftype skuid skgid nftrace rtclassid ibriport ibrname obriport obrname",
	"pkttype cpu iifgroup oifgroup cgroup ipsec time day hour",
)

// otherMetaKeys are those that may not.
var otherMetaKeys = []string{
	"length", "protocol", "priority", "random", "secmark", "nfproto", "l4proto", "iifkind", "oifkind",
	"ibrpvid", "ibrvproto", "sdif", "sdifname", "broute", "ibrhwaddr", "secpath",
}

var (
	ctWords = []string{
		"l3proto", "protocol", "mark", "state", "direction", "status", "expiration", "helper", "saddr", "daddr",
		"proto-src", "proto-dst", "label", "event", "secmark", "id", "bytes", "packets", "avgpkt", "zone",
	}
	// ctDirKeys may follow `original` or `reply`.
	ctDirKeys = []string{"saddr", "daddr", "l3proto", "protocol", "proto-src", "proto-dst", "bytes", "packets", "avgpkt", "zone"}
)

var (
	tcpOptionWords = []string{
		"echo", "eol", "fastopen", "md5sig", "mptcp", "maxseg", "mss", "nop", "noop", "sack-perm", "sack-permitted",
		"timestamp", "window", "sack", "sack0", "sack1", "sack2", "sack3",
	}
	// tcpOptionNames are other names of an option, and the one that it goes by.
	tcpOptionNames  = map[string]string{"mss": "maxseg", "noop": "nop", "sack-permitted": "sack-perm", "sack0": "sack"}
	tcpOptionFields = map[string][]string{
		"maxseg": {"size"}, "window": {"count"}, "timestamp": {"tsval", "tsecr"}, "mptcp": {"subtype"},
		"sack": {"left", "right"}, "sack1": {"left", "right"}, "sack2": {"left", "right"}, "sack3": {"left", "right"},
	}
)

var (
	chunkNames = []string{
		"data", "init", "init-ack", "sack", "heartbeat", "heartbeat-ack", "abort", "shutdown", "shutdown-ack", "error",
		"cookie-echo", "cookie-ack", "ecne", "cwr", "shutdown-complete", "asconf-ack", "forward-tsn", "asconf",
	}
	chunkFields = []string{
		"type", "flags", "length", "tsn", "stream", "ssn", "ppid", "init-tag", "a-rwnd", "num-outbound-streams",
		"num-inbound-streams", "initial-tsn", "cum-tsn-ack", "num-gap-ack-blocks", "num-dup-tsns", "lowest-tsn", "seqno", "new-cum-tsn",
	}
)
