package nft

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Compile turns commands into the ruleset that they make. index gives the index
// of an interface; it is asked for every name that a rule needs the index of
// (`iif eth0`, not `iifname`). With a nil index every interface has the index 1:
// good enough to find what is wrong with the text. All mistakes are found, in
// their order; with any there is no Ruleset.
func Compile(f *File, index func(name string) (uint32, error)) (*Ruleset, Errors) {
	return compile(f, index, false)
}

// Check reads a text and compiles it, with no indexes of interfaces. It gives
// all mistakes of both, in the order of their places, but for names that may
// only be missing because what gives them is mistaken.
func Check(text string) (*File, *Ruleset, Errors) {
	f, errs := Parse(text)
	rs, more := compile(f, nil, len(errs) > 0)
	if errs = append(errs, more...); len(errs) > 0 {
		errs.sort()
		return f, nil, errs
	}
	return f, rs, nil
}

// compile is Compile; partial says that not all of the text is in f.
func compile(f *File, index func(name string) (uint32, error), partial bool) (*Ruleset, Errors) {
	c := &compiler{index: index, tables: make(map[tableKey]*table)}
	for _, cmd := range f.Commands {
		c.try(func() { c.command(cmd) })
	}
	partial = partial || slices.ContainsFunc(c.errs, func(e *Error) bool { return !e.missing })
	rs := &Ruleset{}
	for _, t := range c.order {
		rs.Tables = append(rs.Tables, c.table(t))
	}
	if partial {
		c.errs = slices.DeleteFunc(c.errs, func(e *Error) bool { return e.missing })
	}
	if len(c.errs) > 0 {
		c.errs.sort()
		return nil, c.errs
	}
	return rs, nil
}

// compiler is one call of Compile.
type compiler struct {
	index  func(name string) (uint32, error)
	tables map[tableKey]*table
	order  []*table
	errs   Errors
}

type tableKey struct {
	family Family
	name   string
}

// table is what the commands made of a table.
type table struct {
	*Table
	c          *compiler
	sets       map[string]*set
	named      []*set
	objects    map[objectKey]*Object
	flowtables map[string]*Flowtable
	chains     map[string]*chain
	ordered    []*chain
	interfaces map[string]bool
	setIDs     uint32 // how many sets there are, and anonymous chains
	chainIDs   uint32
}

// chain is a chain with the rules as they were read.
type chain struct {
	*Chain
	rules []*AddRule
}

// fail ends the work on the command at hand; see try.
func fail(pos Pos, format string, args ...any) {
	panic(&Error{Pos: pos, Text: fmt.Sprintf(format, args...)})
}

// failHint is fail with a hint.
func failHint(pos Pos, hint, format string, args ...any) {
	panic(&Error{Pos: pos, Text: fmt.Sprintf(format, args...), Hint: hint})
}

// failValue is fail with what Type.value says about a word.
func failValue(pos Pos, err error) {
	e := *err.(*Error)
	e.Pos = pos
	panic(&e)
}

// failMissing is failHint for a name that stands for nothing.
func failMissing(pos Pos, hint, format string, args ...any) {
	panic(&Error{Pos: pos, Text: fmt.Sprintf(format, args...), Hint: hint, missing: true})
}

// try runs f and keeps the mistake that it ends with.
func (c *compiler) try(f func()) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *Error:
			c.errs = append(c.errs, e)
		default:
			panic(e)
		}
	}()
	f()
}

// command carries out one command as far as that can be done before all are
// known: a rule may jump to a chain that comes later.
func (c *compiler) command(cmd Command) {
	switch cmd := cmd.(type) {
	case *AddTable:
		c.addTable(cmd)
	case *AddChain:
		c.named(cmd.Pos, cmd.Table).addChain(cmd)
	case *AddRule:
		ch := c.named(cmd.Pos, cmd.Table).chain(cmd.Pos, cmd.Chain)
		if cmd.Verb == Insert {
			ch.rules = slices.Insert(ch.rules, 0, cmd)
		} else {
			ch.rules = append(ch.rules, cmd)
		}
	case *AddSet:
		c.named(cmd.Pos, cmd.Table).addSet(cmd)
	case *AddElements:
		c.named(cmd.Pos, cmd.Table).addElements(cmd)
	case *AddObject:
		c.named(cmd.Pos, cmd.Table).addObject(cmd)
	case *AddFlowtable:
		c.named(cmd.Pos, cmd.Table).addFlowtable(cmd)
	case *Remove:
		c.remove(cmd)
	default:
		fail(cmd.At(), "%T is not supported", cmd)
	}
}

