package kernel

import (
	"golang.org/x/sys/unix"

	"nslab/netsetup/nft"
)

// join brings what was read into the form of what is compiled: what the kernel
// named by itself, sets and chains that belong to one rule, is numbered again,
// so that it can be made anew.
func (r *tableReader) join() {
	var sets, chains uint32
	for _, c := range r.byKey {
		for _, s := range c.Sets {
			sets++
			s.ID = sets
		}
		for _, ch := range c.Chains {
			if ch.Flags&nftChainBinding != 0 {
				chains++
				ch.ID = chains
			}
		}
		for _, ch := range c.Chains {
			for _, rule := range ch.Rules {
				for i := range rule.Exprs {
					c.joinExpression(&rule.Exprs[i])
				}
			}
		}
		for _, s := range c.Sets {
			if s.Anonymous {
				s.Name = anonymousName(s.Name)
			}
		}
	}
}

// setNames are the attributes with the name of a set, by expression.
var setNames = map[string]uint16{
	"lookup": unix.NFTA_LOOKUP_SET, "dynset": unix.NFTA_DYNSET_SET_NAME, "objref": unix.NFTA_OBJREF_SET_NAME,
}

func (c *tableContent) joinExpression(e *nft.Expression) {
	switch e.Name {
	case "immediate":
		c.joinVerdict(e)
		return
	case "exthdr":
		e.Data = exthdrAgain(e.Data)
		return
	case "quota":
		e.Data = quotaAgain(e.Data)
		return
	}
	name, ok := setNames[e.Name]
	if !ok {
		return
	}
	if e.Name == "dynset" {
		e.Data = dynsetAgain(e.Data)
	}
	for a := (attrs{rest: e.Data}); a.next(); {
		if a.typ == name {
			if s := c.sets[a.str()]; s != nil && s.Anonymous {
				e.Set = s
			}
		}
	}
}

// joinVerdict names a chain that belongs to the rule by its number.
func (c *tableContent) joinVerdict(e *nft.Expression) {
	for a := (attrs{rest: e.Data}); a.next(); {
		if a.typ != unix.NFTA_IMMEDIATE_DATA {
			continue
		}
		_, v := datum(a.nested())
		if v == nil || c.chains[v.Chain] == nil || c.chains[v.Chain].ID == 0 {
			continue
		}
		var q request
		q.be32(unix.NFTA_IMMEDIATE_DREG, unix.NFT_REG_VERDICT)
		data := q.nest(unix.NFTA_IMMEDIATE_DATA)
		verdict := q.nest(unix.NFTA_DATA_VERDICT)
		q.be32(unix.NFTA_VERDICT_CODE, uint32(v.Code))
		q.be32(nftaVerdictChainID, c.chains[v.Chain].ID)
		q.unnest(verdict)
		q.unnest(data)
		e.Data = q.b
		return
	}
}

// Some of what the kernel gives it does not take back.

// exthdrAgain leaves out, where an option is written or taken away, what then
// has no meaning (net/netfilter/nft_exthdr.c:nft_exthdr_tcp_set_init,
// nft_exthdr_tcp_strip_init).
func exthdrAgain(data []byte) []byte {
	var reads, writes bool
	for a := (attrs{rest: data}); a.next(); {
		reads = reads || a.typ == unix.NFTA_EXTHDR_DREG
		writes = writes || a.typ == unix.NFTA_EXTHDR_SREG
	}
	if reads {
		return data
	}
	var q request
	for a := (attrs{rest: data}); a.next(); {
		switch a.typ {
		case unix.NFTA_EXTHDR_FLAGS:
		case unix.NFTA_EXTHDR_OFFSET, unix.NFTA_EXTHDR_LEN:
			if writes {
				q.bytes(a.typ, a.value)
			}
		default:
			q.bytes(a.typ, a.value)
		}
	}
	return q.b
}

// dynsetAgain leaves out a time of none, which only a set with a timeout may be
// given (net/netfilter/nft_dynset.c:nft_dynset_init).
func dynsetAgain(data []byte) []byte {
	var q request
	for a := (attrs{rest: data}); a.next(); {
		if a.typ != unix.NFTA_DYNSET_TIMEOUT || a.be64() != 0 {
			q.bytes(a.typ, a.value)
		}
	}
	return q.b
}

// quotaAgain clears the flag that says that a quota is used up
// (net/netfilter/nft_quota.c:nft_quota_do_init).
func quotaAgain(data []byte) []byte {
	var q request
	for a := (attrs{rest: data}); a.next(); {
		if a.typ == unix.NFTA_QUOTA_FLAGS {
			q.be32(a.typ, a.be32()&^unix.NFT_QUOTA_F_DEPLETED)
		} else {
			q.bytes(a.typ, a.value)
		}
	}
	return q.b
}
