package kernel

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/failpoint"
	"nslab/netsetup/netns"
	"nslab/netsetup/nft"
)

// maxElements bounds the bytes of elements in one message: they are one
// attribute, whose length has 16 bits.
const maxElements = maxAttribute - 4096

// transaction is messages to nf_tables that are carried out as one: all of
// them, or none.
type transaction struct {
	req   request
	seq   uint32
	parts []part // by message

	// What is numbered, so that messages can name it before the kernel has,
	// is numbered through the whole transaction.
	sets   map[*nft.Set]uint32
	chains uint32
}

// part is what a message is about.
type part struct {
	seq   uint32
	op    int
	what  any // *nft.Table and so on; nil: the transaction
	chain string
	table *netsetup.Table
}

func (t *transaction) begin(typ, flags uint16, op int, table *netsetup.Table, what any) *request {
	t.seq++
	t.parts = append(t.parts, part{seq: t.seq, op: op, what: what, table: table})
	t.req.beginNft(typ, flags, t.seq, table.Family)
	return &t.req
}

// bracket is the first or the last message.
func (t *transaction) bracket(typ uint16) {
	t.seq++
	body := t.req.begin(typ, 0, t.seq, sizeofNfgenmsg)
	binary.BigEndian.PutUint16(body[2:], unix.NFNL_SUBSYS_NFTABLES)
	t.req.end()
}

// remove takes a table away, whether it is there or not.
func (t *transaction) remove(op int, table *netsetup.Table) {
	for _, m := range []struct{ typ, flags uint16 }{{unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE}, {unix.NFT_MSG_DELTABLE, 0}} {
		r := t.begin(m.typ, m.flags, op, table, table.Content)
		r.str(unix.NFTA_TABLE_NAME, table.Name)
		r.end()
	}
}

// add makes a table with all that is in it, in the order in which one thing
// names another: rules and elements chains, rules sets, elements objects.
func (t *transaction) add(op int, table *netsetup.Table) {
	c := table.Content
	r := t.begin(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, op, table, c)
	r.str(unix.NFTA_TABLE_NAME, c.Name)
	r.be32(unix.NFTA_TABLE_FLAGS, c.Flags)
	var user []byte
	if c.Comment != "" {
		user = appendUdata(user, udataComment, c.Comment)
	}
	if table.Origin == netsetup.Ours {
		user = appendUdata(user, udataMark, tableMark(table.Lab))
	}
	if user != nil {
		r.bytes(nftaTableUserdata, user)
	}
	r.end()
	w := tableWriter{transaction: t, op: op, table: table, Table: c, base: t.chains}
	for _, ch := range c.Chains {
		w.chain(ch)
		t.chains = max(t.chains, w.base+ch.ID)
	}
	for _, o := range c.Objects {
		w.object(o)
	}
	for _, s := range c.Sets {
		w.set(s)
	}
	for _, s := range c.Sets {
		w.elements(s)
	}
	for _, f := range c.Flowtables {
		w.flowtable(f)
	}
	w.written = make(map[uint32]bool)
	for _, ch := range c.Chains {
		if ch.ID == 0 {
			w.rules(ch)
		}
	}
}

// tableWriter writes what is in one table.
type tableWriter struct {
	*transaction
	*nft.Table
	op      int
	table   *netsetup.Table
	base    uint32          // added to the numbers of chains
	written map[uint32]bool // chains without a name whose rules are written
}

func (w *tableWriter) begin(typ, flags uint16, what any) *request {
	return w.transaction.begin(typ, flags, w.op, w.table, what)
}

func (w *tableWriter) chain(ch *nft.Chain) {
	r := w.begin(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, ch)
	r.str(unix.NFTA_CHAIN_TABLE, w.Name)
	if ch.ID == 0 {
		r.str(unix.NFTA_CHAIN_NAME, ch.Name)
	} else {
		r.be32(nftaChainID, w.base+ch.ID)
	}
	if ch.Flags != 0 {
		r.be32(nftaChainFlags, ch.Flags)
	}
	if h := ch.Hook; h != nil {
		nest := r.nest(unix.NFTA_CHAIN_HOOK)
		r.be32(unix.NFTA_HOOK_HOOKNUM, h.Hook)
		r.be32(unix.NFTA_HOOK_PRIORITY, uint32(h.Priority))
		if len(h.Devices) == 1 {
			r.str(unix.NFTA_HOOK_DEV, h.Devices[0])
		} else if len(h.Devices) > 1 {
			r.devices(nftaHookDevs, h.Devices)
		}
		r.unnest(nest)
		if h.Policy != nil {
			r.be32(unix.NFTA_CHAIN_POLICY, *h.Policy)
		}
		r.str(unix.NFTA_CHAIN_TYPE, h.Type)
	}
	r.comment(nftaChainUserdata, ch.Comment)
	r.end()
}