func (c *compiler) addTable(cmd *AddTable) {
	family, ok := familyByName(cmd.Table.Family)
	if !ok {
		fail(cmd.Pos, "%q is not a family: ip, ip6, inet, arp, bridge or netdev", cmd.Table.Family)
	}
	key := tableKey{family, cmd.Table.Name}
	t := c.tables[key]
	if t != nil && cmd.Verb == Create {
		fail(cmd.Pos, "table %s %s is there already", cmd.Table.Family, cmd.Table.Name)
	}
	if t == nil {
		checkName(cmd.Pos, cmd.Table.Name)
		t = &table{
			Table: &Table{Pos: cmd.Pos, Family: family, Name: cmd.Table.Name},
			c:     c,
			sets:  make(map[string]*set), objects: make(map[objectKey]*Object),
			flowtables: make(map[string]*Flowtable), chains: make(map[string]*chain),
			interfaces: make(map[string]bool),
		}
		c.tables[key] = t
		c.order = append(c.order, t)
	}
	if cmd.Comment != "" {
		t.Comment = cmd.Comment
	}
	for _, flag := range cmd.Flags {
		if flag.Text != "dormant" {
			failHint(flag.Pos, "such as `flags dormant`", "%q is not supported as a flag of a table", flag.Text)
		}
		t.Flags |= tableDormant
	}
}

// tableDormant is NFT_TABLE_F_DORMANT.
const tableDormant = 1

// nameMax is NFT_NAME_MAXLEN without the NUL.
const nameMax = 255

func checkName(pos Pos, name string) {
	if len(name) > nameMax {
		fail(pos, "a name has at most %d bytes, this one %d", nameMax, len(name))
	}
}

func familyByName(name string) (Family, bool) {
	f, ok := families[cmp.Or(name, "ip")]
	return f, ok
}

// named gives a table that there is.
func (c *compiler) named(pos Pos, name TableName) *table {
	family, _ := familyByName(name.Family)
	t := c.tables[tableKey{family, name.Name}]
	if t == nil {
		failMissing(pos, "a table is made with `table FAMILY NAME { … }`; without a family it is of family ip",
			"there is no table %s %s", cmp.Or(name.Family, "ip"), name.Name)
	}
	return t
}

func (t *table) chain(pos Pos, name string) *chain {
	ch := t.chains[name]
	if ch == nil {
		failMissing(pos, didYouMean(name, slices.Sorted(maps.Keys(t.chains))), "table %s has no chain %q", t.Name, name)
	}
	return ch
}

func (t *table) addChain(cmd *AddChain) {
	ch := t.chains[cmd.Name]
	if ch != nil && cmd.Verb == Create {
		fail(cmd.Pos, "chain %s is there already", cmd.Name)
	}
	made := ch == nil
	if made {
		checkName(cmd.Pos, cmd.Name)
		ch = &chain{Chain: &Chain{Pos: cmd.Pos, Name: cmd.Name}}
		t.chains[cmd.Name] = ch
		t.ordered = append(t.ordered, ch)
	}
	if cmd.Comment != "" {
		ch.Comment = cmd.Comment
	}
	for _, flag := range cmd.Flags {
		if flag.Text != "offload" {
			fail(flag.Pos, "%q is not a flag of a chain: offload", flag.Text)
		}
		ch.Flags |= chainOffload
	}
	if cmd.Hook != nil {
		h := t.hook(cmd.Hook)
		if !made && (ch.Hook == nil || !ch.Hook.same(h)) {
			fail(cmd.Hook.Pos, "chain %s is there already, and not with this hook", cmd.Name)
		}
		if made {
			ch.Hook = h
		}
	}
	if cmd.Policy != nil {
		if ch.Hook == nil {
			fail(cmd.Policy.Pos, "only a chain with a hook has a policy")
		}
		ch.Hook.Policy = policy(cmd.Policy)
	}
}

// same reports whether another chain hangs at the same place.
func (h *ChainHook) same(o *ChainHook) bool {
	return h.Type == o.Type && h.Hook == o.Hook && h.Priority == o.Priority && slices.Equal(h.Devices, o.Devices)
}

// Flags of a chain (enum nft_chain_flags).
const (
	chainOffload = 1 << 1
	chainBinding = 1 << 2
)

func policy(v *Value) *uint32 {
	n := uint32(0) // NF_DROP
	switch v.Text {
	case "accept":
		n = 1
	case "drop":
	default:
		fail(v.Pos, "%q is not a policy: accept or drop", v.Text)
	}
	return &n
}

func (t *table) hook(h *Hook) *ChainHook {
	num, ok := hookByName(t.Family, h.Hook.Text)
	if !ok {
		failHint(h.Hook.Pos, didYouMean(h.Hook.Text, slices.Sorted(maps.Keys(hooks[t.Family]))), "family %s has no hook %q", t.Family, h.Hook.Text)
	}
	out := &ChainHook{Type: h.Type.Text, Hook: num}
	switch out.Type {
	case "filter", "nat", "route":
	default:
		fail(h.Type.Pos, "%q is not a type of chain: filter, nat or route", out.Type)
	}
	out.Priority = priority(h.Priority, h.Pos, t.Family, h.Hook.Text)
	for _, d := range h.Devices {
		out.Devices = append(out.Devices, d.Text)
	}
	bound := hookTakesDevice(t.Family, h.Hook.Text)
	switch {
	case bound && len(out.Devices) == 0:
		failHint(h.Pos, "such as `device \"eth0\"` before the priority", "a chain of this hook is bound to a device")
	case !bound && len(out.Devices) > 0:
		fail(h.Devices[0].Pos, "a chain of this hook cannot be bound to a device")
	}
	return out
}

