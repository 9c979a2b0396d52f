package nft

// otherCommands are commands of nft that make nothing.
var otherCommands = []string{"list", "monitor", "get", "reset", "rename", "replace", "import", "export", "describe"}

var verbs = map[string]Verb{"add": Add, "create": Create, "insert": Insert, "flush": Flush, "delete": Delete, "destroy": Destroy}

// kinds are the words behind add, create and the rest.
var kinds = []string{"table", "chain", "rule", "set", "map", "element", "flowtable", "counter", "quota", "limit", "ct", "secmark", "synproxy"}

var commandWords = append([]string{"add", "create", "insert", "flush", "delete", "destroy", "define", "redefine", "undefine", "include"}, kinds...)

// command reads one command of the file.
func (p *parser) command() {
	if p.is('}') {
		p.unexpected("a command")
		p.i++ // it closes nothing
		return
	}
	if p.atEnd() || p.common() {
		return
	}
	t := p.tok()
	if t.kind != tokenWord {
		p.unexpected("a command, such as `table`")
		return
	}
	verb, ok := verbs[t.text]
	switch {
	case ok:
		p.i++
	case contains(otherCommands, t.text):
		p.fail(t.Pos, "", "`%s` is not supported in a topology file", t.text)
		return
	}
	switch verb {
	case Add, Create:
		p.addCommand(t.Pos, verb)
	case Insert:
		p.expectWord("rule")
		p.ruleCommand(t.Pos, Insert)
	default:
		p.removeCommand(t.Pos, verb)
	}
}

// addCommand reads what follows add or create, or is there without either.
func (p *parser) addCommand(pos Pos, verb Verb) {
	t := p.tok()
	if !p.isWord(kinds...) {
		if verb == Create || !p.atRule() {
			p.unexpected("a command, such as `table`", commandWords...)
			return
		}
		p.ruleCommand(pos, Add)
		return
	}
	p.i++
	switch t.text {
	case "table":
		p.tableCommand(pos, verb)
	case "chain":
		p.chainCommand(pos, verb)
	case "rule":
		if verb == Create {
			p.fail(t.Pos, "", "found `rule`, expected something that can be created: rules are added or inserted")
		}
		p.ruleCommand(pos, verb)
	case "set", "map":
		table := p.tableName()
		c := &AddSet{Pos: pos, Verb: verb, Table: table, IsMap: t.text == "map", Name: p.name("a " + t.text)}
		p.setBlock(c)
		p.emit(c)
	case "element":
		p.elementCommand(pos, verb)
	case "flowtable":
		c := &AddFlowtable{Pos: pos, Verb: verb, Table: p.tableName(), Name: p.name("a flowtable")}
		p.flowtableBlock(c)
		p.emit(c)
	default:
		kind := p.objectKind(t)
		c := &AddObject{Pos: pos, Verb: verb, Table: p.tableName(), Name: p.name("a " + kind)}
		if p.object(c, kind) {
			p.emit(c)
		}
	}
}

// atRule reports whether a rule without `rule` is at hand: `ip t c accept`.
func (p *parser) atRule() bool {
	n := 0
	if isFamily(p.tok().text) {
		n = 1
	}
	for range 2 {
		if t := p.after(n); t.kind != tokenWord || reserved[t.text] {
			return false
		}
		n++
	}
	switch p.after(n).kind {
	case tokenWord, '@', '(':
		return true
	}
	return false
}

// emit adds a command that was read without a mistake.
func (p *parser) emit(c Command) {
	if !p.bad {
		p.file.Commands = append(p.file.Commands, c)
	}
}

// ctObjects are the kinds of objects that begin with ct.
var ctObjects = []string{"helper", "timeout", "expectation"}

// objectKind is the kind of an object by its first word, which was taken.
func (p *parser) objectKind(first token) string {
	if first.text == "ct" {
		return "ct " + p.expectWord(ctObjects...)
	}
	return first.text
}

func isFamily(word string) bool {
	switch word {
	case "ip", "ip6", "inet", "arp", "bridge", "netdev":
		return true
	}
	return false
}

// family takes the name of a family, if one is there.
func (p *parser) family() string {
	if t := p.tok(); t.kind == tokenWord && isFamily(t.text) {
		return p.advance().text
	}
	return ""
}

// tableName reads a table's name, and its family before it.
func (p *parser) tableName() TableName {
	family := p.family()
	if family == "" {
		family = "ip"
	}
	return TableName{family, p.name("a table")}
}

func (p *parser) ruleCommand(pos Pos, verb Verb) {
	r := &AddRule{Pos: pos, Verb: verb, Table: p.tableName(), Chain: p.name("a chain")}
	if t := p.tok(); p.isWord("position", "index", "handle") {
		p.notSupported(t.Pos, "`"+t.text+"` of a rule")
	}
	p.rule(r)
	p.emit(r)
}

func (p *parser) elementCommand(pos Pos, verb Verb) {
	c := &AddElements{Pos: pos, Verb: verb, Table: p.tableName(), Set: p.name("a set or map")}
	c.Elements = p.setElements()
	p.emit(c)
}

// removeCommand reads what follows flush, delete or destroy.
func (p *parser) removeCommand(pos Pos, verb Verb) {
	t := p.tok()
	words := []string{"table", "chain", "set", "map", "element", "flowtable", "counter", "quota", "limit", "ct", "secmark", "synproxy", "rule"}
	if verb == Flush {
		words = []string{"ruleset", "table", "chain", "set", "map", "meter"}
	}
	p.expectWord(words...)
	r := &Remove{Pos: pos, Verb: verb, Kind: t.text}
	switch t.text {
	case "rule", "meter":
		p.notSupported(t.Pos, "taking away a "+t.text)
	case "element":
		p.elementCommand(pos, verb)
		return
	case "ruleset":
		r.Table.Family = p.family()
		p.emit(r)
		return
	case "counter", "quota", "limit", "ct", "secmark", "synproxy":
		r.Kind = p.objectKind(t)
	}
	if h := p.tok(); p.isWord("handle") || isFamily(h.text) && p.after(1).text == "handle" {
		p.notSupported(h.Pos, "`handle`")
	}
	r.Table = p.tableName()
	if t.text != "table" {
		if h := p.tok(); p.isWord("handle") {
			p.notSupported(h.Pos, "`handle`")
		}
		r.Name = p.name("a " + r.Kind)
	}
	p.emit(r)
}
