package topology

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

// shippedLabs gives the paths of the files in labs/ and its folders.
func shippedLabs(tb testing.TB) (files []string) {
	tb.Helper()
	for _, pattern := range []string{"../labs/*.yaml", "../labs/*/*.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			tb.Fatal("no labs are ", pattern, err)
		}
		files = append(files, found...)
	}
	return files
}

// topologies gives the shipped labs and the inputs of the golden tests.
func topologies(tb testing.TB) map[string][]byte {
	tb.Helper()
	all := map[string][]byte{}
	for _, name := range shippedLabs(tb) {
		data, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		all[name] = data
	}
	goldens, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(goldens) == 0 {
		tb.Fatal("no golden files", err)
	}
	for _, name := range goldens {
		a, err := txtar.ParseFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		for _, f := range a.Files {
			if filepath.Ext(f.Name) == ".yaml" {
				all[name+"/"+f.Name] = f.Data
			}
		}
	}
	return all
}

// FuzzParse looks for input that panics, or whose errors are not as they must be.
func FuzzParse(f *testing.F) {
	for _, data := range topologies(f) {
		f.Add(data)
	}
	for _, text := range []string{
		"", "a: *a", "&a [*a]", "<<: {<<: {}}", "? [a]\n: {<<: [1]}", "!!binary a: b", "%TAG ! a\n---\n!b c", "a: \x00", "\xff\xfea", "---\n---\n",
		"nodes: {\"h[1-2]\": {interfaces: {eth0: \"10.0.[1-3].1/24\"}}}", "links: [[\"a[1-2]\", \"b[3-9]\"]]", "tests: [{ping: \"[1-2] -> [::1]:[1-2]\"}]",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		hang := time.AfterFunc(20*time.Second, func() {
			debug.SetTraceback("all")
			panic(fmt.Sprintf("%d bytes take more than 20 seconds", len(data)))
		})
		defer hang.Stop()
		file, err := Parse("f", data)
		if err == nil {
			if file == nil {
				t.Fatal("neither a file nor an error")
			}
		} else {
			checkErrors(t, err, data)
		}
		if _, err := Load("f", data); err != nil {
			checkErrors(t, err, data)
		}
	})
}

func checkErrors(t *testing.T, err error, data []byte) {
	t.Helper()
	var errs Errors
	if !errors.As(err, &errs) || len(errs) == 0 || len(errs) > MaxErrors {
		t.Fatalf("%T: %v", err, err)
	}
	if !slices.IsSortedFunc(errs, func(a, b *Error) int { return comparePos(a.Pos, b.Pos) }) {
		t.Fatalf("not sorted: %v", err)
	}
	for _, e := range errs {
		if e.Msg == "" || e.Pos.Line < 0 || int(e.Pos.Line) > len(data)+1 || e.Pos.Line > 0 && e.Pos.Col < 1 {
			t.Fatalf("%+v", *e)
		}
	}
}
