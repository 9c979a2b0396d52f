package probe

import (
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/net/bpf"

	"nslab/topology"
)

// pairsRunner is a lab that is not up: a and b have both families, c has IPv4
// alone.
func pairsRunner() *runner {
	lab := &topology.Lab{}
	add := func(name string, interfaces ...*topology.Interface) {
		lab.Nodes = append(lab.Nodes, &topology.Node{Name: name, Interfaces: interfaces})
	}
	in := func(name string, prefixes ...string) *topology.Interface {
		x := &topology.Interface{Name: name}
		for _, p := range prefixes {
			x.Addresses = append(x.Addresses, topology.Address{Prefix: netip.MustParsePrefix(p)})
		}
		return x
	}
	add("a", in("lo", "127.0.0.5/8", "::1/128"), in("eth0", "fe80::1/64", "10.0.0.1/24", "10.0.0.11/24", "fd00::1/64"))
	add("b", in("lo", "203.0.113.1/32"), in("eth0", "10.0.0.2/24", "fd00::2/64"))
	add("c", in("eth0", "169.254.0.3/16", "10.0.0.3/24"))
	r := &runner{lab: lab, nodes: make(map[string]*node)}
	for _, n := range lab.Nodes {
		r.nodes[n.Name] = &node{name: n.Name, topo: n}
	}
	return r
}

func TestExpand(t *testing.T) {
	targets := func(words ...string) (all []topology.Target) {
		for _, w := range words {
			all = append(all, target(w, 0))
		}
		return all
	}
	for _, c := range []struct {
		verb, family string
		from, to     []topology.Target
		want         []string
	}{
		{"ping", "", targets("a"), targets("b"), []string{"T ipv4", "T ipv6"}},
		{"ping", "", targets("a"), targets("c"), []string{"T ipv4"}},
		{"ping", "ipv6", targets("a"), targets("b"), []string{"T ipv6"}},
		{"ping", "both", targets("a"), targets("c"), []string{"T ipv4", "T ipv6"}},
		{"ping", "ipv6", targets("a"), targets("c"), []string{"T ipv6"}},
		{"ping", "", targets("a"), targets("10.9.9.9"), []string{"T"}},
		{"ping", "ipv4", targets("a", "b", "c"), targets("a", "b", "c"), []string{
			"T: a -> b ipv4", "T: a -> c ipv4", "T: b -> a ipv4", "T: b -> c ipv4", "T: c -> a ipv4", "T: c -> b ipv4",
		}},
		{"ping", "", targets("a"), targets("a"), []string{"T"}},
		{"tcp", "ipv4", targets("a:eth0"), []topology.Target{target("b:eth0", 80), target("fd00::2", 80), target("10.0.0.2", 80)}, []string{
			"T: a:eth0 -> b:eth0:80 ipv4", "T: a:eth0 -> [fd00::2]:80", "T: a:eth0 -> 10.0.0.2:80",
		}},
		{"route", "", targets("a"), targets("10.2.0.0/16"), []string{"T"}},
		{"exec", "", targets("a"), nil, []string{"T"}},
		{"exec", "", targets("a", "b"), nil, []string{"T: a", "T: b"}},
	} {
		var got []string
		for _, j := range pairsRunner().expand(&topology.Test{Verb: c.verb, Name: "T", Family: c.family, Senders: c.from, Targets: c.to}) {
			got = append(got, j.c.Name)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s %v -> %v %s: got %q, want %q", c.verb, c.from, c.to, c.family, got, c.want)
		}
	}
}

