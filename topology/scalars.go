package topology

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// class is what a scalar is by the core schema of YAML 1.2 (chapter 10.3), save
// that on, off, yes and no are texts there and truth values where a key wants
// one.
type class int

const (
	textClass class = iota
	nullClass
	boolClass
	intClass
	floatClass
)

// quotedStyles are those whose values are texts, whatever they look like.
const quotedStyles = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle | yaml.TaggedStyle

func classOf(n *yaml.Node) class {
	if n.Style&quotedStyles != 0 {
		return textClass
	}
	s := n.Value
	if s == "" {
		return nullClass
	}
	switch c := s[0]; {
	case c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.':
		return numberClass(s)
	case c == '~' || c == 'n' || c == 'N':
		if s == "~" || s == "null" || s == "Null" || s == "NULL" {
			return nullClass
		}
	case c == 't' || c == 'T' || c == 'f' || c == 'F':
		switch s {
		case "true", "True", "TRUE", "false", "False", "FALSE":
			return boolClass
		}
	}
	return textClass
}

func numberClass(s string) class {
	if isDigits(s[2*hexPrefix(s):], hexPrefix(s) == 1) || isDigits(strings.TrimLeft(s[:1], "+-")+s[1:], false) {
		return intClass
	}
	if o, is := strings.CutPrefix(s, "0o"); is && isDigits(o, false) {
		return intClass
	}
	switch strings.ToLower(strings.TrimLeft(s, "+-")) {
	case ".inf", ".nan":
		return floatClass
	}
	if strings.Trim(s, "0123456789+-.eE") == "" {
		if _, err := strconv.ParseFloat(s, 64); err == nil || strings.HasSuffix(err.Error(), strconv.ErrRange.Error()) {
			return floatClass
		}
	}
	return textClass
}

// hexPrefix is 1 where a number is in hexadecimal, else 0.
func hexPrefix(s string) int {
	if strings.HasPrefix(s, "0x") {
		return 1
	}
	return 0
}

func isDigits(s string, hex bool) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= '0' && c <= '9' || hex && (c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F')) {
			return false
		}
	}
	return s != ""
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && classOf(n) == nullClass
}

// maxShown bounds how much of a value a message repeats.
const maxShown = 48

// quote shows a value in a message.
func quote(s string) string { return strconv.Quote(clip(s, maxShown)) }

// describe says what a value is, for messages.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	}
	switch classOf(n) {
	case nullClass:
		return "nothing"
	case boolClass:
		return "the truth value " + n.Value
	case intClass, floatClass:
		return "the number " + clip(n.Value, maxShown)
	}
	return "the text " + quote(n.Value)
}

// text gives a scalar as it is written: 0644 and 1.50 stay so. It reports
// anything else, want saying what is expected.
func (p *parser) text(n *yaml.Node, want, example string) (Text, bool) {
	if n.Kind != yaml.ScalarNode || isNull(n) {
		hint := "such as `" + example + "`"
		if example == "" {
			hint = ""
		}
		if n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle != 0 {
			hint = "quote a text with `{`, `}` or `: ` in it"
		}
		p.errorf(n, hint, "%s, where %s is expected", describe(n), want)
		return Text{}, false
	}
	return Text{posOf(n), n.Value}, true
}

// word gives a scalar that is one of words.
func (p *parser) word(n *yaml.Node, words ...string) Text {
	t, ok := p.text(n, oneOf(words), "")
	if !ok {
		return Text{}
	}
	for _, w := range words {
		if t.Value == w {
			return t
		}
	}
	hint := ""
	if near := nearest(strings.ToLower(t.Value), words); near != "" {
		hint = "did you mean `" + near + "`?"
	}
	p.errorf(n, hint, "%s is not %s", quote(t.Value), oneOf(words))
	return Text{}
}

