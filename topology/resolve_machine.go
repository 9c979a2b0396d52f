package topology

import (
	"net/netip"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Defaults of processes and files.
const (
	defaultReady = 30 * time.Second
	defaultStop  = 10 * time.Second
	defaultMode  = 0o644
)

// resolveMachines completes what nodes are beside their network.
func (r *resolver) resolveMachines() {
	for i := range r.nodes {
		n := r.nodes[i].Node
		if !n.inLab() {
			continue
		}
		if n.Hostname == "" {
			n.Hostname = n.Name
		}
		n.Isolate.Mount = n.Isolate.Mount || n.RootFS.Value != "" || len(n.Files) > 0 || len(n.Private) > 0
		n.RootFS = r.absolute(n, "rootfs", n.RootFS)
		n.Files = slices.Clone(n.Files)
		for j := range n.Files {
			f := &n.Files[j]
			f.Source = r.absolute(n, "files."+f.Path+".source", f.Source)
			if f.Mode == 0 && f.Source.Value == "" {
				f.Mode = defaultMode
			}
		}
		r.resolveServers(n)
		n.Run = completeProcesses(n.Run)
	}
	r.orderProcesses()
}

// absolute gives a path of the host, which may be relative to the folder of the
// topology file.
func (r *resolver) absolute(n *Node, key string, t Text) Text {
	if t.Value == "" || filepath.IsAbs(t.Value) {
		t.Value = clean(t.Value)
		return t
	}
	dir, ok := r.file.folder()
	if !ok {
		r.errorf(t.Pos, n.path(key), "copy the lab to a file of your own: `nslab labs show`", "%q is beside a file; this lab is part of the program", t.Value)
		return t
	}
	t.Value = filepath.Join(dir, t.Value)
	return t
}

func clean(path string) string {
	if path == "" {
		return ""
	}
	return filepath.Clean(path)
}

// folder is where relative paths begin: the folder of the file, or for standard
// input the current one. A file's name has a slash or ends in .yaml or .yml;
// others are of labs that are in no folder.
func (f *File) folder() (dir string, ok bool) {
	if f.Name != "-" && !strings.Contains(f.Name, "/") && !strings.HasSuffix(f.Name, ".yaml") && !strings.HasSuffix(f.Name, ".yml") {
		return "", false
	}
	dir, err := filepath.Abs(filepath.Dir(f.Name))
	return dir, err == nil
}

// resolveServers puts the first address of a node in the place of its name.
func (r *resolver) resolveServers(n *Node) {
	if n.DNS == nil {
		return
	}
	d := *n.DNS
	n.DNS = &d
	d.Servers = slices.Clone(d.Servers)
	for i := range d.Servers {
		s := &d.Servers[i]
		if _, err := netip.ParseAddr(s.Value); err == nil {
			continue
		}
		at, known := r.byName[s.Value]
		if !known {
			r.errorf(s.Pos, n.path("dns"), r.nodeHint(s.Value), "there is no node %q", s.Value)
			continue
		}
		server := &r.nodes[at]
		if a := r.firstAddress(server); a.IsValid() {
			s.Value = a.String()
		} else if !r.unsure(server) {
			r.errorf(s.Pos, n.path("dns"), "give it one; link-local and loopback addresses do not count", "%s has no address to be reached at", s.Value)
		}
	}
}

// firstAddress is the first of a node that others can reach.
func (r *resolver) firstAddress(n *node) netip.Addr {
	for _, id := range n.ids {
		for _, a := range r.ifaces[id].Addresses {
			if addr := a.Prefix.Addr(); reachable(addr) {
				return addr
			}
		}
	}
	return netip.Addr{}
}

// reachable reports whether other nodes can mean a node by an address of its.
func reachable(a netip.Addr) bool { return !a.IsLoopback() && !(a.Is6() && a.IsLinkLocalUnicast()) }

// completeProcesses gives copies with every default in them.
func completeProcesses(run []*Process) []*Process {
	if len(run) == 0 {
		return nil
	}
	names := map[string]bool{}
	for _, x := range run {
		names[x.Name] = true
	}
	list := make([]*Process, len(run))
	for i, x := range run {
		c := *x
		if c.Name == "" {
			c.Name = unusedName(programName(c.Command.Argv), names)
		}
		if c.Restart == "" {
			c.Restart = "no"
		}
		if c.StopSignal == "" {
			c.StopSignal = "TERM"
		}
		if c.StopTimeout == 0 {
			c.StopTimeout = defaultStop
		}
		if c.Ready != nil {
			ready := *c.Ready
			if ready.Within == 0 {
				ready.Within = defaultReady
			}
			c.Ready = &ready
		}
		list[i] = &c
	}
	return list
}

// programName is the base name of the program that a command runs, of a shell's
// text that of the first word. What cannot be a name gives that of the shell.
func programName(argv []string) string {
	program := argv[0]
	if len(argv) == 3 && argv[0] == "/bin/sh" && argv[1] == "-c" {
		words := strings.Fields(argv[2])
		for len(words) > 1 && (words[0] == "exec" || strings.Contains(words[0], "=")) {
			words = words[1:]
		}
		if len(words) > 0 && isProcessName(path.Base(words[0])) {
			program = words[0]
		}
	}
	if name := path.Base(program); isProcessName(name) {
		return name
	}
	return "process"
}

// unusedName adds a number to a name that is taken, and takes what it gives.
func unusedName(name string, taken map[string]bool) string {
	free := name
	for i := 2; taken[free]; i++ {
		free = clipName(name) + "-" + strconv.Itoa(i)
	}
	taken[free] = true
	return free
}

// clipName leaves room for a number.
func clipName(name string) string { return name[:min(len(name), 56)] }

// processOrder finds out whether processes wait for each other in a circle.
type processOrder struct {
	*resolver
	byName  map[string]*Process
	state   map[string]int // 1: on the way, 2: done
	waiting []string       // the way
}

// orderProcesses completes `after`, and reports what is not there and circles.
func (r *resolver) orderProcesses() {
	o := processOrder{resolver: r, byName: map[string]*Process{}, state: map[string]int{}}
	for i := range r.nodes {
		for _, x := range r.nodes[i].Run {
			o.byName[r.nodes[i].Name+"/"+x.Name] = x
		}
	}
	for i := range r.nodes {
		for _, x := range r.nodes[i].Run {
			o.complete(r.nodes[i].Node, x)
		}
	}
	for i := range r.nodes {
		for _, x := range r.nodes[i].Run {
			o.visit(r.nodes[i].Name + "/" + x.Name)
		}
	}
}

// complete makes NODE/PROCESS of all names, and leaves out those that are wrong.
func (o *processOrder) complete(n *Node, x *Process) {
	var after []Text
	for _, t := range x.After {
		name, process, both := strings.Cut(t.Value, "/")
		if !both {
			name, process = n.Name, t.Value
		}
		at, known := o.resolver.byName[name]
		if !known {
			o.errorf(t.Pos, n.path("run."+x.Name+".after"), o.nodeHint(name), "there is no node %q", name)
			continue
		}
		other := o.nodes[at].Node
		t.Value = name + "/" + process
		if o.byName[t.Value] == nil {
			if !other.Bad {
				o.errorf(t.Pos, n.path("run."+x.Name+".after"), hintFor(process, processNames(other), name+" runs "), "%s runs no process %q", name, process)
			}
			continue
		}
		if !slices.ContainsFunc(after, func(a Text) bool { return a.Value == t.Value }) {
			after = append(after, t)
		}
	}
	x.After = after
}

func processNames(n *Node) []string {
	names := make([]string, len(n.Run))
	for i, x := range n.Run {
		names[i] = x.Name
	}
	return names
}

func (o *processOrder) visit(name string) {
	if o.state[name] == 2 {
		return
	}
	o.state[name] = 1
	o.waiting = append(o.waiting, name)
	for _, t := range o.byName[name].After {
		if o.state[t.Value] == 1 {
			circle := append(slices.Clone(o.waiting[slices.Index(o.waiting, t.Value):]), t.Value)
			if len(circle) > maxListed {
				circle = append(append(circle[:maxListed-1:maxListed-1], "…"), t.Value)
			}
			node, process, _ := strings.Cut(name, "/")
			o.errorf(t.Pos, "nodes."+node+".run."+process+".after", "", "processes wait for each other: %s", strings.Join(circle, " after "))
			continue
		}
		o.visit(t.Value)
	}
	o.waiting = o.waiting[:len(o.waiting)-1]
	o.state[name] = 2
}
