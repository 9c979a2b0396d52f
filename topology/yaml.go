package topology

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Bounds of the input, beside MaxSize.
const (
	// maxTokens bounds commas, brackets, list items and lines together, and so
	// what the YAML library allocates.
	maxTokens = 400_000
	// maxDirectives bounds %TAG, which the YAML library looks up one by one.
	maxDirectives = 16
	// maxDepth bounds how deep maps and lists nest; a lab needs about 10.
	maxDepth = 100
	// maxExpanded bounds the values that come of aliases, merge keys, defaults
	// and ranges.
	maxExpanded = 1_000_000
)

// readYAML gives the value of the one document of the file, or nil.
func (p *parser) readYAML() *yaml.Node {
	if len(p.data) > MaxSize {
		p.errorAt(Pos{}, "", "%s", tooLarge)
		return nil
	}
	ascii, ok := p.scanText()
	if !ok {
		return nil
	}
	var doc, second yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(p.data))
	switch err := decodeYAML(d, &doc); {
	case errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0:
		p.errorAt(Pos{1, 1}, "begin with `name: LAB`", "the file is empty")
		return nil
	case err != nil:
		p.syntaxError(err)
		return nil
	}
	switch err := decodeYAML(d, &second); {
	case err == nil:
		p.errorf(&second, "write each lab into a file of its own", "a second YAML document; a topology file is one")
		return nil
	case !errors.Is(err, io.EOF):
		p.syntaxError(err)
		return nil
	}
	root := doc.Content[0]
	c := checker{parser: p}
	if !ascii {
		c.columns = &columns{data: p.data, line: 1, col: 1}
	}
	if size := c.check(root, 0); size > c.written {
		p.spend(posOf(root), size-c.written)
	}
	return root
}

// decodeYAML reads the next document. The library's panics become errors.
func decodeYAML(d *yaml.Decoder, into *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	return d.Decode(into)
}

// scanText checks what can be checked without reading YAML: characters, and how
// much there is. It reports whether all is ASCII.
func (p *parser) scanText() (ascii, ok bool) {
	ascii = true
	tokens := 0
	for i := 0; i < len(p.data); i++ {
		switch c := p.data[i]; {
		case c == '\n' || c == ',' || c == '[' || c == '{':
			tokens++
		case c == ' ' && i > 0 && (p.data[i-1] == '-' || p.data[i-1] == '?'):
			tokens++
		case c < ' ' && c != '\t' && c != '\r' || c == 0x7f:
			p.errorAt(p.offsetPos(i), "", "the control character %#02x; YAML is text", c)
			return false, false
		case c >= utf8.RuneSelf:
			ascii = false
			r, size := utf8.DecodeRune(p.data[i:])
			if r == utf8.RuneError && size == 1 {
				p.errorAt(p.offsetPos(i), "save the file as UTF-8", "the byte %#02x is not UTF-8", c)
				return false, false
			}
			i += size - 1
		}
	}
	if tokens > maxTokens {
		p.errorAt(Pos{}, "", "the file has more than %d values", maxTokens)
		return false, false
	}
	if bytes.Count(p.data, []byte("%TAG")) > maxDirectives {
		p.errorAt(Pos{}, "", "the file has more than %d %%TAG directives", maxDirectives)
		return false, false
	}
	return ascii, true
}

// offsetPos is the position of a byte of the text.
func (p *parser) offsetPos(offset int) Pos {
	before := p.data[:offset]
	line := bytes.Count(before, []byte("\n"))
	return Pos{int32(line + 1), int32(offset - bytes.LastIndexByte(before, '\n'))}
}

// lineAt gives the text from the beginning of a line to the end of the file.
func (p *parser) lineAt(line int) []byte {
	if p.lineStarts == nil {
		p.lineStarts = []int{0}
		for i, c := range p.data {
			if c == '\n' {
				p.lineStarts = append(p.lineStarts, i+1)
			}
		}
	}
	if line < 1 || line > len(p.lineStarts) {
		return nil
	}
	return p.data[p.lineStarts[line-1]:]
}

// checker goes once through all values, in the order of the file.
type checker struct {
	*parser
	columns *columns           // nil where all is ASCII
	sizes   map[*yaml.Node]int // of values with an anchor; -1 within itself
	written int                // values so far, aliases not followed
}

// check checks a value and what is in it, puts its column into bytes, and gives
// the number of values that it stands for when aliases are followed.
func (c *checker) check(n *yaml.Node, depth int) (size int) {
	if c.columns != nil {
		n.Column = c.columns.bytes(n.Line, n.Column)
	}
	if depth > maxDepth {
		c.abort(posOf(n), "the file nests deeper than %d levels", maxDepth)
	}
	if n.Style&yaml.TaggedStyle != 0 && !(n.Tag == "!!str" && n.Kind == yaml.ScalarNode) {
		c.errorf(n, "take it out; quote the value if it begins with `!`", "the tag %s; a topology file has none", clip(n.Tag, maxPathKey))
		c.nodesBad, c.linksBad, c.nodesLost = true, true, true
	}
	if n.Kind == yaml.AliasNode {
		size, known := c.sizes[n.Alias]
		if !known || size < 0 {
			c.abort(posOf(n), "the alias *%s is within what it stands for", n.Value)
		}
		return size
	}
	c.written++
	if n.Anchor != "" {
		if c.sizes == nil {
			c.sizes = map[*yaml.Node]int{}
		}
		c.sizes[n] = -1
	}
	size = 1
	for _, child := range n.Content {
		if size += c.check(child, depth+1); size > c.written+maxExpanded {
			c.spend(posOf(n), size)
		}
	}
	if n.Anchor != "" {
		c.sizes[n] = size
	}
	return size
}

// columns turns the columns of the YAML library, which count characters, into
// ones that count bytes. Positions are asked for in rising order.
type columns struct {
	data      []byte
	line, col int // of the byte at offset, as the library counts them
	offset    int
	start     int // offset of the line's first byte
}

func (c *columns) bytes(line, col int) int {
	for c.offset < len(c.data) && (c.line < line || c.line == line && c.col < col) {
		r, size := utf8.DecodeRune(c.data[c.offset:])
		first := c.offset == 0
		c.offset += size
		switch {
		case r == '\r' && c.offset < len(c.data) && c.data[c.offset] == '\n':
			// The line ends with the line feed.
		case r == '\n' || r == '\r' || r == '\u0085' || r == '\u2028' || r == '\u2029':
			c.line, c.col, c.start = c.line+1, 1, c.offset
		case r == '\ufeff' && first:
			// A byte order mark has no column.
		default:
			c.col++
		}
	}
	if c.line != line || c.col != col {
		return col
	}
	return c.offset - c.start + 1
}
