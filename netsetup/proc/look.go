package proc

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"nslab/netsetup/proc/cgroup"
)

// View is what there is of a node beside its network, as /proc shows it.
type View struct {
	Namespaces []Namespace // of every kind, sorted
	UIDs, GIDs []string    // lines of uid_map and gid_map, of a user namespace of its own
	Cgroups    []string    // directories
	Mounts     []string    // that the host does not have, such as "tmpfs on /tmp"
}

// Namespace is a namespace that programs in a node are in.
type Namespace struct {
	Kind  string // as under /proc/PID/ns
	Inode uint64
	Own   bool // kept by the lab; else it is the one of this process
}

// kindNames are the kinds of namespaces, sorted, as under /proc/PID/ns.
var kindNames = []string{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"}

// Look reads the view of a node whose network namespace has the inode number. A
// mount or UTS namespace that the node does not own is new for each program.
func Look(lab, node string, network uint64) (*View, error) {
	v := &View{}
	k, err := findKeeper(lab, node, network)
	if err != nil {
		return nil, err
	}
	if k != nil {
		defer k.Close()
	}
	for _, kind := range kindNames {
		ns := Namespace{Kind: kind, Inode: inode(os.Getpid(), kind)}
		if kind == "net" {
			ns.Inode, ns.Own = network, true
		} else if k != nil {
			if own := inode(k.PID, kind); own != 0 && own != ns.Inode {
				ns.Inode, ns.Own = own, true
			}
		}
		v.Namespaces = append(v.Namespaces, ns)
		if kind == "user" && ns.Own {
			v.UIDs, v.GIDs = idMap(k.PID, "uid_map"), idMap(k.PID, "gid_map")
		}
		if kind == "mnt" && ns.Own {
			if v.Mounts, err = ownMounts(k.PID); err != nil {
				return nil, err
			}
		}
	}
	group, err := cgroup.Open(lab, node)
	if err != nil {
		return nil, err
	}
	if group != nil {
		v.Cgroups = group.Paths()
	}
	return v, nil
}

// idMap gives the lines of a map, with one blank between the numbers.
func idMap(pid int, name string) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		return nil // the process has ended
	}
	var list []string
	for line := range strings.Lines(string(text)) {
		list = append(list, strings.Join(strings.Fields(line), " "))
	}
	return list
}

// ownMounts are the mounts of a process that this one does not have.
func ownMounts(pid int) ([]string, error) {
	here, err := mountLines("self")
	if err != nil {
		return nil, err
	}
	there, err := mountLines(strconv.Itoa(pid))
	if err != nil {
		return nil, nil // the process has ended
	}
	return slices.DeleteFunc(there, func(m string) bool { return slices.Contains(here, m) }), nil
}

func mountLines(pid string) ([]string, error) {
	info, err := os.ReadFile("/proc/" + pid + "/mountinfo")
	if err != nil {
		return nil, err
	}
	var list []string
	for line := range strings.Lines(string(info)) {
		// proc_pid_mountinfo(5): behind " - " come the type and the source.
		left, right, ok := strings.Cut(line, " - ")
		f, fs := strings.Fields(left), strings.Fields(right)
		if !ok || len(f) < 5 || len(fs) < 1 {
			return nil, fmt.Errorf("/proc/%s/mountinfo: unexpected line %q", pid, line)
		}
		m := fs[0] + " on " + unescape(f[4])
		if f[3] != "/" {
			m += " from " + unescape(f[3])
		}
		list = append(list, m)
	}
	return list, nil
}

// Inside is the number of a process in the innermost PID namespace that it is in;
// 0 where it has ended.
func Inside(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok {
			f := strings.Fields(numbers)
			n, _ := strconv.Atoi(f[len(f)-1])
			return n
		}
	}
	return pid
}
