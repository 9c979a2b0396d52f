package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"nslab/netsetup/netns"
	"nslab/netsetup/proc/cgroup"
)

// State is what can be left behind in the namespaces of this process: named
// network namespaces, links, addresses, routes, rules, fixed neighbours,
// nftables' tables, mounts, control groups, files in /run, processes.
type State struct {
	lines []string // one thing each, sorted; the same one may be there twice
}

// Diff tells what came ("+ ") and what went ("- ") from s to other, sorted by
// thing. It is empty where the two are the same.
func (s *State) Diff(other *State) []string {
	var d []string
	a, b := s.lines, other.lines
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			d = append(d, "- "+a[0])
			a = a[1:]
		case len(a) == 0 || b[0] < a[0]:
			d = append(d, "+ "+b[0])
			b = b[1:]
		default:
			a, b = a[1:], b[1:]
		}
	}
	return d
}

// Lines are what there is, sorted, one thing each.
func (s *State) Lines() []string { return slices.Clone(s.lines) }

// Snapshot reads the State of now.
func Snapshot() (*State, error) {
	s := &State{}
	for _, read := range []func(*State) error{
		namespaces, network, tables, mounts, cgroups, runFiles, processes,
	} {
		if err := read(s); err != nil {
			return nil, fmt.Errorf("snapshot: %w", err)
		}
	}
	slices.Sort(s.lines)
	return s, nil
}

func (s *State) add(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

func namespaces(s *State) error {
	names, err := netns.List("")
	for _, n := range names {
		s.add("namespace %s", n)
	}
	return err
}

// dump repeats a dump that others' changes interrupted.
func dump[T any](what string, read func() ([]T, error)) ([]T, error) {
	for range 20 {
		all, err := read()
		if err == nil {
			return all, nil
		}
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, fmt.Errorf("dump %s: %w", what, err)
		}
	}
	return nil, fmt.Errorf("dump %s: interrupted again and again", what)
}

func network(s *State) error {
	links, err := dump("links", netlink.LinkList)
	if err != nil {
		return err
	}
	name := map[int]string{0: "-"}
	for _, l := range links {
		name[l.Attrs().Index] = l.Attrs().Name
	}
	for _, l := range links {
		a := l.Attrs()
		s.add("link %s type %s mtu %d up %t master %s group %d alias %q",
			a.Name, l.Type(), a.MTU, a.RawFlags&unix.IFF_UP != 0, name[a.MasterIndex], a.Group, a.Alias)
	}
	addresses, err := dump("addresses", func() ([]netlink.Addr, error) {
		return netlink.AddrList(nil, netlink.FAMILY_ALL)
	})
	if err != nil {
		return err
	}
	for _, a := range addresses {
		s.add("address %s dev %s", a.IPNet, name[a.LinkIndex])
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := dump("routes", func() ([]netlink.Route, error) {
			return netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		})
		if err != nil {
			return err
		}
		for _, r := range routes {
			s.add("route %v type %d via %v dev %s nexthops %v table %d metric %d protocol %d",
				r.Dst, r.Type, r.Gw, name[r.LinkIndex], r.MultiPath, r.Table, r.Priority, r.Protocol)
		}
		neighbors, err := dump("neighbours", func() ([]netlink.Neigh, error) { return netlink.NeighList(0, family) })
		if err != nil {
			return err
		}
		for _, n := range neighbors {
			if n.State&netlink.NUD_PERMANENT != 0 {
				s.add("neighbour %s lladdr %s dev %s", n.IP, n.HardwareAddr, name[n.LinkIndex])
			}
		}
		rules, err := dump("rules", func() ([]netlink.Rule, error) { return netlink.RuleList(family) })
		if err != nil {
			return err
		}
		for _, r := range rules {
			s.add("rule family %d %v", family, r)
		}
	}
	return nil
}

// tables lists nftables' tables. A kernel without nftables has none.
func tables(s *State) error {
	const getTable = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETTABLE
	const newTable = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWTABLE
	messages, err := dump("tables", func() ([][]byte, error) {
		request := nl.NewNetlinkRequest(getTable, unix.NLM_F_DUMP)
		request.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: nl.NFNETLINK_V0})
		return request.Execute(unix.NETLINK_NETFILTER, newTable)
	})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, m := range messages {
		if len(m) < nl.SizeofNfgenmsg {
			return fmt.Errorf("dump tables: an answer of %d bytes", len(m))
		}
		attributes, err := nl.ParseRouteAttr(m[nl.SizeofNfgenmsg:])
		if err != nil {
			return fmt.Errorf("dump tables: %w", err)
		}
		for _, a := range attributes {
			if a.Attr.Type&nl.NLA_TYPE_MASK == unix.NFTA_TABLE_NAME {
				s.add("nftables table family %d %s", m[0], unix.ByteSliceToString(a.Value))
			}
		}
	}
	return nil
}

// mounts leaves out the fields of mountinfo (proc_pid_mountinfo(5)) that are
// numbers given in order of creation.
func mounts(s *State) error {
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(info)) {
		left, right, ok := strings.Cut(strings.TrimSpace(line), " - ")
		f := strings.Fields(left)
		if !ok || len(f) < 6 {
			return fmt.Errorf("/proc/self/mountinfo: unexpected line %q", line)
		}
		s.add("mount %s root %s options %s: %s", f[4], f[3], f[5], right)
	}
	return nil
}

// cgroups lists nslab's in every hierarchy that is mounted here. Others come and go
// with what else the host does.
func cgroups(s *State) error {
	top, err := cgroup.Top()
	if err != nil {
		return err
	}
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(info)) {
		left, right, _ := strings.Cut(line, " - ")
		if f := strings.Fields(left); len(f) > 4 && strings.HasPrefix(right, "cgroup") {
			if err := s.cgroupsOf(f[4], top); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *State) cgroupsOf(mount, top string) error {
	return filepath.WalkDir(mount, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV):
			return nil // it went meanwhile
		case err != nil:
			return err
		case d.IsDir() && strings.Contains(strings.TrimPrefix(path, mount)+"/", "/"+top+"/"):
			s.add("cgroup %s", path)
		}
		return nil
	})
}

func runFiles(s *State) error {
	return filepath.WalkDir("/run", func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went meanwhile
		}
		if err != nil {
			return err
		}
		s.add("file %s %s", path, d.Type())
		return nil
	})
}

func processes(s *State) error {
	dir, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, e := range dir {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it ended meanwhile
		}
		// The name, in parentheses, may hold anything; see proc_pid_stat(5).
		begin, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
		if begin < 0 || end < begin {
			return fmt.Errorf("/proc/%d/stat: unexpected line %q", pid, stat)
		}
		command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		s.add("process %d (%s) %s", pid, stat[begin+1:end],
			strings.TrimSpace(strings.ReplaceAll(string(command), "\x00", " ")))
	}
	return nil
}
