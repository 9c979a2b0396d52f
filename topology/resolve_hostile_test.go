package topology

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestResolveHostile checks that files which are small, or many times larger
// than a real one, do not take time or memory out of proportion.
func TestResolveHostile(t *testing.T) {
	lines := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i/60000+1, i/250%240, i%250+1)
		}
		return b.String()
	}
	const chain = "nodes: {\"n[1-20000]\": {kind: router}}\nlinks:\n  - {endpoints: [\"n[1-19999]\", \"n[2-20000]\"], subnet: auto}\naddressing: {ipv4: {prefix: 30}}\n"
	for _, c := range []struct{ name, text, want string }{
		{"links to nobody", "nodes: {n1: {}}\nlinks:\n  - [n1, \"x[1-77777]\"]\n", `no node "x1"`},
		{"one network", "nodes:\n  b: {}\n  a:\n    interfaces: {eth0: [" + lines(30000, "10.%d.%d.%d/24,") + "]}\n    routes:\n" +
			lines(20000, "      - 11.%d.%d.%d via 10.1.9.251\n") + "links: [[a:eth0, b]]\n", ""},
		{"many networks", "nodes:\n  b: {}\n  a:\n    interfaces: {eth0: [" + lines(30000, "10.%d.%d.%d/31,") + "]}\n    routes:\n" +
			lines(20000, "      - 11.%d.%d.%d via 10.1.9.251\n") + "links: [[a:eth0, b]]\n", ""},
		{"rules", "nodes:\n  a:\n    rules:\n" + lines(30000, "      - from 11.%d.%d.%d table 9\n"), ""},
		{"chain of routers", chain + "routing: shortest\n", "too large"},
		{"parallel links", "routing: shortest\nnodes: {\"n[1-3]\": {kind: router}}\naddressing: {ipv4: {prefix: 30}}\ndefaults: {link: {subnet: auto}}\nlinks:\n" +
			strings.Repeat("  - [n1, n2]\n  - [n2, n3]\n", 8000), "too large"},
		{"all tests", chain + "tests:\n" + strings.Repeat("  - ping: all -> all\n", 40000), "name fewer"},
		{"one gateway", "nodes: {\"n[1-20000]\": {gateway: 10.0.0.1}, \"s[1-20]\": {kind: switch, subnet: 10.0.0.0/8}}\nlinks:\n  - [\"s[1-19]\", \"s[2-20]\"]\n" +
			"  - [\"n[1-1000]\", s1]\n  - [\"n[1001-2000]\", s2]\n  - [\"n[2001-3000]\", s3]\n  - [\"n[3001-4000]\", s4]\n", "address of n1 itself"},
		{"static neighbours", "addressing: {neighbors: static}\nnodes: {\"n[1-2000]\": {}, s1: {kind: switch, subnet: 10.0.0.0/16}, s2: {kind: switch, subnet: 10.0.0.0/16}}\n" +
			"links:\n  - [s1, s2]\n  - [\"n[1-1000]\", s1]\n  - [\"n[1001-2000]\", s2]\n", "static: up to"},
		{"ports", "nodes: {s: {kind: switch}, \"n[1-20000]\": {}}\nlinks: [[s, \"n[1-20000]\"]]\n", "a bridge takes 1023"},
	} {
		start := time.Now()
		_, err := Load("hostile.yaml", []byte("name: hostile\n"+c.text))
		// On an idle machine each takes well under a second; the quadratic ones that
		// this is about, half a minute.
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: %v", c.name, took)
		}
		if text := fmt.Sprint(err); (c.want == "") != (err == nil) || !strings.Contains(text, c.want) {
			t.Errorf("%s: %.300s; want %q", c.name, text, c.want)
		}
	}
}
