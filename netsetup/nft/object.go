package nft

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// Types of objects (NFT_OBJECT_*, linux/netfilter/nf_tables.h).
const (
	objectCounter       = 1
	objectQuota         = 2
	objectCtHelper      = 3
	objectLimit         = 4
	objectCtTimeout     = 7
	objectSecmark       = 8
	objectCtExpectation = 9
	objectSynproxy      = 10
)

// objectTypes are the kinds of objects by the words of the language.
var objectTypes = map[string]uint32{
	"counter": objectCounter, "quota": objectQuota, "limit": objectLimit, "synproxy": objectSynproxy, "secmark": objectSecmark,
	"ct helper": objectCtHelper, "ct timeout": objectCtTimeout, "ct expectation": objectCtExpectation,
}

// objectKind is the words for a kind of objects.
func objectKind(kind uint32) string {
	for words, k := range objectTypes {
		if k == kind {
			return words
		}
	}
	return "object"
}

type objectKey struct {
	kind uint32
	name string
}

func (t *table) addObject(cmd *AddObject) {
	o := &Object{Pos: cmd.Pos, Name: cmd.Name, Comment: cmd.Comment}
	checkName(cmd.Pos, cmd.Name)
	switch x := cmd.Object.(type) {
	case *Counter:
		o.Type, o.Data = objectCounter, counterAttrs(x)
	case *Quota:
		o.Type, o.Data = objectQuota, quotaAttrs(x)
	case *Limit:
		o.Type, o.Data = objectLimit, limitAttrs(x)
	case *Synproxy:
		o.Type, o.Data = objectSynproxy, synproxyAttrs(x)
	case *CtHelper:
		o.Type, o.Data = objectCtHelper, t.helperAttrs(x)
	case *CtTimeout:
		o.Type, o.Data = objectCtTimeout, t.timeoutAttrs(x)
	case *CtExpectation:
		o.Type, o.Data = objectCtExpectation, t.expectationAttrs(x)
	case *Secmark:
		var a attrs
		a.str(1, x.Context) // NFTA_SECMARK_CTX
		o.Type, o.Data = objectSecmark, a
	default:
		fail(cmd.Pos, "%T is not supported", cmd.Object)
	}
	key := objectKey{o.Type, cmd.Name}
	if t.objects[key] != nil {
		if cmd.Verb == Create {
			fail(cmd.Pos, "%q is there already", cmd.Name)
		}
		return
	}
	t.objects[key] = o
	t.Objects = append(t.Objects, o)
}

func counterAttrs(c *Counter) attrs {
	var a attrs
	a.u64(unix.NFTA_COUNTER_BYTES, c.Bytes)
	a.u64(unix.NFTA_COUNTER_PACKETS, c.Packets)
	return a
}

func quotaAttrs(q *Quota) attrs {
	var a attrs
	a.u64(unix.NFTA_QUOTA_BYTES, q.Bytes)
	flags := uint32(0)
	if q.Over {
		flags = unix.NFT_QUOTA_F_INV
	}
	a.u32(unix.NFTA_QUOTA_FLAGS, flags)
	a.u64(unix.NFTA_QUOTA_CONSUMED, q.Used)
	return a
}

// packetBurst is the burst of a limit in packets that says none: nft(8), "LIMIT
// STATEMENT".
const packetBurst = 5

func limitAttrs(l *Limit) attrs {
	unit, ok := limitUnits[l.Per]
	if !ok {
		fail(l.Pos, "a rate is per second, minute, hour, day or week, not %q", l.Per)
	}
	if l.Rate == 0 {
		fail(l.Pos, "a rate of 0 lets nothing pass: drop says so better")
	}
	burst, kind, flags := uint64(packetBurst), uint32(unix.NFT_LIMIT_PKTS), uint32(0)
	if l.Bytes {
		burst, kind = 0, unix.NFT_LIMIT_PKT_BYTES
	}
	if l.Burst != nil {
		burst = *l.Burst
	}
	if l.Over {
		flags = unix.NFT_LIMIT_F_INV
	}
	var a attrs
	a.u64(unix.NFTA_LIMIT_RATE, l.Rate)
	a.u64(unix.NFTA_LIMIT_UNIT, unit)
	if burst > 0 {
		a.u32(unix.NFTA_LIMIT_BURST, uint32(burst))
	}
	a.u32(unix.NFTA_LIMIT_TYPE, kind)
	a.u32(unix.NFTA_LIMIT_FLAGS, flags)
	return a
}

