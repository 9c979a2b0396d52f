package nft

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	maxText     = 16 << 20 // bytes
	maxDepth    = 100      // of braces and parentheses in each other, and of operators in a row
	maxErrors   = 100
	maxExpanded = 4 << 20 // nodes that variables stand for, all uses together
)

// Parse reads a text. Where there are mistakes it gives as much as it could
// read, and all of them.
func Parse(text string) (*File, Errors) {
	if len(text) > maxText {
		return &File{}, Errors{{Pos: Pos{1, 1}, Text: fmt.Sprintf("the text has %d bytes; at most %d are read", len(text), maxText)}}
	}
	p := &parser{text: text, tokens: lex(text), file: &File{}, scope: newScope(nil)}
	for p.tok().kind != tokenEnd && len(p.errs) < maxErrors {
		p.item(p.command)
	}
	slices.SortStableFunc(p.errs, func(a, b *Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Col - b.Col
	})
	return p.file, p.errs
}

// parser reads tokens from front to back. After a mistake it is bad: it sees no
// tokens, so that whatever it is in comes to its end, until item, which had
// begun it, goes on behind it.
type parser struct {
	text     string
	tokens   []token
	i        int
	bad      bool
	errs     Errors
	file     *File
	scope    *scope
	depth    int
	expanded int // nodes that variables have stood for
}

// item reads a command, a rule or the like, up to where it ends; where there is
// a mistake in it, it goes on with the next one.
func (p *parser) item(read func()) {
	first, depth := p.i, p.depth
	read()
	if !p.bad && !p.atEnd() {
		p.unexpected("the end of the line or `;`")
	}
	if p.bad {
		p.depth = depth
		p.bad = false
		p.resume(first)
	}
	for p.is(tokenNewline) || p.is(';') {
		p.i++
	}
	if p.i == first && !p.atEnd() {
		p.i++
	}
}

// resume goes to the end of an item that began at the token first and has a
// mistake at the token at hand. Braces that were opened there are left by their
// pairs. But a set that is opened in the line of the mistake and not closed in
// it ends with the line, as the mistake may well be that it has no end, and so
// does everything if some brace has no pair in the whole text.
func (p *parser) resume(first int) {
	mistake := p.i
	var open []int
	for p.i = first; p.tokens[p.i].kind != tokenEnd; p.i++ {
		switch p.tokens[p.i].kind {
		case '{':
			open = append(open, p.i)
		case '}':
			if len(open) == 0 {
				if p.i >= mistake {
					return
				}
				continue
			}
			open = open[:len(open)-1]
		case tokenNewline, ';':
			if p.i < mistake {
				continue
			}
			if len(open) == 0 {
				return
			}
			brace := open[len(open)-1]
			if p.tokens[p.i].kind == tokenNewline && brace < mistake && p.tokens[brace].Line == p.tokens[mistake].Line {
				return
			}
		}
	}
	if len(open) > 0 {
		for p.i = mistake; !p.atEnd() || p.is('}'); p.i++ {
		}
	}
}

// tok is the token at hand.
func (p *parser) tok() token {
	if p.bad {
		return token{Pos: p.tokens[p.i].Pos, kind: tokenEnd}
	}
	return p.tokens[p.i]
}

// after is the n-th token behind the one at hand.
func (p *parser) after(n int) token {
	if p.bad || p.i+n >= len(p.tokens) {
		return token{kind: tokenEnd}
	}
	return p.tokens[p.i+n]
}

func (p *parser) pos() Pos { return p.tokens[p.i].Pos }

func (p *parser) is(kind tokenKind) bool { return !p.bad && p.tokens[p.i].kind == kind }

// isWord reports whether the token at hand is one of words.
func (p *parser) isWord(words ...string) bool {
	return p.is(tokenWord) && slices.Contains(words, p.tokens[p.i].text)
}

// advance goes on to the next token and gives the one it leaves.
func (p *parser) advance() token {
	t := p.tok()
	if t.kind != tokenEnd {
		p.i++
	}
	return t
}

func (p *parser) take(kind tokenKind) bool {
	if p.is(kind) {
		p.i++
		return true
	}
	return false
}

func (p *parser) takeWord(word string) bool {
	if p.isWord(word) {
		p.i++
		return true
	}
	return false
}

// atEnd reports whether an item ends here.
func (p *parser) atEnd() bool {
	switch p.tok().kind {
	case tokenEnd, tokenNewline, ';', '}':
		return true
	}
	return false
}

func (p *parser) skipNewlines() {
	for p.take(tokenNewline) {
	}
}

