package topology

import (
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

var (
	commandSchema = anyOf(textSchema, schema{"type": "array", "items": scalarSchema, "minItems": 1})
	restartWords  = []string{"no", "on-failure", "always"}
	// signalNames are those of signal(7) that can end or stop a program; ones for
	// faults of a program are left out.
	signalNames = []string{"TERM", "INT", "QUIT", "HUP", "KILL", "USR1", "USR2", "ALRM", "PIPE", "WINCH", "CONT", "ABRT", "PWR", "IO", "VTALRM", "PROF", "URG", "TSTP", "TTIN", "TTOU", "CHLD", "STKFLT", "XCPU", "XFSZ"}
)

var processName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`) // of at most 63 bytes

// isProcessName reports whether a process can have a name: it is that of a file
// too.
func isProcessName(s string) bool {
	return len(s) <= 63 && processName.MatchString(s) && s != "." && s != ".."
}

// env reads a map of names and values.
func (p *parser) env(n *yaml.Node) []Variable {
	entries := p.mapping(n, "{LANG: C}")
	var list []Variable
	for i := 0; i < len(entries); i += 2 {
		k, v := entries[i], deref(entries[i+1])
		p.enter(k.Value)
		t, ok := p.text(v, "the value of a variable", "C")
		switch {
		case !ok:
		case k.Value == "" || strings.ContainsAny(k.Value, "=\x00"):
			p.errorf(k, "", "%s is not the name of a variable", quote(k.Value))
		case strings.ContainsRune(t.Value, 0):
			p.errorf(v, "", "the value has a zero byte")
		default:
			list = append(list, Variable{posOf(k), k.Value, t.Value})
		}
		p.leave()
	}
	return list
}

// commandLine reads a program with its arguments; a text is one for the shell.
func (p *parser) commandLine(n *yaml.Node) CommandLine {
	c := CommandLine{Pos: posOf(n), Argv: p.command(n)}
	if slices.ContainsFunc(c.Argv, func(s string) bool { return strings.ContainsRune(s, 0) }) {
		p.errorf(n, "", "the command has a zero byte")
	}
	return c
}

// setup reads a list of commands; a text is one of them.
func (p *parser) setup(n *yaml.Node, d *nodeDraft) {
	if n.Kind == yaml.ScalarNode && !isNull(n) {
		d.Setup = append(d.Setup, p.commandLine(n))
		return
	}
	p.each(n, "[[ip, link], echo hello]", func(item *yaml.Node) {
		d.Setup = append(d.Setup, p.commandLine(item))
	})
}

var processObject = newObject([]field[Process]{
	{"command", "A list of words, or a text for the shell.", commandSchema, func(p *parser, n *yaml.Node, x *Process) { x.Command = p.commandLine(n) }},
	{"name", "Name of the process; that of the program if not given.", textSchema, func(p *parser, n *yaml.Node, x *Process) {
		t, ok := p.text(n, "a name", "web")
		if !ok {
			return
		}
		if !isProcessName(t.Value) {
			p.errorf(n, "", "%s cannot be the name of a process: it is 1 to 63 of A-Z, a-z, 0-9, _, . and -", quote(t.Value))
			return
		}
		x.Name = t.Value
	}},
	{"env", "Environment beside the node's.", mapOf(scalarSchema), func(p *parser, n *yaml.Node, x *Process) { x.Env = p.env(n) }},
	{"user", "Name or number, with :GROUP if wanted.", textSchema, func(p *parser, n *yaml.Node, x *Process) {
		t, ok := p.text(n, "a user", "nobody")
		if !ok {
			return
		}
		if t.Value == "" || strings.HasPrefix(t.Value, ":") || strings.HasSuffix(t.Value, ":") || strings.Count(t.Value, ":") > 1 || strings.ContainsFunc(t.Value, notInWord) {
			p.errorf(n, "such as `nobody` or `1000:1000`", "%s is not a user", quote(t.Value))
			return
		}
		x.User = t.Value
	}},
	{"ready", "When it is ready: tcp, file, exec or log; as soon as it runs if not given.", ofObject(readyObject), (*parser).ready},
	{"restart", "no, on-failure, or always.", enum(restartWords...), func(p *parser, n *yaml.Node, x *Process) { x.Restart = p.word(n, restartWords...).Value }},
	{"after", "Processes that must be ready before it starts: NODE/PROCESS, or PROCESS of the same node.", listOrOne(textSchema), (*parser).after},
	{"stop_signal", "What ends it; TERM if not given.", textSchema, (*parser).stopSignal},
	{"stop_timeout", "How long it may take to end; 10s if not given.", durationSchema, func(p *parser, n *yaml.Node, x *Process) { x.StopTimeout = p.positiveDuration(n) }},
}...)

// processes reads those of a node.
func (p *parser) processes(n *yaml.Node, d *nodeDraft) {
	const example = "{command: [sleep, 60]}"
	lines := map[string]int{}
	p.each(n, "["+example+"]", func(item *yaml.Node) {
		if item.Kind != yaml.MappingNode {
			p.wrongType(item, "a process", example)
			return
		}
		x := &Process{Pos: posOf(item)}
		bad := p.scope(func() {
			entries := p.entries(item)
			processObject.parse(p, entries, x)
			p.require(item, entries, "command")
			if x.Name == "" {
				return
			}
			if line, again := lines[x.Name]; again {
				p.errorf(lookup(entries, "name"), "", "the node has a process %s already, at line %d", x.Name, line)
			}
			lines[x.Name] = item.Line
		})
		if !bad {
			d.Run = append(d.Run, x)
		}
	})
}

func (p *parser) after(n *yaml.Node, x *Process) {
	const example = "db/postgres"
	p.oneOrEach(n, "["+example+"]", func(item *yaml.Node) {
		t, ok := p.text(item, "a process", example)
		if !ok {
			return
		}
		node, process, both := strings.Cut(t.Value, "/")
		if !both {
			node, process = "", t.Value
		}
		if both && nodeNameProblem(node) != "" || !isProcessName(process) {
			p.errorf(item, "such as `"+example+"`", "%s is not a process: NODE/PROCESS, or PROCESS of the same node", quote(t.Value))
			return
		}
		x.After = append(x.After, t)
	})
}

func (p *parser) stopSignal(n *yaml.Node, x *Process) {
	t, ok := p.text(n, "a signal", "TERM")
	if !ok {
		return
	}
	name := strings.TrimPrefix(strings.ToUpper(t.Value), "SIG")
	if !slices.Contains(signalNames, name) {
		p.errorf(n, hintFor(name, signalNames, "such as "), "%s is not a signal", quote(t.Value))
		return
	}
	x.StopSignal = name
}

var readyObject = newObject([]field[Ready]{
	{"tcp", "A port of the node that accepts.", between(1, 65535), func(p *parser, n *yaml.Node, r *Ready) { r.TCP, _ = p.integer(n, 1, 65535, "a port") }},
	{"file", "A path in the node that is there.", absoluteSchema, func(p *parser, n *yaml.Node, r *Ready) { r.File = p.nodePath(n, "/run/web.pid").Value }},
	{"exec", "A command that ends with 0.", commandSchema, func(p *parser, n *yaml.Node, r *Ready) {
		c := p.commandLine(n)
		r.Exec = &c
	}},
	{"log", "Regular expression that a line of its output matches.", textSchema, func(p *parser, n *yaml.Node, r *Ready) {
		if r.Log = p.regexp(n); r.Log == "" && !*p.bad {
			p.errorf(n, "such as `ready to serve`", "the expression is empty")
		}
	}},
	{"within", "How long it may take; 30s if not given.", durationSchema, func(p *parser, n *yaml.Node, r *Ready) { r.Within = p.positiveDuration(n) }},
}...)

// readyWays are the keys of which a Ready has one.
var readyWays = []string{"tcp", "file", "exec", "log"}

func (p *parser) ready(n *yaml.Node, x *Process) {
	const example = "{tcp: 80}"
	entries := p.mapping(n, example)
	if isNull(n) {
		return
	}
	r := &Ready{Pos: posOf(n)}
	if p.scope(func() { readyObject.parse(p, entries, r) }) {
		return
	}
	var first string
	for i := 0; i < len(entries); i += 2 {
		switch k := entries[i]; {
		case !slices.Contains(readyWays, k.Value):
		case first == "":
			first = k.Value
		default:
			p.errorf(k, "leave one of them out; `exec` can look at several things", "`ready` has one of %s; `%s` is there already", oneOf(readyWays), first)
			return
		}
	}
	if first == "" {
		p.errorf(n, "such as `"+example+"`", "`ready` has one of %s", oneOf(readyWays))
		return
	}
	x.Ready = r
}
