package nft

import (
	"golang.org/x/sys/unix"
	"maps"
	"slices"
)

// statement compiles one statement. last says that it is the last of its rule.
func (r *rule) statement(s Stmt, last bool) {
	switch s := s.(type) {
	case *Match:
		r.match(s, last)
	case *Verdict:
		v := r.decide(s)
		r.verdict(v, verdictRegister)
		r.terminal = v.code != -1 // continue
	case *Vmap:
		r.vmap(s)
	case *Counter, *Limit, *Quota, *CtCount, *Last:
		r.out = append(r.out, stateful(s))
	case *ObjectRef:
		r.objectRef(s)
	case *Log:
		r.log(s)
	case *Reject:
		r.reject(s)
		r.terminal = true
	case *NAT:
		r.nat(s)
		r.terminal = true
	case *TProxy:
		r.tproxy(s)
	case *Notrack:
		r.emit("notrack", nil)
	case *Dup:
		r.dup(s)
	case *Fwd:
		r.fwd(s)
		r.terminal = true
	case *Queue:
		r.queue(s)
		r.terminal = true
	case *Assign:
		r.assign(s)
	case *ResetOption:
		l, _ := r.optionField(s.Option, true)
		var a attrs
		a.u8(unix.NFTA_EXTHDR_TYPE, l.kind)
		a.u32(unix.NFTA_EXTHDR_OP, l.op)
		r.emit("exthdr", a)
	case *Update:
		r.update(s)
	case *Meter:
		r.meter(s)
	case *FlowAdd:
		r.flowAdd(s)
	case *Synproxy:
		r.emit("synproxy", synproxyAttrs(s))
	default:
		fail(s.At(), "this statement is not supported")
	}
}

func (r *rule) vmap(s *Vmap) {
	t := r.eval(&Map{Pos: s.Pos, Key: s.Key, Of: s.Of}, want{typ: typeVerdict})
	if t.typ != typeVerdict {
		fail(s.Of.At(), "the map gives %s, not verdicts", t.typ.Name)
	}
	r.lookupMap(t, verdictRegister)
}

// argument evaluates what a statement is given, as it is wanted.
func (r *rule) argument(e Expr, typ *Type, bits int, order Order) *term {
	t := r.eval(e, want{typ: typ, bits: bits, order: order})
	switch t.kind {
	case literal, reference:
		failHint(e.At(), "a map gives one value: `… map { … }`", "a set stands where one value is needed")
	case wildcard, decision:
		fail(e.At(), "a value of type %s is expected", typ.Desc)
	}
	if t.typ != typeInteger && !sameType(t.typ, typ) {
		fail(e.At(), "this is %s, and %s is expected", t.typ.Desc, typ.Desc)
	}
	if l, ok := t.load.(*payloadLoad); ok && t.kind == loaded && t.typ == typeInteger && (!typ.isA(typeInteger) || l.bits != bits) {
		fail(e.At(), "this has %d bits, and %s is expected", l.bits, typ.Desc)
	}
	if _, ok := t.load.(*rtLoad); ok && t.kind == loaded {
		return swap(t, order)
	}
	if t.kind == prefix {
		lo, hi := t.bounds()
		from, to := *t, *t
		from.kind, from.num = constant, lo
		to.kind, to.num = constant, hi
		return spanOf(t.pos, &from, &to)
	}
	return t
}

func (r *rule) log(s *Log) {
	var a attrs
	if s.Prefix != nil {
		if len(*s.Prefix) > logPrefixMax {
			fail(s.Pos, "a log prefix has at most %d bytes", logPrefixMax)
		}
		a.str(unix.NFTA_LOG_PREFIX, *s.Prefix)
	}
	var flags uint32
	for _, f := range s.Flags {
		n, ok := logFlags[f.Text]
		if !ok {
			fail(f.Pos, "%q is not a flag of log", f.Text)
		}
		flags |= n
	}
	if s.Group == nil && s.Snaplen == nil && s.Threshold == nil {
		r.logLevel(s, &a, flags)
		r.emit("log", a)
		return
	}
	if s.Level != nil || flags != 0 {
		fail(s.Pos, "a group goes with neither level nor flags")
	}
	if s.Group != nil {
		a.u16(unix.NFTA_LOG_GROUP, uint16(integer(s.Group, 16)))
		if s.Snaplen != nil {
			a.u32(unix.NFTA_LOG_SNAPLEN, uint32(integer(s.Snaplen, 32)))
		}
		if s.Threshold != nil {
			a.u16(unix.NFTA_LOG_QTHRESHOLD, uint16(integer(s.Threshold, 16)))
		}
	}
	r.emit("log", a)
}

// logPrefixMax is NF_LOG_PREFIXLEN without the NUL.
const logPrefixMax = 127

