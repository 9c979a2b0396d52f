package topology

import (
	"reflect"
	"strings"
	"testing"
)

// itemOf parses one item of a list of a node.
func itemOf(key, item string) (*File, error) {
	return Parse("f", []byte("name: a\nnodes:\n  a:\n    "+key+":\n      - "+item+"\n"))
}

func TestRouteWords(t *testing.T) {
	for _, c := range []struct{ words, want string }{
		{"default via 10.0.1.1", "To: 0.0.0.0/0 Nexthops: - Via: 10.0.1.1"},
		{"default via fd00::1", "To: ::/0 Nexthops: - Via: fd00::1"},
		{"default dev eth0", "To: 0.0.0.0/0 Nexthops: - Dev: eth0"},
		{"default dev eth0 src fd00::1", "To: ::/0 Nexthops: - Dev: eth0 Src: fd00::1"},
		{"default via inet6 fe80::1 dev eth0", "To: 0.0.0.0/0 Nexthops: - Via: fe80::1 Dev: eth0"},
		{"default via inet 10.0.0.1", "To: 0.0.0.0/0 Nexthops: - Via: 10.0.0.1"},
		{"0.0.0.0/0 via 10.0.0.1", "To: 0.0.0.0/0 Nexthops: - Via: 10.0.0.1"},
		{"::/0 dev eth0", "To: ::/0 Nexthops: - Dev: eth0"},
		{"to 10.2.0.0/16 via 10.0.0.2 dev eth0 metric 100", "To: 10.2.0.0/16 Nexthops: - Via: 10.0.0.2 Dev: eth0 Metric: 100"},
		{"10.2.0.1 via 10.0.0.2", "To: 10.2.0.1/32 Nexthops: - Via: 10.0.0.2"},
		{"fd00::7 dev eth0 onlink", "To: fd00::7/128 Nexthops: - Dev: eth0 OnLink: true"},
		{"fd00:1::/64 via fe80::1 dev eth0", "To: fd00:1::/64 Nexthops: - Via: fe80::1 Dev: eth0"},
		{"blackhole 10.9.0.0/16", "To: 10.9.0.0/16 Type: blackhole"},
		{"prohibit default table 300", "To: 0.0.0.0/0 Type: prohibit Table: 300"},
		{"unreachable fd00::/8 metric 0x10", "To: fd00::/8 Type: unreachable Metric: 16"},
		{"local 192.0.2.0/24 dev lo table local", "To: 192.0.2.0/24 Type: local Nexthops: - Dev: lo Table: 255"},
		{"unicast 10.0.0.0/8 dev eth0 table main mtu 1400 src 10.0.0.1", "To: 10.0.0.0/8 Type: unicast Nexthops: - Dev: eth0 Src: 10.0.0.1 Table: 254 MTU: 1400"},
		{"10.0.0.0/8 nexthop via 10.0.0.1 weight 2 nexthop via 10.0.0.2 dev eth1 onlink", "To: 10.0.0.0/8 Nexthops: - Via: 10.0.0.1 Weight: 2 - Via: 10.0.0.2 Dev: eth1 OnLink: true"},
		{"default metric 5 nexthop dev eth0 nexthop via fd00::1", "To: ::/0 Nexthops: - Dev: eth0 - Via: fd00::1 Metric: 5"},
		{"224.0.0.0/4 dev eth0", "To: 224.0.0.0/4 Nexthops: - Dev: eth0"},

		{"10.0.0.1/8 dev eth0", `5:9: nodes.a.routes[0]: "10.0.0.1/8" has bits of the host set|write 10.0.0.0/8`},
		{"via 10.0.0.1", `5:9: nodes.a.routes[0]: "via" is not a network or an address|such as 10.0.0.0/24, fd00::/64 or 10.0.0.1`},
		{"blackhole", "5:9: nodes.a.routes[0]: the route leads to nothing|such as `default via 10.0.0.1` or `10.0.0.0/8 dev eth0`"},
		{"default via", "5:17: nodes.a.routes[0]: an address follows `via`; there is nothing|"},
		{"default via 10.0.0.300", `5:21: nodes.a.routes[0]: "10.0.0.300" is not an address|such as 10.0.0.1 or fd00::1`},
		{"default via 10.0.0.1/24", `5:21: nodes.a.routes[0]: "10.0.0.1/24" is not an address|write 10.0.0.1`},
		{"default via fe80::1%eth0", "5:21: nodes.a.routes[0]: \"fe80::1%eth0\" has a zone|leave `%eth0` out, and name the interface with `dev`"},
		{"default via inet6 10.0.0.1", "5:21: nodes.a.routes[0]: 10.0.0.1 is not of the family `inet6`|"},
		{"default vai 10.0.0.1", "5:17: nodes.a.routes[0]: unknown word \"vai\"|did you mean `via`?"},
		{"default via 10.0.0.1 weight 2", "5:30: nodes.a.routes[0]: `weight` belongs to a nexthop|such as `nexthop via 10.0.0.1 weight 2`"},
		{"default via 10.0.0.1 via 10.0.0.2", "5:30: nodes.a.routes[0]: `via` is there twice|"},
		{"default via 10.0.0.1 metric -1", "5:37: nodes.a.routes[0]: \"-1\" is not a number of 0 to 4294967295, as follows `metric`|"},
		{"default via 10.0.0.1 metric 010", "5:37: nodes.a.routes[0]: \"010\" is not a number of 0 to 4294967295, as follows `metric`|"},
		{"default via 10.0.0.1 table mian", "5:36: nodes.a.routes[0]: \"mian\" is not a routing table: `main`, `local`, `default` or 1 to 4294967295|"},
		{"default via 10.0.0.1 proto static", "5:30: nodes.a.routes[0]: `proto` is not taken here|nslab marks its routes by it"},
		{"default via 10.0.0.1 encap mpls 5", "5:30: nodes.a.routes[0]: `encap` is not supported yet|"},
		{"default via 10.0.0.1 dev a/b", `5:34: nodes.a.routes[0]: "a/b" cannot be the name of an interface: it has one of / : % or white space in it|`},
		{"default via 10.0.0.1 nexthop via 10.0.0.2", "5:9: nodes.a.routes[0]: `via`, `dev` and `onlink` of the route and its nexthops exclude each other|give each way a nexthop"},
		{"10.0.0.0/8 nexthop weight 2", "5:20: nodes.a.routes[0]: a nexthop has `via` or `dev`|such as `nexthop via 10.0.0.1 weight 2`"},
		{"throw 10.0.0.0/8", "5:9: nodes.a.routes[0]: `throw` is not taken here|the types are unicast, local, blackhole, unreachable and prohibit"},
	} {
		f, err := itemOf("routes", c.words)
		var got any
		if f != nil && len(f.Nodes) == 1 && len(f.Nodes[0].Routes) == 1 {
			got = *f.Nodes[0].Routes[0]
		}
		checkWords(t, c.words, c.want, got, err)
	}
}

