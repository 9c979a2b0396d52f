package topology

import (
	"net/netip"
)

// wordReader reads the words of iproute2, as in ip-route(8) and ip-rule(8).
type wordReader struct {
	*parser
	rest []Text
}

// next gives the word after another, which cannot be the last.
func (w *wordReader) next(after Text, what string) (Text, bool) {
	if len(w.rest) == 0 {
		w.errorAt(after.Pos, "", "%s follows `%s`; there is nothing", what, after.Value)
		return Text{}, false
	}
	t := w.rest[0]
	w.rest = w.rest[1:]
	return t, true
}

// take gives the next word if it is one of words.
func (w *wordReader) take(words ...string) (Text, bool) {
	if len(w.rest) > 0 {
		for _, word := range words {
			if w.rest[0].Value == word {
				t := w.rest[0]
				w.rest = w.rest[1:]
				return t, true
			}
		}
	}
	return Text{}, false
}

func (w *wordReader) address(after Text) (a netip.Addr) {
	if t, ok := w.next(after, "an address"); ok {
		a, _ = w.parser.address(t)
	}
	return a
}

func (w *wordReader) device(after Text) string {
	t, ok := w.next(after, "the name of an interface")
	if !ok {
		return ""
	}
	return w.interfaceName(t)
}

func (w *wordReader) number(after Text, least, most int) (int, bool) {
	t, ok := w.next(after, "a number")
	if !ok {
		return 0, false
	}
	n, err := parseInteger(t.Value)
	if err != nil || n < least || n > most {
		w.errorAt(t.Pos, "", "%s is not a number of %d to %d, as follows `%s`", quote(t.Value), least, most, after.Value)
		return 0, false
	}
	return n, true
}

func (w *wordReader) numberPointer(after Text, least, most int) *int {
	n, ok := w.number(after, least, most)
	if !ok {
		return nil
	}
	return &n
}

var (
	routeWords = []string{"via", "dev", "src", "metric", "table", "mtu", "onlink", "nexthop"}
	hopWords   = []string{"via", "dev", "weight", "onlink"}
	// otherRouteWords are words of ip-route(8) that are not taken, with why.
	otherRouteWords = map[string]string{
		"proto":      "nslab marks its routes by it",
		"protocol":   "nslab marks its routes by it",
		"scope":      "the kernel tells it by the rest of the route",
		"preference": "write `metric`",
		"priority":   "write `metric`",
		"broadcast":  otherRouteType,
		"multicast":  otherRouteType,
		"throw":      otherRouteType,
		"anycast":    otherRouteType,
		"nat":        otherRouteType,
	}
)

const otherRouteType = "the types are unicast, local, blackhole, unreachable and prohibit"

// route reads [TYPE] PREFIX and what follows.
func (w *wordReader) route(d *routeDraft) {
	if t, ok := w.take(routeTypes...); ok {
		d.Type = t.Value
	}
	w.take("to")
	if len(w.rest) == 0 {
		w.errorAt(d.Pos, "such as `default via 10.0.0.1` or `10.0.0.0/8 dev eth0`", "the route leads to nothing")
		return
	}
	if hint, other := otherRouteWords[w.rest[0].Value]; other {
		w.errorAt(w.rest[0].Pos, hint, "`%s` is not taken here", w.rest[0].Value)
		return
	}
	if !w.routeTo(d, w.rest[0]) {
		return
	}
	w.rest = w.rest[1:]
	seen := map[string]bool{}
	for len(w.rest) > 0 {
		key := w.rest[0]
		if seen[key.Value] && key.Value != "nexthop" {
			w.errorAt(key.Pos, "", "`%s` is there twice", key.Value)
			return
		}
		seen[key.Value] = true
		w.rest = w.rest[1:]
		if !w.routeWord(d, key) {
			return
		}
	}
}

// routeWord reads one option of a route, and reports whether it knows it.
func (w *wordReader) routeWord(d *routeDraft, key Text) bool {
	switch key.Value {
	case "via", "dev", "onlink":
		d.hasFirst = true
		w.hopWord(d, &d.first, key)
	case "src":
		d.Src = w.address(key)
	case "metric":
		d.Metric = w.numberPointer(key, 0, maxUint32)
	case "table":
		if t, ok := w.next(key, "a routing table"); ok {
			d.Table, _ = w.table(t)
		}
	case "mtu":
		d.MTU, _ = w.number(key, minMTU, maxMTU)
	case "nexthop":
		var h Nexthop
		for {
			key, ok := w.take(hopWords...)
			if !ok {
				break
			}
			w.hopWord(d, &h, key)
		}
		if !h.Via.IsValid() && h.Dev == "" {
			w.errorAt(key.Pos, "such as `nexthop via 10.0.0.1 weight 2`", "a nexthop has `via` or `dev`")
		}
		d.Nexthops = append(d.Nexthops, h)
	default:
		w.unknownWord(key, routeWords, otherRouteWords)
		return false
	}
	return true
}

