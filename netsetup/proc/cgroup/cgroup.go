// Package cgroup gives each node of a lab a cgroup: for limits, and so that all
// of its processes can be found and ended, whatever they have done to hide.
//
// It knows the two versions of cgroups and where this host has them. It must not
// know what runs in a cgroup. A node's cgroup is nslab-N.M/LAB/NODE, N.M being
// the number of the file system of /run. It is in version 2 where that is
// mounted; beside it, or without it, in those hierarchies of version 1 that have
// the controllers of the node's limits.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/failpoint"
)

// Group is the cgroup of a node.
type Group struct {
	lab, node string
	name      string // below each mount point
	v2        string // its directory in version 2; "" is none
	v1        []part
	limits    []controller // that version 2 keeps
}

// part is what a group has in a hierarchy of version 1.
type part struct {
	controller controller
	root       string // where controllers are mounted, each under its name
	dir        string
}

// MissingError is something that this host lacks, or does not permit.
type MissingError struct {
	Node string // "" until it is known
	What string
	Hint string // the command that mends it
	Err  error  // may be nil
}

func (e *MissingError) Error() string {
	s := fmt.Sprintf("limits of node %s need %s", e.Node, e.What)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *MissingError) Unwrap() error { return e.Err }

// Create makes the cgroup of a node, or gives one that is there the limits. What
// limits needs and this host lacks is a *MissingError. Without limits there may
// be no group at all: then it gives nil, and no error.
func Create(lab, node string, limits netsetup.Limits) (*Group, error) {
	m, err := readMounts()
	if err != nil {
		return nil, err
	}
	g, err := group(lab, node)
	if err != nil {
		return nil, err
	}
	err = g.make(&m, limits)
	if err == nil {
		err = g.limit(limits)
	}
	if err == nil {
		if g.v2 == "" && len(g.v1) == 0 {
			return nil, nil
		}
		return g, nil
	}
	err = errors.Join(g.explain(err), g.Remove())
	if limits == (netsetup.Limits{}) && !errors.As(err, new(*MissingError)) {
		return nil, err
	}
	if limits == (netsetup.Limits{}) {
		return nil, nil
	}
	return nil, err
}

// Try makes a cgroup with limits and removes it again, so that the error says what
// this host lacks for them.
func Try(limits netsetup.Limits) error {
	g, err := Create(".try", "any", limits) // which no lab is called
	if err != nil {
		return err
	}
	return g.Remove()
}

// group is a Group that is nowhere yet.
func group(lab, node string) (*Group, error) {
	top, err := Top()
	return &Group{lab: lab, node: node, name: filepath.Join("/", top, lab, node)}, err
}