// Flags of synproxy (NF_SYNPROXY_OPT_*, linux/netfilter/nf_synproxy.h).
const (
	synproxyMSS       = 0x01
	synproxyWScale    = 0x02
	synproxySackPerm  = 0x04
	synproxyTimestamp = 0x08
)

func synproxyAttrs(s *Synproxy) attrs {
	var flags uint32
	var mss, wscale uint64
	if s.MSS != nil {
		mss, flags = integer(s.MSS, 16), flags|synproxyMSS
	}
	if s.WScale != nil {
		wscale, flags = integer(s.WScale, 8), flags|synproxyWScale
	}
	if s.Timestamp {
		flags |= synproxyTimestamp
	}
	if s.SackPerm {
		flags |= synproxySackPerm
	}
	var a attrs
	a.u16(1, uint16(mss))  // NFTA_SYNPROXY_MSS
	a.u8(2, uint8(wscale)) // NFTA_SYNPROXY_WSCALE
	a.u32(3, flags)        // NFTA_SYNPROXY_FLAGS
	return a
}

// l3proto is the family that an object is for: that of its table, if none is
// said.
func (t *table) l3proto(v *Value) uint16 {
	if v == nil {
		return uint16(t.Family)
	}
	f, ok := families[v.Text]
	if !ok || f != FamilyIP && f != FamilyIP6 && f != FamilyInet {
		fail(v.Pos, "%q is not ip, ip6 or inet", v.Text)
	}
	return uint16(f)
}

func ctProtocol(pos Pos, v *Value) uint8 {
	if v == nil {
		fail(pos, "the protocol is missing: tcp or udp")
	}
	n, ok := ctProtocols[v.Text]
	if !ok {
		fail(v.Pos, "%q is not tcp or udp", v.Text)
	}
	return n
}

func (t *table) helperAttrs(h *CtHelper) attrs {
	if h.Type == nil {
		failHint(h.Pos, "such as `type \"ftp\" protocol tcp;`", "it is not said which helper")
	}
	var a attrs
	a.str(1, h.Type.Text) // NFTA_CT_HELPER_NAME
	a.u16(2, t.l3proto(h.L3Proto))
	a.u8(3, ctProtocol(h.Pos, h.Protocol))
	return a
}

// timeoutAttrs are NFTA_CT_TIMEOUT_*; a state that no time is given for keeps the
// default that nft sends.
func (t *table) timeoutAttrs(o *CtTimeout) attrs {
	proto := ctProtocol(o.Pos, o.Protocol)
	given := make(map[string]time.Duration)
	for _, p := range o.Policy {
		given[p.State.Text] = p.Time
	}
	var times attrs
	for _, s := range ctTimeoutStates[proto] {
		seconds := s.Seconds
		if d, ok := given[s.Name]; ok {
			seconds = uint32(d / time.Second)
			delete(given, s.Name)
		}
		times.u32(uint16(s.Index)+1, seconds)
	}
	for _, p := range o.Policy {
		if _, left := given[p.State.Text]; left {
			fail(p.State.Pos, "%q is not a state of %s", p.State.Text, o.Protocol.Text)
		}
	}
	var a attrs
	a.u16(1, t.l3proto(o.L3Proto)) // NFTA_CT_TIMEOUT_L3PROTO
	a.u8(2, proto)                 // NFTA_CT_TIMEOUT_L4PROTO
	a.nest(3, times)               // NFTA_CT_TIMEOUT_DATA
	return a
}

// expectationAttrs are NFTA_CT_EXPECT_*.
func (t *table) expectationAttrs(o *CtExpectation) attrs {
	var a attrs
	a.u16(1, t.l3proto(o.L3Proto))
	a.u8(2, ctProtocol(o.Pos, o.Protocol))
	if o.DPort == nil || o.Timeout == nil || o.Size == nil {
		fail(o.Pos, "an expectation has dport, timeout and size")
	}
	port, err := typeInetService.value(o.DPort.Text, 16)
	if err != nil {
		failValue(o.DPort.Pos, err)
	}
	a.bytes(3, port)
	a.bytes(4, binary.NativeEndian.AppendUint32(nil, uint32(o.Timeout.Milliseconds()))) // in the machine's order
	a.u8(5, uint8(integer(o.Size, 8)))
	return a
}

