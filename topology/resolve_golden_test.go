package topology

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// TestResolveGolden compares what Resolve makes of lab.yaml with resolved.yaml
// and warnings, or errors.
func TestResolveGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/resolve/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lab, err := Load("lab.yaml", a.Files[0].Data)
			got := []txtar.File{a.Files[0]}
			if err != nil {
				got = append(got, txtar.File{Name: "errors", Data: []byte(err.Error() + "\n")})
			} else {
				got = append(got, txtar.File{Name: "resolved.yaml", Data: written(t, lab)})
				if len(lab.Warnings) > 0 {
					got = append(got, txtar.File{Name: "warnings", Data: []byte(lab.Warnings.Error() + "\n")})
				}
			}
			text := txtar.Format(&txtar.Archive{Comment: a.Comment, Files: got})
			if *update {
				if err := os.WriteFile(file, text, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := txtar.Format(a); !bytes.Equal(text, want) {
				t.Errorf("run with -update and look at the difference; got\n%s", text)
			}
			if lab != nil {
				checkReload(t, lab)
			}
		})
	}
}

// TestReloadLabs checks that the shipped labs, resolved, load as themselves.
func TestReloadLabs(t *testing.T) {
	for _, file := range shippedLabs(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lab, err := Load(file, text)
		if err != nil {
			t.Error(err)
			continue
		}
		if len(lab.Warnings) > 0 {
			t.Error(lab.Warnings)
		}
		checkReload(t, lab)
	}
}

func written(t testing.TB, l *Lab) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := l.WriteYAML(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// checkReload checks that the resolved lab, written and read again, is the same.
func checkReload(t testing.TB, lab *Lab) {
	t.Helper()
	text := written(t, lab)
	again, err := Load(lab.File, text)
	if err != nil {
		t.Fatalf("the resolved file does not load: %v\n%s", err, text)
	}
	if second := written(t, again); !bytes.Equal(text, second) {
		t.Errorf("resolved again, it differs:\n%s\nfirst:\n%s", second, text)
	}
	lab.Warnings, again.Warnings = nil, nil
	if where := difference("lab", reflect.ValueOf(lab), reflect.ValueOf(again), map[uintptr]bool{}); where != "" {
		t.Errorf("the resolved file loads as another lab: %s", where)
	}
}

// difference names the first place where two values differ, positions aside; nil
// and empty lists are equal.
func difference(path string, a, b reflect.Value, seen map[uintptr]bool) string {
	switch a.Type() {
	case reflect.TypeFor[Pos]():
		return ""
	case reflect.TypeFor[Nftables](): // the rest follows from the text
		a, b = a.FieldByName("Text"), b.FieldByName("Text")
	}
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			if a.IsNil() != b.IsNil() {
				return path + " is there once"
			}
			return ""
		}
		if seen[a.Pointer()] {
			return ""
		}
		seen[a.Pointer()] = true
		return difference(path, a.Elem(), b.Elem(), seen)
	case reflect.Struct:
		if !a.Type().Comparable() || a.Type().PkgPath() == reflect.TypeFor[Lab]().PkgPath() {
			for i := range a.NumField() {
				if d := difference(path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i), seen); d != "" {
					return d
				}
			}
			return ""
		}
	case reflect.Slice, reflect.Array:
		if a.Len() != b.Len() {
			return path + " differs in length"
		}
		for i := range a.Len() {
			if d := difference(path+"[]", a.Index(i), b.Index(i), seen); d != "" {
				return d
			}
		}
		return ""
	case reflect.Map:
		if a.Len() == 0 && b.Len() == 0 {
			return ""
		}
	}
	if !reflect.DeepEqual(a.Interface(), b.Interface()) {
		return path + " differs"
	}
	return ""
}

