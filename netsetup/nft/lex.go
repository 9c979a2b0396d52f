package nft

import (
	"strconv"
	"strings"
)

// tokenKind is what a token is; a sign of one byte is that byte.
type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenNewline
	tokenWord     // a name or a word of the language: letters, digits, / - _ .
	tokenLiteral  // an address, a time, a class: starts as no word does
	tokenNumber   // text is in decimal
	tokenQuoted   // text is without the quotes
	tokenWildcard // eth*
	tokenOperator // text is one of == != < > <= >= ! & | ^ << >>
	tokenJunk     // what no token starts with
)

// token is a piece of the text: text is what it says, src where it was.
type token struct {
	Pos
	kind       tokenKind
	text       string
	start, end int
}

// operatorWords are words that are operators wherever they stand.
var operatorWords = map[string]string{
	"eq": "==", "ne": "!=", "lt": "<", "gt": ">", "le": "<=", "ge": ">=",
	"and": "&", "or": "|", "xor": "^", "not": "!", "lshift": "<<", "rshift": ">>",
}

// lexer takes a text apart. As nft does, it takes at every place the longest
// piece that is a token.
type lexer struct {
	text   string
	at     int
	line   int
	start  int // of the line
	tokens []token
}

// lex gives the tokens of a text, the last of them a tokenEnd.
func lex(text string) []token {
	l := &lexer{text: text, line: 1, tokens: make([]token, 0, len(text)/4+1)}
	for l.at < len(l.text) {
		l.next()
	}
	l.add(tokenEnd, "", 0)
	return l.tokens
}

// add adds a token of n bytes.
func (l *lexer) add(kind tokenKind, text string, n int) {
	pos := Pos{l.line, l.at - l.start + 1}
	l.tokens = append(l.tokens, token{pos, kind, text, l.at, l.at + n})
	l.at += n
}

func (l *lexer) newLine() {
	l.line++
	l.start = l.at
}

func (l *lexer) next() {
	rest := l.text[l.at:]
	switch c := rest[0]; {
	case c == ' ' || c == '\t' || c == '\r':
		l.at++
	case c == '\n':
		l.add(tokenNewline, "", 1)
		l.newLine()
	case c == '#':
		l.comment()
	case c == '\\':
		l.backslash()
	case c == '"':
		l.quoted()
	case isLetter(c) || c == '_' || c == '.' && wordLength(rest) > 1:
		l.word()
	case isDigit(c) || c == ':' || c == '[':
		l.numeric()
	default:
		l.sign()
	}
}

// comment skips one. Of a line with nothing else its end goes too, so that a
// comment may stand between lines that a backslash joins.
func (l *lexer) comment() {
	alone := strings.Trim(l.text[l.start:l.at], " \t") == ""
	n := strings.IndexByte(l.text[l.at:], '\n')
	if n < 0 {
		l.at = len(l.text)
		return
	}
	l.at += n
	if alone {
		l.at++
		l.newLine()
	}
}

