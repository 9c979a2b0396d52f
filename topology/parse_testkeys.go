package topology

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// verbs of tests, and what each reads.
var (
	verbs = []string{Ping, TCP, UDP, HTTP, DNS, Path, MTU, Bandwidth, RouteTo, Exec}

	verbExamples = map[string]string{
		Ping: "ping: h1 -> h2", TCP: "tcp: h1 -> h2:80", UDP: "udp: h1 -> h2:53",
		HTTP: "http: h1 -> http://h2:8080/", DNS: "dns: h1 -> h2", Path: "path: h1 -> h2", MTU: "mtu: h1 -> h2", Bandwidth: "bandwidth: h1 -> h2", RouteTo: "route: h1 -> 10.0.0.0/8", Exec: "exec: h1",
	}

	// keysOfVerbs are the keys that only some verbs have.
	keysOfVerbs = map[string][]string{
		"expect": {Ping, TCP, UDP, HTTP, DNS}, "family": {Ping, TCP, UDP, HTTP, DNS, Path, MTU, Bandwidth, RouteTo},
		"count": {Ping}, "size": {Ping}, "df": {Ping}, "ttl": {Ping}, "interval": {Ping}, "loss": {Ping}, "rtt": {Ping},
		"payload": {TCP, UDP}, "listen": {TCP, UDP, HTTP, DNS},
		"command": {Exec}, "exit": {Exec}, "stdout": {Exec}, "stderr": {Exec}, "json": {Exec},
		"status": {HTTP}, "body": {HTTP}, "headers": {HTTP}, "type": {DNS}, "answer": {DNS},
		"rate": {Bandwidth}, "for": {Bandwidth}, "udp": {Bandwidth},
		"bytes": {MTU}, "via": {Path, RouteTo}, "dev": {RouteTo}, "table": {RouteTo},
	}
	// neededKeys are those that a verb cannot do without.
	neededKeys = map[string][]string{DNS: {"name"}, Path: {"via"}, MTU: {"bytes"}, Bandwidth: {"rate"}, Exec: {"command"}}

	expectWords = []string{"pass", "fail", "reject", "drop"}
	familyWords = []string{"ipv4", "ipv6", "both"}
	recordTypes = []string{"A", "AAAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT"}
)

const (
	maxCount = 1_000_000
	// minSize is what tells an echo from others, in its payload.
	minSize = 10
	// maxSize is the largest payload of an echo in IPv4: a packet of 65535
	// bytes less its headers.
	maxSize = 65507
)

