package netsetup_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"nslab/netsetup"
	"nslab/netsetup/kerneltest"
	"nslab/topology"
)

var update = flag.Bool("update", false, "write what the tests get into their golden files")

// TestGolden compiles the topologies of testdata and plans them. In each
// archive, `running.yaml`, where there is one, is the lab that runs; `lab.yaml`
// is what is wanted; `plan` is what `nslab plan` would show; `ops` the complete
// list where the archive asks for it.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { golden(t, file) })
	}
}

func golden(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	k := kerneltest.New()
	var plan *netsetup.Plan
	for i := range archive.Files {
		f := &archive.Files[i]
		var got string
		switch f.Name {
		case "running.yaml", "lab.yaml":
			if plan, err = netsetup.Up(t.Context(), k, compiled(t, f.Name, f.Data), netsetup.Options{}); err != nil {
				t.Fatal(err)
			}
			continue
		case "plan":
			if got = lines(plan); got != "" {
				got += "\n"
			}
		case "ops":
			for _, op := range plan.Ops {
				got += op.Verb.Sign() + " " + op.Command() + "\n"
			}
		default:
			t.Fatalf("%s: unknown file %s", file, f.Name)
		}
		if *update {
			f.Data = []byte(got)
		} else if got != string(f.Data) {
			t.Errorf("%s: got\n%s\nwant\n%s", f.Name, got, f.Data)
		}
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func compiled(t *testing.T, name string, data []byte) *netsetup.State {
	t.Helper()
	lab, err := topology.Load(name, data)
	if err != nil {
		t.Fatal(err)
	}
	s, err := netsetup.Compile(lab)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
