package nft

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// What is compiled has lost the words of the language. What comes of the text
// still has them; what only the kernel has is described by its operations, in
// the way of nft --debug=netlink.

func (t *Table) describe() string {
	s := "table " + t.Title()
	if t.Flags&1 != 0 { // NFT_TABLE_F_DORMANT
		s += " { flags dormant; }"
	}
	return s
}

func (c *Chain) describe(t *Table) string {
	s := "chain " + t.Title() + " " + c.Name
	if c.Hook != nil {
		s += " { " + c.Hook.Describe(t.Family) + " }"
	}
	return s
}

// Describe is the hook in nft's words: "type filter hook input priority 0; policy
// drop;".
func (h *ChainHook) Describe(family Family) string {
	s := "type " + h.Type + " hook " + family.hookName(h.Hook)
	switch len(h.Devices) {
	case 0:
	case 1:
		s += " device " + quoted(h.Devices[0])
	default:
		s += " devices = { " + strings.Join(h.Devices, ", ") + " }"
	}
	return s + fmt.Sprintf(" priority %d; policy %s;", h.Priority, policyName(h.policy()))
}

// hookName is the name of a hook of NF_INET_*, NF_ARP_*, NF_BR_* or NF_NETDEV_*.
func (f Family) hookName(hook uint32) string {
	names := []string{"prerouting", "input", "forward", "output", "postrouting", "ingress"}
	switch f {
	case FamilyARP:
		names = []string{"input", "output", "forward"}
	case FamilyNetdev:
		names = []string{"ingress", "egress"}
	}
	if int(hook) < len(names) {
		return names[hook]
	}
	return fmt.Sprint(hook)
}

func policyName(policy uint32) string {
	if policy == 0 {
		return "drop"
	}
	return "accept"
}

func (s *Set) describe(t *Table) string {
	kind := "set"
	if s.Flags&(1<<3|1<<6) != 0 { // NFT_SET_MAP, NFT_SET_OBJECT
		kind = "map"
	}
	text := kind + " " + t.Title() + " " + s.Name
	switch n := s.Count(); n {
	case 0:
		return text
	case 1:
		return text + " with 1 element"
	default:
		return fmt.Sprintf("%s with %d elements", text, n)
	}
}

// Count is how many elements there are, a range being one.
func (s *Set) Count() int {
	n := 0
	for _, e := range s.Elements {
		if e.Flags&unix.NFT_SET_ELEM_INTERVAL_END == 0 {
			n++
		}
	}
	return n
}

func (e *SetElement) describe(t *Table, s *Set) string {
	text := fmt.Sprintf("0x%x", e.Key)
	if e.Flags&elementCatchall != 0 {
		text = "*"
	}
	if len(e.KeyEnd) > 0 {
		text += fmt.Sprintf("-0x%x", e.KeyEnd)
	}
	if e.Flags&unix.NFT_SET_ELEM_INTERVAL_END != 0 {
		text += " (end of a range)"
	}
	switch {
	case e.Verdict != nil:
		text += " : " + verdictName(e.Verdict.Code, e.Verdict.Chain)
	case len(e.Data) > 0:
		text += fmt.Sprintf(" : 0x%x", e.Data)
	case e.Object != "":
		text += " : " + quoted(e.Object)
	}
	return "element " + t.Title() + " " + s.Name + " { " + text + " }"
}

// objectNames are nft's words by NFT_OBJECT_*.
var objectNames = map[uint32]string{
	1: "counter", 2: "quota", 3: "ct helper", 4: "limit", 5: "ct count",
	6: "tunnel", 7: "ct timeout", 8: "secmark", 9: "ct expectation", 10: "synproxy",
}

// Kind is nft's word for the type.
func (o *Object) Kind() string {
	if kind := objectNames[o.Type]; kind != "" {
		return kind
	}
	return fmt.Sprintf("object of type %d", o.Type)
}

func (o *Object) describe(t *Table) string { return o.Kind() + " " + t.Title() + " " + o.Name }

func (f *Flowtable) describe(t *Table) string {
	return fmt.Sprintf("flowtable %s %s { hook ingress priority %d; devices = { %s }; }", t.Title(), f.Name, f.Priority, strings.Join(f.Devices, ", "))
}

func (r *Rule) describe(t *Table, ch *Chain) string {
	return "rule " + t.Title() + " " + ch.Name + " " + r.Describe()
}

// Describe is the rule in the words of the text, or, where there is no text, its
// operations.
func (r *Rule) Describe() string {
	if r.Text != "" {
		return r.Text
	}
	var b strings.Builder
	for i := range r.Exprs {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("[ " + r.Exprs[i].describe() + " ]")
	}
	if r.Comment != "" {
		b.WriteString(" comment " + quoted(r.Comment))
	}
	return strings.TrimPrefix(b.String(), " ")
}

func verdictName(code int32, chain string) string {
	switch code {
	case 0:
		return "drop"
	case 1:
		return "accept"
	case 3: // NF_QUEUE
		return "queue"
	case -1: // NFT_CONTINUE
		return "continue"
	case -2: // NFT_BREAK
		return "break"
	case -3: // NFT_JUMP
		return "jump " + chain
	case -4: // NFT_GOTO
		return "goto " + chain
	case -5: // NFT_RETURN
		return "return"
	}
	return fmt.Sprintf("verdict %d", code)
}

