package topology

import (
	"bytes"
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// syntaxLine takes the line off a message of the YAML library.
var syntaxLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// parserMessages are those in which the library counts lines from 0
// (parserc.go); in the others (scannerc.go) it counts from 1.
var parserMessages = map[string]bool{
	"did not find expected ',' or ']'":       true,
	"did not find expected ',' or '}'":       true,
	"did not find expected '-' indicator":    true,
	"did not find expected key":              true,
	"did not find expected node content":     true,
	"did not find expected <document start>": true,
	"found undefined tag handle":             true,
}

// syntaxError reports an error of the YAML library, at the place it is about and
// with what mends it where it is one of the usual ones.
func (p *parser) syntaxError(err error) {
	m := syntaxLine.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
	line, msg := 1, err.Error()
	if m != nil {
		msg = m[2]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
			if parserMessages[msg] {
				line++
			}
		}
	}
	if msg == "did not find expected key" || msg == "did not find expected '-' indicator" {
		line = p.brokenLine(line, msg)
	}
	pos, text, hint := p.explain(line, msg)
	p.errorAt(pos, hint, "%s", text)
}

// maxSearched bounds the text in which brokenLine searches, in bytes.
const maxSearched = 64 << 10

// brokenLine finds the line of a mistake that the library reports at the
// beginning of the map or list it is in: the first one after which the text so
// far has the mistake.
func (p *parser) brokenLine(line int, msg string) int {
	if len(p.data) > maxSearched {
		return line
	}
	p.lineAt(1)
	rest := len(p.lineStarts) - line
	if rest <= 0 {
		return line
	}
	n := sort.Search(rest, func(i int) bool {
		var n yaml.Node
		err := decodeYAML(yaml.NewDecoder(bytes.NewReader(p.data[:p.lineStarts[line+i]])), &n)
		return err != nil && strings.HasSuffix(err.Error(), msg)
	})
	return line + n
}

