package topology

import "gopkg.in/yaml.v3"

// field is one key of a map of the topology file. The parser and the JSON Schema
// both go by it.
type field[T any] struct {
	name   string
	doc    string // for editors
	schema schema // what values it takes; nil: it is of a later version
	parse  func(p *parser, n *yaml.Node, into *T)
}

// object is a map of the topology file with a fixed set of keys.
type object[T any] struct {
	fields []field[T]
	byName map[string]*field[T]
	names  []string // of the keys that are supported
}

func newObject[T any](fields ...field[T]) *object[T] {
	o := &object[T]{fields: fields, byName: make(map[string]*field[T], len(fields))}
	for i := range fields {
		f := &fields[i]
		o.byName[f.name] = f
		if f.schema != nil {
			o.names = append(o.names, f.name)
		}
	}
	return o
}

// later makes fields of keys that a later version will know.
func later[T any](names ...string) []field[T] {
	fields := make([]field[T], len(names))
	for i, name := range names {
		fields[i].name = name
	}
	return fields
}

// parse reads the entries of a map into a value.
func (o *object[T]) parse(p *parser, entries []*yaml.Node, into *T) {
	for i := 0; i < len(entries); i += 2 {
		o.parseKey(p, entries[i], entries[i+1], into)
	}
}

func (o *object[T]) parseKey(p *parser, k, v *yaml.Node, into *T) {
	p.enter(k.Value)
	switch f := o.byName[k.Value]; {
	case f == nil:
		p.leave()
		p.unknownKey(k, o.names)
		return
	case f.schema == nil:
		p.leave()
		p.notYet(k, "`"+k.Value+"`")
		return
	default:
		f.parse(p, deref(v), into)
	}
	p.leave()
}
