package topology

import (
	"cmp"
	"net/netip"
	"strings"
	"time"
)

// Timeouts of one try.
const (
	defaultTimeout = time.Second
	execTimeout    = 30 * time.Second
)

// Defaults of ping: the size is that of ping(8), in bytes.
const (
	defaultSize     = 56
	defaultInterval = 10 * time.Millisecond
)

// defaultFor is how long a bandwidth is measured.
const defaultFor = 3 * time.Second

// recordType is what a DNS test asks for where it does not say.
func recordType(answer []string) string {
	for _, text := range answer {
		if a, err := netip.ParseAddr(text); err == nil && a.Is6() {
			return "AAAA"
		}
	}
	return "A"
}

// families is a set of address families.
type families uint8

const (
	inIPv4 families = 1 << iota
	inIPv6
	inBoth = inIPv4 | inIPv6
)

func familyOf(a netip.Addr) families { return 1 << familyIndex(a) }

// resolveTests finds out who is meant by each word of the tests, those of the
// scenario too.
func (r *resolver) resolveTests() {
	if len(r.file.Tests) == 0 && len(r.file.Scenario) == 0 {
		return
	}
	for i := range r.nodes {
		r.nodes[i].families = r.familiesOf(&r.nodes[i], "")
	}
	budget := maxExpandedTests
	slab := make([]Test, len(r.file.Tests))
	r.lab.Tests = make([]*Test, len(r.file.Tests))
	for i, w := range r.file.Tests {
		slab[i] = *w
		r.lab.Tests[i] = &slab[i]
		r.resolveTest(&slab[i], "tests", &budget)
	}
	r.resolveScenario(&budget)
}

// resolveTest completes a test; path is that of its list.
func (r *resolver) resolveTest(t *Test, path string, budget *int) {
	t.Name = cmp.Or(t.Name, testName(t))
	t.Expect = cmp.Or(t.Expect, "pass")
	switch t.Verb {
	case Ping:
		t.Count = cmp.Or(t.Count, 1)
		t.Size = cmp.Or(t.Size, defaultSize)
		t.Interval = cmp.Or(t.Interval, defaultInterval)
		if t.Expect != "pass" && (t.Loss != nil || t.RTT != nil) {
			r.errorf(t.Pos, path, "leave `expect` out", "`loss` and `rtt` are of echoes that return; expect: %s is that none does", t.Expect)
		}
	case Bandwidth:
		t.For = cmp.Or(t.For, defaultFor)
	case HTTP:
		t.Status = cmp.Or(t.Status, 200)
	case DNS:
		t.Type = cmp.Or(t.Type, recordType(t.Answer))
		if t.Listen != nil && *t.Listen && len(t.Answer) == 0 {
			r.errorf(t.Pos, path, "such as `answer: 10.0.0.1`", "with `listen: true` the test's own server says what `answer` has, and there is none")
		}
	}
	if t.Timeout == 0 {
		t.Timeout = defaultTimeout
		if t.Verb == Exec {
			t.Timeout = execTimeout
		}
	}
	sides := testSides{resolver: r, test: t, path: path, budget: budget}
	sides.resolve()
}

// maxExpandedTests bounds the nodes that `all` and labels stand for in all tests
// together.
const maxExpandedTests = 1_000_000

// maxNamed is how many words of a side the name of a test repeats.
const maxNamed = 8

// testName is the item's text.
func testName(t *Test) string {
	name := t.Verb + " " + joinWords(t.From)
	if len(t.To) > 0 {
		name += " -> " + joinWords(t.To)
	}
	if t.Verb == DNS {
		name += " " + t.Query
	}
	return name
}

