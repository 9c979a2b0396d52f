// Command bench measures nslab against the least work that can do the same, and
// fails when a bound is broken.
//
// It compares in one run, because machines differ and are noisy: each figure is
// the ratio of two minima, taken over pairs that alternate, and before each run
// it waits until the kernel has freed the namespaces of the last one. All of it
// happens in mount, network and PID namespaces of its own.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"text/tabwriter"
	"time"

	"nslab/netsetup/netns"
)

// The bounds, as ratios unless a unit is named.
const (
	maxUp       = 1.5                   // up of a ring against the floor
	maxSecondUp = 0.3                   // a second up against the first
	maxMemory   = 100 << 20             // bytes, the peak of up
	maxValidate = 3.0                   // validate against yaml.Unmarshal into a Node
	maxVersion  = 20 * time.Millisecond // nslab version
	maxExec     = 5 * time.Millisecond  // exec beyond nsenter
	maxRules    = 2.0                   // rules in bulk against nft -f
	patience    = 2 * time.Minute       // for the kernel to free a lab
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == yamlVerb {
		exitOn(unmarshal(os.Args[2]))
		return
	}
	var b bench
	flag.StringVar(&b.nslab, "nslab", "bin/nslab", "the program to measure")
	flag.StringVar(&b.floor, "floor", "e2e/bench/floor/floor.c", "the C source to compare with")
	flag.IntVar(&b.nodes, "nodes", 1000, "size of the ring that is brought up")
	flag.IntVar(&b.pairs, "pairs", 5, "how often each pair is measured")
	flag.Parse()
	if os.Getenv(insideVariable) == "" {
		status, err := runInside()
		exitOn(err)
		os.Exit(status)
	}
	exitOn(b.run())
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	nslab, floor string
	nodes, pairs int
	dir          string // for what is built and written
	results      []result
}

// result is one line of the report.
type result struct {
	what, measured, against, figure, bound string
	broken                                 bool
}

func (b *bench) run() error {
	if err := ownMounts(); err != nil {
		return err
	}
	var err error
	if b.nslab, err = filepath.Abs(b.nslab); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "nslab-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	for _, measure := range []func() error{b.measureUp, b.measureValidate, b.measureVersion, b.measureRules, b.measureExec, b.measureIsolation, b.measureMesh} {
		if err := measure(); err != nil {
			return err
		}
	}
	return b.report()
}

// upLine finds the seconds in what the floor prints.
var upLine = regexp.MustCompile(`\bup ([0-9.]+) s\b`)

func (b *bench) measureUp() error {
	floor := filepath.Join(b.dir, "floor")
	if _, err := run("cc", "-O2", "-o", floor, b.floor); err != nil {
		return err
	}
	ring, err := b.generate(b.nodes)
	if err != nil {
		return err
	}
	const none = time.Duration(1<<63 - 1)
	least, first, second := none, none, none
	var memory int64
	for i := range b.pairs {
		if err := freed(); err != nil {
			return err
		}
		out, err := run(floor, strconv.Itoa(b.nodes))
		if err != nil {
			return err
		}
		m := upLine.FindSubmatch(out.stdout)
		if m == nil {
			return fmt.Errorf("%s printed no `up S s`: %q", b.floor, out.stdout)
		}
		s, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			return err
		}
		floorTime := time.Duration(s * float64(time.Second))

		if err := freed(); err != nil {
			return err
		}
		up, err := run(b.nslab, "up", "-q", ring)
		if err != nil {
			return err
		}
		again, err := run(b.nslab, "up", "-q", ring)
		if err != nil {
			return err
		}
		if _, err := run(b.nslab, "down", "-q", "--all"); err != nil {
			return err
		}
		progress("pair %d: floor %v, up %v, second up %v, %d MiB", i+1, round(floorTime), round(up.elapsed), round(again.elapsed), up.memory>>20)
		least, first, second = min(least, floorTime), min(first, up.elapsed), min(second, again.elapsed)
		memory = max(memory, up.memory, again.memory)
	}
	n := fmt.Sprintf("ring of %d: ", b.nodes)
	b.ratio(n+"up, the whole process", first, "the floor's making", least, maxUp)
	b.ratio(n+"second up", second, "first up", first, maxSecondUp)
	b.results = append(b.results, result{
		what: n + "peak memory of up", measured: fmt.Sprintf("%d MiB", memory>>20),
		bound: fmt.Sprintf("%d MiB", maxMemory>>20), broken: memory > maxMemory,
	})
	return nil
}