// expect takes a sign that must be there.
func (p *parser) expect(kind tokenKind) {
	if !p.take(kind) {
		p.unexpected("`" + string(rune(kind)) + "`")
	}
}

// expectWord takes one of words, which must be there.
func (p *parser) expectWord(words ...string) string {
	if !p.isWord(words...) {
		p.unexpected(oneOf(words), words...)
		return ""
	}
	return p.advance().text
}

// fail notes a mistake and gives up the item at hand.
func (p *parser) fail(pos Pos, hint, format string, args ...any) {
	if !p.bad && len(p.errs) < maxErrors {
		p.errs = append(p.errs, &Error{Pos: pos, Text: fmt.Sprintf(format, args...), Hint: hint})
	}
	p.bad = true
}

// unexpected is the mistake that something else than the token at hand should be
// there; words are what it may have been meant to be.
func (p *parser) unexpected(expected string, words ...string) {
	if p.bad {
		return
	}
	t, hint := p.tok(), ""
	switch {
	case t.kind == tokenWord:
		hint = didYouMean(t.text, words)
	case t.kind == tokenJunk && t.text == `"`:
		p.fail(t.Pos, "", "a string starts here and does not end in this line")
		return
	}
	p.fail(t.Pos, hint, "found %s, expected %s", describe(t), expected)
}

// notSupported is the mistake that something cannot be used here.
func (p *parser) notSupported(pos Pos, what string) {
	p.fail(pos, "", "%s is not supported", what)
}

// describe names a token in a message.
func describe(t token) string {
	switch t.kind {
	case tokenEnd:
		return "the end of the text"
	case tokenNewline:
		return "the end of the line"
	case tokenQuoted:
		return strconv.Quote(shorten(t.text))
	}
	return "`" + shorten(t.text) + "`"
}

func shorten(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// oneOf lists words in a message.
func oneOf(words []string) string {
	if len(words) == 1 {
		return "`" + words[0] + "`"
	}
	return "one of " + strings.Join(words, ", ")
}

// enter counts how deep braces, parentheses and the like are in each other.
func (p *parser) enter() {
	p.depth++
	if p.depth > maxDepth {
		p.fail(p.pos(), "", "more than %d levels in each other", maxDepth)
	}
}

func (p *parser) leave() { p.depth-- }

// name takes the name of something, such as "a chain".
func (p *parser) name(of string) string {
	t := p.tok()
	switch {
	case t.kind == tokenQuoted:
		p.fail(t.Pos, "names are written without quotes", "found %s, expected the name of %s", describe(t), of)
		return ""
	case t.kind != tokenWord:
		p.unexpected("the name of " + of)
		return ""
	case reserved[t.text]:
		p.fail(t.Pos, "words of the language are no names", "found %s, expected the name of %s", describe(t), of)
		return ""
	}
	return p.advance().text
}

// str takes a string, with quotes or without.
func (p *parser) str(what string) string {
	switch p.tok().kind {
	case tokenWord, tokenQuoted, tokenWildcard, tokenLiteral:
		return p.advance().text
	}
	p.unexpected(what)
	return ""
}

// number takes a number up to most.
func (p *parser) number(what string, most uint64) uint64 {
	t := p.tok()
	if t.kind != tokenNumber {
		p.unexpected(what)
		return 0
	}
	n, err := strconv.ParseUint(t.text, 10, 64)
	if err != nil || n > most {
		p.fail(t.Pos, "", "%s is too large, expected %s up to %d", t.text, what, most)
		return 0
	}
	p.i++
	return n
}

// value takes a token as it is.
func (p *parser) value() *Value {
	t := p.advance()
	return &Value{t.Pos, t.text, t.kind == tokenQuoted}
}

// valueWord takes one of words.
func (p *parser) valueWord(words ...string) *Value {
	v := &Value{Pos: p.pos()}
	v.Text = p.expectWord(words...)
	return v
}

// valueNumber takes a number.
func (p *parser) valueNumber(what string) *Value {
	switch p.tok().kind {
	case tokenNumber:
		return p.value()
	case '$':
		return p.variableValue(what)
	}
	p.unexpected(what)
	return &Value{Pos: p.pos()}
}

// commentMax is NFTNL_UDATA_COMMENT_MAXLEN of libnftnl.
const commentMax = 128

// comment takes `comment` and the string behind it.
func (p *parser) comment(to *string) {
	said := p.advance()
	if *to != "" {
		p.fail(said.Pos, "", "there is a comment already")
	}
	pos := p.pos()
	*to = p.str("a comment in quotes")
	if len(*to) > commentMax {
		p.fail(pos, "", "the comment has %d bytes; the most is %d", len(*to), commentMax)
	}
}
