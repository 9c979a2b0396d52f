package topology

import (
	"path"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

var absoluteSchema = pattern(`^/.`)

// maxPath is PATH_MAX of linux/limits.h without the zero at the end.
const maxPath = 4095

// hostPath gives a path of the host: absolute, or relative to the folder of the
// topology file.
func (p *parser) hostPath(n *yaml.Node, want, example string) Text {
	t, ok := p.text(n, want, example)
	if !ok {
		return Text{}
	}
	if t.Value == "" || len(t.Value) > maxPath || strings.ContainsRune(t.Value, 0) {
		p.errorf(n, "such as `"+example+"`", "%s is not %s", quote(t.Value), want)
		return Text{}
	}
	return t
}

// nodePathProblem says why a path in a node cannot be one, with a hint; "" if it
// can.
func nodePathProblem(s string) (problem, hint string) {
	switch {
	case !strings.HasPrefix(s, "/"):
		return "is not an absolute path", "a path in a node begins with `/`"
	case len(s) > maxPath || strings.ContainsRune(s, 0):
		return "is not a path", ""
	case path.Clean(s) != s:
		return "is not a clean path", "write " + clip(path.Clean(s), maxShown)
	case s == "/":
		return "is all of the node", "`rootfs` gives a node another /"
	}
	return "", ""
}

// nodePath gives a path in the node.
func (p *parser) nodePath(n *yaml.Node, example string) Text {
	t, ok := p.text(n, "a path in the node", example)
	if !ok {
		return Text{}
	}
	if problem, hint := nodePathProblem(t.Value); problem != "" {
		p.errorf(n, hint, "%s %s", quote(t.Value), problem)
		return Text{}
	}
	return t
}

// nodeFileDraft is a NodeFile while it is read.
type nodeFileDraft struct {
	NodeFile
	hasContent bool
}

var fileContentObject = newObject([]field[nodeFileDraft]{
	{"content", "Its text.", textSchema, func(p *parser, n *yaml.Node, f *nodeFileDraft) {
		f.hasContent = true
		if t, ok := p.text(n, "the text of the file", ""); ok {
			f.Content = t.Value
		}
	}},
	{"source", "A file that it is a copy of, from the folder of the topology file.", textSchema, func(p *parser, n *yaml.Node, f *nodeFileDraft) {
		f.Source = p.hostPath(n, "a file", "nginx.conf")
	}},
	{"mode", "Permissions, such as 0644.", anyOf(pattern(`^(0o)?[0-7]{1,5}$`), between(1, 7777)), func(p *parser, n *yaml.Node, f *nodeFileDraft) {
		f.Mode = p.mode(n)
	}},
}...)

// mode reads permission bits in octal, as chmod(1) does, with or without a zero
// before them.
func (p *parser) mode(n *yaml.Node) uint32 {
	t, ok := p.text(n, "permissions", "0644")
	if !ok {
		return 0
	}
	bits, err := strconv.ParseUint(strings.TrimPrefix(t.Value, "0o"), 8, 32)
	if err != nil || bits == 0 || bits > 0o7777 {
		p.errorf(n, "such as `0644`", "%s is not permissions in octal (0001 to 7777)", quote(t.Value))
		return 0
	}
	return uint32(bits)
}

func (p *parser) files(n *yaml.Node, d *nodeDraft) {
	const example = "{content: hello}"
	entries := p.mapping(n, "{/etc/motd: "+example+"}")
	for i := 0; i < len(entries); i += 2 {
		k, v := entries[i], deref(entries[i+1])
		if problem, hint := nodePathProblem(k.Value); problem != "" {
			p.errorf(k, hint, "%s %s", quote(k.Value), problem)
			continue
		}
		p.enter(k.Value)
		f := nodeFileDraft{NodeFile: NodeFile{Pos: posOf(k), Path: k.Value}}
		bad := p.scope(func() {
			fileContentObject.parse(p, p.mapping(v, example), &f)
			switch {
			case f.hasContent && f.Source.Value != "":
				p.errorAt(f.Source.Pos, "leave one of them out", "the file has `content` and `source`")
			case !*p.bad && !f.hasContent && f.Source.Value == "":
				p.errorf(k, "such as `"+example+"`", "the file has neither `content` nor `source`")
			}
		})
		if !bad {
			d.Files = append(d.Files, f.NodeFile)
		}
		p.leave()
	}
}

func (p *parser) private(n *yaml.Node, d *nodeDraft) {
	seen := map[string]bool{}
	p.oneOrEach(n, "[/var/lib/dhcp]", func(item *yaml.Node) {
		t := p.nodePath(item, "/var/lib/dhcp")
		switch {
		case t.Value == "":
		case seen[t.Value]:
			p.errorf(item, "", "%s is there twice", quote(t.Value))
		default:
			seen[t.Value] = true
			d.Private = append(d.Private, t)
		}
	})
}

// checkNodeFiles reports paths that cannot both be there.
func (p *parser) checkNodeFiles(d *nodeDraft) {
	if len(d.Files) == 0 {
		return
	}
	files := make(map[string]bool, len(d.Files))
	for _, f := range d.Files {
		files[f.Path] = true
	}
	below := func(pos Pos, name string) {
		for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
			if files[dir] {
				p.errorAt(pos, "", "%s is below %s, which is a file of the node", quote(name), quote(dir))
				return
			}
		}
	}
	for _, f := range d.Files {
		below(f.Pos, f.Path)
	}
	for _, t := range d.Private {
		if files[t.Value] {
			p.errorAt(t.Pos, "", "%s is a file of the node, and cannot be a folder", quote(t.Value))
			continue
		}
		below(t.Pos, t.Value)
	}
}