// make makes the directories. A part that an earlier limit made stays, so that
// processes need not move.
func (g *Group) make(m *mounts, limits netsetup.Limits) error {
	if m.v2 != "" {
		g.v2 = filepath.Join(m.v2, g.name)
		if err := makeDir(g.v2); err != nil {
			return err
		}
	}
	for _, c := range wanted(limits) {
		switch {
		case m.offers(c):
			g.limits = append(g.limits, c)
		case m.v1[c] == "":
			return m.missing(c)
		}
	}
	for _, c := range []controller{cpu, memory, pids} {
		root := m.v1[c]
		if root == "" || m.offers(c) {
			continue
		}
		dir := filepath.Join(root, g.name)
		_, err := os.Stat(dir)
		// Without version 2 the processes still have to be found.
		if slices.Contains(wanted(limits), c) || m.v2 == "" && c == pids {
			err = makeDir(dir)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		g.v1 = append(g.v1, part{c, filepath.Dir(root), dir})
	}
	return nil
}

// makeDir makes a directory and those above it. The removal of another lab, which
// takes the empty ones above it away, may come in between.
func makeDir(dir string) error {
	for try := 1; ; try++ {
		err := failpoint.Around("cgroup.make", func() error { return os.MkdirAll(dir, 0o755) })
		if try == 10 || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
}

// wanted are the controllers that limits need.
func wanted(l netsetup.Limits) []controller {
	var list []controller
	if l.CPU != 0 {
		list = append(list, cpu)
	}
	if l.Memory != 0 {
		list = append(list, memory)
	}
	if l.PIDs != 0 {
		list = append(list, pids)
	}
	return list
}

// explain makes a *MissingError of what only the owner of the host can mend.
func (g *Group) explain(err error) error {
	var m *MissingError
	if errors.As(err, &m) {
		m.Node = g.node
		return err
	}
	path := new(fs.PathError)
	if !errors.As(err, &path) {
		return err
	}
	hint := ""
	switch {
	case errors.Is(err, fs.ErrPermission):
		hint = "run nslab as root, sudo nslab …; an ordinary user's nodes have no limits"
	case errors.Is(err, unix.EROFS):
		hint = "mount -o remount,rw /sys/fs/cgroup"
	case errors.Is(err, unix.EBUSY):
		// cgroup-v2.rst, "No Internal Process Constraint"
		dir := filepath.Dir(path.Path)
		hint = fmt.Sprintf("move the processes of %[1]s down: mkdir %[1]s/main; for p in $(cat %[1]s/cgroup.procs); do echo $p > %[1]s/main/cgroup.procs; done", dir)
	default:
		return err
	}
	return &MissingError{Node: g.node, What: "a cgroup", Hint: hint, Err: err}
}

// Open gives the cgroup of a node; nil where there is none.
func Open(lab, node string) (*Group, error) {
	m, err := readMounts()
	if err != nil {
		return nil, err
	}
	return m.open(lab, node)
}

func (m *mounts) open(lab, node string) (*Group, error) {
	g, err := group(lab, node)
	if err != nil {
		return nil, err
	}
	there := func(dir string) bool {
		_, err := os.Stat(dir)
		return err == nil
	}
	if dir := filepath.Join(m.v2, g.name); m.v2 != "" && there(dir) {
		g.v2 = dir
		active, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
		if err != nil {
			return nil, err
		}
		for _, name := range strings.Fields(string(active)) {
			g.limits = append(g.limits, controller(name))
		}
	}
	for _, c := range []controller{cpu, memory, pids} {
		if dir := filepath.Join(m.v1[c], g.name); m.v1[c] != "" && there(dir) {
			g.v1 = append(g.v1, part{c, filepath.Dir(m.v1[c]), dir})
		}
	}
	if g.v2 == "" && len(g.v1) == 0 {
		return nil, nil
	}
	return g, nil
}

// Paths are the directories of the group.
func (g *Group) Paths() []string {
	var dirs []string
	if g.v2 != "" {
		dirs = append(dirs, g.v2)
	}
	for _, p := range g.v1 {
		dirs = append(dirs, p.dir)
	}
	return dirs
}

// Join are the files that a thread writes 0 to, to get into the group. A process
// of several threads that does so and then becomes another program is in it, too.
//
// To move another process costs the kernel some 10 ms in each hierarchy of version
// 1, since it waits for all processors; a thread that moves itself costs nothing
// there.
func (g *Group) Join() []string {
	var files []string
	for _, p := range g.v1 {
		files = append(files, filepath.Join(p.dir, "tasks"))
	}
	if g.v2 != "" {
		files = append(files, filepath.Join(g.v2, "cgroup.procs"))
	}
	return files
}

// Leave are the files that a thread writes 0 to, to get back to where this process
// is.
func (g *Group) Leave() ([]string, error) {
	m, err := readMounts()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	// Lines are ID:CONTROLLERS:PATH, cgroups(7); version 2 has no controllers there.
	path := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3); len(f) == 3 {
			for _, c := range strings.Split(f[1], ",") {
				path[c] = f[2]
			}
		}
	}
	var files []string
	for _, p := range g.v1 {
		files = append(files, filepath.Join(m.v1[p.controller], path[string(p.controller)], "tasks"))
	}
	if g.v2 != "" {
		files = append(files, filepath.Join(m.v2, path[""], "cgroup.procs"))
	}
	return files, nil
}

// write writes to a file of the kernel, which takes all at once.
func write(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return failpoint.Around("cgroup.write", func() error {
		_, err := f.WriteString(text)
		return err
	})
}

// All gives the cgroups of a lab's nodes by their names. To open many at once costs
// one look at the mounts of the host, of which there are as many as nodes.
func All(lab string) (map[string]*Group, error) {
	m, err := readMounts()
	if err != nil {
		return nil, err
	}
	nodes, err := m.names(lab)
	if err != nil {
		return nil, err
	}
	all := make(map[string]*Group, len(nodes))
	for _, node := range nodes {
		g, err := m.open(lab, node)
		if err != nil {
			return nil, err
		}
		if g != nil { // it may have gone meanwhile
			all[node] = g
		}
	}
	return all, nil
}

// Labs gives the labs that have cgroups, sorted.
func Labs() ([]string, error) {
	m, err := readMounts()
	if err != nil {
		return nil, err
	}
	return m.names("")
}

// names lists the directories below one of ours.
func (m *mounts) names(lab string) ([]string, error) {
	top, err := Top()
	if err != nil {
		return nil, err
	}
	var all []string
	for _, root := range m.roots() {
		entries, err := os.ReadDir(filepath.Join(root, top, lab))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if e.IsDir() {
				all = append(all, e.Name())
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
