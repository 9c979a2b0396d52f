package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// controller is a part of the kernel that limits something.
type controller string

const (
	cpu    controller = "cpu"
	memory controller = "memory"
	pids   controller = "pids"
)

// mounts is where this host has its cgroups. Both versions may be there, each
// controller in one of them.
type mounts struct {
	v2 string                // mount point of version 2; "" is none
	v1 map[controller]string // mount points of version 1
	in []controller          // what version 2 offers
}

// readMounts gives what can be reached. A mount that another one covers, as those
// of the host are below a new /sys, is still in the list of the kernel.
func readMounts() (mounts, error) {
	m := mounts{v1: map[controller]string{}}
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(info)) {
		// proc_pid_mountinfo(5): the mount point is field 5; behind " - " come type,
		// source, and options of the file system.
		left, right, ok := strings.Cut(line, " - ")
		f, fs := strings.Fields(left), strings.Fields(right)
		if !ok || len(f) < 5 || len(fs) < 3 {
			continue
		}
		switch at := f[4]; {
		case fs[0] == "cgroup2" && isFileSystem(at, unix.CGROUP2_SUPER_MAGIC):
			m.v2 = at
		case fs[0] == "cgroup" && isFileSystem(at, unix.CGROUP_SUPER_MAGIC):
			for _, name := range strings.Split(fs[2], ",") {
				c := controller(name)
				// The library looks for DIRECTORY/CONTROLLER, which is a link where two
				// controllers are mounted as one.
				path := filepath.Join(filepath.Dir(at), name)
				if (c == cpu || c == memory || c == pids) && isFileSystem(path, unix.CGROUP_SUPER_MAGIC) {
					m.v1[c] = path
				}
			}
		}
	}
	if m.v2 != "" {
		offered, err := os.ReadFile(filepath.Join(m.v2, "cgroup.controllers"))
		if err != nil {
			return m, err
		}
		for _, name := range strings.Fields(string(offered)) {
			m.in = append(m.in, controller(name))
		}
	}
	return m, nil
}

func isFileSystem(path string, magic int64) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == magic
}

// offers reports whether version 2 has a controller.
func (m *mounts) offers(c controller) bool { return slices.Contains(m.in, c) }

// roots are the mount points, each once.
func (m *mounts) roots() []string {
	var all []string
	if m.v2 != "" {
		all = append(all, m.v2)
	}
	for _, c := range []controller{cpu, memory, pids} {
		if root := m.v1[c]; root != "" {
			all = append(all, root)
		}
	}
	return all
}

// Top is the directory, below each mount point, of all labs of this /run/nslab:
// the host, a container and an ordinary user have each a /run of their own, and
// may have labs of the same name, but the cgroups are one tree for all. It is
// named for the file system of /run, whose number no other has.
func Top() (string, error) {
	var st unix.Stat_t
	if err := unix.Stat("/run", &st); err != nil {
		return "", &os.PathError{Op: "stat", Path: "/run", Err: err}
	}
	return fmt.Sprintf("nslab-%d.%d", unix.Major(st.Dev), unix.Minor(st.Dev)), nil
}

// missing explains why a controller cannot be used, and what mends it.
func (m *mounts) missing(c controller) *MissingError {
	e := &MissingError{What: fmt.Sprintf("the %s controller of cgroups", c)}
	list, _ := os.ReadFile("/proc/cgroups")
	for line := range strings.Lines(string(list)) {
		// proc_cgroups(5): name, hierarchy, number of cgroups, enabled
		f := strings.Fields(line)
		if len(f) != 4 || f[0] != string(c) {
			continue
		}
		switch {
		case f[3] == "0":
			e.Hint = fmt.Sprintf("boot with cgroup_enable=%s", c)
		case f[1] == "0" && m.v2 == "":
			e.Hint = "mount -t cgroup2 none /sys/fs/cgroup"
		default:
			e.Hint = fmt.Sprintf("mkdir -p /sys/fs/cgroup/%[1]s && mount -t cgroup -o %[1]s none /sys/fs/cgroup/%[1]s", c)
		}
		return e
	}
	e.Hint = fmt.Sprintf("the kernel needs to be built with it (%s)", map[controller]string{
		cpu: "CONFIG_CFS_BANDWIDTH", memory: "CONFIG_MEMCG", pids: "CONFIG_CGROUP_PIDS"}[c])
	return e
}
