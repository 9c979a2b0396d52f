package topology

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hostile are inputs up to a MiB that must be an error, with bounded memory, in
// under a second.
var hostile = map[string]func() string{
	"flat keys": func() string {
		var b strings.Builder
		for i := range 50_000 {
			fmt.Fprintf(&b, "k%d: v\n", i)
		}
		return b.String()
	},
	"flat keys of a map": func() string {
		var b strings.Builder
		b.WriteString("name: a\nnodes:\n")
		for i := range 50_000 {
			fmt.Fprintf(&b, "  k%d: v\n", i)
		}
		return b.String()
	},
	"one key many times": func() string { return "name: a\nnodes: {" + strings.Repeat("a: {}, ", 50_000) + "}" },
	"many labels":        func() string { return "name: a\nnodes: {h1: {labels: {" + repeat("k%d: [], ", 50_000) + "}}}" },
	"many sysctls": func() string {
		return "name: a\nnodes: {h1: {bad: 1, sysctls: {" + repeat("net.ipv4.k%d: 1, ", 40_000) + "}}}"
	},
	"many interfaces": func() string {
		return "name: a\nnodes: {h1: {bad: 1, interfaces: {" + repeat("e%d: {}, ", 50_000) + "}}}"
	},
	"many nodes": func() string { return "name: a\nbad: 1\nnodes: {" + repeat("n%d: , ", 80_000) + "}" },
	"many links": func() string { return "name: a\nnodes: {a: {}}\nlinks: [" + strings.Repeat("[a,b],", 100_000) + "]" },
	"many good links": func() string {
		return "name: a\nnodes: {a: {}, b: {}}\nlinks: [" + strings.Repeat("[a,b],", 90_000) + "]\nbad: 1"
	},
	"many tests": func() string {
		return "name: a\nnodes: {a: {}}\ntests: [" + strings.Repeat("{ping: a -> b},", 60_000) + "]"
	},
	"flow items":        func() string { return "[" + strings.Repeat("a,", 1<<19-1) + "]" },
	"flow keys":         func() string { return "{" + strings.Repeat("a,", 1<<19-1) + "}" },
	"flow items, fewer": func() string { return "[" + strings.Repeat("abc,", 1<<18-1) + "]" },
	"empty lists":       func() string { return "[" + strings.Repeat("[],", 1<<18) + "]" },
	"alias bomb": func() string {
		var b strings.Builder
		b.WriteString("name: a\na0: &a0 {x: 1}\n")
		for i := 1; i < 100; i++ {
			fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10))
		}
		return b.String()
	},
	"merge bomb": func() string {
		var b strings.Builder
		b.WriteString("name: a\na0: &a0 {x: 1}\n")
		for i := 1; i < 1000; i++ {
			fmt.Fprintf(&b, "a%d: &a%d {<<: [%s]}\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10))
		}
		return b.String()
	},
	"merge chain": func() string {
		var b strings.Builder
		b.WriteString("name: a\nnodes:\n  n0: &a0 {kind: host}\n")
		for i := 1; i < 20_000; i++ {
			fmt.Fprintf(&b, "  n%d: &a%d {<<: *a%d, k%d: 1}\n", i, i, i-1, i)
		}
		return b.String()
	},
	"alias of itself":      func() string { return "name: a\nnodes: &n\n  h1: *n\n" },
	"merge of itself":      func() string { return "name: a\nnodes: &n\n  <<: *n\n" },
	"merge of a list":      func() string { return "name: a\nnodes: {<<: [[1, 2], 3]}" },
	"merge and list keys":  func() string { return "name: a\nnodes: {? [a] : 1, <<: {? [b] : 1}, ? {c: 1} : 2}" },
	"merge of a scalar":    func() string { return "name: a\n<<: 5" },
	"deep flow":            func() string { return strings.Repeat("[", 1<<20) },
	"deep flow, closed":    func() string { return strings.Repeat("[", 5000) + strings.Repeat("]", 5000) },
	"deep flow maps":       func() string { return strings.Repeat("{a: ", 1<<18) },
	"deep flow, then wide": func() string { return strings.Repeat("[a,", 9990) + strings.Repeat("b,", 400_000) },
	"deep block":           func() string { return strings.Repeat("- ", 1<<19) },
	"deep keys":            func() string { return strings.Repeat("? ", 1<<19) },
	"indented": func() string {
		var b strings.Builder
		for i := range 1400 {
			b.WriteString(strings.Repeat(" ", i) + "a:\n")
		}
		return b.String()
	},
	"tag directives": func() string { return repeat("%%TAG !k%d! v\n", 60_000) + "---\na" },
	"documents":      func() string { return strings.Repeat("---\n", 1<<18) },
	"anchors":        func() string { return strings.Repeat("&a ", 1<<18) },
	"huge range":     func() string { return "name: a\nnodes: {\"h[1-999999999]\": {}}" },
	"huge ranges":    func() string { return "name: a\nnodes: {" + repeat("\"h%d-[1-99999]\": {}, ", 20_000) + "}" },
	"range of long text": func() string {
		return "name: a\nnodes: {\"h[1-9999]\": {labels: {a: \"[1-9999]" + strings.Repeat("x", 1<<19) + "\"}}}"
	},
	"range of ranges": func() string {
		return "name: a\nnodes: {h1: {interfaces: {eth0: \"" + strings.Repeat("[1-2]", 100_000) + "\"}}}"
	},
	"unequal ranges": func() string { return "name: a\nlinks: [" + strings.Repeat("[\"a[1-3]\", \"b[1-2]\"],", 30_000) + "]" },
	"ranged links": func() string {
		return "name: a\nnodes: {}\nlinks: [" + strings.Repeat("[\"a[1-9999]\", b],", 50_000) + "]"
	},
	"ranged tests": func() string {
		return "name: a\ntests: [" + strings.Repeat("{ping: \"a[1-9999] -> b[1-9999]\"},", 25_000) + "]"
	},
	"long list in range": func() string { return "name: a\nnodes: {\"h[" + strings.Repeat("1,", 1<<19-40) + "1]\": {}}" },
	"large default": func() string {
		return "name: a\ndefaults: {node: {labels: {" + repeat("k%d: v, ", 20_000) + "}}}\nnodes: {" + repeat("n%d: {}, ", 40_000) + "}"
	},
	"long words": func() string {
		return "name: a\nnodes: {h1: {routes: [\"" + strings.Repeat("default via ", 80_000) + "\"]}}"
	},
	"many routes": func() string { return "name: a\nnodes: {h1: {routes: [" + repeat("default via %d,", 50_000) + "]}}" },
	"long test": func() string {
		return "name: a\nnodes: {}\ntests: [{ping: \"" + strings.Repeat("a ", 1<<18) + "-> b\"}]"
	},
	"long name": func() string { return "name: " + strings.Repeat("a", 1<<20-10) },
	"long key":  func() string { return "? " + strings.Repeat("a", 1<<20-10) },
	"long regexp": func() string {
		return "name: a\nnodes: {a: {}}\ntests: [{exec: a, command: b, stdout: \"" + strings.Repeat("((a{1,100}){1,9})", 50_000) + "(\"}]"
	},
	"quotes":             func() string { return "\"" + strings.Repeat("\n", 1<<20-10) },
	"comments":           func() string { return strings.Repeat("#\n", 1<<19) },
	"spaces":             func() string { return strings.Repeat(" ", 1<<20) },
	"not closed":         func() string { return "name: a\nnodes:\n" + strings.Repeat("  h: {}\n", 100_000) + " x: 1\n" },
	"zeros":              func() string { return strings.Repeat("\x00", 1<<20) },
	"other characters":   func() string { return strings.Repeat("\xff\xfe", 1<<19) },
	"long line of words": func() string { return "é: {" + repeat("k%d: é, ", 40_000) + "}" },
}

