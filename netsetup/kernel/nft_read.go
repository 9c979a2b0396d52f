package kernel

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/nft"
)

// tableKey identifies a table in a namespace.
type tableKey struct {
	family nft.Family
	name   string
}

// tables reads the tables of nf_tables: in a namespace of the lab all of them,
// elsewhere those that carry the lab's mark or have a wanted name.
func (o *observer) tables() error {
	o.ns.Tables = nil
	err := o.sp.openNft()
	if err == nil {
		r := tableReader{s: o.sp.nft, in: o.in, take: o.takeTable}
		err = r.read()
		o.ns.Tables = r.tables
	}
	switch wanted := o.wantsTables(); {
	case err == nil && (wanted || len(o.ns.Tables) > 0):
	case err == nil, isWithoutNft(err) && !wanted:
		o.sp.closeNft() // most namespaces have no use for it
	case isWithoutNft(err):
		return fmt.Errorf("%w: this kernel has no nf_tables (CONFIG_NF_TABLES, module nf_tables)", err)
	default:
		return fmt.Errorf("read the tables of nf_tables: %w", err)
	}
	return nil
}

// isWithoutNft reports how a kernel says that it has no nf_tables.
func isWithoutNft(err error) bool {
	return errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP)
}

// labsOfTables finds the labs that have tables in a namespace; the calling
// thread is inside.
func (sp *space) labsOfTables(in []byte, add func(lab string)) error {
	err := sp.openNft()
	if err == nil {
		r := tableReader{s: sp.nft, in: in, take: func(t *netsetup.Table, mark string) bool {
			if lab, marked := strings.CutPrefix(mark, netsetup.AliasPrefix); marked {
				add(lab)
			}
			return false
		}}
		err = r.readTables()
	}
	if isWithoutNft(err) {
		return nil
	}
	return err
}

func (o *observer) wantsTables() bool { return o.want != nil && len(o.want.Tables) > 0 }

// takeTable gives a table its origin and says whether it is in the State.
func (o *observer) takeTable(t *netsetup.Table, mark string) bool {
	t.Origin = netsetup.Manual
	if lab, marked := strings.CutPrefix(mark, netsetup.AliasPrefix); marked {
		t.Lab = lab
		t.Origin = netsetup.Foreign
		if lab == o.lab {
			t.Origin = netsetup.Ours
		}
	}
	return !o.guest() || t.Origin == netsetup.Ours || o.wantsTable(t)
}

func (o *observer) wantsTable(t *netsetup.Table) bool {
	return o.wantsTables() && slices.ContainsFunc(o.want.Tables, func(w netsetup.Table) bool {
		return w.Family == t.Family && w.Name == t.Name
	})
}

// indexes gives those of the interfaces that wanted tables name.
func (o *observer) indexes() error {
	o.ns.Indexes = nil
	if o.want == nil {
		return nil
	}
	for i := range o.want.Tables {
		for _, name := range o.want.Tables[i].Interfaces() {
			if l := o.links.byName(name); l != nil {
				if o.ns.Indexes == nil {
					o.ns.Indexes = make(map[string]int)
				}
				o.ns.Indexes[name] = int(l.index)
			}
		}
	}
	return nil
}

// tableReader reads tables with all that is in them.
type tableReader struct {
	s    *socket
	in   []byte
	take func(t *netsetup.Table, mark string) bool

	tables []netsetup.Table
	byKey  map[tableKey]*tableContent
}

// tableContent is a table while it is read.
type tableContent struct {
	*nft.Table
	chains map[string]*nft.Chain
	sets   map[string]*nft.Set
}

// read reads the whole ruleset, again where it changed meanwhile.
func (r *tableReader) read() error {
	for range dumpTries {
		err := r.readTables()
		if err != nil || len(r.tables) == 0 {
			return err
		}
		before, err := r.generation()
		if err != nil {
			return err
		}
		err = r.readContents()
		if err != nil && !errors.Is(err, unix.ENOENT) { // what went meanwhile
			return err
		}
		after, err := r.generation()
		if err != nil {
			return err
		}
		if before == after {
			r.join()
			return nil
		}
	}
	return fmt.Errorf("read %d times: %w", dumpTries, errInterrupted)
}

