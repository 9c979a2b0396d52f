package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares got with a file of a txtar archive in testdata.
type golden struct {
	t    *testing.T
	path string
	old  map[string]string
	new  []txtar.File
}

func openGolden(t *testing.T, name string) *golden {
	g := &golden{t: t, path: filepath.Join("testdata", name), old: map[string]string{}}
	archive, err := txtar.ParseFile(g.path)
	if err != nil && !*update {
		t.Fatal(err)
	}
	if err == nil {
		for _, f := range archive.Files {
			g.old[f.Name] = string(f.Data)
		}
	}
	t.Cleanup(g.close)
	return g
}

func (g *golden) check(name, got string) {
	g.t.Helper()
	g.new = append(g.new, txtar.File{Name: name, Data: []byte(got)})
	if want := g.old[name]; !*update && got != want {
		g.t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func (g *golden) close() {
	if *update {
		if err := os.WriteFile(g.path, txtar.Format(&txtar.Archive{Files: g.new}), 0o644); err != nil {
			g.t.Fatal(err)
		}
		return
	}
	for name := range g.old {
		found := false
		for _, f := range g.new {
			found = found || f.Name == name
		}
		if !found {
			g.t.Errorf("%s has %s, which no test asks for", g.path, name)
		}
	}
}

// nslab runs the program without a kernel.
func nslab(stdin string, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	a := &app{args: args, stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs}
	status = a.main()
	return status, out.String(), errs.String()
}

func TestHelp(t *testing.T) {
	g := openGolden(t, "help.txtar")
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Long == "" || cmd.Example == "" {
			t.Errorf("%s lacks a text or an example", cmd.CommandPath())
		}
		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		status, stdout, stderr := nslab("", args...)
		if status != 0 || stderr != "" {
			t.Errorf("%s: status %d, %s", args, status, stderr)
		}
		g.check(strings.Join(args, " "), stdout)
		for _, line := range strings.Split(cmd.Long+"\n"+cmd.Example, "\n") {
			if len(line) > 84 {
				t.Errorf("%s: this line of help is too long: %s", cmd.CommandPath(), line)
			}
		}
		for _, c := range cmd.Commands() {
			visit(c)
		}
	}
	visit(new(app).command())
}

func TestWrongUsage(t *testing.T) {
	g := openGolden(t, "usage.txtar")
	for _, line := range []string{
		"upp",
		"up a b",
		"up --nonsense",
		"up --color blue",
		"up --jobs -1",
		"down --all campus",
		"help nonsense",
		"labs nonsense",
		"labs show quickstrt",
		"labs show",
		"generate",
		"generate dodecahedron",
		"generate ring --subnet 10.0.0.0",
		"generate ring --nodes 1",
		"completion",
		"completion csh",
		"test --parallel 0",
		"test --run (",
		"test --name n a.yaml b.yaml",
		"validate ./not-there.yaml",
		"validate quickstart.yaml",
		"validate quickstrt",
		"version now",
	} {
		status, stdout, stderr := nslab("", strings.Fields(line)...)
		if status != statusUsage {
			t.Errorf("nslab %s: status %d, want %d", line, status, statusUsage)
		}
		if stdout != "" {
			t.Errorf("nslab %s: wrote to standard output: %s", line, stdout)
		}
		g.check(line, stderr)
	}
	for _, line := range []string{"exec", "exec h1", "exec h1 --", "exec -x h1 true", "shell", "shell a b"} {
		status, _, stderr := nslab("", strings.Fields(line)...)
		if status != statusExec {
			t.Errorf("nslab %s: status %d, want %d", line, status, statusExec)
		}
		g.check(line, stderr)
	}
}