// oneOf lists words: `a`, `b` or `c`.
func oneOf(words []string) string {
	var b strings.Builder
	for i, w := range words {
		switch {
		case i > 0 && i == len(words)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString("`" + w + "`")
	}
	return b.String()
}

// line gives a text of one line, at most so many bytes long.
func (p *parser) line(n *yaml.Node, most int, want string) string {
	t, ok := p.text(n, want, "")
	if !ok {
		return ""
	}
	if len(t.Value) > most {
		p.errorf(n, "", "%s is %d bytes long; at most %d are allowed", quote(t.Value), len(t.Value), most)
		return ""
	}
	if i := strings.IndexFunc(t.Value, func(r rune) bool { return r < ' ' || r == utf8.RuneError }); i >= 0 {
		p.errorf(n, "", "%s has more than one line, or control characters", quote(t.Value))
		return ""
	}
	return t.Value
}

// boolean gives a truth value; on, off, yes and no are ones too, as in iproute2.
func (p *parser) boolean(n *yaml.Node) (value, ok bool) {
	if n.Kind == yaml.ScalarNode && n.Style&quotedStyles == 0 {
		switch strings.ToLower(n.Value) {
		case "true", "on", "yes":
			return true, true
		case "false", "off", "no":
			return false, true
		}
	}
	hint := ""
	if n.Kind == yaml.ScalarNode && !isNull(n) {
		switch strings.ToLower(n.Value) {
		case "1", "true", "on", "yes", "y":
			hint = "write `true`, without quotes"
		case "0", "false", "off", "no", "n":
			hint = "write `false`, without quotes"
		}
	}
	p.errorf(n, hint, "%s, where `true` or `false` is expected", describe(n))
	return false, false
}

func (p *parser) boolPointer(n *yaml.Node) *bool {
	b, ok := p.boolean(n)
	if !ok {
		return nil
	}
	return &b
}

// integer gives a whole number of a range.
func (p *parser) integer(n *yaml.Node, least, most int, what string) (int, bool) {
	want := fmt.Sprintf("%s (%d to %d)", what, least, most)
	if n.Kind != yaml.ScalarNode || classOf(n) != intClass {
		hint := ""
		if n.Kind == yaml.ScalarNode && n.Style&quotedStyles != 0 {
			if _, err := parseInteger(n.Value); err == nil {
				hint = "take the quotes away"
			}
		} else if n.Kind == yaml.ScalarNode && classOf(n) == floatClass {
			if f, err := strconv.ParseFloat(n.Value, 64); err == nil && f == float64(int32(f)) {
				hint = fmt.Sprintf("write %d", int(f))
			}
		}
		p.errorf(n, hint, "%s, where %s is expected", describe(n), want)
		return 0, false
	}
	i, err := parseInteger(n.Value)
	if err != nil {
		p.errorf(n, err.hint, "%s %s, where %s is expected", clip(n.Value, maxShown), err.problem, want)
		return 0, false
	}
	if i < least || i > most {
		p.errorf(n, "", "%d is not %s", i, want)
		return 0, false
	}
	return i, true
}

func (p *parser) intPointer(n *yaml.Node, least, most int, what string) *int {
	i, ok := p.integer(n, least, most, what)
	if !ok {
		return nil
	}
	return &i
}

// badInteger says what is wrong with a number.
type badInteger struct{ problem, hint string }

// parseInteger reads a whole number in decimal, hexadecimal (0x) or octal (0o).
// A leading zero is refused: YAML 1.1 reads such a number as octal, YAML 1.2 as
// decimal.
func parseInteger(s string) (int, *badInteger) {
	digits := strings.TrimPrefix(strings.TrimPrefix(s, "+"), "-")
	if len(digits) > 1 && digits[0] == '0' && isDigits(digits, false) {
		plain := strings.TrimLeft(digits, "0")
		if plain == "" {
			plain = "0"
		}
		return 0, &badInteger{"begins with a zero", fmt.Sprintf("write %s, or 0o%s if it is octal", plain, plain)}
	}
	if strings.Contains(s, "_") || strings.HasPrefix(digits, "0b") || strings.HasPrefix(digits, "0B") {
		return 0, &badInteger{problem: "is not a number"}
	}
	i, err := strconv.ParseInt(s, 0, 64)
	switch {
	case err == nil:
		return int(i), nil
	case strings.HasSuffix(err.Error(), strconv.ErrRange.Error()):
		return 0, &badInteger{problem: "is too large"}
	}
	return 0, &badInteger{problem: "is not a number"}
}

// duration gives a span of time as Go writes it: 10ms, 1.5s, 2m30s.
func (p *parser) duration(n *yaml.Node) (time.Duration, bool) {
	t, ok := p.text(n, "a time", "5s")
	if !ok {
		return 0, false
	}
	d, err := time.ParseDuration(t.Value)
	switch {
	case err == nil && d >= 0 && (d != 0 || t.Value[0] != '-'):
		return d, true
	case err == nil:
		p.errorf(n, "", "%s is a time before now", quote(t.Value))
	case classOf(n) == intClass || classOf(n) == floatClass:
		p.errorf(n, fmt.Sprintf("write %ss or %sms", t.Value, t.Value), "the time %s has no unit", clip(t.Value, maxShown))
	default:
		p.errorf(n, "such as `5s`, `200ms` or `1m30s`", "%s is not a time", quote(t.Value))
	}
	return 0, false
}

// words splits a scalar at white space. Each word has its own position where the
// text stands in the file as it is.
func (p *parser) words(n *yaml.Node) []Text {
	s := n.Value
	list := make([]Text, 0, strings.Count(s, " ")+1)
	for i := 0; i < len(s); {
		if isSpace(s[i]) {
			i++
			continue
		}
		end := i
		for end < len(s) && !isSpace(s[end]) {
			end++
		}
		list = append(list, Text{p.posWithin(n, i, s[i:end]), s[i:end]})
		i = end
	}
	return list
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// posWithin is the position of a part of a scalar, or that of the scalar if it
// is not there in the file: after an escape, a folded line, a range.
func (p *parser) posWithin(n *yaml.Node, offset int, part string) Pos {
	pos := posOf(n)
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		offset++
	}
	at := n.Column - 1 + offset
	if line := p.lineAt(n.Line); offset > 0 && at < len(line) && bytes.HasPrefix(line[at:], []byte(part)) {
		pos.Col += int32(offset)
	}
	return pos
}