// generation is a number that every change of the ruleset makes another.
func (r *tableReader) generation() (uint32, error) {
	var q request
	q.beginNft(unix.NFT_MSG_GETGEN, 0, r.s.nextSeq(), 0)
	q.end()
	m, err := r.s.ask(q.b, r.in)
	if err != nil {
		return 0, err
	}
	for a := attributes(m.payload, sizeofNfgenmsg); a.next(); {
		if a.typ == unix.NFTA_GEN_ID {
			return a.be32(), nil
		}
	}
	return 0, errTruncated
}

// dump asks for all of a kind. fill adds what narrows it down; each gets a copy
// of the attributes, which it may keep.
func (r *tableReader) dump(typ uint16, family nft.Family, fill func(q *request), reset func(), each func(family nft.Family, a attrs)) error {
	var q request
	q.beginNft(typ, unix.NLM_F_DUMP, 0, family)
	if fill != nil {
		fill(&q)
	}
	q.end()
	return r.s.dump(&q, r.in, reset, func(m message) error {
		if len(m.payload) < sizeofNfgenmsg {
			return errTruncated
		}
		payload := slices.Clone(m.payload)
		each(nft.Family(payload[0]), attributes(payload, sizeofNfgenmsg))
		return nil
	})
}

func (r *tableReader) readTables() error {
	return r.dump(unix.NFT_MSG_GETTABLE, 0, nil, func() { r.tables, r.byKey = nil, nil }, func(family nft.Family, a attrs) {
		t := &nft.Table{Family: family}
		var user []byte
		for a.next() {
			switch a.typ {
			case unix.NFTA_TABLE_NAME:
				t.Name = a.str()
			case unix.NFTA_TABLE_FLAGS:
				t.Flags = a.be32()
			case nftaTableUserdata:
				user = a.value
				t.Comment = udata(user, udataComment)
			}
		}
		table := netsetup.Table{Family: family, Name: t.Name, Content: t}
		if !r.take(&table, udata(user, udataMark)) {
			return
		}
		if r.byKey == nil {
			r.byKey = make(map[tableKey]*tableContent)
		}
		r.tables = append(r.tables, table)
		r.byKey[tableKey{family, t.Name}] = &tableContent{t, make(map[string]*nft.Chain), make(map[string]*nft.Set)}
	})
}

