package topology

import (
	"strings"
	"testing"
)

// TestSyntaxErrors checks place, message and hint of what YAML itself refuses.
// It is reported alone.
func TestSyntaxErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "1:1: the file is empty\nhint: begin with `name: LAB`"},
		{"# nothing\n", "1:1: the file is empty\nhint: begin with `name: LAB`"},
		{"a: b\n---\nc: d\n", "2:1: a second YAML document; a topology file is one\nhint: write each lab into a file of its own"},
		{"a: b\n---\n[", "3:1: a value is missing, or the list or map is not closed\nhint: quote a text with `[`, `]`, `{`, `}` or `,` in it"},
		{"a:\n\tb: c\n", "2:1: a tab in the indentation\nhint: YAML is indented with spaces"},
		{"a:\n  b: c\n \td: e\n", "3:2: a tab in the indentation\nhint: YAML is indented with spaces"},
		{"a: @b\n", "1:4: a value cannot begin with \"@\"\nhint: quote the value"},
		{"a:\n  - `b`\n", "2:5: a value cannot begin with \"`\"\nhint: quote the value"},
		{"a: [%b]\n", "1:5: a value cannot begin with \"%\"\nhint: quote the value"},
		{"- {ping: a -> b, rtt: >= 20ms, count: 3}\n", "1:23: a value that begins with \">\" is a block of text, whose lines are below\nhint: quote the value: \">= 20ms\""},
		{"- ping: a -> b\n  rtt: > 20ms # slow\n", "2:8: a value that begins with \">\" is a block of text, whose lines are below\nhint: quote the value: \"> 20ms\""},
		{"- ping: a -> b\n  rtt: >20ms\n", "2:8: a value that begins with \">\" is a block of text, whose lines are below\nhint: quote the value: \">20ms\""},
		{"links:\n  - [h[2-4], sw1]\n", "2:7: a `[` in a text begins a list\nhint: quote the text: \"h[2-4]\""},
		{"x:\n\n  eth0: [10.0.0.[1-3]/24]\n", "3:17: a `[` in a text begins a list\nhint: quote the text: \"10.0.0.[1-3]/24\""},
		{"a: {b[1-2]: {}}\n", "1:6: a `[` in a text begins a list\nhint: quote the text: \"b[1-2]\""},
		{"%YAML 1.2\n---\na: b\n", "1:1: a version of YAML that nslab does not read\nhint: take the line `%YAML` out"},
		{"a: {b: c[1]}\n", "1:9: a `[` in a text begins a list\nhint: quote the text: \"c[1]\""},
		{"- {tcp: a -> [fd00::1]:80}\n", "1:14: a `[` in a text begins a list\nhint: quote the text with [fd00::1]:80 in it"},
		{"a: [b, c\nd: e\n", "1:4: the list or map that begins here is not closed, or a comma is missing\nhint: quote a text with `[`, `]`, `{`, `}` or `,` in it"},
		{"a: [::1]\n", "1:5: an address that begins with `::`\nhint: quote it: \"::1\""},
		{"a:\n- via: fd00::\n", "2:8: an address that ends with a colon\nhint: quote it: \"fd00::\""},
		{"a: h1 -> b: c\n", "1:11: a `: ` in a text\nhint: quote the text: \"h1 -> b: c\""},
		{"a: 1\nb\nc: 2\n", "2:1: expected is `key: value`\nhint: a list item begins with `- `; a text of several lines is quoted or follows a `|`"},
		{"a: \"b\" c\n", "1:7: something follows the closing quote\nhint: quote the whole text"},
		{"a: [b] c\n", "1:7: something follows the closing bracket\nhint: quote a text that begins with a bracket"},
		{"a:\n   b: 1\n  c: 2\n", "3:3: the line does not fit in with those before it\nhint: the keys of a map, and the items of a list, begin in one column"},
		{"a:\n  b:\n     c: 1\n     d: 1\n    e: 2\n", "5:5: the line does not fit in with those before it\nhint: the keys of a map, and the items of a list, begin in one column"},
		{"a:\n  - b\n  c: 1\n", "3:3: the line does not fit in with those before it\nhint: the keys of a map, and the items of a list, begin in one column"},
		{"a: 1\nb: \"x\n", "2:4: a quote is not closed\nhint: a quoted text ends with the quote it begins with"},
		{"a: 1\nb: \"\\d\"\n", "2:5: an escape that YAML does not know\nhint: write `\\\\` for a backslash, or use single quotes"},
		{"a: 1\nb: *x\n", "2:4: the alias *x has no anchor before it\nhint: an anchor is written &x; quote a text that begins with `*`"},
		{"a: 1\nb: \x01\n", "2:4: the control character 0x01; YAML is text"},
		{"a: 1\nb: é\x00\n", "2:6: the control character 0x00; YAML is text"},
		{"a: 1\nb: \xe9\n", "2:4: the byte 0xe9 is not UTF-8\nhint: save the file as UTF-8"},
		{"a: \xc2\x81\n", "1:1: not YAML: control characters are not allowed"},
		{"- a\n- b\n", "1:1: a list, where a map is expected: name, nodes, links, tests\nhint: begin with `name: LAB`"},
		{"lab", "1:1: the text \"lab\", where a map is expected: name, nodes, links, tests\nhint: begin with `name: LAB`"},
	} {
		_, err := Parse("f", []byte(c.text))
		if err == nil {
			t.Errorf("%q: no error", c.text)
			continue
		}
		if got := err.Error(); got != "f:"+c.want {
			t.Errorf("%q:\n%s\nwant\nf:%s", c.text, got, c.want)
		}
	}
}

// TestColumns checks that columns count bytes, and words have their own.
func TestColumns(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"# é\nname: a\ndescription: é\nbad: 1\n", "f:4:1"},
		{"{name: a, description: é, bad: 1}", "f:1:28"},
		{"\ufeff{name: a, description: é, bad: 1}", "f:1:31"},
		{"{name: a, description: \"é\r\n é\", bad: é}", "f:2:7"},
		{"name: a\nnodes:\n  a: {routes: [default via 10.0.0.1 dve x]}", "f:3:37"},
		{"name: a\nnodes:\n  a: {routes: ['default via 10.0.0.1 dve x']}", "f:3:38"},
		{"name: a\nnodes:\n  a:\n    routes:\n      - default via\n        10.0.0.1 dve x", "f:5:9"},
		{"name: a\nnodes:\n  a:\n    routes:\n      - \"default\\x20via 10.0.0.1 dve x\"", "f:5:9"},
	} {
		_, err := Parse("f", []byte(c.text))
		if err == nil || !strings.HasPrefix(err.Error(), c.want+": ") {
			t.Errorf("%q: %v, want it at %s", c.text, err, c.want)
		}
	}
}
