package topology

import (
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// machineField is a key of a node that concerns programs in it, not its network:
// only nodes that the lab makes have it.
func machineField(name, doc string, s schema, parse func(p *parser, n *yaml.Node, d *nodeDraft)) field[nodeDraft] {
	return field[nodeDraft]{name, doc, s, func(p *parser, n *yaml.Node, d *nodeDraft) {
		d.machine = append(d.machine, Text{posOf(n), name})
		parse(p, n, d)
	}}
}

var machineFields = []field[nodeDraft]{
	machineField("isolate", "Further namespaces that the node owns; or all.", isolateSchema(), (*parser).isolate),
	machineField("hostname", "What programs in the node see as host name; the node's name if not given.", textSchema, (*parser).hostname),
	machineField("dns", "The node's /etc/resolv.conf: a list of servers, or a map.", anyOf(listOrOne(textSchema), ofObject(resolverObject)), (*parser).dns),
	machineField("hosts", "Further lines of the node's /etc/hosts: ADDRESS NAME…, or a map from name to address.", anyOf(listOrOne(textSchema), mapOf(listOrOne(textSchema))), (*parser).hosts),
	machineField("limits", "Of all programs in the node together.", ofObject(limitsObject), func(p *parser, n *yaml.Node, d *nodeDraft) {
		d.Limits.Pos = posOf(n)
		limitsObject.parse(p, p.mapping(n, "{memory: 256MiB}"), &d.Limits)
	}),
	machineField("rootfs", "A folder that becomes the node's /; what is written there is not kept.", textSchema, func(p *parser, n *yaml.Node, d *nodeDraft) {
		d.RootFS = p.hostPath(n, "a folder", "rootfs")
	}),
	machineField("files", "Files that only the node has, by absolute path.", mapOf(ofObject(fileContentObject)), (*parser).files),
	machineField("private", "Folders that are the node's own and empty at first.", listOrOne(absoluteSchema), (*parser).private),
	machineField("env", "Environment of the programs in the node.", mapOf(scalarSchema), func(p *parser, n *yaml.Node, d *nodeDraft) {
		d.Env = p.env(n)
	}),
	machineField("setup", "Commands that run once, in order, when the node is made.", listOrOne(commandSchema), (*parser).setup),
	machineField("run", "Programs that run in the node as long as the lab does.", listOf(ofObject(processObject, "command")), (*parser).processes),
}

// checkMachine checks what concerns several keys of a node that the lab makes.
func (p *parser) checkMachine(d *nodeDraft) {
	p.checkNodeFiles(d)
	if d.isolateBad || p.nodesBad {
		return
	}
	for _, s := range d.Sysctls {
		needs := ""
		switch {
		case hasAnyPrefix(s.Name, utsSysctls) && !d.Isolate.UTS:
			needs = "uts"
		case hasAnyPrefix(s.Name, ipcSysctls) && !d.Isolate.IPC:
			needs = "ipc"
		default:
			continue
		}
		p.enter("sysctls")
		p.enter(sysctlName(s.Name))
		p.errorAt(s.Pos, "give the node `isolate: ["+needs+"]`", "%s is a setting of the whole host: the node has no %s namespace of its own", quote(sysctlName(s.Name)), needs)
		p.leave()
		p.leave()
	}
}

// dropMachine takes away what only a node of the lab has: what comes of
// defaults is for those.
func (p *parser) dropMachine(d *nodeDraft) {
	for _, key := range d.machine {
		if !slices.Contains(p.ofDefaultNode.machine, key) {
			p.errorAt(key.Pos, "a node that the lab makes has it", "%s has no `%s`: the namespace is not made by the lab", d.Name, key.Value)
		}
	}
	n := &d.Node
	n.Isolate, n.Hostname, n.DNS, n.Hosts, n.Limits = Isolate{}, "", nil, nil, Limits{}
	n.RootFS, n.Files, n.Private, n.Env, n.Setup, n.Run = Text{}, nil, nil, nil, nil, nil
}

// isolateWords are the namespaces that `isolate` names.
var isolateWords = []string{"uts", "mount", "ipc", "pid", "cgroup", "time", "user"}

// flags are the fields that isolateWords stand for.
func (i *Isolate) flags() []*bool {
	return []*bool{&i.UTS, &i.Mount, &i.IPC, &i.PID, &i.Cgroup, &i.Time, &i.User}
}

func isolateSchema() schema {
	settings := schema{"type": "object", "properties": isolateProperties(), "additionalProperties": false}
	return anyOf(settings, listOrOne(anyOf(enum(append(slices.Clone(isolateWords), "all")...), settings)))
}

func isolateProperties() schema {
	keys := schema{}
	for _, w := range isolateWords {
		keys[w] = anyOf(nullSchema, boolSchema)
	}
	keys["time"] = anyOf(nullSchema, boolSchema, ofObject(timeObject))
	keys["user"] = anyOf(nullSchema, boolSchema, ofObject(userObject))
	return keys
}

// isolate reads a list of words and maps, a single one of them, or all.
func (p *parser) isolate(n *yaml.Node, d *nodeDraft) {
	d.Isolate = Isolate{Pos: posOf(n)}
	d.isolateBad = p.scope(func() {
		if n.Kind == yaml.MappingNode {
			p.isolateMap(n, &d.Isolate)
			return
		}
		p.oneOrEach(n, "[uts, pid]", func(item *yaml.Node) {
			if item.Kind == yaml.MappingNode {
				p.isolateMap(item, &d.Isolate)
				return
			}
			word := p.word(item, append(slices.Clone(isolateWords), "all")...)
			for i, flag := range d.Isolate.flags() {
				if word.Value == isolateWords[i] || word.Value == "all" {
					*flag = true
				}
			}
		})
	})
}

// isolateMap reads {time: {…}, user: {…}}; the others have no settings.
func (p *parser) isolateMap(n *yaml.Node, to *Isolate) {
	entries := p.entries(n)
	for i := 0; i < len(entries); i += 2 {
		k, v := entries[i], deref(entries[i+1])
		at := slices.Index(isolateWords, k.Value)
		if at < 0 {
			p.unknownKey(k, isolateWords)
			continue
		}
		p.enter(k.Value)
		on := true
		switch {
		case v.Kind == yaml.MappingNode && k.Value == "time":
			timeObject.parse(p, p.entries(v), to)
		case v.Kind == yaml.MappingNode && k.Value == "user":
			userObject.parse(p, p.entries(v), to)
		case !isNull(v):
			on, _ = p.boolean(v)
		}
		*to.flags()[at] = on
		p.leave()
	}
}

var timeObject = newObject([]field[Isolate]{
	{"boottime", "What the time since boot is ahead of the host's.", signedSchema, func(p *parser, n *yaml.Node, i *Isolate) { i.Boottime = p.offset(n) }},
	{"monotonic", "What the monotonic clock is ahead of the host's.", signedSchema, func(p *parser, n *yaml.Node, i *Isolate) { i.Monotonic = p.offset(n) }},
}...)

var userObject = newObject([]field[Isolate]{
	{"uids", "Lines of the map of users: INSIDE OUTSIDE COUNT.", listOrOne(idMapSchema), func(p *parser, n *yaml.Node, i *Isolate) { i.UIDs = p.idMaps(n) }},
	{"gids", "Lines of the map of groups: INSIDE OUTSIDE COUNT.", listOrOne(idMapSchema), func(p *parser, n *yaml.Node, i *Isolate) { i.GIDs = p.idMaps(n) }},
}...)

var (
	signedSchema = pattern(`^-?([0-9.]+(ns|us|µs|ms|s|m|h))+$|^0$`)
	idMapSchema  = pattern(`^\s*[0-9]+\s+[0-9]+\s+[0-9]+\s*$`)
)

// offset reads a span of time that may be negative.
func (p *parser) offset(n *yaml.Node) time.Duration {
	if n.Kind == yaml.ScalarNode {
		if d, err := time.ParseDuration(n.Value); err == nil {
			return d
		}
	}
	d, _ := p.duration(n) // says what is wrong
	return d
}

// maxIDMaps is UID_GID_MAP_MAX_EXTENTS of linux/user_namespace.h.
const maxIDMaps = 340

// idMaps reads lines as in /proc/PID/uid_map; the kernel refuses overlaps.
func (p *parser) idMaps(n *yaml.Node) []IDMap {
	var list []IDMap
	p.oneOrEach(n, `["0 1000 1"]`, func(item *yaml.Node) {
		t, ok := p.text(item, "a line of the map", "0 1000 1")
		if !ok {
			return
		}
		m, ok := parseIDMap(t.Value)
		if !ok {
			p.errorf(item, "such as `0 1000 1`: from 0 inside and from 1000 outside, 1 of them", "%s is not INSIDE OUTSIDE COUNT", quote(t.Value))
			return
		}
		m.Pos = t.Pos
		for _, o := range list {
			if overlap32(m.Inside, o.Inside, m.Count, o.Count) || overlap32(m.Outside, o.Outside, m.Count, o.Count) {
				p.errorf(item, "", "%s overlaps the line `%d %d %d`", quote(t.Value), o.Inside, o.Outside, o.Count)
				return
			}
		}
		list = append(list, m)
	})
	if len(list) > maxIDMaps {
		p.errorf(n, "", "the map has %d lines; the kernel takes %d", len(list), maxIDMaps)
		return nil
	}
	return list
}

func parseIDMap(s string) (m IDMap, ok bool) {
	words := strings.Fields(s)
	if len(words) != 3 {
		return m, false
	}
	var of [3]uint32
	for i, w := range words {
		v, err := strconv.ParseUint(w, 10, 32)
		if err != nil {
			return m, false
		}
		of[i] = uint32(v)
	}
	m = IDMap{Inside: of[0], Outside: of[1], Count: of[2]}
	// The last number is nobody's: (uid_t)-1.
	fits := func(from uint32) bool { return uint64(from)+uint64(m.Count) <= math.MaxUint32 }
	return m, m.Count > 0 && fits(m.Inside) && fits(m.Outside)
}

func overlap32(a, b, countA, countB uint32) bool { return a < b+countB && b < a+countA }

// hostname is a name of at most HOST_NAME_MAX bytes, gethostname(2).
var hostname = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`) // of at most 64 bytes

func (p *parser) hostname(n *yaml.Node, d *nodeDraft) {
	t, ok := p.text(n, "a host name", "www.example")
	if !ok {
		return
	}
	if len(t.Value) > 64 || !hostname.MatchString(t.Value) {
		p.errorf(n, "", "%s cannot be a host name: it is 1 to 64 of A-Z, a-z, 0-9, ., _ and -, the first a letter or digit", quote(t.Value))
		return
	}
	d.Hostname = t.Value
}

// Bounds of resolv.conf(5): MAXNS, and the length of a line that glibc reads.
const (
	maxServers = 3
	maxSearch  = 255
)

var resolverObject = newObject([]field[Resolver]{
	{"servers", "At most 3 name servers: addresses, or nodes of the lab.", listOrOne(textSchema), func(p *parser, n *yaml.Node, to *Resolver) { p.servers(n, to) }},
	{"search", "Domains that short names are looked up in.", listOrOne(textSchema), func(p *parser, n *yaml.Node, to *Resolver) {
		to.Search = p.resolverWords(n, "a domain", "example.org")
	}},
	{"options", "As in resolv.conf(5), such as ndots:2.", listOrOne(textSchema), func(p *parser, n *yaml.Node, to *Resolver) {
		to.Options = p.resolverWords(n, "an option of resolv.conf(5)", "ndots:2")
	}},
}...)

// dns reads {servers, search, options}, or the servers alone.
func (p *parser) dns(n *yaml.Node, d *nodeDraft) {
	if isNull(n) {
		return
	}
	d.DNS = &Resolver{Pos: posOf(n)}
	if n.Kind == yaml.MappingNode {
		resolverObject.parse(p, p.entries(n), d.DNS)
		return
	}
	p.servers(n, d.DNS)
}

func (p *parser) servers(n *yaml.Node, to *Resolver) {
	p.oneOrEach(n, "[10.0.0.1]", func(item *yaml.Node) {
		t, ok := p.text(item, "a name server: an address or a node", "10.0.0.1")
		if !ok {
			return
		}
		if _, err := netip.ParseAddr(t.Value); err != nil && nodeNameProblem(t.Value) != "" {
			hint := "such as 10.0.0.1"
			if host, port, found := strings.Cut(t.Value, ":"); found && isDigits(port, false) {
				hint = "write " + clip(host, maxShown) + "; the port is always 53"
			}
			p.errorf(item, hint, "%s is neither an address nor the name of a node", quote(t.Value))
			return
		}
		to.Servers = append(to.Servers, t)
	})
	if len(to.Servers) > maxServers {
		p.errorf(n, "", "the list has %d servers; programs ask the first %d of resolv.conf(5)", len(to.Servers), maxServers)
	}
}

func (p *parser) resolverWords(n *yaml.Node, want, example string) []string {
	var list []string
	p.oneOrEach(n, "["+example+"]", func(item *yaml.Node) {
		t, ok := p.text(item, want, example)
		switch {
		case !ok:
		case t.Value == "" || strings.ContainsFunc(t.Value, notInWord) || len(t.Value) > maxSearch:
			p.errorf(item, "such as `"+example+"`", "%s is not %s", quote(t.Value), want)
		default:
			list = append(list, t.Value)
		}
	})
	return list
}

// notInWord are white space and control characters.
func notInWord(r rune) bool { return r <= ' ' || r == 0x7f }

// hosts reads lines `ADDRESS NAME…`, or a map either way round.
func (p *parser) hosts(n *yaml.Node, d *nodeDraft) {
	const example = "10.0.0.1 www.example"
	if n.Kind != yaml.MappingNode {
		p.oneOrEach(n, "["+example+"]", func(item *yaml.Node) {
			t, ok := p.text(item, "a line of /etc/hosts", example)
			if !ok {
				return
			}
			words := p.words(item)
			if len(words) < 2 {
				p.errorf(item, "such as `"+example+"`", "%s is not ADDRESS NAME…", quote(t.Value))
				return
			}
			p.hostLine(d, words[0], words[1:])
		})
		return
	}
	entries := p.entries(n)
	for i := 0; i < len(entries); i += 2 {
		k, v := entries[i], deref(entries[i+1])
		key := Text{posOf(k), k.Value}
		var values []Text
		p.enter(k.Value)
		_, err := netip.ParseAddr(k.Value)
		p.oneOrEach(v, "[www.example]", func(item *yaml.Node) {
			if t, ok := p.text(item, "a name or an address", "10.0.0.1"); ok {
				values = append(values, t)
			}
		})
		switch {
		case err == nil && len(values) > 0:
			p.hostLine(d, key, values)
		case len(values) == 0 && isNull(v):
			p.errorf(k, "such as `{www.example: 10.0.0.1}`", "%s stands for nothing", quote(k.Value))
		default:
			for _, address := range values {
				p.hostLine(d, address, []Text{key})
			}
		}
		p.leave()
	}
}

func (p *parser) hostLine(d *nodeDraft, address Text, names []Text) {
	a, err := netip.ParseAddr(address.Value)
	if err != nil {
		p.errorAt(address.Pos, "such as `10.0.0.1 www.example`", "%s is not an address", quote(address.Value))
		return
	}
	line := HostLine{Pos: address.Pos, Address: a.String()}
	for _, t := range names {
		if n := len(t.Value); n > 255 || !hostAlias.MatchString(t.Value) {
			p.errorAt(t.Pos, "", "%s cannot be the name of a host: it is of A-Z, a-z, 0-9, ., _ and -", quote(t.Value))
			return
		}
		line.Names = append(line.Names, t.Value)
	}
	d.Hosts = append(d.Hosts, line)
}

var hostAlias = regexp.MustCompile(`^[A-Za-z0-9._-]+$`) // of at most 255 bytes
