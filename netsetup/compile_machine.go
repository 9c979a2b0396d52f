package netsetup

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"nslab/topology"
)

// Machines turns a resolved lab into what each of its nodes is beside its
// network, in file order; a node whose namespace the lab does not make has
// none. The sources of files are read and the folders that become roots are
// looked at: the error, of type topology.Errors, has all that are not there.
func Machines(lab *topology.Lab) ([]Machine, error) {
	c := machineCompiler{lab: lab}
	var list []Machine
	for _, n := range lab.Nodes {
		if n.Kind != topology.External && n.Kind != topology.Root {
			list = append(list, c.compile(n))
		}
	}
	if len(c.errs) == 0 {
		return list, nil
	}
	slices.SortStableFunc(c.errs, func(a, b *topology.Error) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	// The nodes of a range share positions.
	return nil, slices.CompactFunc(c.errs, func(a, b *topology.Error) bool { return a.Pos == b.Pos && a.Msg == b.Msg })
}

// machineCompiler collects the errors of all nodes, up to topology.MaxErrors.
type machineCompiler struct {
	lab     *topology.Lab
	errs    topology.Errors
	sources map[string]*source // by path
}

// source is a file that was read.
type source struct {
	content []byte
	mode    uint32
	err     error
}

func (c *machineCompiler) compile(n *topology.Node) Machine {
	m := Machine{
		Lab: c.lab.Name, Node: n.Name, Hostname: n.Hostname,
		Hosts: hostLines(n), ResolvConf: resolvConf(n.DNS), Env: environment(n.Env),
		Isolation: isolation(n.Isolate),
		RootFS:    n.RootFS.Value,
		Limits:    Limits{CPU: n.Limits.CPU, Memory: n.Limits.Memory, PIDs: n.Limits.PIDs},
	}
	if m.RootFS != "" {
		c.checkFolder(n)
	}
	for _, f := range n.Files {
		m.Files = append(m.Files, c.file(n, f))
	}
	for _, t := range n.Private {
		m.Private = append(m.Private, t.Value)
	}
	for _, s := range n.Sysctls {
		if !ofNetwork(s) {
			m.Sysctls = append(m.Sysctls, Setting{Name: s.Name, Value: s.Value, Pos: c.pos(s.Pos)})
		}
	}
	for _, s := range n.Setup {
		m.Setup = append(m.Setup, s.Argv)
	}
	for _, p := range n.Run {
		m.Processes = append(m.Processes, c.process(p))
	}
	return m
}

// ofNetwork reports whether a setting belongs to network namespaces.
func ofNetwork(s topology.Sysctl) bool { return strings.HasPrefix(s.Name, "net/") }

// pos is how a place in the file is written; "" for none.
func (c *machineCompiler) pos(p topology.Pos) string {
	if p.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d", c.lab.File, p.Line, p.Col)
}

func (c *machineCompiler) errorf(n *topology.Node, key string, pos topology.Pos, hint, format string, args ...any) {
	if len(c.errs) < topology.MaxErrors {
		c.errs = append(c.errs, &topology.Error{
			File: c.lab.File, Pos: pos, Path: "nodes." + n.Name + "." + key, Msg: fmt.Sprintf(format, args...), Hint: hint,
		})
	}
}

func (c *machineCompiler) checkFolder(n *topology.Node) {
	switch st, err := os.Stat(n.RootFS.Value); {
	case err != nil:
		c.errorf(n, "rootfs", n.RootFS.Pos, "", "%v", err)
	case !st.IsDir():
		c.errorf(n, "rootfs", n.RootFS.Pos, "unpack an image or archive into a folder", "%s is not a folder", n.RootFS.Value)
	}
}

func (c *machineCompiler) file(n *topology.Node, f topology.NodeFile) File {
	if f.Source.Value == "" {
		return File{Path: f.Path, Content: []byte(f.Content), Mode: f.Mode}
	}
	s := c.sources[f.Source.Value]
	if s == nil {
		if c.sources == nil {
			c.sources = map[string]*source{}
		}
		s = readSource(f.Source.Value)
		c.sources[f.Source.Value] = s
	}
	if s.err != nil {
		c.errorf(n, "files."+f.Path+".source", f.Source.Pos, "", "%v", s.err)
		return File{}
	}
	mode := f.Mode
	if mode == 0 {
		mode = s.mode
	}
	return File{Path: f.Path, Content: s.content, Mode: mode}
}

// maxSource bounds a file that nodes have a copy of, in bytes: it is kept in
// /run for each of them.
const maxSource = 1 << 20

func readSource(path string) *source {
	st, err := os.Stat(path)
	if err != nil {
		return &source{err: err}
	}
	if !st.Mode().IsRegular() { // to open a FIFO would wait
		return &source{err: fmt.Errorf("%s is not a regular file", path)}
	}
	f, err := os.Open(path)
	if err != nil {
		return &source{err: err}
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	if err == nil && len(content) > maxSource {
		err = fmt.Errorf("%s is larger than %d MiB: a file of a node cannot be", path, maxSource>>20)
	}
	return &source{content: content, mode: uint32(st.Mode().Perm()), err: err}
}

func isolation(i topology.Isolate) Isolation {
	return Isolation{
		UTS: i.UTS, Mount: i.Mount, IPC: i.IPC, PID: i.PID, Cgroup: i.Cgroup, Time: i.Time, User: i.User,
		Boottime: i.Boottime, Monotonic: i.Monotonic,
		UIDs: idMaps(i.UIDs), GIDs: idMaps(i.GIDs),
	}
}

func idMaps(maps []topology.IDMap) []IDMap {
	var list []IDMap
	for _, m := range maps {
		list = append(list, IDMap{Inside: m.Inside, Outside: m.Outside, Count: m.Count})
	}
	return list
}

func environment(variables []topology.Variable) []string {
	var list []string
	for _, v := range variables {
		list = append(list, v.Name+"="+v.Value)
	}
	return list
}

func (c *machineCompiler) process(p *topology.Process) Process {
	out := Process{
		Name: p.Name, Argv: p.Command.Argv, Env: environment(p.Env), User: p.User, Restart: p.Restart,
		StopSignal: p.StopSignal, StopTimeout: p.StopTimeout, Pos: c.pos(p.Pos),
	}
	if p.Restart == "no" {
		out.Restart = ""
	}
	for _, t := range p.After {
		out.After = append(out.After, t.Value)
	}
	if r := p.Ready; r != nil {
		out.Ready = &Ready{TCP: r.TCP, File: r.File, Log: r.Log, Within: r.Within}
		if r.Exec != nil {
			out.Ready.Exec = r.Exec.Argv
		}
	}
	return out
}

// HostsFile is the text of /etc/hosts that all nodes of a lab share: this host,
// and each node with its first address of each family that others can reach. A
// node with another host name goes by both.
func HostsFile(lab *topology.Lab) string {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
	for _, n := range lab.Nodes {
		names := n.Name
		if n.Hostname != "" && n.Hostname != n.Name {
			names += " " + n.Hostname
		}
		v4, v6 := firstAddresses(n)
		for _, a := range []netip.Addr{v4, v6} {
			if a.IsValid() {
				b.WriteString(a.String() + " " + names + "\n")
			}
		}
	}
	return b.String()
}

// firstAddresses are those that a node is called by; not valid where it has none.
func firstAddresses(n *topology.Node) (v4, v6 netip.Addr) {
	for _, in := range n.Interfaces {
		for _, x := range in.Addresses {
			switch a := x.Prefix.Addr(); {
			case a.IsLoopback() || a.Is6() && a.IsLinkLocalUnicast():
			case a.Is4() && !v4.IsValid():
				v4 = a
			case a.Is6() && !v6.IsValid():
				v6 = a
			}
		}
	}
	return v4, v6
}

func hostLines(n *topology.Node) string {
	var b strings.Builder
	for _, h := range n.Hosts {
		b.WriteString(h.Address + " " + strings.Join(h.Names, " ") + "\n")
	}
	return b.String()
}

// resolvConf is the whole file; "" is that of the host. One without servers is
// not empty, so that it is not the host's.
func resolvConf(d *topology.Resolver) string {
	if d == nil {
		return ""
	}
	var b strings.Builder
	for _, s := range d.Servers {
		b.WriteString("nameserver " + s.Value + "\n")
	}
	if len(d.Search) > 0 {
		b.WriteString("search " + strings.Join(d.Search, " ") + "\n")
	}
	if len(d.Options) > 0 {
		b.WriteString("options " + strings.Join(d.Options, " ") + "\n")
	}
	if b.Len() == 0 {
		return "# no name servers\n"
	}
	return b.String()
}
