package nft

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"golang.org/x/tools/txtar"
)

var updateCompile = flag.Bool("update-compile", false, "rewrite testdata/compile from what Compile gives")

// goldenIndexes are the interfaces of the golden tests.
var goldenIndexes = map[string]uint32{"lo": 1, "eth0": 2, "eth1": 3}

// TestCompileGolden compares what Compile makes of rules.nft with ruleset, or
// the mistakes it finds with errors.
func TestCompileGolden(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the golden files are those of a little-endian machine")
	}
	files, err := filepath.Glob("testdata/compile/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			f, errs := Parse(string(a.Files[0].Data))
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			rs, errs := Compile(f, func(name string) (uint32, error) {
				if n, ok := goldenIndexes[name]; ok {
					return n, nil
				}
				return 0, errors.New("there is no such interface")
			})
			second := txtar.File{Name: "errors", Data: []byte(errs.Error() + "\n")}
			if len(errs) == 0 {
				second = txtar.File{Name: "ruleset", Data: []byte(dumpRuleset(rs))}
			}
			text := txtar.Format(&txtar.Archive{Comment: a.Comment, Files: []txtar.File{a.Files[0], second}})
			if *updateCompile {
				if err := os.WriteFile(file, text, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := txtar.Format(a); !bytes.Equal(text, want) {
				t.Errorf("run with -update-compile and look at the difference; got\n%s", text)
			}
		})
	}
}

func dumpRuleset(rs *Ruleset) string {
	var d rulesetDumper
	for _, t := range rs.Tables {
		d.table(t)
	}
	return d.String()
}

// rulesetDumper writes a ruleset as lines; what is zero is left out.
type rulesetDumper struct{ strings.Builder }

// line writes a line: words, then pairs of a name and a value.
func (d *rulesetDumper) line(indent int, text string, pairs ...any) {
	d.WriteString(strings.Repeat("  ", indent) + text)
	for i := 0; i < len(pairs); i += 2 {
		switch v := fmt.Sprint(pairs[i+1]); v {
		case "", "0", "0s", "[]", "<nil>":
		default:
			fmt.Fprintf(d, " %v=%s", pairs[i], v)
		}
	}
	d.WriteByte('\n')
}

func hexOf(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return fmt.Sprintf("0x%x", b)
}

func (d *rulesetDumper) table(t *Table) {
	d.line(0, "table "+t.Family.String()+" "+t.Name, "flags", t.Flags, "comment", t.Comment, "interfaces", t.Interfaces)
	for _, s := range t.Sets {
		d.set(s)
	}
	for _, o := range t.Objects {
		d.line(1, "object "+o.Name, "type", o.Type, "comment", o.Comment, "data", attributesText("object", o.Data))
	}
	for _, f := range t.Flowtables {
		d.line(1, "flowtable "+f.Name, "hook", f.Hook, "priority", f.Priority, "devices", f.Devices, "flags", f.Flags)
	}
	for _, ch := range t.Chains {
		d.line(1, strings.TrimSpace("chain "+ch.Name), "id", ch.ID, "flags", ch.Flags, "comment", ch.Comment)
		if h := ch.Hook; h != nil {
			policy := ""
			if h.Policy != nil {
				policy = [...]string{"drop", "accept"}[*h.Policy]
			}
			d.line(2, "hook "+h.Type, "hook", h.Hook, "priority", h.Priority, "devices", h.Devices, "policy", policy)
		}
		for _, r := range ch.Rules {
			d.line(2, fmt.Sprintf("rule @%d:%d", r.Line, r.Col), "comment", r.Comment)
			for _, e := range r.Exprs {
				d.line(3, expressionText(e))
			}
		}
	}
}

func (d *rulesetDumper) set(s *Set) {
	policy := ""
	if s.Policy != nil {
		policy = fmt.Sprint(*s.Policy)
	}
	d.line(1, fmt.Sprintf("set %s #%d", s.Name, s.ID), "flags", fmt.Sprintf("%#x", s.Flags), "key", s.KeyType, "keylen", s.KeyLen,
		"data", s.DataType, "datalen", s.DataLen, "objects", s.ObjType, "fields", s.Fields, "size", s.Size, "policy", policy,
		"timeout", s.Timeout, "gc", s.GC, "comment", s.Comment, "userdata", hexOf(s.UserData))
	for _, e := range s.Exprs {
		d.line(2, "with "+expressionText(e))
	}
	for _, el := range s.Elements {
		verdict, timeout, expires := "", "", ""
		if el.Verdict != nil {
			verdict = strings.TrimSpace(fmt.Sprint(el.Verdict.Code, " ", el.Verdict.Chain))
			if verdict == "0" {
				verdict = "drop"
			}
		}
		if el.Timeout != nil {
			timeout = el.Timeout.String()
		}
		if el.Expires != nil {
			expires = el.Expires.String()
		}
		d.line(2, strings.TrimSpace("element "+hexOf(el.Key)), "to", hexOf(el.KeyEnd), "flags", el.Flags, "data", hexOf(el.Data),
			"verdict", verdict, "object", el.Object, "timeout", timeout, "expires", expires, "userdata", hexOf(el.UserData))
		for _, e := range el.Exprs {
			d.line(3, "with "+expressionText(e))
		}
	}
}