func (r *request) devices(typ uint16, names []string) {
	nest := r.nest(typ)
	for _, name := range names {
		r.str(nftaDeviceName, name)
	}
	r.unnest(nest)
}

func (r *request) comment(typ uint16, s string) {
	if s != "" {
		r.bytes(typ, appendUdata(nil, udataComment, s))
	}
}

func (w *tableWriter) object(o *nft.Object) {
	r := w.begin(unix.NFT_MSG_NEWOBJ, unix.NLM_F_CREATE, o)
	r.str(unix.NFTA_OBJ_TABLE, w.Name)
	r.str(unix.NFTA_OBJ_NAME, o.Name)
	r.be32(unix.NFTA_OBJ_TYPE, o.Type)
	nest := r.nest(unix.NFTA_OBJ_DATA)
	r.attributes(o.Data)
	r.unnest(nest)
	r.comment(nftaObjUserdata, o.Comment)
	r.end()
}

func (w *tableWriter) flowtable(f *nft.Flowtable) {
	r := w.begin(unix.NFT_MSG_NEWFLOWTABLE, unix.NLM_F_CREATE, f)
	r.str(nftaFlowtableTable, w.Name)
	r.str(nftaFlowtableName, f.Name)
	nest := r.nest(nftaFlowtableHook)
	r.be32(nftaFlowtableHookNum, f.Hook)
	r.be32(nftaFlowtableHookPrio, uint32(f.Priority))
	r.devices(nftaFlowtableHookDevs, f.Devices)
	r.unnest(nest)
	if f.Flags != 0 {
		r.be32(nftaFlowtableFlags, f.Flags)
	}
	r.end()
}

func (w *tableWriter) set(s *nft.Set) {
	if w.sets == nil {
		w.sets = make(map[*nft.Set]uint32)
	}
	w.sets[s] = uint32(len(w.sets) + 1)
	r := w.begin(unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE, s)
	r.str(unix.NFTA_SET_TABLE, w.Name)
	r.str(unix.NFTA_SET_NAME, s.Name)
	r.be32(unix.NFTA_SET_ID, w.sets[s])
	r.be32(unix.NFTA_SET_FLAGS, s.Flags)
	r.be32(unix.NFTA_SET_KEY_TYPE, s.KeyType)
	r.be32(unix.NFTA_SET_KEY_LEN, s.KeyLen)
	if s.Flags&unix.NFT_SET_MAP != 0 {
		r.be32(unix.NFTA_SET_DATA_TYPE, s.DataType)
		if s.DataType != unix.NFT_DATA_VERDICT {
			r.be32(unix.NFTA_SET_DATA_LEN, s.DataLen)
		}
	}
	if s.Flags&unix.NFT_SET_OBJECT != 0 {
		r.be32(unix.NFTA_SET_OBJ_TYPE, s.ObjType)
	}
	if s.Timeout != 0 {
		r.be64(unix.NFTA_SET_TIMEOUT, uint64(s.Timeout.Milliseconds()))
	}
	if s.GC != 0 {
		r.be32(unix.NFTA_SET_GC_INTERVAL, uint32(s.GC.Milliseconds()))
	}
	if s.Policy != nil {
		r.be32(unix.NFTA_SET_POLICY, *s.Policy)
	}
	if s.Size != 0 || len(s.Fields) > 0 {
		desc := r.nest(unix.NFTA_SET_DESC)
		if s.Size != 0 {
			r.be32(unix.NFTA_SET_DESC_SIZE, s.Size)
		}
		if len(s.Fields) > 0 {
			list := r.nest(nftaSetDescConcat)
			for _, n := range s.Fields {
				item := r.nest(unix.NFTA_LIST_ELEM)
				r.be32(nftaSetFieldLen, n)
				r.unnest(item)
			}
			r.unnest(list)
		}
		r.unnest(desc)
	}
	w.stateful(nftaSetExpr, nftaSetExpressions, s.Exprs)
	if len(s.UserData) > 0 {
		r.bytes(unix.NFTA_SET_USERDATA, s.UserData)
	}
	r.end()
}