func (b *bench) measureValidate() error {
	const nodes = 10_000
	ring, err := b.generate(nodes)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var validate, yaml time.Duration
	for i := range b.pairs {
		base, err := run(self, yamlVerb, ring)
		if err != nil {
			return err
		}
		v, err := run(b.nslab, "validate", "-q", ring)
		if err != nil {
			return err
		}
		progress("pair %d: yaml.Unmarshal %v, validate %v", i+1, round(base.elapsed), round(v.elapsed))
		if i == 0 {
			validate, yaml = v.elapsed, base.elapsed
		}
		validate, yaml = min(validate, v.elapsed), min(yaml, base.elapsed)
	}
	b.ratio(fmt.Sprintf("ring of %d: validate, the whole process", nodes), validate, "a process that calls yaml.Unmarshal", yaml, maxValidate)
	return nil
}

func (b *bench) measureVersion() error {
	var least time.Duration
	for i := range 4 * b.pairs {
		v, err := run(b.nslab, "version")
		if err != nil {
			return err
		}
		if i == 0 || v.elapsed < least {
			least = v.elapsed
		}
	}
	b.results = append(b.results, result{
		what: "nslab version", measured: least.Round(100 * time.Microsecond).String(),
		bound: maxVersion.String(), broken: least > maxVersion,
	})
	return nil
}

func (b *bench) generate(nodes int) (file string, err error) {
	out, err := run(b.nslab, "generate", "ring", "--nodes", strconv.Itoa(nodes))
	if err != nil {
		return "", err
	}
	file = filepath.Join(b.dir, fmt.Sprintf("ring-%d.yaml", nodes))
	return file, os.WriteFile(file, out.stdout, 0o644)
}

func (b *bench) ratio(what string, measured time.Duration, base string, against time.Duration, bound float64) {
	r := measured.Seconds() / against.Seconds()
	b.results = append(b.results, result{
		what:     what,
		measured: round(measured).String(),
		against:  fmt.Sprintf("%v %s", round(against), base),
		figure:   fmt.Sprintf("%.2f", r),
		bound:    fmt.Sprintf("%.2f", bound),
		broken:   r > bound,
	})
}

var errBroken = errors.New("a bound is broken")

func (b *bench) report() error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tMEASURED\tAGAINST\tRATIO\tBOUND\t")
	var err error
	for _, r := range b.results {
		verdict := "ok"
		if r.broken {
			verdict, err = "BROKEN", errBroken
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.what, r.measured, r.against, r.figure, r.bound, verdict)
	}
	return errors.Join(w.Flush(), err)
}

// process is what is known of one that has ended well.
type process struct {
	elapsed time.Duration // from before its start until it was waited for
	memory  int64         // bytes, the peak of its resident set
	stdout  []byte
}

// run runs a program to its end. An exit status other than 0 is an error that
// holds what it said.
func run(name string, args ...string) (process, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	elapsed := time.Since(start)
	if err != nil {
		return process{}, fmt.Errorf("%s: %w\n%s", cmd, err, stderr.Bytes())
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return process{}, errors.New("no resource usage on this system")
	}
	// Maxrss is in KiB: getrusage(2).
	return process{elapsed: elapsed, memory: usage.Maxrss << 10, stdout: stdout.Bytes()}, nil
}

func freed() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return netns.WaitFreed(ctx)
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