// testObject has the keys of a test beside its verb.
var testObject = newObject([]field[Test]{
	{"name", "Name of the test in reports; of dns the name that is looked up.", textSchema, func(p *parser, n *yaml.Node, t *Test) {
		if t.Verb == DNS {
			t.Query = p.domain(n)
			return
		}
		t.Name = p.line(n, 1000, "a name")
	}},
	{"expect", "ping, tcp, udp, http, dns: pass; fail (does not arrive); reject (refused); drop (silence).", enum(expectWords...), func(p *parser, n *yaml.Node, t *Test) {
		t.Expect = p.word(n, expectWords...).Value
	}},
	{"family", "Every family both sides have if not given.", enum(familyWords...), func(p *parser, n *yaml.Node, t *Test) {
		t.Family = p.word(n, familyWords...).Value
	}},
	{"timeout", "Of one try.", durationSchema, func(p *parser, n *yaml.Node, t *Test) { t.Timeout = p.positiveDuration(n) }},
	{"within", "Retry until the test passes or this long has gone.", durationSchema, func(p *parser, n *yaml.Node, t *Test) { t.Within, _ = p.duration(n) }},
	{"stable", "Having passed it must hold this long.", durationSchema, func(p *parser, n *yaml.Node, t *Test) { t.Stable, _ = p.duration(n) }},
	{"stop_on_fail", "Skip the tests after this one if it does not pass.", boolSchema, func(p *parser, n *yaml.Node, t *Test) { t.StopOnFail, _ = p.boolean(n) }},
	{"count", "ping: how many echoes.", between(1, maxCount), func(p *parser, n *yaml.Node, t *Test) {
		t.Count, _ = p.integer(n, 1, maxCount, "a number of echoes")
	}},
	{"size", "ping: bytes of payload; 56 if not given.", between(minSize, maxSize), func(p *parser, n *yaml.Node, t *Test) {
		t.Size, _ = p.integer(n, minSize, maxSize, "a size of the payload in bytes")
	}},
	{"df", "ping: true: routers must not fragment it.", boolSchema, func(p *parser, n *yaml.Node, t *Test) { t.DF, _ = p.boolean(n) }},
	{"ttl", "ping: time to live, hop limit of IPv6.", between(1, 255), func(p *parser, n *yaml.Node, t *Test) { t.TTL, _ = p.integer(n, 1, 255, "a time to live") }},
	{"interval", "ping: between the echoes.", durationSchema, func(p *parser, n *yaml.Node, t *Test) { t.Interval = p.positiveDuration(n) }},
	{"loss", "ping: share of lost echoes, such as \"<= 1%\".", measureSchema, func(p *parser, n *yaml.Node, t *Test) { t.Loss = p.measure(n, lossUnit) }},
	{"rtt", "ping: mean round-trip time, such as 20ms..25ms.", measureSchema, func(p *parser, n *yaml.Node, t *Test) { t.RTT = p.measure(n, timeUnit) }},
	{"payload", "tcp, udp: what is sent.", textSchema, func(p *parser, n *yaml.Node, t *Test) {
		if text, ok := p.text(n, "a text", ""); ok {
			t.Payload = text.Value
		}
	}},
	{"listen", "tcp, udp, http, dns: whether the test serves the port itself.", boolSchema, func(p *parser, n *yaml.Node, t *Test) { t.Listen = p.boolPointer(n) }},
	{"status", "http: of the answer; 200 if not given.", between(100, 599), func(p *parser, n *yaml.Node, t *Test) {
		t.Status, _ = p.integer(n, 100, 599, "a status of HTTP")
	}},
	{"body", "http: regular expression that the body matches.", textSchema, func(p *parser, n *yaml.Node, t *Test) { t.Body = p.regexp(n) }},
	{"headers", "http: map of header to regular expression.", mapOf(textSchema), func(p *parser, n *yaml.Node, t *Test) { t.Headers = p.headers(n) }},
	{"type", "dns: type of the record; A if not given.", enum(recordTypes...), func(p *parser, n *yaml.Node, t *Test) { t.Type = p.word(n, recordTypes...).Value }},
	{"answer", "dns: the records, or a code such as NXDOMAIN.", listOrOne(scalarSchema), func(p *parser, n *yaml.Node, t *Test) {
		t.Answer = p.answers(n)
	}},
	{"command", "exec: a list of words, or a text for the shell.", listOrOne(scalarSchema), func(p *parser, n *yaml.Node, t *Test) { t.Command = p.command(n) }},
	{"exit", "exec: the exit status; 0 if not given.", between(0, 255), func(p *parser, n *yaml.Node, t *Test) {
		t.Exit, _ = p.integer(n, 0, 255, "an exit status")
	}},
	{"stdout", "exec: regular expression that the output matches.", textSchema, func(p *parser, n *yaml.Node, t *Test) { t.Stdout = p.regexp(n) }},
	{"stderr", "exec: regular expression that the error output matches.", textSchema, func(p *parser, n *yaml.Node, t *Test) { t.Stderr = p.regexp(n) }},
	{"json", "exec: what the output has, as JSON.", schema{}, func(p *parser, n *yaml.Node, t *Test) { t.JSON = p.json(n) }},
	{"bytes", "mtu: the largest packet that passes, with its IP header.", between(minMTU, maxMTU), func(p *parser, n *yaml.Node, t *Test) { t.Bytes = p.mtu(n) }},
	{"rate", "bandwidth: bits of payload in a second, such as \">= 90mbit\".", measureSchema, func(p *parser, n *yaml.Node, t *Test) { t.Rate = p.measure(n, rateUnit) }},
	{"for", "bandwidth: how long it is measured; 3s if not given.", durationSchema, func(p *parser, n *yaml.Node, t *Test) { t.For = p.positiveDuration(n) }},
	{"udp", "bandwidth: true: of datagrams, not of TCP.", boolSchema, func(p *parser, n *yaml.Node, t *Test) { t.OverUDP, _ = p.boolean(n) }},
	{"via", "path: list of the routers, nodes or addresses. route: the gateway.", listOrOne(textSchema), func(p *parser, n *yaml.Node, t *Test) {
		if t.Verb == Path {
			t.Hops = p.hops(n)
			return
		}
		t.Via = p.addressValue(n)
	}},
	{"dev", "route: the interface.", nameSchema, func(p *parser, n *yaml.Node, t *Test) { t.Dev = p.device(n) }},
	{"table", "route: the routing table that the route is in.", tableSchema, func(p *parser, n *yaml.Node, t *Test) { t.Table = p.tableValue(n) }},
}...)

// maxHops is how many routers a path can have: a time to live has 8 bits.
const maxHops = 250

// hops reads the routers of a path, each a node or an address.
func (p *parser) hops(n *yaml.Node) []Text {
	var hops []Text
	p.each(n, "[r1, r2]", func(item *yaml.Node) {
		if t, ok := p.text(item, "a node or an address", "r1"); ok {
			hops = append(hops, t)
		}
	})
	if len(hops) > maxHops {
		p.errorf(n, "", "the list has %d hops; a path has at most %d", len(hops), maxHops)
	}
	return hops
}