// Things in a line that are often the mistake.
var (
	unquotedBracket = regexp.MustCompile(`[^\s\[\]{},"']+\[[0-9,-]*\][^\s\[\]{},"']*`)
	bracketedIPv6   = regexp.MustCompile(`\[[0-9A-Fa-f:.]+\]:[0-9]+`)
	shortIPv6       = regexp.MustCompile(`(?:[0-9A-Fa-f:]*::[0-9A-Fa-f:]*)(?:/\d+)?`)
	reservedStart   = regexp.MustCompile("(?:^|[\\s\\[{,])([@`%])")
	blockStart      = regexp.MustCompile(`[\s\[{,]([>|][^,\]}#]*)`)
	unknownAnchor   = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// explain gives the place, the message and the hint for what the library says
// about a line.
func (p *parser) explain(line int, msg string) (pos Pos, text, hint string) {
	line, s := p.suspect(line, msg)
	at := func(offset int) Pos { return Pos{int32(line), int32(offset + 1)} }
	indent := len(s) - len(strings.TrimLeft(s, " "))
	pos = at(indent)
	if tab := strings.IndexByte(indentOf(s), '\t'); tab >= 0 {
		return at(tab), "a tab in the indentation", "YAML is indented with spaces"
	}
	if m := unknownAnchor.FindStringSubmatch(msg); m != nil {
		offset := max(bytes.Index(p.data, []byte("*"+m[1])), 0)
		return p.offsetPos(offset), fmt.Sprintf("the alias *%s has no anchor before it", clip(m[1], maxShown)),
			"an anchor is written &" + clip(m[1], maxShown) + "; quote a text that begins with `*`"
	}
	switch msg {
	case "found character that cannot start any token", "did not find expected comment or line break":
		if m := blockStart.FindStringSubmatchIndex(s); m != nil && !strings.HasSuffix(s[:m[2]], "- ") {
			return at(m[2]), "a value that begins with " + quote(s[m[2]:m[2]+1]) + " is a block of text, whose lines are below",
				"quote the value: \"" + clip(strings.TrimSpace(s[m[2]:m[3]]), maxShown) + "\""
		}
		if m := reservedStart.FindStringSubmatchIndex(s); m != nil {
			return at(m[2]), "a value cannot begin with " + quote(s[m[2]:m[3]]), "quote the value"
		}
		if tab := strings.IndexByte(s, '\t'); tab >= 0 {
			return at(tab), "a tab where a value is expected", "YAML is indented with spaces"
		}
	case "did not find expected ',' or ']'", "did not find expected ',' or '}'":
		if m := unquotedBracket.FindStringIndex(s); m != nil {
			word := strings.TrimRight(s[m[0]:m[1]], ":") // of a key
			return at(m[0] + strings.IndexByte(word, '[')), "a `[` in a text begins a list",
				"quote the text: \"" + clip(word, maxShown) + "\""
		}
		if m := bracketedIPv6.FindStringIndex(s); m != nil {
			return at(m[0]), "a `[` in a text begins a list", "quote the text with " + clip(s[m[0]:m[1]], maxShown) + " in it"
		}
		if open := strings.IndexAny(s, "[{"); open >= 0 {
			pos = at(open)
		}
		return pos, "the list or map that begins here is not closed, or a comma is missing", "quote a text with `[`, `]`, `{`, `}` or `,` in it"
	case "did not find expected node content":
		if m := shortIPv6.FindStringIndex(s); m != nil {
			return at(m[0]), "an address that begins with `::`", "quote it: \"" + s[m[0]:m[1]] + "\""
		}
		return pos, "a value is missing, or the list or map is not closed", "quote a text with `[`, `]`, `{`, `}` or `,` in it"
	case "mapping values are not allowed in this context":
		return p.explainColon(line, s, indent)
	case "could not find expected ':'":
		return pos, "expected is `key: value`", "a list item begins with `- `; a text of several lines is quoted or follows a `|`"
	case "did not find expected key", "did not find expected '-' indicator":
		if q := strings.LastIndexAny(s, `"'`); q >= 0 && strings.TrimSpace(s[q+1:]) != "" {
			return at(q + 1), "something follows the closing quote", "quote the whole text"
		}
		if b := strings.LastIndexAny(s, "]}"); b >= 0 && strings.TrimSpace(s[b+1:]) != "" {
			return at(b + 1), "something follows the closing bracket", "quote a text that begins with a bracket"
		}
		return pos, "the line does not fit in with those before it", "the keys of a map, and the items of a list, begin in one column"
	case "found incompatible YAML document":
		return pos, "a version of YAML that nslab does not read", "take the line `%YAML` out"
	case "found unexpected end of stream":
		if q := strings.IndexAny(s, `"'`); q >= 0 {
			pos = at(q)
		}
		return pos, "a quote is not closed", "a quoted text ends with the quote it begins with"
	case "found unknown escape character":
		if b := strings.IndexByte(s, '\\'); b >= 0 {
			pos = at(b)
		}
		return pos, "an escape that YAML does not know", "write `\\\\` for a backslash, or use single quotes"
	}
	if strings.HasPrefix(msg, "exceeded max depth") {
		return pos, fmt.Sprintf("the file nests deeper than %d levels", maxDepth), ""
	}
	return pos, "not YAML: " + clip(msg, 200), ""
}

// maxBack is how many lines suspect looks at.
const maxBack = 1000

// suspect gives the line to look at for what the library says about another: the
// one before an end, the one with the open bracket, the one with the tab.
func (p *parser) suspect(line int, msg string) (int, string) {
	look := func(step int, is func(s string) bool) (int, string) {
		for i, l := 0, line; i < maxBack && l >= 1 && l <= len(p.lineStarts); i, l = i+1, l+step {
			if s := p.lineText(l); is(s) {
				return l, s
			}
		}
		return line, p.lineText(line)
	}
	p.lineAt(1)
	line = min(line, len(p.lineStarts))
	switch msg {
	case "did not find expected ',' or ']'", "did not find expected ',' or '}'":
		return look(-1, func(s string) bool { return strings.ContainsAny(s, "[{") })
	case "found a tab character that violates indentation":
		return look(1, func(s string) bool { return strings.Contains(indentOf(s), "\t") })
	}
	return look(-1, func(s string) bool { return strings.TrimSpace(s) != "" })
}

// indentOf gives the white space that a line begins with.
func indentOf(s string) string { return s[:len(s)-len(strings.TrimLeft(s, " \t"))] }

// explainColon is explain for a colon where none can be.
func (p *parser) explainColon(line int, s string, indent int) (pos Pos, text, hint string) {
	at := func(offset int) Pos { return Pos{int32(line), int32(offset + 1)} }
	if m := shortIPv6.FindStringIndex(s); m != nil {
		return at(m[0]), "an address that ends with a colon", "quote it: \"" + s[m[0]:m[1]] + "\""
	}
	if first := strings.Index(s, ": "); first >= 0 {
		value := first + 2
		if second := strings.Index(s[value:], ": "); second >= 0 || strings.HasSuffix(s, ":") {
			if second < 0 {
				second = len(s) - 1 - value
			}
			return at(value + second), "a `: ` in a text", "quote the text: \"" + clip(strings.TrimSpace(s[value:]), maxShown) + "\""
		}
	}
	return at(indent), "a `: ` where none is expected", "the keys of a map begin in one column; quote a text with `: ` in it"
}

// maxLine bounds how much of a line is looked at, in bytes.
const maxLine = 4096

// lineText gives a line without its end.
func (p *parser) lineText(line int) string {
	b := p.lineAt(line)
	b = b[:min(len(b), maxLine)]
	if end := bytes.IndexAny(b, "\r\n"); end >= 0 {
		b = b[:end]
	}
	return string(b)
}
