package netns

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Bound is a limit of this host.
type Bound struct {
	Name  string // such as fs.mount-max
	Value uint64
	Used  uint64 // what of it is in use; 0 where that cannot be told
	Raise string // the command that raises it, with NUMBER for the new value
}

// Free is what is left of it.
func (b Bound) Free() uint64 { return b.Value - min(b.Used, b.Value) }

func (b Bound) reached(err error) *LimitError {
	value := strconv.FormatUint(b.Value, 10)
	if b.Used > 0 {
		value += fmt.Sprintf(", %d in use", b.Used)
	}
	raise := strings.ReplaceAll(b.Raise, "NUMBER", strconv.FormatUint(max(2*b.Value, 4096), 10))
	return &LimitError{Limit: b.Name, Value: value, Hint: "raise it: " + raise, Err: err}
}

// Tasks is the one of the limits on processes and threads, which the kernel counts
// together, that leaves least room.
func Tasks() Bound {
	bounds := append(cgroupTasks(), kernelTasks()...)
	if b, ok := userTasks(); ok {
		bounds = append(bounds, b)
	}
	if len(bounds) == 0 {
		return Bound{Name: "processes", Value: math.MaxUint64}
	}
	return slices.MinFunc(bounds, func(a, b Bound) int { return cmp.Compare(a.Free(), b.Free()) })
}

// NeedTasks gives a *LimitError where fewer than n further threads can be made:
// Go's runtime ends a program that gets none.
func NeedTasks(n uint64) error {
	if b := Tasks(); b.Free() < n {
		return b.reached(fmt.Errorf("%d threads are needed: %w", n, unix.EAGAIN))
	}
	return nil
}

// TaskLimit turns the error of a program that could not be started into a
// *LimitError where a limit is why, see fork(2).
func TaskLimit(err error) error {
	if errors.Is(err, unix.EAGAIN) {
		return Tasks().reached(err)
	}
	return Limit(err)
}

// kernelTasks are the limits of the whole system. /proc/loadavg counts all, see
// proc_loadavg(5).
func kernelTasks() (list []Bound) {
	var used uint64
	load, _ := os.ReadFile("/proc/loadavg")
	if f := strings.Fields(string(load)); len(f) > 3 {
		_, all, _ := strings.Cut(f[3], "/")
		used, _ = strconv.ParseUint(all, 10, 64)
	}
	for _, name := range []string{"kernel.threads-max", "kernel.pid_max"} {
		if n, err := strconv.ParseUint(Sysctl(name), 10, 64); err == nil {
			list = append(list, Bound{name, n, used, "sudo sysctl -w " + name + "=NUMBER"})
		}
	}
	return list
}

// userTasks is RLIMIT_NPROC, which does not bind the host's root; see
// getrlimit(2).
func userTasks() (Bound, bool) {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NPROC, &r) != nil || r.Cur == math.MaxUint64 || os.Getuid() == 0 && !InUserNamespace() {
		return Bound{}, false
	}
	b := Bound{Name: "max user processes (ulimit -u)", Value: r.Cur, Raise: "ulimit -u NUMBER, beyond the hard limit as root or in /etc/security/limits.conf"}
	pids, err := processIDs()
	if err != nil {
		return b, true
	}
	for _, pid := range pids {
		uid, threads := ownerAndThreads(pid)
		if uid == os.Getuid() {
			b.Used += uint64(threads)
		}
	}
	return b, true
}

// InUserNamespace reports whether this process is in a user namespace that is not
// the host's first, so that its privilege ends there.
func InUserNamespace() bool {
	m, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && strings.Join(strings.Fields(string(m)), " ") != "0 0 4294967295"
}

func ownerAndThreads(pid int) (uid, threads int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return -1, 0
	}
	uid = -1
	for line := range bytes.Lines(status) {
		f := strings.Fields(string(line))
		switch {
		case len(f) > 1 && f[0] == "Uid:":
			uid, _ = strconv.Atoi(f[1])
		case len(f) > 1 && f[0] == "Threads:":
			threads, _ = strconv.Atoi(f[1])
		}
	}
	return uid, threads
}

// cgroupTasks are the limits of the cgroup of this process and those above, in
// version 2 or the controller pids of version 1; see cgroups(7).
func cgroupTasks() (list []Bound) {
	groups, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(groups)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) < 3 {
			continue
		}
		root := "/sys/fs/cgroup"
		if slices.Contains(strings.Split(f[1], ","), "pids") {
			root += "/pids"
		} else if f[1] != "" {
			continue
		}
		for dir := filepath.Join(root, f[2]); len(dir) >= len(root); dir = filepath.Dir(dir) {
			value, err := readNumber(dir + "/pids.max")
			used, err2 := readNumber(dir + "/pids.current")
			if err == nil && err2 == nil {
				list = append(list, Bound{dir + "/pids.max", value, used, "echo NUMBER >" + dir + "/pids.max"})
			}
		}
	}
	return list
}

func readNumber(path string) (uint64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
}
