package nft

import "maps"

// scope holds the variables of a block; outer is the block around it.
type scope struct {
	outer     *scope
	variables map[string]variable
}

// variable is what a name stands for, and how many nodes that are.
type variable struct {
	expr Expr
	size int
}

func newScope(outer *scope) *scope { return &scope{outer, map[string]variable{}} }

func (s *scope) lookUp(name string) (variable, bool) {
	for ; s != nil; s = s.outer {
		if v, ok := s.variables[name]; ok {
			return v, true
		}
	}
	return variable{}, false
}

func (s *scope) names() (names []string) {
	for ; s != nil; s = s.outer {
		for name := range maps.Keys(s.variables) {
			names = append(names, name)
		}
	}
	return names
}

// common reads what may stand in any block, if it is at hand: the definition of
// a variable, or an inclusion.
func (p *parser) common() bool {
	t := p.tok()
	if t.kind != tokenWord {
		return false
	}
	switch t.text {
	case "define", "redefine":
		p.define(t.text == "redefine")
	case "undefine":
		p.i++
		pos, name := p.pos(), p.name("a variable")
		if _, ok := p.scope.variables[name]; !ok {
			p.fail(pos, didYouMean(name, p.scope.names()), "there is no variable `%s` in this block", name)
		}
		delete(p.scope.variables, name)
	case "include":
		p.fail(t.Pos, "put the text of the file here", "`include` is not supported in a topology file")
	default:
		return false
	}
	return true
}

func (p *parser) define(again bool) {
	p.i++
	pos, name := p.pos(), p.name("a variable")
	if _, ok := p.scope.variables[name]; ok && !again {
		p.fail(pos, "`redefine` gives it another value", "the variable `%s` is defined already", name)
	}
	p.expect('=')
	first, expanded := p.i, p.expanded
	expr := p.initializer()
	if p.bad {
		// It is no mistake to use it.
		expr = &Value{Pos: pos}
	}
	p.scope.variables[name] = variable{expr, p.i - first + p.expanded - expanded}
}

// initializer reads what a variable is to stand for.
func (p *parser) initializer() Expr {
	t := p.tok()
	switch {
	case t.kind == '{':
		return p.setLiteral(constants)
	case t.kind == '@':
		return p.setRef()
	case t.kind == '-':
		p.i++
		v := p.valueNumber("a number")
		return &Value{Pos: t.Pos, Text: "-" + v.Text}
	case p.isWord("accept", "drop"):
		return p.value()
	}
	return p.list(constants, p.concat(constants))
}

// variable reads `$name` and gives what it stands for, at the place where it is
// used. What is inside that stays where it was defined.
func (p *parser) variable() Expr {
	pos := p.pos()
	p.i++
	if !p.is(tokenWord) {
		p.unexpected("the name of a variable")
		return nil
	}
	name := p.advance().text
	v, ok := p.scope.lookUp(name)
	if !ok {
		p.i--
		p.fail(pos, didYouMean(name, p.scope.names()), "there is no variable `%s`", name)
		return nil
	}
	p.expanded += v.size
	if p.expanded > maxExpanded {
		p.fail(pos, "", "the variables of this text stand for more than %d words", maxExpanded)
		return nil
	}
	return moved(v.expr, pos)
}

// moved is a constant, at another place.
func moved(e Expr, pos Pos) Expr {
	switch e := e.(type) {
	case *Value:
		c := *e
		c.Pos = pos
		return &c
	case *Range:
		c := *e
		c.Pos = pos
		return &c
	case *Prefix:
		c := *e
		c.Pos = pos
		return &c
	case *List:
		c := *e
		c.Pos = pos
		return &c
	case *Concat:
		c := *e
		c.Pos = pos
		return &c
	case *Binary:
		c := *e
		c.Pos = pos
		return &c
	case *SetLiteral:
		c := *e
		c.Pos = pos
		return &c
	case *SetRef:
		c := *e
		c.Pos = pos
		return &c
	}
	return e
}

// variableValue reads a variable where only a single word may be.
func (p *parser) variableValue(what string) *Value {
	pos := p.pos()
	if v, ok := p.variable().(*Value); ok {
		return v
	}
	p.fail(pos, "", "the variable does not stand for %s", what)
	return &Value{Pos: pos}
}
