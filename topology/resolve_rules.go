package topology

import (
	"cmp"
	"math"
	"net/netip"
)

// firstRule is the priority of the first rule that does not say: the one above
// that of the main table, as in fib_default_rule_pref of net/core/fib_rules.c.
const firstRule = 32765

// resolveRules splits rules of both families and gives priorities.
func (r *resolver) resolveRules() {
	for i := range r.nodes {
		n := &r.nodes[i]
		if len(n.Rules) == 0 {
			continue
		}
		if n.Kind == External {
			r.errorf(n.Rules[0].Pos, n.path("rules"), "", "no rule is made in %s: the namespace is not made by the lab", n.Name)
			continue
		}
		r.resolveNodeRules(n)
	}
}

func (r *resolver) resolveNodeRules(n *node) {
	var used [2]map[int]bool // priorities, by family
	for f := range used {
		used[f] = map[int]bool{}
	}
	for _, rule := range n.Rules {
		if rule.Priority != nil {
			for f := range used {
				if inFamily(rule, f) {
					used[f][*rule.Priority] = true
				}
			}
		}
	}
	var rules []*Rule
	seen := map[ruleKey]*Rule{}
	next := [2]int{firstRule, firstRule}
	var items itemCounter
	for _, written := range n.Rules {
		path := n.itemPath("rules", items.at(written.Pos))
		if !r.checkRule(n, written, path) {
			continue
		}
		priority := written.Priority
		if priority == nil {
			p := firstRule
			for f := range used {
				if inFamily(written, f) {
					p = min(p, next[f])
				}
			}
			for inFamily(written, 0) && used[0][p] || inFamily(written, 1) && used[1][p] {
				p--
			}
			if p <= 0 {
				r.errorf(written.Pos, path, "give it a `priority`", "no priority below %d is free", firstRule)
				continue
			}
			for f := range used {
				if inFamily(written, f) {
					next[f] = p - 1
				}
			}
			priority = &p
		}
		for f := range used {
			if !inFamily(written, f) {
				continue
			}
			rule := *written
			rule.IPv6 = f == 1
			rule.Family = [...]string{"ipv4", "ipv6"}[f]
			rule.Priority = priority
			rule.Table = cmp.Or(rule.Table, mainTable)
			if other := seen[rule.key()]; other != nil {
				r.errorf(rule.Pos, path, "", "the same rule is there already, at line %d", other.Pos.Line)
				break
			}
			seen[rule.key()] = &rule
			rules = append(rules, &rule)
		}
	}
	n.Rules = rules
}

// inFamily reports whether a rule is one of IPv4 (0) or IPv6 (1): by its
// prefixes, else by its family, else of both.
func inFamily(r *Rule, family int) bool {
	for _, p := range [...]netip.Prefix{r.From, r.To} {
		if p.IsValid() {
			return familyIndex(p.Addr()) == family
		}
	}
	return r.Family == "" || r.Family == "both" || (r.Family == "ipv6") == (family == 1)
}

func (r *resolver) checkRule(n *node, rule *Rule, path string) bool {
	if rule.From.IsValid() && rule.To.IsValid() && rule.From.Addr().Is4() != rule.To.Addr().Is4() {
		r.errorf(rule.Pos, path, "", "%v and %v are of different families", rule.From, rule.To)
		return false
	}
	for _, p := range [...]netip.Prefix{rule.From, rule.To} {
		if p.IsValid() && (rule.Family == "ipv4" || rule.Family == "ipv6") && p.Addr().Is4() != (rule.Family == "ipv4") {
			r.errorf(rule.Pos, path, "leave `family` out", "%v is not of the family %s", p, rule.Family)
			return false
		}
	}
	ok := true
	for _, dev := range [...]string{rule.IIF, rule.OIF} {
		if dev == "" {
			continue
		}
		if _, found := r.find(n, dev); !found {
			r.noInterface(n, rule.Pos, path, dev)
			ok = false
		}
	}
	if !n.inLab() && rule.IIF == "" && rule.OIF == "" {
		r.errorf(rule.Pos, path, "give it the `iif` or `oif` of one of the lab's links",
			"%s is not a namespace of the lab: a rule there must name a link of the lab, or `down` could not tell it from others", n.Name)
		ok = false
	}
	return ok
}

// ruleKey is what the kernel takes a rule for another by.
type ruleKey struct {
	ipv6       bool
	priority   int
	from, to   netip.Prefix
	iif, oif   string
	marked     bool
	mark, mask uint32
	table      int
}

func (r *Rule) key() ruleKey {
	k := ruleKey{ipv6: r.IPv6, priority: *r.Priority, from: r.From, to: r.To, iif: r.IIF, oif: r.OIF, table: r.Table}
	if r.FwMark != nil {
		k.marked, k.mark, k.mask = true, *r.FwMark, math.MaxUint32
		if r.FwMask != nil {
			k.mask = *r.FwMask
		}
	}
	return k
}