// stateful writes expressions for which there are two attributes, one for a
// single one.
func (w *tableWriter) stateful(one, many uint16, list []nft.Expression) {
	switch len(list) {
	case 0:
	case 1:
		w.expression(one, &list[0])
	default:
		nest := w.req.nest(many)
		for i := range list {
			w.expression(unix.NFTA_LIST_ELEM, &list[i])
		}
		w.req.unnest(nest)
	}
}

// elements writes those of a set, in as many messages as they need.
func (w *tableWriter) elements(s *nft.Set) {
	for at := 0; at < len(s.Elements); {
		first := s.Elements[at]
		r := w.begin(unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE, first)
		w.parts[len(w.parts)-1].chain = s.Name
		r.str(unix.NFTA_SET_ELEM_LIST_TABLE, w.Name)
		r.str(unix.NFTA_SET_ELEM_LIST_SET, s.Name)
		r.be32(unix.NFTA_SET_ELEM_LIST_SET_ID, w.sets[s])
		nest := r.nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS)
		for at < len(s.Elements) && len(r.b)-nest < maxElements {
			item := r.nest(unix.NFTA_LIST_ELEM)
			w.element(s.Elements[at])
			r.unnest(item)
			at++
		}
		r.unnest(nest)
		r.end()
	}
}

func (w *tableWriter) element(e *nft.SetElement) {
	r := &w.req
	if e.Flags != 0 {
		r.be32(unix.NFTA_SET_ELEM_FLAGS, e.Flags)
	}
	if len(e.Key) > 0 {
		r.value(unix.NFTA_SET_ELEM_KEY, e.Key)
	}
	if len(e.KeyEnd) > 0 {
		r.value(nftaSetElemKeyEnd, e.KeyEnd)
	}
	if v := e.Verdict; v != nil {
		data := r.nest(unix.NFTA_SET_ELEM_DATA)
		verdict := r.nest(unix.NFTA_DATA_VERDICT)
		r.be32(unix.NFTA_VERDICT_CODE, uint32(v.Code))
		if v.Chain != "" {
			r.str(unix.NFTA_VERDICT_CHAIN, v.Chain)
		}
		r.unnest(verdict)
		r.unnest(data)
	} else if len(e.Data) > 0 {
		r.value(unix.NFTA_SET_ELEM_DATA, e.Data)
	}
	if e.Timeout != nil {
		r.be64(unix.NFTA_SET_ELEM_TIMEOUT, uint64(e.Timeout.Milliseconds()))
	}
	if e.Expires != nil {
		r.be64(unix.NFTA_SET_ELEM_EXPIRATION, uint64(e.Expires.Milliseconds()))
	}
	if e.Object != "" {
		r.str(unix.NFTA_SET_ELEM_OBJREF, e.Object)
	}
	w.stateful(unix.NFTA_SET_ELEM_EXPR, nftaSetElemExpressions, e.Exprs)
	if len(e.UserData) > 0 {
		r.bytes(unix.NFTA_SET_ELEM_USERDATA, e.UserData)
	}
}

// attributes appends ones that are encoded already.
func (r *request) attributes(list []byte) {
	r.b = append(r.b, list...)
	r.b = append(r.b, make([]byte, align(len(list))-len(list))...)
}

// value appends a value of a register.
func (r *request) value(typ uint16, v []byte) {
	nest := r.nest(typ)
	r.bytes(unix.NFTA_DATA_VALUE, v)
	r.unnest(nest)
}

// rules writes those of a chain. A rule that a chain without a name belongs to
// comes behind the rules of that: from then on it takes no more
// (net/netfilter/nf_tables_api.c:nf_tables_newrule).
func (w *tableWriter) rules(ch *nft.Chain) {
	for _, rule := range ch.Rules {
		for i := range rule.Exprs {
			if id := blockOf(&rule.Exprs[i]); id != 0 && !w.written[id] {
				w.written[id] = true
				if at := slices.IndexFunc(w.Chains, func(c *nft.Chain) bool { return c.ID == id }); at >= 0 {
					w.rules(w.Chains[at])
				}
			}
		}
		w.rule(ch, rule)
	}
}

