package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nslab/netsetup/failpoint"
)

// Procs gives the processes of the group and of what it has below it, sorted.
// One that is not visible from here, being in another PID namespace, is 0.
func (g *Group) Procs() ([]int, error) {
	var all []int
	for _, dir := range g.Paths() {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return gone(err)
			}
			pids, err := readPIDs(filepath.Join(path, "cgroup.procs"))
			all = append(all, pids...)
			return gone(err)
		})
		if err != nil {
			return nil, g.failed("list the processes", err)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func readPIDs(path string) ([]int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []int
	for _, word := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			return nil, err
		}
		list = append(list, pid)
	}
	return list, nil
}

// gone makes nothing of the error that a cgroup is removed meanwhile.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// killTime bounds how long killed processes may take to end. One that waits for
// a device, or has much memory to give back, takes long.
const killTime = 10 * time.Second

// kill ends all processes of the group, and of what it has below it, and waits
// for their ends. Those of version 2 have no chance to fork out of it; elsewhere
// it is repeated until none is left.
func (g *Group) kill() error {
	deadline := time.Now().Add(killTime)
	g.lift()
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		left, err := g.Procs()
		if err != nil || len(left) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v of node %s of lab %s do not end %v after SIGKILL", left, g.node, g.lab, killTime)
		}
		// Kernels before 5.14 have no such file.
		if g.v2 != "" {
			err = gone(write(filepath.Join(g.v2, "cgroup.kill"), "1"))
		}
		if err != nil {
			return g.failed("end the processes", err)
		}
		for _, pid := range left {
			if pid != 0 {
				unix.Kill(pid, unix.SIGKILL) // an error means that it has ended
			}
		}
		time.Sleep(pause)
	}
}

// lift takes the limit of processor time away: to end takes some, too, which
// processes have to wait for that have used up theirs.
func (g *Group) lift() {
	if g.v2 != "" {
		write(filepath.Join(g.v2, "cpu.max"), "max")
	}
	for _, p := range g.v1 {
		if p.controller == cpu {
			write(filepath.Join(p.dir, "cpu.cfs_quota_us"), "-1")
		}
	}
}

// removeTime bounds how long an empty cgroup may still be busy: a process that
// has ended leaves it some time later.
const removeTime = 2 * time.Second

// Remove ends all processes of the group, whatever they have done to hide, and
// removes it, what is below it, and what is above it and empty by then. That it
// is not there is no error.
func (g *Group) Remove() error {
	if err := g.kill(); err != nil {
		return err
	}
	var errs []error
	for _, dir := range g.Paths() {
		var dirs []string
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return gone(err)
		})
		errs = append(errs, err)
		slices.Reverse(dirs) // what is below comes first
		for _, d := range dirs {
			errs = append(errs, rmdir(d))
		}
		// The lab's, and that of all labs: others may be at work in them.
		if unix.Rmdir(filepath.Dir(dir)) == nil {
			unix.Rmdir(filepath.Dir(filepath.Dir(dir)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return g.failed("remove the cgroup", err)
	}
	return nil
}

func rmdir(dir string) error {
	for deadline := time.Now().Add(removeTime); ; time.Sleep(5 * time.Millisecond) {
		err := failpoint.Around("cgroup.remove", func() error { return unix.Rmdir(dir) })
		switch {
		case err == nil, err == unix.ENOENT:
			return nil
		case err != unix.EBUSY || time.Now().After(deadline):
			return &os.PathError{Op: "rmdir", Path: dir, Err: err}
		}
	}
}