// metaNames are the keys of meta by NFT_META_*.
var metaNames = []string{
	"len", "protocol", "priority", "mark", "iif", "oif", "iifname", "oifname", "iiftype", "oiftype", "skuid", "skgid",
	"nftrace", "rtclassid", "secmark", "nfproto", "l4proto", "ibrname", "obrname", "pkttype", "cpu", "iifgroup",
	"oifgroup", "cgroup", "random", "ipsec", "iifkind", "oifkind", "ibrpvid", "ibrvproto", "time", "day", "hour",
	"sdif", "sdifname", "broute",
}

// ctNames are those of ct by NFT_CT_*.
var ctNames = []string{
	"state", "direction", "status", "mark", "secmark", "expiration", "helper", "l3proto", "saddr", "daddr", "protocol",
	"proto-src", "proto-dst", "label", "packets", "bytes", "avgpkt", "zone", "event", "ip saddr", "ip daddr",
	"ip6 saddr", "ip6 daddr", "id",
}

// operators are those of cmp and range by NFT_CMP_*.
var operators = []string{"==", "!=", "<", "<=", ">", ">="}

func nameOf(names []string, n uint64) string {
	if n < uint64(len(names)) {
		return names[n]
	}
	return fmt.Sprint(n)
}

// describe is the operation in a few words; those that are rare by their
// attributes.
func (e *Expression) describe() string {
	get := func(typ uint16) []byte { return attributeOf(e.Data, typ) }
	n := func(typ uint16) uint64 { return bigEndian(get(typ)) }
	word := func(typ uint16) string { return trimNUL(get(typ)) }
	loads := func(what string, dreg, sreg uint16) string {
		if get(sreg) != nil {
			return fmt.Sprintf("%s set %s with reg %d", e.Name, what, n(sreg))
		}
		return fmt.Sprintf("%s load %s => reg %d", e.Name, what, n(dreg))
	}
	switch e.Name {
	case "immediate":
		if v := attributeOf(get(2), 2); v != nil {
			if attributeOf(v, 3) != nil { // NFTA_VERDICT_CHAIN_ID
				return verdictName(int32(uint32(bigEndian(attributeOf(v, 1)))), "{ … }")
			}
			return verdictName(int32(uint32(bigEndian(attributeOf(v, 1)))), trimNUL(attributeOf(v, 2)))
		}
		return fmt.Sprintf("immediate 0x%x => reg %d", attributeOf(get(2), 1), n(1))
	case "cmp":
		return fmt.Sprintf("cmp reg %d %s 0x%x", n(1), nameOf(operators, n(2)), attributeOf(get(3), 1))
	case "range":
		return fmt.Sprintf("range reg %d %s 0x%x-0x%x", n(1), nameOf(operators, n(2)), attributeOf(get(3), 1), attributeOf(get(4), 1))
	case "meta":
		return loads(nameOf(metaNames, n(2)), 1, 3)
	case "ct":
		what := nameOf(ctNames, n(2))
		if d := get(3); d != nil {
			what = nameOf([]string{"original", "reply"}, bigEndian(d)) + " " + what
		}
		return loads(what, 1, 4)
	case "payload":
		base := nameOf([]string{"link", "network", "transport", "inner", "tunnel"}, n(2))
		return loads(fmt.Sprintf("%db @ %s header + %d", n(4), base, n(3)), 1, 5)
	case "bitwise":
		return fmt.Sprintf("bitwise reg %d & 0x%x ^ 0x%x => reg %d", n(1), attributeOf(get(4), 1), attributeOf(get(5), 1), n(2))
	case "lookup":
		s := fmt.Sprintf("lookup reg %d in %s", n(2), e.setName(word(1)))
		if n(5)&1 != 0 {
			s = fmt.Sprintf("lookup reg %d not in %s", n(2), e.setName(word(1)))
		}
		if get(3) != nil {
			s += fmt.Sprintf(" => reg %d", n(3))
		}
		return s
	case "dynset":
		return fmt.Sprintf("%s reg %d in %s", nameOf([]string{"add", "update", "delete"}, n(3)), n(4), e.setName(word(1)))
	case "objref":
		if get(2) != nil {
			return objectNames[uint32(n(1))] + " name " + word(2)
		}
		return fmt.Sprintf("objref reg %d in %s", n(3), e.setName(word(4)))
	case "notrack", "counter": // what it has counted makes no difference
		return e.Name
	case "flow_offload":
		return "flow add @" + word(1)
	}
	s := e.Name
	for _, a := range attributesOf(e.Data) {
		s += fmt.Sprintf(" %d=0x%x", a.typ, a.value)
	}
	return s
}

// setName names the set of a look-up.
func (e *Expression) setName(name string) string {
	if e.Set == nil {
		return "@" + name
	}
	return fmt.Sprintf("a set of %d", len(e.Set.Elements))
}
