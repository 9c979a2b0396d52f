package probe

import (
	"slices"

	"nslab/netsetup/kernel"
	"nslab/netsetup/nft"
	"nslab/topology"
)

// verdictNames are those of NF_*, linux/netfilter.h, by which a packet goes no
// further.
var verdictNames = map[int32]string{0: "drop", 2: "stolen", 3: "queue"}

// hit notes a rule that kept a packet.
func (f *failure) hit(file string, n *node, v *kernel.Verdict) {
	h := Hit{Node: n.name, Family: v.Family.String(), Table: v.Table, Chain: v.Chain, Verdict: verdictNames[v.Code&0xff]}
	if !v.Policy {
		h.Handle = v.Handle
	}
	h.Rule, h.Pos = ruleOf(n, v)
	if h.Pos.Line > 0 {
		h.File = file
	}
	if !slices.Contains(f.e.Rules, h) {
		f.e.Rules = append(f.e.Rules, h)
	}
}

// ruleOf is the text of the rule, and its place where the file has it; of a
// policy that of the chain.
func ruleOf(n *node, v *kernel.Verdict) (text string, pos topology.Pos) {
	if v.Rule != nil {
		text = v.Rule.Describe()
	}
	rules := n.topo.Nftables
	if rules == nil || v.Read == nil {
		return text, pos
	}
	want, errs := nft.Compile(rules.File, n.index)
	if len(errs) > 0 {
		want = rules.Ruleset
	}
	for _, table := range want.Tables {
		if table.Family != v.Family || table.Name != v.Table {
			continue
		}
		for _, ch := range v.Read.Chains {
			if ch.Name != v.Chain {
				continue
			}
			if v.Policy {
				return "", chainPos(rules, table, v.Chain)
			}
			at := slices.Index(ch.Rules, v.Rule)
			if pairs := nft.Pair(v.Read, ch, table); at >= 0 && pairs[at] != nil {
				return pairs[at].Text, rules.At(pairs[at].Pos)
			}
		}
	}
	return text, pos
}

func chainPos(rules *topology.Nftables, t *nft.Table, name string) (pos topology.Pos) {
	for _, ch := range t.Chains {
		if ch.Name == name {
			pos = rules.At(ch.Pos)
		}
	}
	return pos
}
