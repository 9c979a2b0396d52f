package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"nslab/netsetup/proc/cgroup"
)

// The marks of what nslab runs, in its environment: which lab and node, of which
// /run, and which process of the file.
const (
	markNode    = "NSLAB"         // LAB.NODE, or LAB alone
	markRun     = "NSLAB_RUN"     // cgroup.Top
	markProcess = "NSLAB_PROCESS" // NODE/PROCESS@VERSION
)

// Marks are variables for the environment of a program of a node, by which it is
// found without a cgroup; node "" is none. process and version, which may be "",
// say which one of the file it is, and by which text.
func Marks(lab, node, process, version string) ([]string, error) {
	top, err := cgroup.Top()
	if err != nil {
		return nil, err
	}
	owner := lab
	if node != "" {
		owner += "." + node
	}
	marks := []string{markNode + "=" + owner, markRun + "=" + top}
	if process != "" {
		marks = append(marks, markProcess+"="+node+"/"+process+"@"+version)
	}
	return marks, nil
}

// Process is a running process.
type Process struct {
	PID, Parent, Session int
	Zombie               bool
	Start                uint64 // clock ticks after boot: with PID it is of this process alone
	CPU                  uint64 // clock ticks, user and system
	Memory               int64  // bytes, resident
}

// ReadProcess reads what the kernel tells of a process; the error is
// fs.ErrNotExist where it has ended.
func ReadProcess(pid int) (Process, error) {
	p := Process{PID: pid}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		if errors.Is(err, unix.ESRCH) {
			err = fs.ErrNotExist
		}
		return p, err
	}
	// The name, in parentheses, may hold anything; behind it are fields 3 and
	// following of proc_pid_stat(5).
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(f) < 22 {
		return p, fmt.Errorf("/proc/%d/stat: unexpected text %q", pid, stat)
	}
	field := func(n int) uint64 {
		v, _ := strconv.ParseUint(string(f[n-3]), 10, 64)
		return v
	}
	p.Zombie = f[0][0] == 'Z' || f[0][0] == 'X'
	p.Parent, p.Session = int(field(4)), int(field(6))
	p.CPU = field(14) + field(15)
	p.Start = field(22)
	p.Memory = int64(field(24)) * int64(os.Getpagesize())
	return p, nil
}

// Processes gives all that run and can be seen from here, by number.
func Processes() ([]Process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		p, err := ReadProcess(pid)
		if err == nil && !p.Zombie {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b Process) int { return a.PID - b.PID })
	return all, nil
}

// Below gives those of all processes that pid has started, and that those have.
func Below(all []Process, pid int) []int {
	below := map[int]bool{pid: true}
	var list []int
	for more := true; more; {
		more = false
		for _, p := range all {
			if below[p.Parent] && !below[p.PID] {
				below[p.PID], more = true, true
				list = append(list, p.PID)
			}
		}
	}
	return list
}

// Mark is what the environment of a process says it is.
type Mark struct {
	Node    string // "" is none: the lab's supervisor
	Process string // "" is none of the file
	Version string
}

// ReadMark gives the mark of a process, and whether it is one of a lab.
func ReadMark(pid int, lab string) (Mark, bool) {
	owner, m := readMark(pid)
	return m, owner == lab
}

// Labs gives the names of the labs that have processes, sorted.
func Labs() ([]string, error) {
	all, err := Processes()
	if err != nil {
		return nil, err
	}
	var labs []string
	for _, p := range all {
		if lab, _ := readMark(p.PID); lab != "" {
			labs = append(labs, lab)
		}
	}
	slices.Sort(labs)
	return slices.Compact(labs), nil
}

// readMark gives the lab and the mark of a process; "" where it has none.
func readMark(pid int) (lab string, m Mark) {
	top, err := cgroup.Top()
	if err != nil {
		return "", m
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || !bytes.Contains(text, []byte(markRun+"="+top+"\x00")) {
		return "", m
	}
	for _, v := range strings.Split(string(text), "\x00") {
		name, value, _ := strings.Cut(v, "=")
		switch name {
		case markNode:
			lab, m.Node, _ = strings.Cut(value, ".")
		case markProcess:
			_, value, _ = strings.Cut(value, "/")
			m.Process, m.Version, _ = strings.Cut(value, "@")
		}
	}
	return lab, m
}