func joinWords(words []Text) string {
	var b strings.Builder
	for i, w := range words {
		if i == maxNamed && len(words) > maxNamed+1 {
			b.WriteString(" … " + words[len(words)-1].Value)
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(w.Value)
	}
	return b.String()
}

// testSides resolves the two sides of one test.
type testSides struct {
	*resolver
	test   *Test
	path   string
	budget *int
	bad    bool
}

// spend takes what a word that may stand for any node costs.
func (s *testSides) spend(w Text) bool {
	if *s.budget < 0 {
		return false // reported
	}
	if *s.budget -= len(s.nodes); *s.budget < 0 {
		s.errorf(w.Pos, "name fewer nodes", "the words `all` and `label:` of the tests stand for more than %d nodes", maxExpandedTests)
		return false
	}
	return true
}

func (s *testSides) errorf(pos Pos, hint, format string, args ...any) {
	s.bad = true
	s.resolver.errorf(pos, s.path, hint, format, args...)
}

func (s *testSides) resolve() {
	t := s.test
	t.Senders = s.expand(t.From, false)
	t.Targets = s.expand(t.To, true)
	if s.bad {
		return
	}
	switch t.Verb {
	case RouteTo:
		s.checkDev()
	case Path:
		s.checkHops()
	}
	if t.Verb != Exec {
		s.checkPairs()
	}
}

// expand gives what the words of one side mean, each once.
func (s *testSides) expand(words []Text, target bool) []Target {
	list := make([]Target, 0, len(words))
	for _, w := range words {
		list = s.expandWord(list, w, target)
	}
	if len(words) < 2 {
		return list
	}
	type key struct {
		node, iface string
		prefix      netip.Prefix
		port        int
		url         string
	}
	seen := make(map[key]bool, len(list))
	once := list[:0]
	for _, t := range list {
		k := key{t.Node, t.Interface, t.Prefix, t.Port, t.URL}
		if !seen[k] {
			seen[k] = true
			once = append(once, t)
		}
	}
	return once
}

func (s *testSides) expandWord(list []Target, w Text, target bool) []Target {
	var url string
	if target && s.test.Verb == HTTP {
		if w, url = s.splitURL(w); url == "" {
			return list
		}
	}
	word, port, ok := s.splitPort(w, target)
	if !ok {
		return list
	}
	before := len(list)
	list = s.expandHost(list, w, word, port, target)
	for i := before; i < len(list); i++ {
		list[i].URL = url
	}
	return list
}

// expandHost gives what a word without its port means.
func (s *testSides) expandHost(list []Target, w Text, word string, port int, target bool) []Target {
	if label, is := strings.CutPrefix(word, "label:"); is && strings.Contains(label, "=") {
		if !s.spend(w) {
			return list
		}
		key, value, _ := strings.Cut(label, "=")
		before := len(list)
		for i := range s.nodes {
			n := s.nodes[i].Node
			if have, ok := n.Labels[key]; ok && have == value {
				list = append(list, Target{Pos: w.Pos, Node: n.Name, Port: port})
			}
		}
		if len(list) == before {
			s.errorf(w.Pos, "", "no node has the label %s", label)
		}
		return list
	}
	if word == "all" {
		if !s.spend(w) {
			return list
		}
		before := len(list)
		for i := range s.nodes {
			n := &s.nodes[i]
			if n.inLab() && (s.test.Verb == Exec || n.families != 0) {
				list = append(list, Target{Pos: w.Pos, Node: n.Name, Port: port})
			}
		}
		if len(list) == before && !s.lost {
			s.errorf(w.Pos, "", "all: no node of the lab has an address")
		}
		return list
	}
	if p, is := literal(word); is {
		switch {
		case !target:
			s.errorf(w.Pos, "name the node that has it", "%q is an address; who sends is a node", w.Value)
		case !p.IsSingleIP() && s.test.Verb != RouteTo:
			s.errorf(w.Pos, "leave the prefix length out", "%q is a network; a target is an address or a node", w.Value)
		default:
			list = append(list, Target{Pos: w.Pos, Prefix: p.Masked(), Port: port})
		}
		return list
	}
	return s.expandNode(list, w, word, port)
}

// literal parses an address or a prefix; neither has a zone.
func literal(word string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(word); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), a.Zone() == ""
	}
	p, err := netip.ParsePrefix(word)
	return p, err == nil
}

// expandNode gives the node, or the interface of it, that a word names.
func (s *testSides) expandNode(list []Target, w Text, word string, port int) []Target {
	name, dev, _ := strings.Cut(word, ":")
	at, ok := s.resolver.byName[name]
	if !ok {
		s.errorf(w.Pos, s.nodeHint(name), "there is no node %q", name)
		return list
	}
	n := &s.nodes[at]
	if dev != "" {
		if s.test.Verb == Exec {
			s.errorf(w.Pos, "name the node alone", "%q: a command runs in a node, not on an interface", w.Value)
			return list
		}
		if _, ok := s.find(n, dev); !ok {
			if n.inLab() && !s.unsure(n) {
				s.errorf(w.Pos, s.interfaceHint(n, dev), "%s has no interface %q", name, dev)
				return list
			}
		}
	}
	return append(list, Target{Pos: w.Pos, Node: name, Interface: dev, Port: port})
}

