package topology

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// FuzzResolve checks that no file makes Resolve panic, and that what it resolves
// loads again as the same lab.
func FuzzResolve(f *testing.F) {
	files, err := filepath.Glob("testdata/resolve/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(a.Files[0].Data)
	}
	for _, shape := range Shapes {
		text, err := Generate(shape, GenerateOptions{})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		lab, err := Load("fuzz.yaml", data)
		if err != nil {
			if errs, ok := err.(Errors); !ok || len(errs) == 0 || len(errs) > MaxErrors {
				t.Errorf("error of type %T: %v", err, err)
			}
			return
		}
		// A range may make a text that looks like a range again.
		if len(lab.Nodes) < 100 && !digitsInBrackets.Match(data) {
			checkReload(t, lab)
		}
	})
}

var digitsInBrackets = regexp.MustCompile(`\[[0-9,-]+\]`)

// TestResolveRandom resolves random labs: twice the same text gives the same lab,
// and the written lab loads as the same.
func TestResolveRandom(t *testing.T) {
	resolved := 0
	for seed := range uint64(300) {
		text := randomLab(rand.New(rand.NewPCG(seed, 1)))
		first, err := Load("random.yaml", text)
		again, errAgain := Load("random.yaml", text)
		if fmt.Sprint(err) != fmt.Sprint(errAgain) {
			t.Fatalf("seed %d: %v, then %v", seed, err, errAgain)
		}
		if err != nil {
			continue
		}
		resolved++
		if a, b := written(t, first), written(t, again); string(a) != string(b) {
			t.Fatalf("seed %d: differs from run to run:\n%s\n%s", seed, a, b)
		}
		checkReload(t, first)
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, text)
		}
	}
	if resolved < 100 {
		t.Errorf("of 300 labs %d resolve; make the random ones better", resolved)
	}
}

// randomLab writes a lab of a few nodes, most of them right.
func randomLab(r *rand.Rand) []byte {
	var b strings.Builder
	b.WriteString("name: random\n")
	if r.IntN(2) == 0 {
		b.WriteString("routing: shortest\n")
	}
	switch r.IntN(4) {
	case 0:
		b.WriteString("addressing: {neighbors: static}\n")
	case 1:
		b.WriteString("addressing: {ipv4: {pool: 10.0.0.0/12, prefix: 28}}\n")
	}
	nodes := 3 + r.IntN(6)
	kinds := make([]string, nodes)
	subnets := make([]bool, nodes)
	b.WriteString("nodes:\n")
	for i := range nodes {
		kinds[i] = []string{Host, Host, Router, Router, Switch}[r.IntN(5)]
		fmt.Fprintf(&b, "  n%d:\n    kind: %s\n", i, kinds[i])
		switch {
		case kinds[i] == Switch && r.IntN(2) == 0:
			subnets[i] = true
			b.WriteString("    subnet: " + []string{"auto", "10.0.9.0/24", "[10.0.8.0/24, fd00:8::/64]"}[r.IntN(3)] + "\n")
		case kinds[i] == Router && r.IntN(3) == 0:
			fmt.Fprintf(&b, "    interfaces: {lo: [10.255.0.%d/32, \"fd00:ff::%d/128\"]}\n", i, i)
		case kinds[i] == Host && r.IntN(4) == 0:
			b.WriteString("    gateway: none\n    rules: [fwmark 1 table 5, {priority: 32764, iif: lo, table: 6}]\n    routes: [unreachable 192.0.2.0/24 metric 7]\n")
		}
		if r.IntN(5) == 0 {
			b.WriteString("    labels: {zone: a, odd.key: \"x:y#\"}\n")
		}
	}
	b.WriteString("links:\n")
	for range nodes + r.IntN(nodes) {
		x, y := r.IntN(nodes), r.IntN(nodes)
		if x == y {
			y = (x + 1) % nodes
		}
		fmt.Fprintf(&b, "  - {endpoints: [n%d, n%d]", x, y)
		if kinds[x] != Switch && kinds[y] != Switch {
			b.WriteString(", subnet: auto")
		}
		if r.IntN(6) == 0 {
			b.WriteString(", mtu: 9000, up: false")
		}
		b.WriteString("}\n")
	}
	b.WriteString("tests:\n  - {exec: all, command: [echo, \"it's \\\"quoted\\\": {[1-2]}\\n\"], stdout: \"[0-9]+ # x\"}\n")
	return []byte(b.String())
}
