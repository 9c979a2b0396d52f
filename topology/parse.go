package topology

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// MaxSize bounds the text of a topology file, in bytes.
const MaxSize = 8 << 20

// Read reads the text of a topology file, of which there may be at most MaxSize
// bytes: an endless stream is given up after so many.
func Read(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxSize {
		return nil, errors.New(tooLarge)
	}
	return data, nil
}

var tooLarge = fmt.Sprintf("the topology is larger than %d MiB", MaxSize>>20)

// Parse reads a topology file; name is the file's, for messages.
//
// The error is of type Errors and holds all mistakes, the first MaxErrors,
// sorted by position. The File then has what did parse, so that Resolve can add
// what it finds; it is nil where nothing can be said about the rest, as after an
// error in the syntax of YAML.
func Parse(name string, data []byte) (*File, error) {
	p := &parser{file: &File{Name: name}, data: data, budget: maxExpanded}
	whole := p.run()
	if len(p.errs) == 0 {
		return p.file, nil
	}
	errs := sortErrors(p.errs)
	if !whole {
		return nil, errs
	}
	return p.file, errs
}

// Load parses and resolves a topology file. The error is as that of Parse, with
// the mistakes that either finds.
func Load(name string, data []byte) (*Lab, error) { return LoadAs(name, data, "") }

// LoadAs is Load with another name for the lab than the file has; "" is none.
func LoadAs(name string, data []byte, lab string) (*Lab, error) {
	f, err := Parse(name, data)
	if f == nil {
		return nil, err
	}
	var errs Errors
	errors.As(err, &errs)
	if lab != "" {
		f.Lab.Value = lab
		if problem := labNameProblem(lab); problem != "" {
			errs = append(errs, &Error{File: name, Msg: fmt.Sprintf("%q cannot be the name of the lab: %s", lab, problem)})
		}
	}
	l, err := Resolve(f)
	var more Errors
	errors.As(err, &more)
	if errs = sortErrors(append(errs, more...)); len(errs) > 0 {
		return nil, errs
	}
	return l, nil
}

// parser is the state of one Parse.
type parser struct {
	file *File
	data []byte
	errs Errors

	path []step // of the value that is parsed
	bad  *bool  // set by an error, where not nil: Node.Bad and its like

	budget     int                      // how many more values may come of aliases, defaults and ranges
	lineStarts []int                    // offsets of lines in data; see lineAt
	rulesets   map[*yaml.Node]*Nftables // what was read already; nil: it is wrong

	defaultNode   *yaml.Node // defaults.node; so below; nil: none
	defaultLink   *yaml.Node
	defaultTest   *yaml.Node
	ofDefaultNode nodeDraft // what defaultNode parses to
	ofDefaultLink Link
	nodesBad      bool // something in defaults.node was left out
	linksBad      bool
	nodesLost     bool // nodes are missing from the File, and what names them may be right
}

// step is one step of a path: a key, or the place of an item in a list.
type step struct {
	key   string
	index int // -1: it is a key
}

// tooMuch is what the parser panics with after a bound is exceeded: nothing more
// is read then. The error is reported already.
type tooMuch struct{}

// run parses the text into p.file, and reports whether it came to the end.
func (p *parser) run() (whole bool) {
	defer func() {
		switch r := recover(); r {
		case nil:
		case tooMuch{}:
			whole = false
		default:
			panic(r)
		}
	}()
	root := p.readYAML()
	if root == nil {
		return false
	}
	p.document(root)
	return true
}

// errorf reports a mistake in a value.
func (p *parser) errorf(n *yaml.Node, hint, format string, args ...any) {
	p.errorAt(posOf(n), hint, format, args...)
}

// errorAt reports a mistake in the value that is parsed, at a place in it.
func (p *parser) errorAt(pos Pos, hint, format string, args ...any) {
	if p.bad != nil {
		*p.bad = true
	}
	if len(p.errs) >= maxKept {
		panic(tooMuch{})
	}
	p.errs = p.file.report(p.errs, pos, p.pathText(), hint, format, args)
}

// abort reports that a bound is exceeded, and ends the parsing.
func (p *parser) abort(pos Pos, format string, args ...any) {
	p.errorAt(pos, "", format, args...)
	panic(tooMuch{})
}

// spend counts values that come of aliases, defaults and ranges.
func (p *parser) spend(pos Pos, values int) {
	if values > p.budget {
		p.abort(pos, "the file expands to too much: aliases, defaults and ranges may make %d values of it", maxExpanded)
	}
	p.budget -= values
}

func (p *parser) enter(key string)   { p.path = append(p.path, step{key, -1}) }
func (p *parser) enterItem(item int) { p.path = append(p.path, step{"", item}) }
func (p *parser) leave()             { p.path = p.path[:len(p.path)-1] }

// maxPathKey bounds how much of a key a message repeats.
const maxPathKey = 64

func (p *parser) pathText() string {
	var b strings.Builder
	for _, s := range p.path {
		switch {
		case s.index >= 0:
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
			continue
		case b.Len() > 0:
			b.WriteByte('.')
		}
		b.WriteString(clip(s.key, maxPathKey))
	}
	return b.String()
}

func posOf(n *yaml.Node) Pos { return Pos{int32(n.Line), int32(n.Column)} }

// scope runs f and reports whether it found a mistake.
func (p *parser) scope(f func()) (bad bool) {
	outer := p.bad
	p.bad = &bad
	f()
	p.bad = outer
	if bad && outer != nil {
		*outer = true
	}
	return bad
}
