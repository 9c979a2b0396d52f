package netsetup_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"nslab/netsetup"
	"nslab/topology"
)

// TestMachinesGolden compiles lab.yaml of each archive, which stands in a folder
// with the archive's other files, and compares with hosts and machines, or
// errors.
func TestMachinesGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/machines/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			got := &txtar.Archive{Comment: a.Comment}
			for _, f := range a.Files {
				switch f.Name {
				case "hosts", "machines", "errors":
					continue
				}
				path := filepath.Join(dir, f.Name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, f.Data, 0o640); err != nil {
					t.Fatal(err)
				}
				got.Files = append(got.Files, f)
			}
			name := filepath.Join(dir, "lab.yaml")
			lab, err := topology.Load(name, a.Files[0].Data)
			if err != nil {
				t.Fatal(err)
			}
			machines, err := netsetup.Machines(lab)
			if err != nil {
				got.Files = append(got.Files, txtar.File{Name: "errors", Data: []byte(err.Error() + "\n")})
			} else {
				checkKept(t, machines)
				text, err := json.MarshalIndent(machines, "", " ")
				if err != nil {
					t.Fatal(err)
				}
				got.Files = append(got.Files,
					txtar.File{Name: "hosts", Data: []byte(netsetup.HostsFile(lab))},
					txtar.File{Name: "machines", Data: append(text, '\n')})
			}
			text := bytes.ReplaceAll(txtar.Format(got), []byte(dir), []byte("DIR"))
			if *update {
				if err := os.WriteFile(file, text, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := txtar.Format(a); !bytes.Equal(text, want) {
				t.Errorf("run with -update and look at the difference; got\n%s", text)
			}
		})
	}
}

// checkKept checks that machines are the same after they were kept as JSON.
func checkKept(t *testing.T, machines []netsetup.Machine) {
	t.Helper()
	text, err := json.Marshal(machines)
	if err != nil {
		t.Fatal(err)
	}
	var again []netsetup.Machine
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(machines, again) {
		t.Errorf("as JSON and back:\n%+v\nfirst:\n%+v", again, machines)
	}
}

// TestMachineSources checks what cannot be the source of a file.
func TestMachineSources(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, size int) {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("most", 1<<20)
	write("large", 1<<20+1)
	for source, want := range map[string]string{
		"most": "", "large": "larger than 1 MiB", ".": "not a regular file", "none": "no such file", "/dev/zero": "not a regular file",
	} {
		text := "name: a\nnodes: {h: {files: {/x: {source: " + source + "}}}}"
		lab, err := topology.Load(filepath.Join(dir, "lab.yaml"), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		machines, err := netsetup.Machines(lab)
		switch {
		case err == nil && want == "":
			if f := machines[0].Files[0]; len(f.Content) != 1<<20 || f.Mode != 0o755 {
				t.Errorf("%s: %d bytes, mode %o", source, len(f.Content), f.Mode)
			}
		case err == nil || want == "" || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "lab.yaml:2:"):
			t.Errorf("%s: %v, want %q", source, err, want)
		}
	}
}
