package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/cgroups/v3/cgroup1"
	"github.com/containerd/cgroups/v3/cgroup2"
	"github.com/opencontainers/runtime-spec/specs-go"

	"nslab/netsetup"
)

// period is what a share of processor time is counted in, and minQuota the least
// share (kernel/sched/core.c: min_cfs_quota_period), both in microseconds.
const (
	period   = 100_000
	minQuota = 1000
)

// limit sets the limits, and takes away those that are not wanted any more.
func (g *Group) limit(l netsetup.Limits) error {
	quota := quota(l.CPU)
	if len(g.v1) > 0 {
		if err := g.limitV1(l, quota); err != nil {
			return err
		}
	}
	if g.v2 == "" {
		return nil
	}
	r := &cgroup2.Resources{}
	if slices.Contains(g.limits, cpu) {
		p := uint64(period)
		r.CPU = &cgroup2.CPU{Max: cgroup2.NewCPUMax(&quota, &p)}
	}
	if slices.Contains(g.limits, memory) {
		r.Memory = &cgroup2.Memory{Max: &l.Memory}
	}
	if slices.Contains(g.limits, pids) {
		r.Pids = &cgroup2.Pids{Max: l.PIDs}
	}
	if len(g.limits) > 0 {
		if _, err := cgroup2.NewManager(g.root(), g.name, r); err != nil {
			return err
		}
	}
	// Memory that is swapped out is still used: a limit is one of both together. The
	// file is there where the kernel has swap.
	swap := "max"
	if l.Memory != 0 {
		swap = "0"
	}
	if err := g.set("memory.swap.max", swap); err != nil {
		return err
	}
	for c, file := range map[controller]string{cpu: "cpu.max", memory: "memory.max", pids: "pids.max"} {
		if !slices.Contains(g.limits, c) {
			if err := g.set(file, "max"); err != nil {
				return err
			}
		}
	}
	return nil
}