// readContents reads each kind of thing for all tables at once; elements can
// only be asked for by set.
func (r *tableReader) readContents() error {
	each := func(typ uint16, reset func(c *tableContent), table uint16, add func(c *tableContent, a attrs)) error {
		return r.dump(typ, 0, nil, func() {
			for _, c := range r.byKey {
				reset(c)
			}
		}, func(family nft.Family, a attrs) {
			for b := a; b.next(); {
				if b.typ == table {
					if c := r.byKey[tableKey{family, b.str()}]; c != nil {
						add(c, a)
					}
					return
				}
			}
		})
	}
	err := each(unix.NFT_MSG_GETCHAIN, func(c *tableContent) { c.Chains = nil }, unix.NFTA_CHAIN_TABLE, (*tableContent).addChain)
	if err == nil {
		err = each(unix.NFT_MSG_GETSET, func(c *tableContent) { c.Sets = nil }, unix.NFTA_SET_TABLE, (*tableContent).addSet)
	}
	if err == nil {
		err = each(unix.NFT_MSG_GETOBJ, func(c *tableContent) { c.Objects = nil }, unix.NFTA_OBJ_TABLE, (*tableContent).addObject)
	}
	if err == nil {
		err = each(unix.NFT_MSG_GETFLOWTABLE, func(c *tableContent) { c.Flowtables = nil }, nftaFlowtableTable, (*tableContent).addFlowtable)
	}
	if err == nil {
		err = each(unix.NFT_MSG_GETRULE, (*tableContent).forgetRules, unix.NFTA_RULE_TABLE, (*tableContent).addRule)
	}
	if err != nil {
		return err
	}
	for i := range r.tables {
		t := r.tables[i].Content
		for _, s := range t.Sets {
			if err := r.elements(t, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *tableContent) forgetRules() {
	for _, ch := range c.Chains {
		ch.Rules = nil
	}
}

func (c *tableContent) addChain(a attrs) {
	ch := &nft.Chain{}
	hook := &nft.ChainHook{}
	for a.next() {
		switch a.typ {
		case unix.NFTA_CHAIN_NAME:
			ch.Name = a.str()
		case unix.NFTA_CHAIN_HOOK:
			ch.Hook = hook
			for b := a.nested(); b.next(); {
				switch b.typ {
				case unix.NFTA_HOOK_HOOKNUM:
					hook.Hook = b.be32()
				case unix.NFTA_HOOK_PRIORITY:
					hook.Priority = int32(b.be32())
				case unix.NFTA_HOOK_DEV:
					if hook.Devices == nil {
						hook.Devices = []string{b.str()}
					}
				case nftaHookDevs:
					hook.Devices = devices(&b)
				}
			}
		case unix.NFTA_CHAIN_TYPE:
			hook.Type = a.str()
		case unix.NFTA_CHAIN_POLICY:
			policy := a.be32()
			hook.Policy = &policy
		case nftaChainFlags:
			ch.Flags = a.be32() &^ nftChainBase
		case nftaChainUserdata:
			ch.Comment = udata(a.value, udataComment)
		}
	}
	c.Chains = append(c.Chains, ch)
	c.chains[ch.Name] = ch
}

// devices reads a list of names of interfaces.
func devices(a *attrs) []string {
	var list []string
	for b := a.nested(); b.next(); {
		if b.typ == nftaDeviceName {
			list = append(list, b.str())
		}
	}
	return list
}

func (c *tableContent) addSet(a attrs) {
	s := &nft.Set{}
	for a.next() {
		switch a.typ {
		case unix.NFTA_SET_NAME:
			s.Name = a.str()
		case unix.NFTA_SET_FLAGS:
			s.Flags = a.be32()
		case unix.NFTA_SET_KEY_TYPE:
			s.KeyType = a.be32()
		case unix.NFTA_SET_KEY_LEN:
			s.KeyLen = a.be32()
		case unix.NFTA_SET_DATA_TYPE:
			s.DataType = a.be32()
		case unix.NFTA_SET_DATA_LEN:
			s.DataLen = a.be32()
		case unix.NFTA_SET_OBJ_TYPE:
			s.ObjType = a.be32()
		case unix.NFTA_SET_TIMEOUT:
			s.Timeout = milliseconds(a.be64())
		case unix.NFTA_SET_GC_INTERVAL:
			s.GC = milliseconds(uint64(a.be32()))
		case unix.NFTA_SET_POLICY:
			policy := a.be32()
			s.Policy = &policy
		case unix.NFTA_SET_DESC:
			for b := a.nested(); b.next(); {
				switch b.typ {
				case unix.NFTA_SET_DESC_SIZE:
					s.Size = b.be32()
				case nftaSetDescConcat:
					s.Fields = fields(&b)
				}
			}
		case nftaSetExpr:
			if s.Exprs == nil {
				s.Exprs = []nft.Expression{expression(a.nested())}
			}
		case nftaSetExpressions:
			s.Exprs = expressions(&a)
		case unix.NFTA_SET_USERDATA:
			s.UserData = a.value
		}
	}
	s.Anonymous = isAnonymous(s.Flags)
	c.Sets = append(c.Sets, s)
	c.sets[s.Name] = s
}

// fields reads the lengths of the parts of a concatenation.
func fields(a *attrs) []uint32 {
	var list []uint32
	for b := a.nested(); b.next(); {
		for f := b.nested(); f.next(); {
			if f.typ == nftaSetFieldLen {
				list = append(list, f.be32())
			}
		}
	}
	return list
}

func milliseconds(n uint64) time.Duration { return time.Duration(n) * time.Millisecond }

func (c *tableContent) addObject(a attrs) {
	o := &nft.Object{}
	var data []byte
	for a.next() {
		switch a.typ {
		case unix.NFTA_OBJ_NAME:
			o.Name = a.str()
		case unix.NFTA_OBJ_TYPE:
			o.Type = a.be32()
		case unix.NFTA_OBJ_DATA:
			data = a.value
		case nftaObjUserdata:
			o.Comment = udata(a.value, udataComment)
		}
	}
	o.Data = data
	if o.Type == unix.NFT_OBJECT_QUOTA {
		o.Data = quotaAgain(data)
	}
	c.Objects = append(c.Objects, o)
}

func (c *tableContent) addFlowtable(a attrs) {
	f := &nft.Flowtable{}
	for a.next() {
		switch a.typ {
		case nftaFlowtableName:
			f.Name = a.str()
		case nftaFlowtableFlags:
			f.Flags = a.be32()
		case nftaFlowtableHook:
			for b := a.nested(); b.next(); {
				switch b.typ {
				case nftaFlowtableHookNum:
					f.Hook = b.be32()
				case nftaFlowtableHookPrio:
					f.Priority = int32(b.be32())
				case nftaFlowtableHookDevs:
					f.Devices = devices(&b)
				}
			}
		}
	}
	c.Flowtables = append(c.Flowtables, f)
}

func (c *tableContent) addRule(a attrs) {
	r := &nft.Rule{}
	var chain string
	for a.next() {
		switch a.typ {
		case unix.NFTA_RULE_CHAIN:
			chain = a.str()
		case unix.NFTA_RULE_HANDLE:
			r.Handle = a.be64()
		case unix.NFTA_RULE_EXPRESSIONS:
			r.Exprs = expressions(&a)
		case unix.NFTA_RULE_USERDATA:
			r.Comment = udata(a.value, udataComment)
		}
	}
	if ch := c.chains[chain]; ch != nil {
		ch.Rules = append(ch.Rules, r)
	}
}

// expressions reads a list of them.
func expressions(a *attrs) []nft.Expression {
	var list []nft.Expression
	for b := a.nested(); b.next(); {
		list = append(list, expression(b.nested()))
	}
	return list
}

func expression(a attrs) nft.Expression {
	var e nft.Expression
	for a.next() {
		switch a.typ {
		case unix.NFTA_EXPR_NAME:
			e.Name = a.str()
		case unix.NFTA_EXPR_DATA:
			e.Data = a.value
		}
	}
	return e
}

func (r *tableReader) elements(t *nft.Table, s *nft.Set) error {
	fill := func(q *request) {
		q.str(unix.NFTA_SET_ELEM_LIST_TABLE, t.Name)
		q.str(unix.NFTA_SET_ELEM_LIST_SET, s.Name)
	}
	return r.dump(unix.NFT_MSG_GETSETELEM, t.Family, fill, func() { s.Elements = nil }, func(_ nft.Family, a attrs) {
		for a.next() {
			if a.typ != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
				continue
			}
			for b := a.nested(); b.next(); {
				s.Elements = append(s.Elements, element(b.nested()))
			}
		}
	})
}

func element(a attrs) *nft.SetElement {
	e := &nft.SetElement{}
	for a.next() {
		switch a.typ {
		case unix.NFTA_SET_ELEM_KEY:
			e.Key, _ = datum(a.nested())
		case nftaSetElemKeyEnd:
			e.KeyEnd, _ = datum(a.nested())
		case unix.NFTA_SET_ELEM_DATA:
			e.Data, e.Verdict = datum(a.nested())
		case unix.NFTA_SET_ELEM_FLAGS:
			e.Flags = a.be32()
		case unix.NFTA_SET_ELEM_TIMEOUT:
			d := milliseconds(a.be64())
			e.Timeout = &d
		case unix.NFTA_SET_ELEM_EXPIRATION:
			d := milliseconds(a.be64())
			e.Expires = &d
		case unix.NFTA_SET_ELEM_OBJREF:
			e.Object = a.str()
		case unix.NFTA_SET_ELEM_EXPR:
			if e.Exprs == nil {
				e.Exprs = []nft.Expression{expression(a.nested())}
			}
		case nftaSetElemExpressions:
			e.Exprs = expressions(&a)
		case unix.NFTA_SET_ELEM_USERDATA:
			e.UserData = a.value
		}
	}
	return e
}

// datum reads a value or a verdict.
func datum(a attrs) (value []byte, verdict *nft.SetVerdict) {
	for a.next() {
		switch a.typ {
		case unix.NFTA_DATA_VALUE:
			value = a.value
		case unix.NFTA_DATA_VERDICT:
			verdict = &nft.SetVerdict{}
			for b := a.nested(); b.next(); {
				switch b.typ {
				case unix.NFTA_VERDICT_CODE:
					verdict.Code = int32(b.be32())
				case unix.NFTA_VERDICT_CHAIN:
					verdict.Chain = b.str()
				}
			}
		}
	}
	return value, verdict
}
