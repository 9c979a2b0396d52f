// Package nft reads rules in nft's own language (nft(8)) and compiles them to
// what the kernel takes, without the nft program.
//
// It knows the language: words, grammar, types, protocols, which matches imply
// which others, and the expressions of linux/netfilter/nf_tables.h that they
// become. It must not know labs, YAML, netlink sockets, or what is in a running
// kernel; the index of an interface is asked of the caller.
//
//	text ──Parse──▶ File ──Compile──▶ Ruleset
package nft