// priority is the number of a priority: nft(8), "Standard priority names".
func priority(p *Priority, pos Pos, family Family, hook string) int32 {
	if p == nil {
		failHint(pos, "such as `priority filter` or `priority 0`", "the priority is missing")
	}
	base := int32(0)
	if p.Name != "" {
		n, ok := priorityByName(family, hook, p.Name)
		if !ok {
			fail(p.Pos, "%q is not the name of a priority in family %s at hook %s", p.Name, family, hook)
		}
		base = n
	}
	n := int64(base) + int64(p.Offset)
	if n != int64(int32(n)) {
		fail(p.Pos, "a priority is a number of 32 bits, and %d is not", n)
	}
	return int32(n)
}

// remove carries out what takes away.
func (c *compiler) remove(cmd *Remove) {
	if cmd.Kind == "ruleset" {
		c.order = slices.DeleteFunc(c.order, func(t *table) bool {
			if cmd.Table.Family != "" && t.Family.String() != cmd.Table.Family {
				return false
			}
			delete(c.tables, tableKey{t.Family, t.Name})
			return true
		})
		return
	}
	family, _ := familyByName(cmd.Table.Family)
	t := c.tables[tableKey{family, cmd.Table.Name}]
	if t == nil {
		if cmd.Verb != Destroy {
			c.named(cmd.Pos, cmd.Table)
		}
		return
	}
	if cmd.Kind == "table" {
		t.remove(cmd)
		return
	}
	if !t.removeIn(cmd) && cmd.Verb != Destroy {
		failMissing(cmd.Pos, "", "table %s has no %s %q", t.Name, cmd.Kind, cmd.Name)
	}
}

// remove takes a table away, or the rules of all its chains.
func (t *table) remove(cmd *Remove) {
	if cmd.Verb == Flush {
		for _, ch := range t.ordered {
			ch.rules = nil
		}
		return
	}
	t.c.order = slices.DeleteFunc(t.c.order, func(x *table) bool { return x == t })
	delete(t.c.tables, tableKey{t.Family, t.Name})
}

// removeIn takes a thing of a table away, or empties it, and reports whether
// there is one.
func (t *table) removeIn(cmd *Remove) bool {
	switch cmd.Kind {
	case "chain":
		ch := t.chains[cmd.Name]
		if ch == nil {
			return false
		}
		if ch.rules = nil; cmd.Verb != Flush {
			delete(t.chains, cmd.Name)
			t.ordered = slices.DeleteFunc(t.ordered, func(x *chain) bool { return x == ch })
		}
	case "set", "map":
		s := t.sets[cmd.Name]
		if s == nil {
			return false
		}
		if s.pending = nil; cmd.Verb != Flush {
			delete(t.sets, cmd.Name)
			t.named = slices.DeleteFunc(t.named, func(x *set) bool { return x == s })
		}
	case "flowtable":
		f := t.flowtables[cmd.Name]
		if f == nil {
			return false
		}
		delete(t.flowtables, cmd.Name)
		t.Flowtables = slices.DeleteFunc(t.Flowtables, func(x *Flowtable) bool { return x == f })
	default:
		key := objectKey{objectTypes[cmd.Kind], cmd.Name}
		o := t.objects[key]
		if o == nil {
			return false
		}
		delete(t.objects, key)
		t.Objects = slices.DeleteFunc(t.Objects, func(x *Object) bool { return x == o })
	}
	return true
}

// table compiles what the commands left.
func (c *compiler) table(t *table) *Table {
	for _, s := range t.named {
		c.try(s.compileElements)
	}
	for _, ch := range t.ordered {
		t.Chains = append(t.Chains, ch.Chain)
		for _, r := range ch.rules {
			c.try(func() { ch.Rules = append(ch.Rules, t.rule(r)) })
		}
	}
	for _, s := range t.named {
		s.finish()
		t.Sets = append(t.Sets, s.Set)
	}
	t.Interfaces = slices.Sorted(maps.Keys(t.interfaces))
	return t.Table
}

// interfaceIndex gives the index of an interface, and remembers that it was
// needed.
func (t *table) interfaceIndex(pos Pos, name string) uint32 {
	if len(name) > 15 { // IFNAMSIZ without the NUL
		fail(pos, "%q is not the name of an interface: it has more than 15 bytes", name)
	}
	t.interfaces[name] = true
	if t.c.index == nil {
		return 1
	}
	n, err := t.c.index(name)
	if err != nil {
		failHint(pos, "`iifname` and `oifname` match by name, whether the interface is there or not", "interface %q: %v", name, err)
	}
	return n
}