// TestGenerate checks that what Generate writes loads without a complaint.
func TestGenerate(t *testing.T) {
	for _, c := range []struct {
		shape        string
		o            GenerateOptions
		nodes, links int
	}{
		{"line", GenerateOptions{}, 4, 3},
		{"line", GenerateOptions{Nodes: 2}, 2, 1},
		{"line", GenerateOptions{Nodes: 64}, 64, 63},
		{"ring", GenerateOptions{}, 4, 4},
		{"ring", GenerateOptions{Nodes: 1000}, 1000, 1000},
		{"star", GenerateOptions{}, 5, 4},
		{"star", GenerateOptions{Nodes: 1023}, 1024, 1023},
		{"mesh", GenerateOptions{}, 4, 6},
		{"mesh", GenerateOptions{Nodes: 2}, 2, 1},
		{"mesh", GenerateOptions{Nodes: 20}, 20, 190},
		{"tree", GenerateOptions{}, 7, 6},
		{"tree", GenerateOptions{Nodes: 2}, 2, 1},
		{"tree", GenerateOptions{Nodes: 30, K: 3}, 30, 29},
		{"grid", GenerateOptions{}, 9, 12},
		{"grid", GenerateOptions{Nodes: 12}, 12, 17},
		{"grid", GenerateOptions{K: 2}, 4, 4},
		{"fat-tree", GenerateOptions{}, 36, 48},
		{"fat-tree", GenerateOptions{K: 2}, 7, 6},
		{"fat-tree", GenerateOptions{K: 6}, 99, 162},
	} {
		for _, subnet := range []string{"", "172.16.0.0/16", "fd12::/48", "fd12::/64"} {
			o := c.o
			if subnet != "" {
				o.Subnet = prefix(subnet)
			}
			text, err := Generate(c.shape, o)
			if err != nil {
				t.Errorf("%s %+v: %v", c.shape, o, err)
				continue
			}
			lab, err := Load(c.shape, text)
			if err != nil {
				t.Errorf("%s %+v: %v\n%s", c.shape, o, err, text)
				continue
			}
			if len(lab.Warnings) > 0 {
				t.Errorf("%s %+v: %v", c.shape, o, lab.Warnings)
			}
			if len(lab.Nodes) != c.nodes || len(lab.Links) != c.links {
				t.Errorf("%s %+v: %d nodes, %d links; want %d, %d", c.shape, o, len(lab.Nodes), len(lab.Links), c.nodes, c.links)
			}
			if len(lab.Tests) == 0 {
				t.Errorf("%s %+v: no tests", c.shape, o)
			}
			if len(lab.Nodes) < 100 {
				checkReload(t, lab)
			}
		}
	}
}

// TestGenerateGolden compares the text of each shape's default.
func TestGenerateGolden(t *testing.T) {
	for _, shape := range Shapes {
		text, err := Generate(shape, GenerateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", "generate", shape+".yaml")
		if *update {
			if err := os.WriteFile(file, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(file); err != nil || !bytes.Equal(want, text) {
			t.Errorf("%s: run with -update and look at the difference (%v)\n%s", shape, err, text)
		}
	}
}

func TestGenerateErrors(t *testing.T) {
	for _, c := range []struct {
		shape string
		o     GenerateOptions
		want  string
	}{
		{"rign", GenerateOptions{}, "ring?"},
		{"torus", GenerateOptions{}, "line, ring"},
		{"ring", GenerateOptions{Nodes: 2}, "3 to 20000"},
		{"ring", GenerateOptions{K: 2}, "no such number"},
		{"line", GenerateOptions{Nodes: 65}, "64 routers"},
		{"star", GenerateOptions{Nodes: 1024}, "ports"},
		{"tree", GenerateOptions{K: 1}, "children"},
		{"grid", GenerateOptions{Nodes: 7}, "8 does"},
		{"grid", GenerateOptions{Nodes: 12, K: 5}, "rows of 5"},
		{"grid", GenerateOptions{Nodes: 1000, K: 500}, "64 routers"},
		{"fat-tree", GenerateOptions{K: 3}, "even number"},
		{"fat-tree", GenerateOptions{Nodes: 3}, "follows from --k"},
		{"ring", GenerateOptions{Nodes: 100, Subnet: prefix("10.0.0.0/28")}, "no room"},
		{"star", GenerateOptions{Nodes: 100, Subnet: prefix("10.0.0.0/28")}, "no room"},
	} {
		if _, err := Generate(c.shape, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %+v: %v; want %q", c.shape, c.o, err, c.want)
		}
	}
}