// attributeNames are those of linux/netfilter/nf_tables.h, lower case and
// without what all of an expression begin with, from number 1 on.
var attributeNames = map[string]string{
	"immediate": "dreg data", "cmp": "sreg op data", "range": "sreg op from to",
	"bitwise": "sreg dreg len mask xor op data", "byteorder": "sreg dreg op len size",
	"lookup": "set sreg dreg set_id flags", "meta": "dreg key sreg", "ct": "dreg key direction sreg",
	"payload": "dreg base offset len sreg csum_type csum_offset csum_flags",
	"exthdr":  "dreg type offset len flags op sreg",
	"nat":     "type family addr_min addr_max proto_min proto_max flags", "masq": "flags proto_min proto_max",
	"redir": "proto_min proto_max flags", "dynset": "set set_id op sreg_key sreg_data timeout expr",
	"fib": "dreg result flags", "rt": "dreg key", "socket": "key dreg level", "hash": "sreg dreg len modulus seed offset type",
	"numgen": "dreg modulus type offset", "limit": "rate unit burst type flags", "counter": "bytes packets",
	"quota": "bytes flags pad consumed", "reject": "type code", "queue": "num total flags sreg",
	"log": "group prefix snaplen qthreshold level flags", "objref": "type name sreg set set_id",
	"tproxy": "family addr port", "fwd": "dev addr family", "dup": "addr dev", "flow_offload": "flowtable",
}

func expressionText(e Expression) string {
	text := strings.TrimSpace(e.Name + " " + attributesText(e.Name, e.Data))
	if e.Set != nil {
		text += fmt.Sprintf(" (set #%d)", e.Set.ID)
	}
	return text
}

// attributesText writes attributes: numbers as such, strings in quotes, and
// what is compared or written in hexadecimal digits.
func attributesText(of string, data []byte) string {
	names := strings.Fields(attributeNames[of])
	var list []string
	for len(data) >= 4 {
		n, typ := int(binary.NativeEndian.Uint16(data)), binary.NativeEndian.Uint16(data[2:])
		value := data[4:n]
		data = data[min((n+3)&^3, len(data)):]
		nested := typ&unix.NLA_F_NESTED != 0
		typ &^= unix.NLA_F_NESTED
		name := fmt.Sprint(typ)
		if int(typ) <= len(names) {
			name = names[typ-1]
		}
		list = append(list, name+"="+attributeText(value, nested))
	}
	return strings.Join(list, " ")
}

func attributeText(v []byte, nested bool) string {
	text := strings.TrimSuffix(string(v), "\x00")
	printable := text != "" && len(text) < len(v) && !slices.ContainsFunc([]byte(text), func(c byte) bool { return c < ' ' || c > '~' })
	switch {
	case nested && binary.NativeEndian.Uint16(v[2:]) == unix.NFTA_DATA_VALUE && (int(binary.NativeEndian.Uint16(v))+3)&^3 == len(v):
		return hexOf(v[4:binary.NativeEndian.Uint16(v)]) // the value is all there is
	case nested:
		return "{" + attributesText("nested", v) + "}"
	case printable:
		return strconv.Quote(text)
	case len(v) <= 8:
		return fmt.Sprint(bigEndianNumber(v))
	}
	return hexOf(v)
}

func bigEndianNumber(v []byte) uint64 {
	n := uint64(0)
	for _, c := range v {
		n = n<<8 | uint64(c)
	}
	return n
}

// TestOf compiles each table of the corpus by itself, to the same as among all.
func TestOf(t *testing.T) {
	files, err := filepath.Glob("testdata/conformance/*.nft")
	if err != nil || len(files) == 0 {
		t.Fatal("no rules to compile:", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, all, errs := Check(string(text))
		if len(errs) > 0 {
			t.Fatal(name, errs)
		}
		for _, want := range all.Tables {
			got, errs := Compile(file.Of(want.Family, want.Name), nil)
			if len(errs) > 0 || len(got.Tables) != 1 || !reflect.DeepEqual(got.Tables[0], want) {
				t.Errorf("%s: table %s is another by itself: %v", name, want.Title(), errs)
			}
		}
	}
}