// backslash joins lines, or starts a wildcard.
func (l *lexer) backslash() {
	rest := l.text[l.at+1:]
	switch {
	case strings.HasPrefix(rest, "\n"):
		l.at += 2
		l.newLine()
	case strings.HasPrefix(rest, "\r\n"):
		l.at += 3
		l.newLine()
	case strings.HasPrefix(rest, "*"):
		l.add(tokenWildcard, `\*`, 2)
	default:
		l.add(tokenJunk, `\`, 1)
	}
}

// quoted takes a string, which is within a line.
func (l *lexer) quoted() {
	n := strings.IndexAny(l.text[l.at+1:], "\"\n")
	if n < 0 || l.text[l.at+1+n] == '\n' {
		l.add(tokenJunk, `"`, 1)
		return
	}
	l.add(tokenQuoted, l.text[l.at+1:l.at+1+n], n+2)
}

// word takes a word, or what starts as one: an address such as dead::beef, a
// class such as a:b, a wildcard.
func (l *lexer) word() {
	rest := l.text[l.at:]
	n := wordLength(rest)
	if isHex(rest[0]) {
		if m, rank := literalLength(rest); rank > n {
			l.add(tokenLiteral, rest[:m], m)
			return
		}
	}
	switch {
	case strings.HasPrefix(rest[n:], "*"):
		l.add(tokenWildcard, rest[:n+1], n+1)
	case strings.HasPrefix(rest[n:], `\*`):
		n += 2
		n += wordLength(rest[n:])
		l.add(tokenWildcard, rest[:n], n)
	default:
		if op, ok := operatorWords[rest[:n]]; ok {
			l.add(tokenOperator, op, n)
			return
		}
		l.add(tokenWord, rest[:n], n)
	}
}

// numeric takes what starts with a digit, a colon or a bracket: a number, an
// address, a time; or the colon or the bracket itself.
func (l *lexer) numeric() {
	rest := l.text[l.at:]
	if rest[0] == '[' {
		if n := ip6Length(rest[1:]); n > 0 && strings.HasPrefix(rest[1+n:], "]") {
			l.add(tokenLiteral, rest[1:1+n], n+2)
			return
		}
	}
	number := numberLength(rest)
	if n, rank := literalLength(rest); rank > number {
		l.add(tokenLiteral, rest[:n], n)
		return
	}
	if number == 0 {
		l.sign()
		return
	}
	text := rest[:number]
	if value, err := strconv.ParseUint(numberBase(text), 0, 64); err == nil {
		l.add(tokenNumber, strconv.FormatUint(value, 10), number)
		return
	}
	l.add(tokenLiteral, text, number)
}

// numberBase writes a number as Go has it: a 0 in front makes it octal up to the
// first digit that is none, as in strtoull(3).
func numberBase(text string) string {
	if len(text) < 2 || text[0] != '0' || text[1] == 'x' || text[1] == 'X' {
		return text
	}
	if n := strings.IndexAny(text, "89"); n > 0 {
		return text[:n]
	}
	return text
}

func (l *lexer) sign() {
	rest := l.text[l.at:]
	if len(rest) > 1 {
		switch two := rest[:2]; two {
		case "==", "!=", "<=", ">=", "<<", ">>":
			l.add(tokenOperator, two, 2)
			return
		}
	}
	switch c := rest[0]; c {
	case '<', '>', '!', '&', '|', '^':
		l.add(tokenOperator, rest[:1], 1)
	case ',', '.', ':', ';', '{', '}', '[', ']', '(', ')', '/', '-', '*', '@', '$', '=', '+':
		l.add(tokenKind(c), rest[:1], 1)
	default:
		l.add(tokenJunk, rest[:1], 1)
	}
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isHex(c byte) bool    { return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }

// run counts the bytes at the front, at most limit, for which is holds.
func run(s string, limit int, is func(byte) bool) int {
	n := 0
	for n < len(s) && n < limit && is(s[n]) {
		n++
	}
	return n
}

// wordLength is the length of the word that s starts with.
func wordLength(s string) int {
	if s == "" || !isLetter(s[0]) && s[0] != '_' && s[0] != '.' {
		return 0
	}
	return 1 + run(s[1:], len(s), func(c byte) bool {
		return isLetter(c) || isDigit(c) || c == '/' || c == '-' || c == '_' || c == '.'
	})
}

func numberLength(s string) int {
	if len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') {
		if n := run(s[2:], len(s), isHex); n > 0 {
			return 2 + n
		}
	}
	return run(s, len(s), isDigit)
}

// literalLength is the length of the longest literal that s starts with, and how
// far it looked to know: a class is one only before a blank, a comma or the like.
func literalLength(s string) (length, rank int) {
	for _, n := range [...]int{ip6Length(s), macLength(s), ip4Length(s), timeLength(s), protocolLength(s)} {
		if n > length {
			length, rank = n, n
		}
	}
	if n := classLength(s); n+1 > rank && n > 0 {
		return n, n + 1
	}
	return length, rank
}

// protocolLength is that of the two words that start with a digit.
func protocolLength(s string) int {
	for _, word := range [...]string{"8021ad", "8021q"} {
		if strings.HasPrefix(s, word) {
			return len(word)
		}
	}
	return 0
}

func ip4Length(s string) int {
	n := 0
	for i := range 4 {
		if i > 0 {
			if n >= len(s) || s[n] != '.' {
				return 0
			}
			n++
		}
		digits := run(s[n:], 3, isDigit)
		if digits == 0 {
			return 0
		}
		n += digits
	}
	return n
}

func macLength(s string) int {
	n := 0
	for i := range 6 {
		if i > 0 {
			if n >= len(s) || s[n] != ':' {
				return 0
			}
			n++
		}
		digits := run(s[n:], 2, isHex)
		if digits == 0 {
			return 0
		}
		n += digits
	}
	return n
}

// ip6Length is the length of an IPv6 address: eight groups, or fewer with one ::
// that stands for the rest.
func ip6Length(s string) int {
	n, groups := groupsLength(s, 8)
	if groups == 8 {
		return n
	}
	if !strings.HasPrefix(s[n:], "::") {
		return 0
	}
	n += 2
	if groups == 0 {
		m := 0
		if len(s) > n+5 && strings.EqualFold(s[n:n+5], "ffff:") {
			m = 5
		}
		for _, skip := range [...]int{m, 0} {
			if v4 := ip4Length(s[n+skip:]); v4 > 0 {
				return n + skip + v4
			}
		}
	}
	m, _ := groupsLength(s[n:], 7-groups)
	return n + m
}

// groupsLength is the length of at most limit groups of hexadecimal digits with
// colons between them.
func groupsLength(s string, limit int) (n, groups int) {
	for groups < limit {
		at := n
		if groups > 0 {
			if at >= len(s) || s[at] != ':' {
				break
			}
			at++
		}
		digits := run(s[at:], 4, isHex)
		if digits == 0 {
			break
		}
		n, groups = at+digits, groups+1
	}
	return n, groups
}

// timeUnits are the units of a time, in the order in which they stand.
var timeUnits = [...]string{"d", "h", "m", "s", "ms"}

// timeLength is the length of a time such as 1d2h or 100ms.
func timeLength(s string) int {
	n := 0
	for _, unit := range timeUnits {
		digits := run(s[n:], len(s), isDigit)
		if digits == 0 || !strings.HasPrefix(s[n+digits:], unit) {
			continue
		}
		if unit == "m" && strings.HasPrefix(s[n+digits:], "ms") {
			continue
		}
		n += digits + len(unit)
	}
	return n
}

// classLength is the length of a class such as 1:ab, which a blank, a line's
// end, a comma, a dash, a brace or another colon must follow.
func classLength(s string) int {
	n := run(s, 4, isHex)
	if n == 0 || n >= len(s) || s[n] != ':' {
		return 0
	}
	m := run(s[n+1:], 4, isHex)
	n += 1 + m
	if m == 0 || n >= len(s) || !strings.ContainsRune(" \t\n:-},", rune(s[n])) {
		return 0
	}
	return n
}