func (w *tableWriter) rule(ch *nft.Chain, rule *nft.Rule) {
	r := w.begin(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, rule)
	w.parts[len(w.parts)-1].chain = ch.Name
	r.str(unix.NFTA_RULE_TABLE, w.Name)
	if ch.ID == 0 {
		r.str(unix.NFTA_RULE_CHAIN, ch.Name)
	} else {
		r.be32(nftaRuleChainID, w.base+ch.ID)
	}
	list := r.nest(unix.NFTA_RULE_EXPRESSIONS)
	for i := range rule.Exprs {
		w.expression(unix.NFTA_LIST_ELEM, &rule.Exprs[i])
	}
	r.unnest(list)
	r.comment(unix.NFTA_RULE_USERDATA, rule.Comment)
	r.end()
}

// setIDs are the attributes with the number of a set, beside setNames.
var setIDs = map[string]uint16{
	"lookup": unix.NFTA_LOOKUP_SET_ID, "dynset": unix.NFTA_DYNSET_SET_ID, "objref": unix.NFTA_OBJREF_SET_ID,
}

func (w *tableWriter) expression(typ uint16, e *nft.Expression) {
	r := &w.req
	item := r.nest(typ)
	r.str(unix.NFTA_EXPR_NAME, e.Name)
	data := r.nest(unix.NFTA_EXPR_DATA)
	at := len(r.b)
	if e.Set != nil {
		// Its name and number are this transaction's.
		for a := (attrs{rest: e.Data}); a.next(); {
			if a.typ != setNames[e.Name] && a.typ != setIDs[e.Name] {
				r.bytes(a.typ, a.value)
			}
		}
		r.str(setNames[e.Name], e.Set.Name)
		r.be32(setIDs[e.Name], w.sets[e.Set])
	} else {
		r.attributes(e.Data)
	}
	if e.Name == "immediate" {
		if id, found := findBlock(r.b[at:]); found != nil {
			binary.BigEndian.PutUint32(found, w.base+id)
		}
	}
	r.unnest(data)
	r.unnest(item)
}

// blockOf is the number of the chain that belongs to the rule with this
// expression; 0: none.
func blockOf(e *nft.Expression) uint32 {
	if e.Name != "immediate" {
		return 0
	}
	id, _ := findBlock(e.Data)
	return id
}

// findBlock finds it in the attributes of an immediate.
func findBlock(data []byte) (id uint32, at []byte) {
	for a := (attrs{rest: data}); a.next(); {
		if a.typ != unix.NFTA_IMMEDIATE_DATA {
			continue
		}
		for b := a.nested(); b.next(); {
			if b.typ != unix.NFTA_DATA_VERDICT {
				continue
			}
			for v := b.nested(); v.next(); {
				if v.typ == nftaVerdictChainID && len(v.value) == 4 {
					return v.be32(), v.value
				}
			}
		}
	}
	return 0, nil
}

// changeTables carries out ops whose objects are tables, as one transaction;
// the calling thread is inside.
func (w *work) changeTables(ops []int) error {
	if err := w.sp.openNft(); err != nil {
		return fmt.Errorf("open nf_tables: %w", err)
	}
	t := &transaction{seq: w.sp.nft.seq}
	t.bracket(nfnlMsgBatchBegin)
	for _, op := range ops {
		o := &w.d.ops[op]
		table := o.Object.(*netsetup.Table)
		if o.Verb != netsetup.Add {
			t.remove(op, table)
		}
		if o.Verb == netsetup.Delete {
			continue
		}
		content, err := w.compileTable(table)
		if err != nil {
			w.d.fail(op, err)
			return nil
		}
		c := *table
		c.Content = content
		t.add(op, &c)
	}
	t.bracket(nfnlMsgBatchEnd)
	w.sp.nft.seq = t.seq
	return failpoint.Around("kernel.nft", func() error {
		return t.send(w.sp.nft, w.in, func(p *part, err error) {
			w.d.fail(p.op, p.refusal(err))
		})
	})
}

// compileTable gives a table with the indexes that the interfaces have now.
func (w *work) compileTable(t *netsetup.Table) (*nft.Table, error) {
	return t.Compile(func(name string) (uint32, error) {
		index, err := w.index(name)
		return uint32(index), err
	})
}

