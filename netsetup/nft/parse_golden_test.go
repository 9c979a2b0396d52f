package nft

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

var updateParse = flag.Bool("update-parse", false, "rewrite testdata/parse from what Parse gives")

// TestParseGolden compares what Parse makes of rules.nft with tree, and the
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
			f, errs := Parse(string(a.Files[0].Data))
			if len(errs) > 0 {
				got = append(got, txtar.File{Name: "errors", Data: []byte(errs.Error() + "\n")})
			}
			got = append(got, txtar.File{Name: "tree", Data: []byte(dumpFile(f))})
			text := txtar.Format(&txtar.Archive{Comment: a.Comment, Files: got})
			if *updateParse {
				if err := os.WriteFile(file, text, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := txtar.Format(a); !bytes.Equal(text, want) {
				t.Errorf("run with -update-parse and look at the difference; got\n%s", text)
			}
		})
	}
}

func dumpFile(f *File) string {
	var d dumper
	for _, c := range f.Commands {
		d.node(reflect.ValueOf(c), "", "")
	}
	return d.String()
}

// dumper writes nodes as lines: type, place, what is not zero of what fits on a
// line; below it, deeper, the other nodes in it.
type dumper struct{ strings.Builder }

func (d *dumper) node(v reflect.Value, indent, label string) {
	if v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer {
		d.node(v.Elem(), indent, label)
		return
	}
	if s, ok := plain(v); ok {
		fmt.Fprintf(d, "%s%s%s\n", indent, label, s)
		return
	}
	fmt.Fprintf(d, "%s%s%s", indent, label, v.Type().Name())
	var below []int
	for i := range v.NumField() {
		field, name := v.Field(i), v.Type().Field(i).Name
		if field.IsZero() {
			continue
		}
		s, ok := plain(field)
		switch {
		case name == "Pos":
			fmt.Fprint(d, s)
		case ok:
			fmt.Fprintf(d, " %s=%s", name, s)
		default:
			below = append(below, i)
		}
	}
	d.WriteByte('\n')
	for _, i := range below {
		field, label := v.Field(i), v.Type().Field(i).Name+": "
		if field.Kind() != reflect.Slice {
			d.node(field, indent+"  ", label)
			continue
		}
		for j := range field.Len() {
			d.node(field.Index(j), indent+"  ", label)
		}
	}
}

// plain writes what fits on a line.
func plain(v reflect.Value) (string, bool) {
	switch x := v.Interface().(type) {
	case Pos:
		return fmt.Sprintf("@%d:%d", x.Line, x.Col), true
	case *Value:
		text := x.Text
		if x.Quoted {
			text = strconv.Quote(text)
		}
		return fmt.Sprintf("%s@%d:%d", text, x.Line, x.Col), true
	case []*Value:
		var list []string
		for _, w := range x {
			s, _ := plain(reflect.ValueOf(w))
			list = append(list, s)
		}
		return "[" + strings.Join(list, " ") + "]", true
	case Verb:
		return [...]string{"add", "create", "insert", "flush", "delete", "destroy"}[x], true
	case TableName:
		return strings.TrimSpace(x.Family + " " + x.Name), true
	case *time.Duration:
		return x.String(), true
	case time.Duration:
		return x.String(), true
	case *uint64:
		return fmt.Sprint(*x), true
	case *uint32:
		return fmt.Sprint(*x), true
	case *string:
		return strconv.Quote(*x), true
	case string:
		return strconv.Quote(x), true
	}
	switch v.Kind() {
	case reflect.Interface:
		return plain(v.Elem())
	case reflect.Bool, reflect.Int, reflect.Uint32, reflect.Uint64:
		return fmt.Sprint(v.Interface()), true
	}
	return "", false
}
