package topology

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the golden files from what there is")

// TestParseGolden compares what Parse makes of lab.yaml with file, and the
// mistakes it finds with errors.
func TestParseGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/parse/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := []txtar.File{a.Files[0]}
			f, err := Parse("lab.yaml", a.Files[0].Data)
			if err != nil {
				got = append(got, txtar.File{Name: "errors", Data: []byte(err.Error() + "\n")})
				errs := err.(Errors)
				if !slices.IsSortedFunc(errs, func(a, b *Error) int { return comparePos(a.Pos, b.Pos) }) {
					t.Error("the errors are not sorted")
				}
			}
			// What is left beside errors is shown where the comment asks for it.
			if f != nil && (err == nil || bytes.Contains(a.Comment, []byte("what is left"))) {
				got = append(got, txtar.File{Name: "file", Data: []byte(dump(reflect.ValueOf(*f), ""))})
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
		})
	}
}

func comparePos(a, b Pos) int {
	if a.Line != b.Line {
		return int(a.Line - b.Line)
	}
	return int(a.Col - b.Col)
}

// dump writes what is not zero of a value, a field a line, with positions after
// an @.
func dump(v reflect.Value, indent string) string {
	var b strings.Builder
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		if f.IsZero() || name == "Pos" {
			continue
		}
		if f.Kind() != reflect.Slice || isPlain(f.Type().Elem()) {
			fmt.Fprintf(&b, "%s%s:%s", indent, name, dumpValue(f, indent))
			continue
		}
		fmt.Fprintf(&b, "%s%s:\n", indent, name)
		for j := range f.Len() {
			fmt.Fprintf(&b, "%s-%s", indent, dumpValue(f.Index(j), indent))
		}
	}
	return b.String()
}

func isPlain(t reflect.Type) bool { return t.Kind() == reflect.String || t == reflect.TypeFor[Text]() }

func dumpValue(v reflect.Value, indent string) string {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case Text:
		return fmt.Sprintf(" %s @%d:%d\n", x.Value, x.Pos.Line, x.Pos.Col)
	case []Text:
		var b strings.Builder
		for _, t := range x {
			fmt.Fprintf(&b, " %s@%d:%d", t.Value, t.Pos.Line, t.Pos.Col)
		}
		return b.String() + "\n"
	case []string:
		return fmt.Sprintf(" %q\n", x)
	case netip.Addr, netip.Prefix, MAC, time.Duration:
		return fmt.Sprintf(" %v\n", x)
	case Nftables:
		s := fmt.Sprintf(" @%d:%d\n", x.Pos.Line, x.Pos.Col)
		for _, t := range x.Ruleset.Tables {
			s += fmt.Sprintf("%s  %s @%d:%d\n", indent, t.Title(), x.At(t.Pos).Line, x.At(t.Pos).Col)
			for _, c := range t.Chains {
				for _, r := range c.Rules {
					s += fmt.Sprintf("%s    %s @%d:%d\n", indent, r.Text, x.At(r.Pos).Line, x.At(r.Pos).Col)
				}
			}
		}
		return s
	}
	if v.Kind() != reflect.Struct {
		return fmt.Sprintf(" %v\n", v.Interface())
	}
	at := ""
	if pos := v.FieldByName("Pos"); pos.IsValid() {
		p := pos.Interface().(Pos)
		at = fmt.Sprintf(" @%d:%d", p.Line, p.Col)
	}
	return at + "\n" + dump(v, indent+"  ")
}
