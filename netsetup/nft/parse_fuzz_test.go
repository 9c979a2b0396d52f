package nft

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// goldenTexts gives the inputs of the golden tests.
func goldenTexts(tb testing.TB) (texts []string) {
	tb.Helper()
	files, err := filepath.Glob("testdata/parse/*.txtar")
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
	return texts
}

// FuzzParse looks for input that panics, whose errors are not as they must be,
// or whose tree has holes.
func FuzzParse(f *testing.F) {
	for _, text := range goldenTexts(f) {
		f.Add(text)
		for _, line := range strings.Split(text, "\n") {
			if strings.TrimSpace(line) != "" {
				f.Add("chain ip t c {\n" + line + "\n}")
			}
		}
	}
	for _, text := range []string{
		"", "\x00", "\xff\xfe", "}", "{", "}}}}", "{{{{", `"`, `table ip t { chain c { "`, "$", "define a = $a", "define a = { $b }",
		"define a = 1,2\ndefine b = $a,$a,$a\ndefine c = $b,$b,$b\nip t c ct state $c", "table ip t { chain c { jump { jump { jump {",
		"ip t c ip saddr ((((((1", "ip t c meta mark 1|1|1|1|1^1&1<<1>>1", "table\\\nip\\\nt", "#\n#\\\n", "ip t c ip saddr { {},{},\n{1}, }",
		"ip t c tcp option @255,1,1 1", "0x 00 0x1g 1d2h 1:2:3:4:5:6 ::ffff:1.2.3.4 [::] 1:2 1::", "limit ip t l rate 18446744073709551615 mbytes/second",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, errs := Parse(text)
		if file == nil {
			t.Fatal("no file")
		}
		lines := strings.Count(text, "\n") + 1
		for i, e := range errs {
			if e.Text == "" || e.Line < 1 || e.Line > lines || e.Col < 1 || e.Col > len(text)+1 {
				t.Fatalf("%+v", *e)
			}
			if i > 0 && (e.Line < errs[i-1].Line || e.Line == errs[i-1].Line && e.Col < errs[i-1].Col) {
				t.Fatalf("not sorted: %v", errs)
			}
		}
		if len(errs) > maxErrors {
			t.Fatalf("%d errors", len(errs))
		}
		for _, c := range file.Commands {
			whole(t, reflect.ValueOf(c))
		}
	})
}

// optional are the fields that may be nil.
var optional = map[string]bool{
	"Hook": true, "Policy": true, "KeyTypeof": true, "DataTypeof": true, "Timeout": true, "GCInterval": true, "Size": true, "Expires": true,
	"L3Proto": true, "Protocol": true, "Type": true, "DPort": true, "Data": true, "Seed": true, "Burst": true, "Used": true, "Prefix": true, "Level": true, "Group": true,
	"Snaplen": true, "Threshold": true, "Code": true, "Addr": true, "Port": true, "Dev": true, "To": true, "Num": true, "Of": true,
	"MSS": true, "WScale": true, "Priority": true,
}

// whole looks for nil where there must be something, and nodes without a place.
func whole(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			t.Fatalf("nil %v", v.Type())
		}
		whole(t, v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			whole(t, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field, name := v.Field(i), v.Type().Field(i).Name
			if name == "Pos" && field.IsZero() {
				t.Fatalf("%+v has no place", v.Interface())
			}
			kind := field.Kind()
			if (kind == reflect.Interface || kind == reflect.Pointer) && field.IsNil() {
				if !optional[name] {
					t.Fatalf("%s of %+v is nil", name, v.Interface())
				}
				continue
			}
			whole(t, field)
		}
	}
}

// TestParseNesting reads what is deep or large.
func TestParseNesting(t *testing.T) {
	for name, text := range map[string]string{
		"parentheses": "ip t c meta mark " + strings.Repeat("(", 100000),
		"braces":      "ip t c ip saddr " + strings.Repeat("{", 100000),
		"jumps":       "ip t c " + strings.Repeat("jump { ", 100000),
		"jhash":       "ip t c " + strings.Repeat("jhash ", 100000),
		"operators":   "ip t c meta mark & 1" + strings.Repeat(" | 1", 100000),
		"closing":     strings.Repeat("}", 100000),
		"quotes":      strings.Repeat(`"`, 100001),
		"variables":   "define a = 1,1,1,1,1,1,1,1,1,1\n" + strings.Repeat("redefine a = $a,$a,$a,$a,$a,$a,$a,$a,$a,$a\n", 20),
		"doubling":    "define a = 1\n" + strings.Repeat("redefine a = $a | $a\n", 64),
		"prefixes":    "define a = xxxxxxxxxx\nip t c log prefix \"" + strings.Repeat("$a", 1000) + "\"",
	} {
		t.Run(name, func(t *testing.T) {
			if _, errs := Parse(text); len(errs) == 0 {
				t.Error("no error")
			}
		})
	}
}
