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

// headerFields are the fields of headers. What a field of arp is of comes behind
// its name.
var headerFields = func() map[string][]string {
	m := map[string][]string{}
	for _, h := range headers {
		for _, f := range h.Field {
			name, _, _ := strings.Cut(f.Name, " ")
			m[h.Name] = appendNew(m[h.Name], name)
		}
	}
	return m
}()

// exthdrFields are the fields of extension headers of IPv6. Which of several
// addresses is meant comes behind the name.
var exthdrFields = func() map[string][]string {
	m := map[string][]string{"rt2": {"addr"}} // in the grammar alone
	for _, h := range exthdrs {
		for _, f := range h.Field {
			name, _, _ := strings.Cut(f.Name, "[")
			m[h.Name] = appendNew(m[h.Name], name)
		}
	}
	return m
}()

// appendNew appends a word that is not in the list.
func appendNew(list []string, word string) []string {
	if contains(list, word) {
		return list
	}
	return append(list, word)
}

// otherFields begin what a packet is asked for beside its headers.
var otherFields = wordSet("meta ct rt fib socket osf numgen jhash symhash ipsec exthdr")

// metaWords are keys of meta that may stand without `meta` before them, and
// otherMetaKeys those that may not.
var metaWords, otherMetaKeys = func() (map[string]bool, []string) {
	short := wordSet("ibriport obriport") // older names
	others := []string{"secpath"}
	for _, k := range metaKeys {
		if k.Short {
			short[k.Name] = true
		} else {
			others = append(others, k.Name)
		}
	}
	return short, others
}()

// ctWords are the keys of ct of one word; ctDirKeys may follow `original` or
// `reply`.
var ctWords, ctDirKeys = func() (all, dir []string) {
	for _, k := range ctKeys {
		if strings.Contains(k.Name, " ") {
			continue
		}
		all = append(all, k.Name)
		if k.TakesDirection {
			dir = append(dir, k.Name)
		}
	}
	return all, dir
}()

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

// chunkNames are the chunks of SCTP, and chunkFields what any of them has.
var chunkNames, chunkFields = func() (names, fields []string) {
	for _, h := range sctpChunks {
		names = append(names, h.Name)
		for _, f := range h.Field {
			fields = appendNew(fields, f.Name)
		}
	}
	return names, fields
}()
