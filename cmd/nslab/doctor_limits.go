package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"nslab/netsetup/netns"
)

// limit is one that a large lab meets.
type limit struct {
	name  string
	value uint64
	used  uint64
	need  uint64 // beside what is used; 0: not known, or nothing
	// perhaps: it is met only if all that can happen does.
	perhaps bool
	raise   string // the command that raises it, with %d for the new value
}

func (l limit) check() check {
	c := check{Kind: "limit", Name: l.name, State: checkOK, Has: strconv.FormatUint(l.value, 10)}
	if l.used > 0 {
		c.Has += fmt.Sprintf(", %d in use", l.used)
	}
	if l.need == 0 {
		return c
	}
	c.Needs = strconv.FormatUint(l.need, 10)
	if l.used+l.need <= l.value {
		return c
	}
	c.State = checkMissing
	if l.perhaps {
		c.State = checkWarning
	}
	c.Hint = l.raise
	if strings.Contains(l.raise, "%d") {
		c.Hint = fmt.Sprintf(l.raise, 2*(l.used+l.need))
	}
	return c
}

// sysctlRaise is the command that raises a setting of the kernel.
func sysctlRaise(name string) string { return "sudo sysctl -w " + name + "=%d" }

// checkLimits holds the limits of this host against what a lab needs.
func checkLimits(d *demand, host map[string]string) ([]check, error) {
	var list []check
	add := func(l limit) { list = append(list, l.check()) }
	setting := func(name string) (uint64, bool) {
		n, err := strconv.ParseUint(host[name], 10, 64)
		return n, err == nil
	}
	if n, ok := setting("user.max_net_namespaces"); ok {
		used, err := netns.Count()
		if err != nil {
			return nil, err
		}
		need := d.namespaces
		if need > 0 {
			need += 3 // netns.WaitFreed has that many for a moment
		}
		add(limit{name: "user.max_net_namespaces", value: n, used: used, need: need, raise: sysctlRaise("user.max_net_namespaces")})
	}
	files, err := netns.MostFiles()
	if err != nil {
		return nil, err
	}
	add(limit{name: "open files (ulimit -n)", value: files, need: d.files, raise: "ulimit -n %d, beyond the hard limit as root or in /etc/security/limits.conf"})
	if n, err := strconv.ParseUint(netns.Sysctl("fs.mount-max"), 10, 64); err == nil {
		used, err := countMounts()
		if err != nil {
			return nil, err
		}
		add(limit{name: "fs.mount-max", value: n, used: used, need: d.mounts, raise: sysctlRaise("fs.mount-max")})
	}
	tasks := netns.Tasks()
	add(limit{name: tasks.Name, value: tasks.Value, used: tasks.Used, need: d.tasks, raise: strings.ReplaceAll(tasks.Raise, "NUMBER", "%d")})
	list = append(list, checkRun(d)...)
	if n, ok := setting(wmemMax); ok {
		need := d.sendBuffer
		if !netns.InUserNamespace() {
			need = 0 // root is not bound by it
		}
		add(limit{name: wmemMax, value: n, need: need, raise: sysctlRaise(wmemMax)})
	}
	for i, family := range []string{"ipv4", "ipv6"} {
		name := "net." + family + ".neigh.default.gc_thresh3"
		if n, ok := setting(name); ok {
			add(limit{name: name, value: n, need: d.neighbors[i], perhaps: true,
				raise: sysctlRaise(name) + ", or `addressing: {neighbors: static}`, if every node is to speak with all on its subnets"})
		}
	}
	return list, nil
}

// checkRun looks at what is free in /run: bytes and, where they are counted,
// files.
func checkRun(d *demand) (list []check) {
	const page = 4096 // the smallest file of a tmpfs
	var fs unix.Statfs_t
	if unix.Statfs("/run", &fs) != nil || fs.Blocks == 0 {
		return nil
	}
	size := uint64(fs.Bsize)
	l := limit{name: "KiB in /run", value: fs.Blocks * size >> 10, used: (fs.Blocks - fs.Bavail) * size >> 10,
		raise: "free some, or, if it is a tmpfs: sudo mount -o remount,size=%dk /run"}
	if d.text > 0 {
		l.need = (d.text + 3*page - 1) / page * page >> 10 // with its name and a lock
	}
	list = append(list, l.check())
	if fs.Files > 0 {
		l := limit{name: "files in /run", value: fs.Files, used: fs.Files - fs.Ffree,
			raise: "remove some, or, if it is a tmpfs: sudo mount -o remount,nr_inodes=%d /run"}
		if d.namespaces > 0 {
			l.need = d.namespaces + 8
		}
		list = append(list, l.check())
	}
	return list
}

func countMounts() (uint64, error) {
	info, err := os.ReadFile("/proc/self/mountinfo")
	return uint64(bytes.Count(info, []byte("\n"))), err
}
