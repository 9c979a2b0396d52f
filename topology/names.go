package topology

import (
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// What names are made of, as the JSON Schema has it too.
const (
	labNamePattern  = `^[a-z][a-z0-9-]{0,30}$`
	nodeNamePattern = `^[A-Za-z][A-Za-z0-9_-]{0,62}$`
)

var (
	labName  = regexp.MustCompile(labNamePattern)
	nodeName = regexp.MustCompile(nodeNamePattern)
)

// labNameProblem says why a lab cannot have a name; "" if it can.
func labNameProblem(s string) string {
	if labName.MatchString(s) {
		return ""
	}
	return "it is 1 to 31 of a-z, 0-9 and -, the first a letter"
}

// nodeNameProblem says why a node cannot have a name; "" if it can.
func nodeNameProblem(s string) string {
	switch {
	case s == "all":
		return "in tests it means every node"
	case nodeName.MatchString(s):
		return ""
	}
	return "it is 1 to 63 of A-Z, a-z, 0-9, _ and -, the first a letter"
}

// maxInterfaceName is IFNAMSIZ of linux/if.h without the zero at the end.
const maxInterfaceName = 15

// interfaceNameProblem says why an interface cannot have a name; "" if it can.
// It is dev_valid_name of net/core/dev.c, and what else the kernel gives a
// meaning: % is filled in, and all and default are taken in /proc/sys/net.
func interfaceNameProblem(s string) string {
	switch {
	case s == "":
		return "it is empty"
	case len(s) > maxInterfaceName:
		return "it is longer than 15 bytes"
	case s == "." || s == ".." || s == "all" || s == "default":
		return "the kernel has another meaning for it"
	case strings.ContainsAny(s, "/:% \t\n\v\f\r"):
		return "it has one of / : % or white space in it"
	case len(splitRanges(s).ranges) > 0:
		return "ranges are for nodes, links and values"
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == 0xa0 || r == 0x85 {
			return "it has white space or control characters in it"
		}
	}
	return ""
}

// interfaceName checks the name of an interface.
func (p *parser) interfaceName(t Text) string {
	if problem := interfaceNameProblem(t.Value); problem != "" {
		p.errorAt(t.Pos, "", "%s cannot be the name of an interface: %s", quote(t.Value), problem)
		return ""
	}
	return t.Value
}

// device gives a scalar that names an interface.
func (p *parser) device(n *yaml.Node) string {
	t, ok := p.text(n, "the name of an interface", "eth0")
	if !ok {
		return ""
	}
	return p.interfaceName(t)
}

// endpoint reads `node` or `node:interface`.
func (p *parser) endpoint(n *yaml.Node) (e Endpoint, ok bool) {
	if n.Kind == yaml.MappingNode {
		hint := "such as `h1:eth0`"
		if m := p.entries(n); len(m) == 2 && m[1].Kind == yaml.ScalarNode {
			hint = "write `" + clip(m[0].Value+":"+m[1].Value, maxShown) + "`, without the space"
		}
		p.errorf(n, hint, "a map, where an endpoint is expected: `node` or `node:interface`")
		return Endpoint{}, false
	}
	t, ok := p.text(n, "an endpoint, `node` or `node:interface`", "h1:eth0")
	if !ok {
		return Endpoint{}, false
	}
	name, dev, colon := strings.Cut(t.Value, ":")
	if problem := nodeNameProblem(name); problem != "" {
		p.errorf(n, "an endpoint is `node` or `node:interface`", "%s cannot be the name of a node: %s", quote(name), problem)
		return Endpoint{}, false
	}
	if colon && p.interfaceName(Text{p.posWithin(n, len(name)+1, dev), dev}) == "" {
		return Endpoint{}, false
	}
	return Endpoint{Pos: t.Pos, Node: name, Interface: dev}, true
}
