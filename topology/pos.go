package topology

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Pos is a place in a topology file. Line and column count from 1, the column
// in bytes. The zero Pos means that nothing in the file asked for the value:
// it is a default.
type Pos struct {
	Line, Col int32
}

// IsZero reports whether the value it belongs to was not written in a file.
func (p Pos) IsZero() bool { return p.Line == 0 }

// Text is a scalar as it is written, with its position. The zero Text is an
// absent one.
type Text struct {
	Pos   Pos
	Value string
}

// Error is one mistake in a topology file.
type Error struct {
	File string // as named on the command line; "-" is standard input
	Pos  Pos
	Path string // of the key, such as nodes.r1.interfaces.eth0; may be empty
	Msg  string // what was found and what was expected
	Hint string // what mends it; may be empty
}

// Error gives the message in one line, with the hint, if there is one, on a
// second. Control characters of the file are shown as \x1b, so that a file has no
// say over the reader's terminal, nor adds lines.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if !e.Pos.IsZero() {
		fmt.Fprintf(&b, ":%d:%d", e.Pos.Line, e.Pos.Col)
	}
	b.WriteString(": ")
	if e.Path != "" {
		b.WriteString(e.Path)
		b.WriteString(": ")
	}
	b.WriteString(e.Msg)
	text := printable(b.String())
	if e.Hint != "" {
		text += "\nhint: " + printable(e.Hint)
	}
	return text
}

// printable shows control characters as Go writes them in strings.
func printable(s string) string {
	if strings.IndexFunc(s, unicode.IsControl) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsControl(r) {
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Errors are all mistakes found in one file, sorted by position; at most
// MaxErrors.
type Errors []*Error

// MaxErrors bounds what is reported for one file.
const MaxErrors = 100

func (e Errors) Error() string {
	s := make([]string, len(e))
	for i := range e {
		s[i] = e[i].Error()
	}
	return strings.Join(s, "\n")
}

// MAC is an Ethernet address; the zero MAC is none.
type MAC [6]byte

func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// IsZero reports whether there is no address.
func (m MAC) IsZero() bool { return m == MAC{} }