func repeat(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestHostileInput(t *testing.T) {
	limit := time.Second
	if raceEnabled {
		limit *= 10
	}
	for name, make := range hostile {
		t.Run(name, func(t *testing.T) {
			data := []byte(make())
			if len(data) > 1<<20 {
				t.Fatalf("the input has %d bytes", len(data))
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := cpuTime(t)
			_, err := Load("lab.yaml", data)
			took := cpuTime(t) - start
			runtime.ReadMemStats(&after)
			var errs Errors
			if !errors.As(err, &errs) || len(errs) == 0 || len(errs) > MaxErrors {
				t.Fatalf("the error is %T with %d entries", err, len(errs))
			}
			for _, e := range errs {
				if s := e.Error(); len(s) > 2000 {
					t.Errorf("a message of %d bytes: %s", len(s), s[:200])
				}
			}
			if took > limit {
				t.Errorf("took %v", took)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 600<<20 {
				t.Errorf("allocated %d MiB", used>>20)
			}
			t.Logf("%v, %d MiB, %s", took.Round(time.Millisecond), (after.TotalAlloc-before.TotalAlloc)>>20, clip(strings.ReplaceAll(errs[0].Error(), "\n", " "), 150))
		})
	}
}

// cpuTime is the time that the process has worked; other processes do not count.
func cpuTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestTooLarge(t *testing.T) {
	data := bytes.Repeat([]byte("#\n"), MaxSize/2+1)
	if _, err := Parse("lab.yaml", data); err == nil || !strings.Contains(err.Error(), "larger than 8 MiB") {
		t.Errorf("Parse: %v", err)
	}
	if _, err := Read(endless{}); err == nil || !strings.Contains(err.Error(), "larger than 8 MiB") {
		t.Errorf("Read: %v", err)
	}
	if got, err := Read(bytes.NewReader(data[:MaxSize])); err != nil || len(got) != MaxSize {
		t.Errorf("Read of as much as there may be: %d bytes, %v", len(got), err)
	}
}

// endless is a reader that never comes to its end.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

var _ io.Reader = endless{}
