package kernel

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
)

// ruleRequest asks for the rules of both families.
func ruleRequest() *request {
	var r request
	r.begin(unix.RTM_GETRULE, unix.NLM_F_DUMP, 0, sizeofFibRuleHdr)
	r.end()
	return &r
}

// parsedRule is one RTM_NEWRULE.
type parsedRule struct {
	rule  netsetup.Rule // without Origin
	proto uint8
}

func parseRule(m message) (p parsedRule, ok bool) {
	if m.typ != unix.RTM_NEWRULE || len(m.payload) < sizeofFibRuleHdr {
		return p, false
	}
	fam, toBits, fromBits, tos := m.payload[0], int(m.payload[1]), int(m.payload[2]), m.payload[3]
	action := m.payload[7]
	flags := native.Uint32(m.payload[8:])
	if fam != unix.AF_INET && fam != unix.AF_INET6 {
		return p, false
	}
	r := &p.rule
	r.IPv6 = fam == unix.AF_INET6
	r.Table = int(m.payload[4])
	var other []string
	for a := attributes(m.payload, sizeofFibRuleHdr); a.next(); {
		switch a.typ {
		case unix.FRA_PRIORITY:
			r.Priority = int(a.u32())
		case unix.FRA_SRC:
			r.From = netip.PrefixFrom(a.addr(), fromBits)
		case unix.FRA_DST:
			r.To = netip.PrefixFrom(a.addr(), toBits)
		case unix.FRA_IIFNAME:
			r.IIF = a.str()
		case unix.FRA_OIFNAME:
			r.OIF = a.str()
		case unix.FRA_FWMARK:
			r.FwMark = a.u32()
		case unix.FRA_FWMASK:
			r.FwMask = a.u32()
		case unix.FRA_TABLE:
			r.Table = int(a.u32())
		case unix.FRA_PROTOCOL:
			p.proto = a.u8()
		default:
			if s := ruleWords(&a); s != "" {
				other = append(other, s)
			}
		}
	}
	if flags&unix.FIB_RULE_INVERT != 0 {
		other = append(other, "not")
	}
	if tos != 0 {
		other = append(other, fmt.Sprintf("tos %#x", tos))
	}
	if action != unix.FR_ACT_TO_TBL && action != unix.FR_ACT_GOTO {
		other = append(other, actionName(action))
	}
	r.Other = strings.Join(other, " ")
	return p, true
}

// ruleWords tells, in the words of ip-rule(8), an attribute that State has no
// field for; "" where it says nothing.
func ruleWords(a *attrs) string {
	ports := func() string {
		if len(a.value) < 4 {
			return "?"
		}
		lo, hi := native.Uint16(a.value), native.Uint16(a.value[2:])
		if lo == hi {
			return fmt.Sprint(lo)
		}
		return fmt.Sprintf("%d-%d", lo, hi)
	}
	switch a.typ {
	case unix.FRA_SUPPRESS_PREFIXLEN:
		if a.u32() == ^uint32(0) {
			return ""
		}
		return fmt.Sprintf("suppress_prefixlength %d", a.u32())
	case unix.FRA_SUPPRESS_IFGROUP:
		return fmt.Sprintf("suppress_ifgroup %d", a.u32())
	case unix.FRA_FLOW:
		if a.u32() == 0 {
			return ""
		}
		return fmt.Sprintf("realms %d", a.u32())
	case unix.FRA_L3MDEV:
		if a.u8() == 0 {
			return ""
		}
		return "l3mdev"
	case unix.FRA_IP_PROTO:
		return fmt.Sprintf("ipproto %d", a.u8())
	case unix.FRA_SPORT_RANGE:
		return "sport " + ports()
	case unix.FRA_DPORT_RANGE:
		return "dport " + ports()
	case fraSportMask, fraDportMask:
		if a.u16() == 0xffff {
			return ""
		}
	case unix.FRA_GOTO:
		return fmt.Sprintf("goto %d", a.u32())
	case unix.FRA_UID_RANGE:
		if len(a.value) < 8 {
			return "uidrange ?"
		}
		return fmt.Sprintf("uidrange %d-%d", native.Uint32(a.value), native.Uint32(a.value[4:]))
	case unix.FRA_PAD:
		return ""
	}
	return fmt.Sprintf("attribute %d %x", a.typ, a.value)
}

func actionName(action uint8) string {
	switch action {
	case unix.FR_ACT_NOP:
		return "nop"
	case unix.FR_ACT_BLACKHOLE:
		return "blackhole"
	case unix.FR_ACT_UNREACHABLE:
		return "unreachable"
	case unix.FR_ACT_PROHIBIT:
		return "prohibit"
	}
	return fmt.Sprintf("action %d", action)
}

// ofEvery are the rules that every namespace has (net/ipv4/fib_rules.c:
// fib_default_rules_init, net/ipv6/fib6_rules.c:fib6_rules_net_init). Without a
// mark: one that is put back is the kernel's again.
var ofEvery = [...]netsetup.Rule{
	{Origin: netsetup.Manual, Priority: 0, Table: unix.RT_TABLE_LOCAL},
	{Origin: netsetup.Manual, Priority: 32766, Table: unix.RT_TABLE_MAIN},
	{Origin: netsetup.Manual, Priority: 32767, Table: unix.RT_TABLE_DEFAULT},
	{Origin: netsetup.Manual, Priority: 0, Table: unix.RT_TABLE_LOCAL, IPv6: true},
	{Origin: netsetup.Manual, Priority: 32766, Table: unix.RT_TABLE_MAIN, IPv6: true},
}

