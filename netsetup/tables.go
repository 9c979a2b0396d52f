package netsetup

import (
	"errors"
	"fmt"
	"slices"

	"nslab/netsetup/nft"
	"nslab/topology"
)

// A table is replaced as a whole: nf_tables has no order of its own in which one
// rule could be changed without looking at all others, and a replacement is one
// transaction.

type tableKey struct {
	family nft.Family
	name   string
}

func (t *Table) key() tableKey { return tableKey{t.Family, t.Name} }

// title is "table inet filter".
func (t *Table) title() string { return "table " + t.Family.String() + " " + t.Name }

// At is the place in the topology file of something in the table's text; zero
// where there is no text.
func (t *Table) At(pos nft.Pos) topology.Pos {
	if t.Source == nil {
		return topology.Pos{}
	}
	return t.Source.At(pos)
}

// Interfaces are the names of those that the table holds indexes of, sorted.
func (t *Table) Interfaces() []string {
	if t.Source == nil {
		return nil
	}
	return t.Content.Interfaces
}

// Compile gives the content with the indexes that its interfaces have. What was
// observed has them already.
func (t *Table) Compile(index func(name string) (uint32, error)) (*nft.Table, error) {
	if len(t.Interfaces()) == 0 {
		return t.Content, nil
	}
	rules, errs := nft.Compile(t.Source.File.Of(t.Family, t.Name), index)
	if len(errs) > 0 {
		return nil, errs
	}
	return rules.Tables[0], nil // it was there when the file was read
}

// placeOf is where the table names an interface: the rule that holds its index,
// or what hangs on it.
func (t *Table) placeOf(name string) topology.Pos {
	_, err := t.Compile(func(n string) (uint32, error) {
		if n == name {
			return 0, errors.New("there is none")
		}
		return 1, nil
	})
	if errs := (nft.Errors)(nil); errors.As(err, &errs) {
		return t.At(errs[0].Pos)
	}
	for _, ch := range t.Content.Chains {
		if ch.Hook != nil && slices.Contains(ch.Hook.Devices, name) {
			return t.At(ch.Pos)
		}
	}
	for _, f := range t.Content.Flowtables {
		if slices.Contains(f.Devices, name) {
			return t.At(f.Pos)
		}
	}
	return t.Pos
}

// MissingInterfaceError says that a rule names an interface that neither the
// file nor the kernel has.
type MissingInterfaceError struct {
	File      string
	Pos       topology.Pos
	Namespace string
	Table     string // "table inet filter"
	Interface string
}

func (e *MissingInterfaceError) Error() string {
	return fmt.Sprintf("%s%s in %s names the interface %s, which there is none of\nhint: `iifname` and `oifname` match interfaces that come later",
		position(e.File, e.Pos), e.Table, displayNamespace(e.Namespace), e.Interface)
}

// compileTables gives those of a node, as they are before their interfaces have
// indexes.
func compileTables(lab string, n *topology.Nftables) []Table {
	if n == nil {
		return nil
	}
	list := make([]Table, 0, len(n.Ruleset.Tables))
	for _, c := range n.Ruleset.Tables {
		list = append(list, Table{Pos: n.At(c.Pos), Lab: lab, Family: c.Family, Name: c.Name, Content: c, Source: n})
	}
	return list
}

// sameTable compares what there is with what is wanted, compiled.
func sameTable(have, want *Table, content *nft.Table) bool {
	return have.Origin == want.Origin && nft.Same(have.Content, content)
}

// findTable gives a table of a namespace by family and name, or nil.
func findTable(list []Table, key tableKey) *Table {
	i := slices.IndexFunc(list, func(t Table) bool { return t.key() == key })
	if i < 0 {
		return nil
	}
	return &list[i]
}