// send sends a transaction; what the kernel refuses of it goes to refused. It
// was carried out by the time that the send returns, and nothing is answered
// where all went well (net/netfilter/nfnetlink.c:nfnetlink_rcv_batch), so that
// no buffer is too small for the answers: what matters is the first of them.
func (t *transaction) send(s *socket, in []byte, refused func(p *part, err error)) error {
	s.drain(in)
	if err := s.makeRoom(len(t.req.b)); err != nil {
		return err
	}
	if err := s.send(t.req.b); err != nil {
		return err
	}
	for {
		n, _, err := unix.Recvfrom(s.fd, in, unix.MSG_DONTWAIT)
		switch err {
		case nil:
		case unix.EINTR, unix.ENOBUFS:
			continue
		case unix.EAGAIN:
			return nil
		default:
			return os.NewSyscallError("receive a netlink answer", err)
		}
		for b := in[:n]; len(b) > 0; {
			var m message
			if m, b, err = nextMessage(b); err != nil {
				return err
			}
			if m.typ != unix.NLMSG_ERROR {
				continue
			}
			if err := refusalOf(m); err != nil {
				refused(t.partOf(m.seq), err)
			}
		}
	}
}

// partOf finds what a message was about; of the transaction itself, the first.
func (t *transaction) partOf(seq uint32) *part {
	at, _ := slices.BinarySearchFunc(t.parts, seq, func(p part, seq uint32) int { return cmp.Compare(p.seq, seq) })
	if at == len(t.parts) || t.parts[at].seq != seq {
		p := t.parts[0]
		p.what = nil
		return &p
	}
	return &t.parts[at]
}

// sendOverhead is what the kernel counts beside the message itself
// (net/netlink/af_netlink.c:netlink_sendmsg).
const sendOverhead = 4096

// wmemMax is the sysctl that bounds the send buffer of those without privilege
// over the host.
const wmemMax = "net.core.wmem_max"

// SendBuffer is the net.core.wmem_max that those without privilege over the host
// need for the rules of a lab; 0 where it has none. It is a little more than what
// is needed, since interfaces have no indexes yet.
func SendBuffer(want *netsetup.State) (uint64, error) {
	most := 0
	for i := range want.Namespaces {
		var t transaction
		for j := range want.Namespaces[i].Tables {
			table := want.Namespaces[i].Tables[j]
			content, err := table.Compile(func(string) (uint32, error) { return 1, nil })
			if err != nil {
				return 0, err
			}
			table.Content = content
			t.remove(0, &table)
			t.add(0, &table)
		}
		most = max(most, len(t.req.b))
	}
	if most == 0 {
		return 0, nil
	}
	return uint64(most+sendOverhead+2*sizeofBracket+1) / 2, nil
}

// sizeofBracket is the size of the first and of the last message of a transaction.
const sizeofBracket = unix.SizeofNlMsghdr + sizeofNfgenmsg

// makeRoom makes the send buffer large enough for one message of n bytes.
func (s *socket) makeRoom(n int) error {
	need := n + sendOverhead
	size, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	if err != nil || size >= need {
		return os.NewSyscallError("getsockopt", err)
	}
	if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, need) == nil {
		return nil
	}
	// The kernel takes twice what is asked for, which is at most wmem_max.
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, (need+1)/2); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	size, err = unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	if err != nil || size >= need {
		return os.NewSyscallError("getsockopt", err)
	}
	return &netns.LimitError{
		Limit: wmemMax,
		Value: fmt.Sprint(size / 2),
		Hint:  fmt.Sprintf("raise it: sudo sysctl -w %s=%d", wmemMax, (need+1)/2),
		Err:   fmt.Errorf("the rules make a transaction of %d bytes, and without privilege over the host one may have %d", n, size-sendOverhead),
	}
}

// refusal says what part of its op the kernel refused.
func (p *part) refusal(err error) error {
	e := &netsetup.PartError{Err: err}
	var pos nft.Pos
	switch x := p.what.(type) {
	case *nft.Chain:
		pos, e.Part = x.Pos, strings.TrimPrefix("chain "+x.Name, " ")
	case *nft.Rule:
		pos, e.Part = x.Pos, "rule of chain "+p.chain+": "+x.Describe()
	case *nft.Set:
		pos, e.Part = x.Pos, "set "+x.Name
	case *nft.SetElement:
		pos, e.Part = x.Pos, "elements of set "+p.chain
	case *nft.Object:
		pos, e.Part = x.Pos, "object "+x.Name
	case *nft.Flowtable:
		pos, e.Part = x.Pos, "flowtable "+x.Name
	default:
		return err
	}
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		e.Hint = "it names something that is not there, or the kernel lacks a module for it"
	}
	e.Pos = p.table.At(pos)
	return e
}