// checkDev checks that the interface a route is to have is one of the senders'.
func (s *testSides) checkDev() {
	if s.test.Dev == "" {
		return
	}
	for _, t := range s.test.Senders {
		n := &s.nodes[s.resolver.byName[t.Node]]
		if _, ok := s.find(n, s.test.Dev); !ok && n.inLab() && !s.unsure(n) {
			s.errorf(t.Pos, s.interfaceHint(n, s.test.Dev), "%s has no interface %q", t.Node, s.test.Dev)
			return
		}
	}
}

// checkHops checks that the hops of a path are nodes of the lab or addresses.
func (s *testSides) checkHops() {
	for _, h := range s.test.Hops {
		if p, is := literal(h.Value); is && p.IsSingleIP() {
			continue
		}
		if _, ok := s.resolver.byName[h.Value]; !ok {
			s.errorf(h.Pos, s.nodeHint(h.Value), "there is no node %q", h.Value)
		}
	}
}

// familiesOf gives the families in which a node, or one interface of it, has an
// address that others can reach; both where the file does not say and something
// else may: a namespace that is not the lab's, a node whose processes may find one.
func (r *resolver) familiesOf(n *node, dev string) families {
	if r.unsure(n) {
		return inBoth
	}
	var f families
	for _, id := range n.ids {
		i := &r.ifaces[id]
		if dev != "" && i.Name != dev {
			continue
		}
		for _, a := range i.Addresses {
			if addr := a.Prefix.Addr(); reachable(addr) {
				f |= familyOf(addr)
			}
		}
	}
	if f == 0 && (!n.inLab() || len(n.Run) > 0) {
		f = inBoth
	}
	return f
}

func (s *testSides) familiesOfTarget(t Target) families {
	if t.Node == "" {
		return familyOf(t.Prefix.Addr())
	}
	n := &s.nodes[s.resolver.byName[t.Node]]
	if t.Interface == "" {
		return n.families
	}
	return s.familiesOf(n, t.Interface)
}

// name is how a target is written, without its port.
func (t Target) name() string {
	switch {
	case t.Node == "" && t.Prefix.IsSingleIP():
		return t.Prefix.Addr().String()
	case t.Node == "":
		return t.Prefix.String()
	case t.Interface != "":
		return t.Node + ":" + t.Interface
	}
	return t.Node
}

// checkPairs checks that every pair of different nodes has a family to talk in.
// There may be a million pairs: those of equal families are looked at once.
func (s *testSides) checkPairs() {
	var senders, targets [inBoth + 1][]Target // by families: two of different nodes
	for _, t := range s.test.Senders {
		f := s.familiesOfTarget(t)
		if f == 0 && s.test.Verb == RouteTo {
			f = inBoth // a route is looked up without an address
		}
		if f == 0 {
			s.errorf(t.Pos, "give it one", "%s has no address to send from", t.name())
			return
		}
		senders[f] = keepTwo(senders[f], t)
	}
	for _, t := range s.test.Targets {
		f := s.familiesOfTarget(t)
		if f == 0 {
			s.errorf(t.Pos, "give it one; link-local and loopback addresses do not count", "%s has no address to be reached at", t.name())
			return
		}
		targets[f] = keepTwo(targets[f], t)
	}
	pairs := false
	for sf := range senders {
		for tf := range targets {
			for _, from := range senders[sf] {
				for _, to := range targets[tf] {
					if from.Node == to.Node {
						continue
					}
					pairs = true
					if !s.checkFamily(from, to, families(sf), families(tf)) {
						return
					}
				}
			}
		}
	}
	if !pairs && len(s.test.Senders) > 0 && len(s.test.Targets) > 0 {
		s.errorf(s.test.Targets[0].Pos, "name two different nodes", "there is no pair of different nodes")
	}
}

func keepTwo(list []Target, t Target) []Target {
	if len(list) == 0 || len(list) == 1 && list[0].Node != t.Node {
		list = append(list, t)
	}
	return list
}

func (s *testSides) checkFamily(from, to Target, sf, tf families) bool {
	common := sf & tf
	hint := ""
	switch s.test.Family {
	case "ipv4":
		common &= inIPv4
	case "ipv6":
		common &= inIPv6
	case "both":
		if common != inBoth {
			common = 0
		}
	default:
		hint = "give both an address of one family"
	}
	if common != 0 {
		return true
	}
	wanted := s.test.Family
	if wanted != "" {
		wanted = "family " + wanted + ": "
	}
	s.errorf(to.Pos, hint, "%s%s has %s, %s has %s", wanted, from.name(), sf, to.name(), tf)
	return false
}

func (f families) String() string {
	return [...]string{"no address", "IPv4 alone", "IPv6 alone", "both families"}[f]
}