// sameTables reports that nothing is to be done about tables, so far as links
// stay as they are. Interfaces that are not there are for tables to report.
func sameTables(have, want *Namespace) bool {
	if len(have.Tables) != len(want.Tables) {
		return false
	}
	for i := range want.Tables {
		w := &want.Tables[i]
		h := findTable(have.Tables, w.key())
		if h == nil {
			return false
		}
		content, err := w.Compile(have.Index)
		if err != nil || !sameTable(h, w, content) {
			return false
		}
	}
	return true
}

// Index is the index of an observed interface.
func (n *Namespace) Index(name string) (uint32, error) {
	if i, ok := n.Indexes[name]; ok {
		return uint32(i), nil
	}
	if l := findLink(n, name); l != nil {
		return uint32(l.Index), nil
	}
	return 0, fmt.Errorf("there is no interface %s", name)
}

// tables replaces, makes and removes tables, all in one go.
func (d *differ) tables(have, want *Namespace) {
	for i := range have.Tables {
		h := &have.Tables[i]
		if findTable(want.Tables, h.key()) == nil && (h.Origin == Ours || d.prune && want.Kind == Own) {
			d.emit(Op{Phase: Tables, Verb: Delete, Namespace: want.Name, Object: h})
		}
	}
	for i := range want.Tables {
		w := &want.Tables[i]
		h := findTable(have.Tables, w.key())
		if w.Origin != Ours && h != nil && h.Origin != Ours {
			continue // a rollback: what others do with their table is theirs
		}
		content, known := d.compiled(have, want, w)
		switch {
		case content == nil:
		case h == nil:
			d.emit(Op{Phase: Tables, Verb: Add, Namespace: want.Name, Object: d.planned(w, content)})
		case known && sameTable(h, w, content):
		case h.Origin == Foreign, h.Origin == Manual && want.Kind != Own:
			d.errs = append(d.errs, &NotOursError{File: d.plan.File, Pos: w.Pos, Namespace: want.Name, Object: w.title()})
		default:
			d.emit(Op{Phase: Tables, Verb: Change, Namespace: want.Name, Object: d.planned(w, content), Was: h})
		}
	}
}

// planned is the table with the content as it will be.
func (d *differ) planned(w *Table, content *nft.Table) *Table {
	t := *w
	t.Content = content
	return &t
}

// compiled gives the content of a table, with the indexes that its interfaces
// will have as far as that is known: not of those that this plan makes, nor is
// a chain known to hang on them still. An interface that there will be none of
// is an error.
func (d *differ) compiled(have, want *Namespace, w *Table) (content *nft.Table, known bool) {
	known = true
	missing := ""
	for _, name := range append(slices.Clone(w.Content.Devices()), w.Interfaces()...) {
		switch {
		case d.made[Endpoint{want.Name, name}]:
			known = false
		case d.model.Link(want.Name, name) != nil:
		case want.Kind != Own && w.Source != nil && (have.Inode == 0 || have.Indexes[name] != 0):
		case w.Source != nil && missing == "":
			missing = name
		}
	}
	if missing != "" {
		d.errs = append(d.errs, &MissingInterfaceError{File: d.plan.File, Pos: w.placeOf(missing), Namespace: want.Name, Table: w.title(), Interface: missing})
		return nil, false
	}
	content, err := w.Compile(func(name string) (uint32, error) {
		if l := d.model.Link(want.Name, name); l != nil {
			return uint32(l.Index), nil
		}
		return uint32(have.Indexes[name]), nil
	})
	if err != nil {
		d.errs = append(d.errs, err)
		return nil, false
	}
	return content, known
}

// playTable is what an op does to the tables of a namespace.
func (n *namespaceModel) playTable(op Op, x *Table) {
	n.tables = slices.DeleteFunc(n.tables, func(t Table) bool { return t.key() == x.key() })
	if op.Verb == Delete {
		return
	}
	t := *x
	content, err := x.Compile(func(name string) (uint32, error) {
		if l := n.links[name]; l != nil {
			return uint32(l.Index), nil
		}
		return 0, nil
	})
	if err == nil {
		t.Content = content
	}
	t.Source = nil
	n.tables = append(n.tables, t)
}