func TestFileAddress(t *testing.T) {
	for _, c := range []struct {
		node, iface string
		v6          bool
		want        string
	}{
		{"a", "", false, "10.0.0.1"},
		{"a", "", true, "fd00::1"},
		{"a", "lo", false, ""},
		{"b", "", false, "203.0.113.1"},
		{"b", "eth0", false, "10.0.0.2"},
		{"c", "", false, "10.0.0.3"},
		{"c", "", true, ""},
	} {
		got, ok := pairsRunner().nodes[c.node].fileAddress(c.iface, c.v6)
		if ok != (c.want != "") || ok && got.String() != c.want {
			t.Errorf("%s:%s, IPv6 %t: got %v, want %q", c.node, c.iface, c.v6, got, c.want)
		}
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		seen seen
		want map[string]Outcome
	}{
		{answered, expectations[answered]},
		{arrived, expectations[arrived]},
		{refused, expectations[refused]},
		{lost, expectations[lost]},
		{refused | lost, map[string]Outcome{expectPass: Fail, expectFail: Pass, expectReject: Fail, expectDrop: Fail}},
		{answered | lost, map[string]Outcome{expectPass: Fail, expectFail: Fail, expectReject: Fail, expectDrop: Fail}},
		{unable | lost, map[string]Outcome{expectPass: Error, expectFail: Error, expectReject: Error, expectDrop: Error}},
		{unable | answered, map[string]Outcome{expectPass: Error, "sometimes": Error}},
		{lost, map[string]Outcome{"sometimes": Error, "": Fail}},
		{failed, map[string]Outcome{"": Fail, expectPass: Fail}},
	} {
		for expect, want := range c.want {
			if got := judge(expect, result{seen: c.seen, what: "it is so"}); got.outcome != want || want != Pass && got.message == "" {
				t.Errorf("expect %q, seen %b: got %v, want %s", expect, c.seen, got, want)
			}
		}
	}
}

// TestPart has senders and targets that need more sockets than there may be.
func TestPart(t *testing.T) {
	r := pairsRunner()
	names := []topology.Target{{Node: "a"}, {Node: "b"}, {Node: "c"}}
	jobs := r.expand(&topology.Test{Verb: "ping", Name: "T", Family: "ipv4", Senders: names, Targets: names})
	for _, j := range jobs {
		j.owners = []*node{j.to.node}
	}
	for max, want := range map[int]int{1: 1, 2: 1, 3: 6, 100: 6} {
		if got := (&pinger{maxSockets: max, echoes: 1}).part(jobs); got != want {
			t.Errorf("with %d sockets: %d jobs, want %d", max, got, want)
		}
	}
	if got := (&pinger{maxSockets: 100, echoes: 40000}).part(jobs); got != 1 {
		t.Errorf("with 40000 echoes each: %d jobs, want 1", got)
	}
}

func TestSYNFilter(t *testing.T) {
	segment := func(v6 bool, port uint16, flags byte) []byte {
		b := make([]byte, 20)
		b[2], b[3], b[13] = byte(port>>8), byte(port), flags
		if !v6 {
			// An IP header with an option.
			b = append(append([]byte{0x46}, make([]byte, 23)...), b...)
		}
		return b
	}
	for _, v6 := range []bool{false, true} {
		vm, err := bpf.NewVM(synFilter(v6, 80))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			packet []byte
			want   bool
		}{
			{segment(v6, 80, tcpSYN), true},
			{segment(v6, 80, tcpSYN|0xc0), true}, // with ECN, RFC 3168
			{segment(v6, 80, tcpSYN|tcpACK), false},
			{segment(v6, 80, tcpACK), false},
			{segment(v6, 81, tcpSYN), false},
			{nil, false},
		} {
			n, err := vm.Run(c.packet)
			if got := n > 0 && err == nil; got != c.want {
				t.Errorf("IPv6 %t, %x: got %t, want %t", v6, c.packet, got, c.want)
			}
		}
	}
}

func FuzzParsePacket(f *testing.F) {
	for _, v6 := range []bool{false, true} {
		b, err := marshalEcho(v6, 1, 2, 3, 56)
		if err != nil {
			f.Fatal(err)
		}
		if !v6 {
			b = append(append([]byte{0x45}, make([]byte, 19)...), b...)
		}
		f.Add(v6, b)
		if p := parsePacket(v6, b); p.kind != echoRequest || p.id != 1 || p.seq != 2 || p.token != 3 {
			f.Fatalf("IPv6 %t: %+v", v6, p)
		}
	}
	f.Fuzz(func(t *testing.T, v6 bool, b []byte) {
		parsePacket(v6, b)
		sourcePort(v6, true, b)
		glimpseOf(b)
	})
}