// stateful compiles a statement that remembers something.
func stateful(s Stmt) Expression {
	switch s := s.(type) {
	case *Counter:
		return expression("counter", counterAttrs(s))
	case *Quota:
		return expression("quota", quotaAttrs(s))
	case *Limit:
		return expression("limit", limitAttrs(s))
	case *CtCount:
		flags := uint32(0)
		if s.Over {
			flags = 1 // NFT_CONNLIMIT_F_INV
		}
		var a attrs
		a.u32(1, s.Count) // NFTA_CONNLIMIT_COUNT
		a.u32(2, flags)   // NFTA_CONNLIMIT_FLAGS
		return expression("connlimit", a)
	case *Last:
		var a attrs
		if s.Used != nil {
			a.u32(1, 1)                             // NFTA_LAST_SET
			a.u64(2, uint64(s.Used.Milliseconds())) // NFTA_LAST_MSECS
		}
		return expression("last", a)
	}
	fail(s.At(), "only counter, limit, quota, ct count and last can be part of a set")
	return Expression{}
}

// objectRef compiles the use of a named object, or of one that a map gives.
func (r *rule) objectRef(s *ObjectRef) {
	kind, ok := objectTypes[s.Kind]
	if !ok {
		fail(s.Pos, "%q is not a kind of object", s.Kind)
	}
	var a attrs
	switch name := s.Name.(type) {
	case *Value:
		if r.objects[objectKey{kind, name.Text}] == nil {
			failMissing(name.Pos, "", "table %s has no %s %q", r.Name, s.Kind, name.Text)
		}
		a.u32(unix.NFTA_OBJREF_IMM_TYPE, kind)
		a.str(unix.NFTA_OBJREF_IMM_NAME, name.Text)
		r.emit("objref", a)
	case *Map:
		key, set := r.objectMap(name, kind)
		r.into(key, func(reg int) { a.reg(unix.NFTA_OBJREF_SET_SREG, reg) })
		a.str(unix.NFTA_OBJREF_SET_NAME, set.Name)
		a.u32(unix.NFTA_OBJREF_SET_ID, set.ID)
		r.emitSet("objref", a, set)
	default:
		fail(s.Name.At(), "the name of a %s is expected, or a map that gives one", s.Kind)
	}
}

// objectMap evaluates a map that gives objects.
func (r *rule) objectMap(m *Map, kind uint32) (*term, *set) {
	key := r.eval(m.Key, want{})
	if key.isConstant() {
		fail(m.Key.At(), "what is looked up in a map is to be of the packet, not constant")
	}
	var s *set
	switch of := m.Of.(type) {
	case *SetLiteral:
		w := wantOf(key)
		w.max = 0
		l := r.literal(of, w)
		template := key
		if template.kind != concat {
			template = &term{pos: of.Pos, typ: key.typ, order: key.order, bits: key.width()}
		}
		s = &set{
			Set: &Set{
				Pos: of.Pos, Name: "__objmap%d", ID: r.nextSetID(), Anonymous: true,
				Flags: setAnonymous | setConstant | setObject, ObjType: kind,
			},
			t: r.table, key: template, isMap: true,
		}
		r.completeAnonymous(s, l)
	case *SetRef:
		s = r.reference(of).set
		if s.ObjType != kind {
			fail(of.Pos, "%s does not give such objects", s.title())
		}
	}
	return r.lookupKey(m.Key.At(), key, s), s
}

func (t *table) addFlowtable(cmd *AddFlowtable) {
	f := t.flowtables[cmd.Name]
	if f != nil {
		if cmd.Verb == Create {
			fail(cmd.Pos, "flowtable %s is there already", cmd.Name)
		}
		for _, d := range cmd.Devices {
			f.Devices = append(f.Devices, d.Text)
		}
		return
	}
	checkName(cmd.Pos, cmd.Name)
	f = &Flowtable{Pos: cmd.Pos, Name: cmd.Name}
	if cmd.Hook != nil {
		if cmd.Hook.Text != "ingress" {
			fail(cmd.Hook.Pos, "a flowtable hangs at ingress, not at %q", cmd.Hook.Text)
		}
		f.Priority = priority(cmd.Priority, cmd.Pos, FamilyNetdev, "ingress")
	}
	for _, d := range cmd.Devices {
		f.Devices = append(f.Devices, d.Text)
	}
	for _, flag := range cmd.Flags {
		if flag.Text != "offload" {
			fail(flag.Pos, "%q is not a flag of a flowtable: offload", flag.Text)
		}
		f.Flags |= 1 // NFT_FLOWTABLE_HW_OFFLOAD
	}
	if cmd.Counter {
		f.Flags |= 2 // NFT_FLOWTABLE_COUNTER
	}
	t.flowtables[cmd.Name] = f
	t.Flowtables = append(t.Flowtables, f)
}