func (r *rule) logLevel(s *Log, a *attrs, flags uint32) {
	if s.Level != nil {
		level, ok := logLevels[s.Level.Text]
		if !ok {
			fail(s.Level.Pos, "%q is not a level of log", s.Level.Text)
		}
		if level == NFT_LOGLEVEL_AUDIT && (s.Prefix != nil || flags != 0) {
			fail(s.Pos, "log level audit goes with nothing else")
		}
		a.u32(unix.NFTA_LOG_LEVEL, level)
	}
	if flags != 0 {
		a.u32(unix.NFTA_LOG_FLAGS, flags)
	}
}

// integer reads a number of at most so many bits.
func integer(v *Value, bits int) uint64 {
	b, err := typeInteger.value(v.Text, bits)
	if err != nil {
		failValue(v.Pos, err)
	}
	n := uint64(0)
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

func (r *rule) dup(s *Dup) {
	var a attrs
	switch r.Family {
	case FamilyIP, FamilyIP6:
		addr := r.argument(s.To, r.addressType(), r.addressType().Bits, BigEndian)
		r.into(addr, func(reg int) {
			a.reg(nftaDupAddr, reg)
			if s.Dev != nil {
				r.into(r.device(s.Dev), func(reg int) { a.reg(nftaDupDev, reg) })
			}
		})
	case FamilyNetdev:
		if s.Dev != nil {
			fail(s.Dev.At(), "in family netdev the interface itself is where the copy goes")
		}
		r.into(r.device(s.To), func(reg int) { a.reg(nftaDupDev, reg) })
	default:
		fail(s.Pos, "dup is for tables of family ip, ip6 and netdev")
	}
	r.emit("dup", a)
}

// NFTA_DUP_* and NFTA_FWD_*.
const (
	nftaDupAddr   = 1
	nftaDupDev    = 2
	nftaFwdDev    = 1
	nftaFwdAddr   = 2
	nftaFwdFamily = 3
)

// addressType is what addresses of the table's family are.
func (r *rule) addressType() *Type {
	if r.Family == FamilyIP6 {
		return typeIPv6Addr
	}
	return typeIPv4Addr
}

func (r *rule) device(e Expr) *term { return r.argument(e, typeIfIndex, 32, HostEndian) }

func (r *rule) fwd(s *Fwd) {
	if r.Family != FamilyNetdev {
		fail(s.Pos, "fwd is for tables of family netdev")
	}
	if s.Dev == nil {
		fail(s.Pos, "it is not said to which interface")
	}
	var a attrs
	r.into(r.device(s.Dev), func(reg int) {
		a.reg(nftaFwdDev, reg)
		if s.To == nil {
			return
		}
		typ, family := typeIPv4Addr, FamilyIP
		switch s.Family {
		case "ip":
		case "ip6":
			typ, family = typeIPv6Addr, FamilyIP6
		default:
			fail(s.Pos, "an address needs `ip` or `ip6` before `to`")
		}
		r.into(r.argument(s.To, typ, typ.Bits, BigEndian), func(reg int) { a.reg(nftaFwdAddr, reg) })
		a.u32(nftaFwdFamily, uint32(family))
	})
	r.emit("fwd", a)
}

func (r *rule) queue(s *Queue) {
	var a attrs
	var flags uint16
	for _, f := range s.Flags {
		n, ok := queueFlags[f.Text]
		if !ok {
			fail(f.Pos, "%q is not a flag of queue: bypass or fanout", f.Text)
		}
		flags |= uint16(n)
	}
	num := uint16(0)
	total := uint16(1)
	var t *term
	if s.Num != nil {
		t = r.argument(s.Num, typeInteger, 16, HostEndian)
	}
	if flags&NFT_QUEUE_FLAG_CPU_FANOUT != 0 && (t == nil || t.kind != span) {
		fail(s.Pos, "fanout needs a range of queues")
	}
	if t != nil && !t.isConstant() {
		if t.max > 0xffff {
			fail(s.Num.At(), "there are 65536 queues")
		}
		r.into(t, func(reg int) { a.reg(unix.NFTA_QUEUE_SREG_QNUM, reg) })
	} else {
		if t != nil {
			lo, hi := t.bounds()
			num, total = uint16(lo.Uint64()), uint16(hi.Uint64()-lo.Uint64()+1)
		}
		a.u16(unix.NFTA_QUEUE_NUM, num)
		a.u16(unix.NFTA_QUEUE_TOTAL, total)
	}
	if flags != 0 {
		a.u16(unix.NFTA_QUEUE_FLAGS, flags)
	}
	r.emit("queue", a)
}

// update compiles `add @set { … }`, which the packet itself does to a set.
func (r *rule) update(s *Update) {
	set := r.reference(&SetRef{Pos: s.Pos, Name: s.Set}).set
	op, ok := map[string]uint32{"add": unix.NFT_DYNSET_OP_ADD, "update": unix.NFT_DYNSET_OP_UPDATE, "delete": nftDynsetDelete}[s.Op]
	if !ok {
		fail(s.Pos, "a packet can add to, update or delete from a set, not %s", s.Op)
	}
	r.updateSet(s, set, op, r.updatePart(s.Key.Key, set.key))
}

// updateSet emits an update, with its key evaluated.
func (r *rule) updateSet(s *Update, set *set, op uint32, key *term) {
	var data *term
	switch {
	case s.Key.Comment != "" || s.Key.Expires != nil:
		fail(s.Key.Pos, "what a packet adds to a set has neither comment nor expires")
	case set.ObjType != 0:
		fail(s.Pos, "a packet cannot add to a map of objects")
	case s.Key.Data != nil && set.data != nil:
		data = r.updatePart(s.Key.Data, set.data)
	case s.Key.Data != nil:
		fail(s.Key.Data.At(), "%s gives nothing to its elements", set.title())
	case set.isMap && op != nftDynsetDelete:
		fail(s.Key.Pos, "an element of a map has what it gives behind a colon")
	}
	if s.Key.Timeout != nil {
		set.needTimeouts(s.Key.Pos)
	}
	set.Flags |= setEval
	var a attrs
	a.str(unix.NFTA_DYNSET_SET_NAME, set.Name)
	a.u32(unix.NFTA_DYNSET_SET_ID, set.ID)
	a.u32(unix.NFTA_DYNSET_OP, op)
	r.into(key, func(reg int) {
		a.reg(unix.NFTA_DYNSET_SREG_KEY, reg)
		if data != nil {
			r.into(data, func(reg int) { a.reg(unix.NFTA_DYNSET_SREG_DATA, reg) })
		}
	})
	if s.Key.Timeout != nil && *s.Key.Timeout > 0 {
		a.u64(unix.NFTA_DYNSET_TIMEOUT, uint64(s.Key.Timeout.Milliseconds()))
	}
	r.updateExprs(s, &a)
	r.emitSet("dynset", a, set)
}

// meter compiles an update of a set of its own, which has the name of the meter.
func (r *rule) meter(s *Meter) {
	key := r.eval(s.Key.Key, want{})
	if key.isConstant() {
		fail(s.Key.At(), "a meter is of something of the packet, not constant")
	}
	if r.sets[s.Name] != nil {
		fail(s.Pos, "table %s has a set of the name %q already", r.table.Name, s.Name)
	}
	own := &set{
		Set: &Set{Pos: s.Pos, Name: s.Name, ID: r.nextSetID(), Anonymous: true, Flags: setAnonymous, Size: s.Size},
		t:   r.table, key: key,
	}
	op := uint32(unix.NFT_DYNSET_OP_ADD)
	if s.Key.Timeout != nil {
		own.Flags |= setTimeout
		op = unix.NFT_DYNSET_OP_UPDATE
	}
	r.updateSet(&Update{Pos: s.Pos, Key: s.Key}, own, op, key)
	own.finish()
	r.Sets = append(r.Sets, own.Set)
}

// Numbers of nf_tables.h that golang.org/x/sys/unix has not.
const (
	nftDynsetDelete       = 2 // NFT_DYNSET_OP_DELETE
	nftaDynsetExpressions = 10
	nftDynsetFExpr        = 2 // NFT_DYNSET_F_EXPR
	nftaListElem          = 1 // NFTA_LIST_ELEM
)

func (r *rule) updateExprs(s *Update, a *attrs) {
	switch len(s.Key.Stmts) {
	case 0:
	case 1:
		a.nest(unix.NFTA_DYNSET_EXPR, exprAttrs(stateful(s.Key.Stmts[0])))
	default:
		var list attrs
		for _, st := range s.Key.Stmts {
			list.nest(nftaListElem, exprAttrs(stateful(st)))
		}
		a.nest(nftaDynsetExpressions, list)
		a.u32(unix.NFTA_DYNSET_FLAGS, nftDynsetFExpr)
	}
}

// exprAttrs are an expression as it is nested in others.
func exprAttrs(e Expression) attrs {
	var a attrs
	a.str(unix.NFTA_EXPR_NAME, e.Name)
	a.nest(unix.NFTA_EXPR_DATA, e.Data)
	return a
}

// updatePart evaluates the key or the data of an update.
func (r *rule) updatePart(e Expr, template *term) *term {
	w := wantOf(template)
	w.bits = template.bits
	t := r.eval(e, w)
	if t.isConstant() && !t.isSingle() {
		fail(e.At(), "what a packet adds to a set is one value")
	}
	if t.typ != typeInteger && !sameType(t.typ, template.typ) {
		fail(e.At(), "this is %s, and the set is of %s", t.typ.Name, template.typ.Name)
	}
	return t
}

func (r *rule) flowAdd(s *FlowAdd) {
	if r.flowtables[s.Flowtable] == nil {
		failMissing(s.Pos, didYouMean(s.Flowtable, slices.Sorted(maps.Keys(r.flowtables))), "table %s has no flowtable %q", r.Name, s.Flowtable)
	}
	var a attrs
	a.str(1, s.Flowtable) // NFTA_FLOW_TABLE_NAME
	r.emit("flow_offload", a)
}
