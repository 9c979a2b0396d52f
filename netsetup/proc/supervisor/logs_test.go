package supervisor

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	tail := NewTail(path)
	write := func(text string) {
		t.Helper()
		f, err := openLog(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want ...string) {
		t.Helper()
		if got, err := tail.Lines(); err != nil || !slices.Equal(got, want) {
			t.Errorf("lines %q, %v, want %q", got, err, want)
		}
	}
	expect() // there is none yet
	write("")
	expect()
	write("one\ntwo\nth")
	expect("one", "two")
	expect()
	write("ree\n\n")
	expect("three", "")
	write("rest")
	expect()
	if rest := tail.Rest(); rest != "rest" || tail.Rest() != "" {
		t.Errorf("rest %q", rest)
	}
	// It is cut while it is read.
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	write("new\n")
	expect("new")
}

func TestBound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	line := append(bytes.Repeat([]byte{'x'}, 1023), '\n')
	for range logLimit/len(line) + 5 {
		if _, err := f.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.WriteString("last\n"); err != nil {
		t.Fatal(err)
	}
	if err := bound(path); err != nil {
		t.Fatal(err)
	}
	// The process still has the file, and goes on at its new end.
	if _, err := f.WriteString("next\n"); err != nil {
		t.Fatal(err)
	}
	if err := bound(path); err != nil { // small: it stays
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "next\n" {
		t.Errorf("%q, %v", text, err)
	}
	old, err := os.ReadFile(path + ".old")
	if err != nil || len(old) != logLimit || !bytes.HasSuffix(old, []byte("x\nlast\n")) {
		t.Errorf("%d bytes, %v", len(old), err)
	}
}

func TestLastLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if got := lastLines(path, 0, 3); got != nil {
		t.Errorf("of no file: %q", got)
	}
	if err := os.WriteFile(path, []byte("old\n1\n2\n3\n4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from int64
		n    int
		want string
	}{{0, 3, "2 3 4"}, {4, 9, "1 2 3 4"}, {10, 3, "4"}, {12, 3, ""}, {99, 2, "3 4"}} {
		if got := strings.Join(lastLines(path, c.from, c.n), " "); got != c.want {
			t.Errorf("from %d, %d lines: %q, want %q", c.from, c.n, got, c.want)
		}
	}
}