// madeByKernel reports one of those that every namespace has: the kernel's own
// by its mark, or one put back by hand.
func (p *parsedRule) madeByKernel() bool {
	if p.proto == unix.RTPROT_KERNEL {
		return true
	}
	return p.proto != netsetup.Protocol && p.ofEvery() >= 0
}

// ofEvery is which of those it is; -1 is none.
func (p *parsedRule) ofEvery() int {
	r := p.rule
	r.Origin = netsetup.Manual
	return slices.Index(ofEvery[:], r)
}

func (p *parsedRule) origin(links linkTable) netsetup.Origin {
	switch p.proto {
	case netsetup.Protocol:
		return netsetup.Ours
	case unix.RTPROT_UNSPEC, unix.RTPROT_BOOT, unix.RTPROT_STATIC:
		for _, name := range []string{p.rule.IIF, p.rule.OIF} {
			if l := links.byName(name); l != nil && l.foreign {
				return netsetup.Foreign
			}
		}
		return netsetup.Manual
	}
	return netsetup.Foreign
}

func (o *observer) rules() error {
	ns := &o.ns
	var found [len(ofEvery)]bool
	var four, six bool // a kernel may be built without the rules of a family
	err := o.dump(o.reqs.rules, func() { ns.Rules, found = nil, [len(ofEvery)]bool{} }, func(m message) error {
		p, ok := parseRule(m)
		if !ok {
			return nil
		}
		four, six = four || !p.rule.IPv6, six || p.rule.IPv6
		if p.madeByKernel() {
			if i := p.ofEvery(); i >= 0 {
				found[i] = true
			}
			return nil
		}
		p.rule.Origin = p.origin(o.links)
		if !o.guest() || o.concernsRule(&p.rule) {
			ns.Rules = append(ns.Rules, p.rule)
		}
		return nil
	})
	ns.LostRules = nil
	for i, there := range found {
		if r := &ofEvery[i]; !there && !o.guest() && (r.IPv6 && six || !r.IPv6 && four) {
			ns.LostRules = append(ns.LostRules, *r)
		}
	}
	return err
}

// addRule asks for a rule. One with more than State has fields for can only be
// put back: it was taken away by this Kernel.
func (w *work) addRule(op int, rule *netsetup.Rule) error {
	if rule.Other == "" {
		w.rule(op, rule, unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
		return nil
	}
	payload, ok := w.sp.deletedRules[*rule]
	if !ok {
		return fmt.Errorf("cannot make a rule with %q", rule.Other)
	}
	w.raw(op, unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, payload)
	return nil
}

func (w *work) rule(op int, rule *netsetup.Rule, typ, flags uint16) {
	from, to := rule.From.IsValid() && rule.From.Bits() > 0, rule.To.IsValid() && rule.To.Bits() > 0
	r, body := w.begin(op, typ, flags, sizeofFibRuleHdr)
	body[0] = unix.AF_INET
	if rule.IPv6 {
		body[0] = unix.AF_INET6
	}
	if to {
		body[1] = uint8(rule.To.Bits())
	}
	if from {
		body[2] = uint8(rule.From.Bits())
	}
	body[7] = unix.FR_ACT_TO_TBL
	r.u32(unix.FRA_PRIORITY, uint32(rule.Priority))
	r.u32(unix.FRA_TABLE, uint32(rule.Table))
	if from {
		r.addr(unix.FRA_SRC, rule.From.Addr())
	}
	if to {
		r.addr(unix.FRA_DST, rule.To.Addr())
	}
	if rule.IIF != "" {
		r.str(unix.FRA_IIFNAME, rule.IIF)
	}
	if rule.OIF != "" {
		r.str(unix.FRA_OIFNAME, rule.OIF)
	}
	if rule.FwMask != 0 {
		r.u32(unix.FRA_FWMARK, rule.FwMark)
		r.u32(unix.FRA_FWMASK, rule.FwMask)
	}
	if rule.Origin == netsetup.Ours {
		r.u8(unix.FRA_PROTOCOL, netsetup.Protocol)
	}
	w.end()
}

// deleteRule asks for the end of one rule. The kernel takes the first one that
// has what is named, which may be another's that has more: one that is not
// marked is read, and sent back as it is.
func (w *work) deleteRule(op int, rule *netsetup.Rule) error {
	if rule.Origin == netsetup.Ours && rule.Other == "" {
		w.rule(op, rule, unix.RTM_DELRULE, 0)
		return nil
	}
	w.flush()
	if err := w.loadLinks(); err != nil {
		return err
	}
	var found []byte
	wanted := *rule
	wanted.Pos = noPos
	err := w.sp.sock.dump(ruleRequest(), w.in, func() { found = nil }, func(m message) error {
		p, ok := parseRule(m)
		if !ok || found != nil || p.madeByKernel() {
			return nil
		}
		p.rule.Origin = p.origin(w.sp.links)
		if p.rule == wanted {
			found = append([]byte(nil), m.payload...)
		}
		return nil
	})
	if err != nil || found == nil {
		return err
	}
	w.raw(op, unix.RTM_DELRULE, 0, found)
	w.flush()
	if w.sp.deletedRules == nil {
		w.sp.deletedRules = make(map[netsetup.Rule][]byte)
	}
	w.sp.deletedRules[wanted] = found
	return nil
}
