package nft

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

// compileTexts gives the inputs of the golden tests of Compile, and of the
// conformance test.
func compileTexts(tb testing.TB) (texts []string) {
	tb.Helper()
	files, err := filepath.Glob("testdata/compile/*.txtar")
	if err != nil || len(files) == 0 {
		tb.Fatal("no golden files", err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		texts = append(texts, string(a.Files[0].Data))
	}
	files, err = filepath.Glob("testdata/conformance/*.nft")
	if err != nil {
		tb.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return texts
}

// mostPerByte bounds what Compile makes of each byte of the text: expressions,
// and elements with the ends of their ranges.
const mostPerByte = 64

// fuzzSets are what the lines of the golden tests refer to.
const fuzzSets = `
	set s4 { type ipv4_addr; }
	set i4 { type ipv4_addr; flags interval; }
	set d4 { type ipv4_addr; flags dynamic,timeout; }
	set c4 { type ipv4_addr . inet_service; flags interval; }
	map m44 { type ipv4_addr : interval ipv4_addr; flags interval; }
	map mpc { type inet_service : ipv4_addr . inet_service; }
	map v4 { type ipv4_addr : verdict; }
	map mc { type ipv4_addr : counter; }
	set nm { type ifname; flags interval; }
	set td { typeof ip dscp . vlan id; flags interval; }
	counter cc { packets 0 bytes 0; }
	chain o { }
`

// FuzzCompile looks for input that makes Compile panic, take long, or give much
// more than the text has; and for errors that are not as they must be.
func FuzzCompile(f *testing.F) {
	for i, text := range append(compileTexts(f), goldenTexts(f)...) {
		f.Add(text)
		family := []string{"inet", "ip", "ip6", "arp", "bridge", "netdev"}[i%6]
		for _, line := range strings.Split(text, "\n") {
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			f.Add("table " + family + " t {" + fuzzSets + "chain c {\n" + line + "\n} }")
			f.Add("table inet t {" + fuzzSets + "}\n" + line)
		}
	}
	index := func(name string) (uint32, error) {
		if name == "none" {
			return 0, errors.New("there is no such interface")
		}
		return uint32(len(name)), nil
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, errs := Parse(text)
		if len(errs) > 0 || len(text) > 1<<16 {
			return
		}
		start := time.Now()
		rs, errs := Compile(file, index)
		if d := time.Since(start); d > time.Second {
			t.Fatalf("%v", d)
		}
		lines := strings.Count(text, "\n") + 1
		for _, e := range errs {
			if e.Text == "" || e.Line < 1 || e.Line > lines || e.Col < 1 || e.Col > len(text)+1 {
				t.Fatalf("%+v", *e)
			}
		}
		if (rs == nil) != (len(errs) > 0) {
			t.Fatalf("%v with %d errors", rs, len(errs))
		}
		if n := parts(rs); n > len(text)*mostPerByte {
			t.Fatalf("%d parts of %d bytes", n, len(text))
		}
	})
}

// parts counts the expressions and elements of a ruleset.
func parts(rs *Ruleset) int {
	n := 0
	if rs == nil {
		return n
	}
	for _, t := range rs.Tables {
		for _, s := range t.Sets {
			n += len(s.Elements)
		}
		for _, ch := range t.Chains {
			for _, r := range ch.Rules {
				n += len(r.Exprs)
			}
		}
	}
	return n
}

func BenchmarkCompile(b *testing.B) {
	text := largeText()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		file, errs := Parse(text)
		if len(errs) > 0 {
			b.Fatal(errs)
		}
		if _, errs := Compile(file, nil); len(errs) > 0 {
			b.Fatal(errs)
		}
	}
}