// domain reads a name of DNS: at most 253 bytes in labels of at most 63, RFC 1035,
// 2.3.4.
func (p *parser) domain(n *yaml.Node) string {
	name := p.line(n, 254, "a name")
	for _, label := range strings.Split(strings.TrimSuffix(name, "."), ".") {
		if name != "" && name != "." && (label == "" || len(label) > 63) {
			p.errorf(n, "such as `www.example`", "%s is not a name of DNS: a label has 1 to 63 bytes", quote(name))
			return ""
		}
	}
	return name
}

// answers reads the records of a DNS answer, one or a list.
func (p *parser) answers(n *yaml.Node) []string {
	const want, example = "a record, or a code such as NXDOMAIN", "10.0.0.1"
	if n.Kind != yaml.SequenceNode {
		if t, ok := p.text(n, want, example); ok {
			return []string{t.Value}
		}
		return nil
	}
	var list []string
	p.each(n, "", func(item *yaml.Node) {
		if t, ok := p.text(item, want, example); ok {
			list = append(list, t.Value)
		}
	})
	if len(n.Content) == 0 {
		p.errorf(n, "leave `answer` out for any record, or write NODATA for none", "the list is empty")
	}
	return list
}

// headers reads a map from header to regular expression.
func (p *parser) headers(n *yaml.Node) []Header {
	entries := p.mapping(n, "{Content-Type: text/html}")
	var list []Header
	for i := 0; i < len(entries); i += 2 {
		k := entries[i]
		if k.Value == "" || strings.Trim(k.Value, headerBytes) != "" {
			p.errorf(k, "such as `Content-Type`", "%s is not a header of HTTP", quote(k.Value))
			continue
		}
		p.enter(k.Value)
		list = append(list, Header{k.Value, p.regexp(deref(entries[i+1]))})
		p.leave()
	}
	return list
}

// headerBytes are those of a header's name, RFC 9110, 5.6.2.
const headerBytes = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

func (p *parser) positiveDuration(n *yaml.Node) time.Duration {
	d, ok := p.duration(n)
	if ok && d == 0 {
		p.errorf(n, "such as `5s`", "%s leaves no time", quote(n.Value))
	}
	return d
}

// command reads the words of a program; a text is one for the shell.
func (p *parser) command(n *yaml.Node) []string {
	const want, example = "a command: a list of words, or a text for the shell", "[ip, route]"
	if n.Kind != yaml.SequenceNode {
		t, ok := p.text(n, want, example)
		if !ok {
			return nil
		}
		if strings.TrimSpace(t.Value) == "" {
			p.errorf(n, "such as `"+example+"`", "the command is empty")
		}
		return []string{"/bin/sh", "-c", t.Value}
	}
	var argv []string
	p.each(n, "", func(item *yaml.Node) {
		if t, ok := p.text(item, "a word of the command", ""); ok {
			argv = append(argv, t.Value)
		}
	})
	if len(n.Content) == 0 || len(argv) > 0 && argv[0] == "" {
		p.errorf(n, "such as `"+example+"`", "the command is empty")
	}
	return argv
}

func (p *parser) regexp(n *yaml.Node) string {
	t, ok := p.text(n, "a regular expression", "^10\\.")
	if !ok {
		return ""
	}
	if _, err := regexp.Compile(t.Value); err != nil {
		p.errorf(n, "the syntax is that of Go: https://pkg.go.dev/regexp/syntax", "%s is not a regular expression: %s",
			quote(t.Value), clip(strings.TrimPrefix(err.Error(), "error parsing regexp: "), maxShown))
		return ""
	}
	return t.Value
}

// json gives a value as JSON text. Texts that look like a number are numbers,
// as in YAML.
func (p *parser) json(n *yaml.Node) string {
	v, ok := p.jsonValue(n)
	if !ok {
		return ""
	}
	text, err := json.Marshal(v)
	if err != nil {
		p.errorf(n, "", "it cannot be written as JSON: %v", err)
		return ""
	}
	return string(text)
}

func (p *parser) jsonValue(n *yaml.Node) (v any, ok bool) {
	n = deref(n)
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		entries := p.entries(n)
		for i := 0; i < len(entries); i += 2 {
			if m[entries[i].Value], ok = p.jsonValue(entries[i+1]); !ok {
				return nil, false
			}
		}
		return m, true
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			if list[i], ok = p.jsonValue(c); !ok {
				return nil, false
			}
		}
		return list, true
	}
	switch classOf(n) {
	case nullClass:
		return nil, true
	case boolClass:
		return strings.EqualFold(n.Value, "true"), true
	case intClass:
		i, problem := parseInteger(n.Value)
		if problem != nil {
			p.errorf(n, problem.hint, "%s %s", clip(n.Value, maxShown), problem.problem)
			return nil, false
		}
		return i, true
	case floatClass:
		f, err := strconv.ParseFloat(n.Value, 64)
		if err != nil {
			p.errorf(n, "", "%s is not a number of JSON", quote(n.Value))
			return nil, false
		}
		return f, true
	}
	return n.Value, true
}
