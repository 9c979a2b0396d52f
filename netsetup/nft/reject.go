package nft

import "golang.org/x/sys/unix"

// reject compiles `reject`, with the matches that make sure that the packet can
// be answered so.
func (r *rule) reject(s *Reject) {
	if r.Family == FamilyARP {
		fail(s.Pos, "reject is not for tables of family arp")
	}
	how, code := r.rejection(s)
	switch {
	case how.Type == unix.NFT_REJECT_TCP_RST:
		r.checkReset(s)
	case how.Type == unix.NFT_REJECT_ICMPX_UNREACH && (r.Family == FamilyIP || r.Family == FamilyIP6):
		fail(s.Pos, "icmpx is for tables of several families; here it is icmp or icmpv6")
	case how.Family != 0:
		r.checkRejectFamily(s, how.Family)
	}
	r.rejectDependency(s, how)
	var a attrs
	a.u32(unix.NFTA_REJECT_TYPE, how.Type)
	if how.Type != unix.NFT_REJECT_TCP_RST {
		a.u8(unix.NFTA_REJECT_ICMP_CODE, code)
	}
	r.emit("reject", a)
}

// rejection is the way to refuse: the one that is said, or what the family and
// the matches before suggest.
func (r *rule) rejection(s *Reject) (rejectType, uint8) {
	if s.Type != "" {
		how, ok := rejectTypes[s.Type]
		if !ok {
			fail(s.Pos, "%q is not a way to reject", s.Type)
		}
		if s.Code == nil || how.Code == nil {
			return how, 0
		}
		b, err := how.Code.value(s.Code.Text, 8)
		if err != nil {
			failValue(s.Code.Pos, err)
		}
		return how, b[0]
	}
	is6 := r.Family == FamilyIP6
	if r.Family != FamilyIP && r.Family != FamilyIP6 {
		switch r.proto.at[NetworkLayer] {
		case nil:
			return rejectTypes["icmpx"], 1 // NFT_REJECT_ICMPX_PORT_UNREACH
		case ip6Header:
			is6 = true
		case ipHeader:
		default:
			fail(s.Pos, "a packet that is %s here cannot be rejected", r.proto.at[NetworkLayer].Name)
		}
	}
	if is6 {
		return rejectTypes["icmpv6"], 4 // ICMPV6_PORT_UNREACH
	}
	return rejectTypes["icmp"], 3 // ICMP_PORT_UNREACH
}

func (r *rule) checkReset(s *Reject) {
	if h := r.proto.at[TransportLayer]; h != nil && h != tcpHeader {
		fail(s.Pos, "a packet that is %s here cannot be answered with tcp reset", h.Name)
	}
}

// checkRejectFamily refuses an answer of the other version of IP.
func (r *rule) checkRejectFamily(s *Reject, of Family) {
	has := r.proto.at[NetworkLayer]
	switch {
	case has == nil:
	case has == ipHeader && of == FamilyIP, has == ip6Header && of == FamilyIP6:
	default:
		fail(s.Pos, "a packet that is %s here cannot be answered with %s", has.Name, s.Type)
	}
}

// rejectDependency matches in front of the rule what the answer is for.
func (r *rule) rejectDependency(s *Reject, how rejectType) {
	switch {
	case how.Type == unix.NFT_REJECT_TCP_RST && r.proto.at[TransportLayer] == nil:
		r.inFront(func() { r.needLower(s.Pos, &payloadLoad{header: tcpHeader, base: TransportLayer}) })
	case how.Type == unix.NFT_REJECT_ICMP_UNREACH && r.proto.at[NetworkLayer] == nil:
		h := ipHeader
		if how.Family == FamilyIP6 {
			h = ip6Header
		}
		r.inFront(func() { r.needLower(s.Pos, &payloadLoad{header: h, base: NetworkLayer}) })
	}
}
