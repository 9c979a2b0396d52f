package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// measureExec compares what it takes to run a program in a node of a large lab:
// the difference of the medians.
func (b *bench) measureExec() error {
	ring, err := b.generate(b.nodes)
	if err != nil {
		return err
	}
	if err := freed(); err != nil {
		return err
	}
	if _, err := run(b.nslab, "up", "-q", "--name", "bench", ring); err != nil {
		return err
	}
	var ours, bare []time.Duration
	for range 20 * b.pairs {
		p, err := run("nsenter", "--net=/run/netns/bench.n1", "true")
		if err != nil {
			return err
		}
		bare = append(bare, p.elapsed)
		if p, err = run(b.nslab, "exec", "bench/n1", "--", "true"); err != nil {
			return err
		}
		ours = append(ours, p.elapsed)
	}
	if _, err := run(b.nslab, "down", "-q", "bench"); err != nil {
		return err
	}
	more := median(ours) - median(bare)
	b.results = append(b.results, result{
		what:     fmt.Sprintf("ring of %d: exec beyond nsenter, medians", b.nodes),
		measured: median(ours).Round(100 * time.Microsecond).String(),
		against:  fmt.Sprintf("%v nsenter", median(bare).Round(100*time.Microsecond)),
		figure:   more.Round(100 * time.Microsecond).String(), bound: maxExec.String(), broken: more > maxExec,
	})
	return nil
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

// measureIsolation reports what nodes cost that own namespaces of every kind and
// run a process each, beside as many calls of unshare(1).
func (b *bench) measureIsolation() error {
	const nodes = 200
	var lab strings.Builder
	lab.WriteString("name: isolated\nnodes:\n")
	for i := range nodes {
		fmt.Fprintf(&lab, "  n%d: {isolate: all, run: [{name: p, command: [sleep, infinity]}]}\n", i)
	}
	file := filepath.Join(b.dir, "isolated.yaml")
	if err := os.WriteFile(file, []byte(lab.String()), 0o644); err != nil {
		return err
	}
	if err := freed(); err != nil {
		return err
	}
	up, err := run(b.nslab, "up", "-q", file)
	if err != nil {
		return err
	}
	memory, err := titledMemory("nslab: isolated.")
	if err != nil {
		return err
	}
	supervisor, err := titledMemory("nslab:\x00isolated\x00")
	if err != nil {
		return err
	}
	if _, err := run(b.nslab, "down", "-q", "isolated"); err != nil {
		return err
	}
	begin := time.Now()
	for range nodes {
		if _, err := run("unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--cgroup", "--user", "--time", "--fork", "true"); err != nil {
			return err
		}
	}
	calls := time.Since(begin)
	b.results = append(b.results,
		result{what: fmt.Sprintf("%d nodes with isolate: all and a process each: up", nodes), measured: round(up.elapsed).String(),
			against: fmt.Sprintf("%v as many unshare", round(calls)), figure: fmt.Sprintf("%.2f", up.elapsed.Seconds()/calls.Seconds())},
		result{what: "memory of what keeps one of them, its share of the program included", measured: fmt.Sprintf("%d KiB", memory/nodes>>10)},
		result{what: "memory of their supervisor", measured: fmt.Sprintf("%d KiB", supervisor>>10)})
	return nil
}

// titledMemory is the proportional set size of the processes whose arguments begin
// so, in bytes; proc_pid_smaps(5).
func titledMemory(title string) (bytesUsed int64, err error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, dir := range dirs {
		line, err := os.ReadFile(dir + "/cmdline")
		if err != nil || !bytes.HasPrefix(line, []byte(title)) {
			continue
		}
		rollup, err := os.ReadFile(dir + "/smaps_rollup")
		if err != nil {
			return 0, err
		}
		for l := range strings.Lines(string(rollup)) {
			if f := strings.Fields(l); len(f) == 3 && f[0] == "Pss:" {
				kib, err := strconv.ParseInt(f[1], 10, 64)
				if err != nil {
					return 0, err
				}
				bytesUsed += kib << 10
			}
		}
	}
	return bytesUsed, nil
}