func TestRuleWords(t *testing.T) {
	for _, c := range []struct{ words, want string }{
		{"from 10.0.0.0/8 lookup 100", "From: 10.0.0.0/8 Table: 100"},
		{"priority 100 fwmark 0x1/0xff table 100", "Priority: 100 FwMark: 1 FwMask: 255 Table: 100"},
		{"iif eth0 table 7", "IIF: eth0 Table: 7"},
		{"table main pref 5 to fd00::1 oif eth1", "Priority: 5 To: fd00::1/128 OIF: eth1 Table: 254"},
		{"from all dev lo table local", "IIF: lo Table: 255"},
		{"fwmark 4294967295 order 0 table default", "Priority: 0 FwMark: 4294967295 Table: 253"},

		{"from 10.0.0.1/8 table 1", `5:14: nodes.a.rules[0]: "10.0.0.1/8" has bits of the host set|write 10.0.0.0/8`},
		{"from 10.0.0.0/8", "5:9: nodes.a.rules[0]: the rule has no `table`|such as `from 10.0.0.0/8 table 100`"},
		{"from 10.0.0.0/8 table", "5:25: nodes.a.rules[0]: a routing table follows `table`; there is nothing|"},
		{"from 10.0.0.0/8 tabel 5", "5:25: nodes.a.rules[0]: unknown word \"tabel\"|did you mean `table`?"},
		{"from 10.0.0.0/8 goto 100", "5:25: nodes.a.rules[0]: `goto` is not taken here|a rule names a `table`"},
		{"pref 1 priority 2 table 1", "5:16: nodes.a.rules[0]: `priority` is there twice|"},
		{"fwmark x table 1", `5:16: nodes.a.rules[0]: "x" is not a mark of 32 bits|such as 1, 0x1 or 0x1/0xff`},
	} {
		f, err := itemOf("rules", c.words)
		var got any
		if f != nil && len(f.Nodes) == 1 && len(f.Nodes[0].Rules) == 1 {
			got = *f.Nodes[0].Rules[0]
		}
		checkWords(t, c.words, c.want, got, err)
	}
}