// set writes a setting of version 2, where there is one.
func (g *Group) set(file, value string) error {
	err := write(filepath.Join(g.v2, file), value)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// root is where version 2 is mounted.
func (g *Group) root() string { return g.v2[:len(g.v2)-len(g.name)] }

// subsystems are the hierarchies of version 1 that the group is in, as the
// library has them.
func (g *Group) subsystems() ([]cgroup1.Subsystem, error) {
	var list []cgroup1.Subsystem
	for _, p := range g.v1 {
		switch p.controller {
		case cpu:
			list = append(list, cgroup1.NewCpu(p.root))
		case memory:
			list = append(list, cgroup1.NewMemory(p.root, cgroup1.OptionalSwap(), cgroup1.IgnoreModules("kmem", "kmem.tcp")))
		case pids:
			list = append(list, cgroup1.NewPids(p.root))
		}
	}
	return list, nil
}

func (g *Group) limitV1(l netsetup.Limits, quota int64) error {
	if l.CPU == 0 {
		quota = -1
	}
	bytes := l.Memory
	if bytes == 0 {
		bytes = -1
	}
	for _, p := range g.v1 {
		// The library only ever sets this one.
		if p.controller == pids && l.PIDs == 0 {
			if err := write(filepath.Join(p.dir, "pids.max"), "max"); err != nil {
				return err
			}
		}
		// No limit of both together may be less than that of memory alone, whichever
		// of the two is written first; the file is there where the kernel counts swap.
		if p.controller == memory {
			err := write(filepath.Join(p.dir, "memory.memsw.limit_in_bytes"), "-1")
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	p := uint64(period)
	_, err := cgroup1.New(cgroup1.StaticPath(g.name), &specs.LinuxResources{
		CPU:    &specs.LinuxCPU{Period: &p, Quota: &quota},
		Memory: &specs.LinuxMemory{Limit: &bytes},
		Pids:   &specs.LinuxPids{Limit: &l.PIDs},
	}, cgroup1.WithHierarchy(g.subsystems))
	if err != nil || l.Memory == 0 {
		return err
	}
	for _, p := range g.v1 {
		if p.controller == memory {
			err := write(filepath.Join(p.dir, "memory.memsw.limit_in_bytes"), fmt.Sprint(bytes))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// Stats is what a node uses, of which its cgroup keeps count: that of which it
// has a limit, and the zero value of the rest.
type Stats struct {
	Memory    int64 // bytes
	PIDs      int64
	Throttled time.Duration // that it wanted to run and had used up its share
	// OOMKills is how many of its processes the kernel has killed, the memory
	// being used up.
	OOMKills int64
}

// Stats reads the counters.
func (g *Group) Stats() (Stats, error) {
	var s Stats
	if len(g.v1) > 0 {
		c, err := cgroup1.Load(cgroup1.StaticPath(g.name), cgroup1.WithHierarchy(g.subsystems))
		if err != nil {
			return s, g.failed("read the cgroup", err)
		}
		m, err := c.Stat()
		if err != nil {
			return s, g.failed("read the cgroup", err)
		}
		if m.Memory != nil {
			s.Memory = int64(m.Memory.Usage.Usage)
			s.OOMKills = int64(m.MemoryOomControl.GetOomKill())
		}
		s.PIDs = int64(m.Pids.GetCurrent())
		s.Throttled = time.Duration(m.CPU.GetThrottling().GetThrottledTime())
	}
	if g.v2 == "" || len(g.limits) == 0 {
		return s, nil
	}
	c, err := cgroup2.Load(g.name, cgroup2.WithMountpoint(g.root()))
	if err != nil {
		return s, g.failed("read the cgroup", err)
	}
	m, err := c.Stat()
	if err != nil {
		return s, g.failed("read the cgroup", err)
	}
	if slices.Contains(g.limits, memory) {
		s.Memory = int64(m.Memory.GetUsage())
		s.OOMKills = int64(m.MemoryEvents.GetOomKill())
	}
	if slices.Contains(g.limits, pids) {
		s.PIDs = int64(m.Pids.GetCurrent())
	}
	if slices.Contains(g.limits, cpu) {
		s.Throttled = time.Duration(m.CPU.GetThrottledUsec()) * time.Microsecond
	}
	return s, nil
}

// failed names the node in an error.
func (g *Group) failed(action string, err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, cgroup1.ErrCgroupDeleted) {
		err = fs.ErrNotExist
	}
	return fmt.Errorf("%s of node %s of lab %s: %w", action, g.node, g.lab, err)
}

// Limits reads the limits back. What the kernel keeps is in whole pages.
func (g *Group) Limits() (netsetup.Limits, error) {
	var l netsetup.Limits
	var err error
	read := func(dir, file string, n int) int64 {
		value, e := readLimit(filepath.Join(dir, file), n)
		err = errors.Join(err, e)
		return value
	}
	processors := func(quota, each int64) float64 {
		if quota <= 0 || each <= 0 {
			return 0
		}
		return float64(quota) / float64(each)
	}
	if g.v2 != "" {
		l.CPU = processors(read(g.v2, "cpu.max", 0), read(g.v2, "cpu.max", 1))
		l.Memory, l.PIDs = read(g.v2, "memory.max", 0), read(g.v2, "pids.max", 0)
	}
	for _, p := range g.v1 {
		switch p.controller {
		case cpu:
			l.CPU = processors(read(p.dir, "cpu.cfs_quota_us", 0), read(p.dir, "cpu.cfs_period_us", 0))
		case memory:
			l.Memory = read(p.dir, "memory.limit_in_bytes", 0)
		case pids:
			l.PIDs = read(p.dir, "pids.max", 0)
		}
	}
	if err != nil {
		return l, g.failed("read the limits", err)
	}
	return l, nil
}

// readLimit reads the number in field n of a file; 0 is that there is none: no
// file, max, or, as version 1 has it, -1 or the largest number of whole pages.
func readLimit(path string, n int) (int64, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	if n >= len(fields) || fields[n] == "max" {
		return 0, nil
	}
	value, err := strconv.ParseInt(fields[n], 10, 64)
	if err != nil {
		return 0, err
	}
	if value < 0 || value >= math.MaxInt64/page*page {
		return 0, nil
	}
	return value, nil
}

var page = int64(os.Getpagesize())

// SameLimits reports whether the kernel keeps a as it keeps b.
func SameLimits(a, b netsetup.Limits) bool {
	return quota(a.CPU) == quota(b.CPU) && a.Memory/page == b.Memory/page && a.PIDs == b.PIDs
}

// quota is what the kernel keeps of a share of processors.
func quota(cpu float64) int64 {
	if cpu == 0 {
		return 0
	}
	return max(int64(math.Round(cpu*period)), minQuota)
}