// hopWord reads one option of a nexthop.
func (w *wordReader) hopWord(d *routeDraft, h *Nexthop, key Text) {
	switch key.Value {
	case "via":
		family, given := w.take("inet", "inet6")
		h.Via = w.address(key)
		if given && h.Via.IsValid() && h.Via.Is4() != (family.Value == "inet") {
			w.errorAt(family.Pos, "", "%v is not of the family `%s`", h.Via, family.Value)
		}
		// A family is written where it differs from that of the route.
		d.viaFamily = d.viaFamily || given
	case "dev":
		h.Dev = w.device(key)
	case "weight":
		h.Weight, _ = w.number(key, 1, maxWeight)
	case "onlink":
		h.OnLink = true
	}
}

// unknownWord reports a word that is none of known; other has those that are not
// taken.
func (w *wordReader) unknownWord(key Text, known []string, other map[string]string) {
	hint, isOther := other[key.Value]
	switch {
	case key.Value == "encap":
		w.errorAt(key.Pos, "", "`encap` is not supported yet")
	case isOther:
		w.errorAt(key.Pos, hint, "`%s` is not taken here", key.Value)
	case key.Value == "weight":
		w.errorAt(key.Pos, "such as `nexthop via 10.0.0.1 weight 2`", "`weight` belongs to a nexthop")
	default:
		w.errorAt(key.Pos, hintFor(key.Value, known, "the words are "), "unknown word %s", quote(key.Value))
	}
}

var (
	ruleWords = []string{"priority", "from", "to", "iif", "oif", "fwmark", "table"}
	// ruleSynonyms are further names that ip-rule(8) has for them.
	ruleSynonyms = map[string]string{"pref": "priority", "preference": "priority", "order": "priority", "dev": "iif", "lookup": "table"}
	// otherRuleWords are words of ip-rule(8) that are not taken, with why.
	otherRuleWords = map[string]string{
		"not":         "an earlier rule can take out what is not meant",
		"goto":        "a rule names a `table`",
		"nat":         "a rule names a `table`",
		"blackhole":   "name a `table` with such a route",
		"unreachable": "name a `table` with such a route",
		"prohibit":    "name a `table` with such a route",
		"protocol":    "nslab marks its rules by it",
		"tos":         otherSelector,
		"dsfield":     otherSelector,
		"ipproto":     otherSelector,
		"sport":       otherSelector,
		"dport":       otherSelector,
		"uidrange":    otherSelector,
	}
)

const otherSelector = "the selectors are from, to, iif, oif and fwmark"

// rule reads the words of a rule, in any order.
func (w *wordReader) rule(d *ruleDraft) {
	seen := map[string]bool{}
	for len(w.rest) > 0 {
		key := w.rest[0]
		word := key.Value
		if name, is := ruleSynonyms[word]; is {
			word = name
		}
		if seen[word] {
			w.errorAt(key.Pos, "", "`%s` is there twice", key.Value)
		}
		seen[word] = true
		w.rest = w.rest[1:]
		switch word {
		case "priority":
			d.Priority = w.numberPointer(key, 0, maxUint32)
		case "from", "to":
			if t, ok := w.next(key, "a prefix"); ok && word == "from" {
				d.From = w.ruleNetwork(t)
			} else if ok {
				d.To = w.ruleNetwork(t)
			}
		case "iif":
			d.IIF = w.device(key)
		case "oif":
			d.OIF = w.device(key)
		case "fwmark":
			if t, ok := w.next(key, "a mark"); ok {
				w.fwmark(d, t)
			}
		case "table":
			d.hasTable = true
			if t, ok := w.next(key, "a routing table"); ok {
				d.Table, _ = w.table(t)
			}
		default:
			w.unknownWord(key, ruleWords, otherRuleWords)
			d.hasTable = true // it may be what follows
			return
		}
	}
}