// checkWords compares with a dump in one line or, where want begins with a
// position, with the first error as MESSAGE|HINT.
func checkWords(t *testing.T, words, want string, got any, err error) {
	t.Helper()
	if want[0] >= '1' && want[0] <= '9' {
		if err == nil {
			t.Errorf("%s: no error, want %s", words, want)
			return
		}
		msg, hint, _ := strings.Cut(strings.TrimPrefix(err.(Errors)[0].Error(), "f:"), "\nhint: ")
		if msg+"|"+hint != want || len(err.(Errors)) != 1 {
			t.Errorf("%s:\n%v\nwant\n%s", words, err, want)
		}
		if got != nil {
			t.Errorf("%s: there is a result beside the error", words)
		}
		return
	}
	if err != nil || got == nil {
		t.Errorf("%s: %v", words, err)
		return
	}
	if text := strings.Join(strings.Fields(dump(reflect.ValueOf(got), "")), " "); text != want {
		t.Errorf("%s:\n%s\nwant\n%s", words, text, want)
	}
}

func TestSplitRanges(t *testing.T) {
	for text, want := range map[string]string{
		"h":                   "",
		"h[1-3]":              "h1 h2 h3",
		"h[08-11]":            "h08 h09 h10 h11",
		"h[1,3]":              "h1 h3",
		"h[5,1-2]x":           "h5x h1x h2x",
		"[1-2].[3-4]":         "1.3 2.4",
		"[1-2].[3,9]/[07-08]": "1.3/07 2.9/08",
		"h[1]":                "h1",
		"h[]":                 "",
		"h[1-]":               "",
		"h[-1]":               "",
		"h[a-c]":              "",
		"h[1-2":               "",
		"[fd00::1]:80":        "",
		"[fd00::[1-2]]:80":    "[fd00::1]:80 [fd00::2]:80",
		"[[1-2]]":             "[1] [2]",
		"[0-9999999999]":      "",
		"[1 -2]":              "",
		"é[1-2]é":             "é1é é2é",
	} {
		p := &parser{file: &File{}, budget: maxExpanded}
		got := strings.Join(p.expandPart(nil, Pos{}, text), " ")
		if got != want || len(p.errs) > 0 {
			t.Errorf("%q: %q %v, want %q", text, got, p.errs, want)
		}
	}
}

func TestSysctlPath(t *testing.T) {
	for name, want := range map[string]string{
		"net.ipv4.ip_forward":              "net/ipv4/ip_forward",
		"net/ipv4/ip_forward":              "net/ipv4/ip_forward",
		"net.ipv4.conf.eth0/10.forwarding": "net/ipv4/conf/eth0.10/forwarding",
		"net/ipv4/conf/eth0.10/forwarding": "net/ipv4/conf/eth0.10/forwarding",
		"ip_forward":                       "ip_forward",
	} {
		if got := sysctlPath(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
