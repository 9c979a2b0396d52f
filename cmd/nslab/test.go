package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"nslab/netsetup"
	"nslab/netsetup/bug"
	"nslab/netsetup/kernel"
	"nslab/netsetup/netns"
	"nslab/netsetup/proc"
	"nslab/probe"
)

// labsAtOnce is how many labs are tested side by side: more would measure the
// host rather than the labs.
const labsAtOnce = 4

// teardownTime bounds how long a lab that was brought up for its tests takes to
// go, since neither an interrupt nor --timeout stops that.
const teardownTime = 2 * time.Minute

// testOptions are what the flags of test say.
type testOptions struct {
	keep, keepOnFailure bool
	probe               probe.Options
}

func (a *app) testCommand() *cobra.Command {
	var (
		opt              testOptions
		run              string
		selected         map[string]string
		junit, tap, json string
	)
	cmd := &cobra.Command{
		Use:   "test [FILE|LAB]...",
		Short: "Run the tests of labs",
		Long: `Runs the tests that the files hold, and then their scenarios, whose changes are
undone at the end; several files side by side, with one summary.
A running lab is tested as it is, and refused with exit status 6 if it differs
from its file. A lab that does not run is brought up, and taken down after its
tests, whatever happens. In GitHub Actions (GITHUB_ACTIONS, GITHUB_STEP_SUMMARY)
failures are also annotations at the lines of the file, and a summary of the job.`,
		Example: `  nslab test lab.yaml
  nslab test labs/*.yaml --junit report.xml
  nslab test quickstart --run 'ping h1' --keep-on-failure`,
	}
	name := nameFlag(cmd)
	format := formatFlag(cmd)
	f := cmd.Flags()
	f.BoolVar(&opt.keep, "keep", false, "leave a lab up that was brought up for its tests")
	f.BoolVar(&opt.keepOnFailure, "keep-on-failure", false, "leave it up if a test fails")
	f.StringVar(&junit, "junit", "", "write a JUnit XML report to `FILE`")
	f.StringVar(&tap, "tap", "", "write a TAP report to `FILE`")
	f.StringVar(&json, "json", "", "write a JSON report to `FILE`")
	f.StringToStringVar(&selected, "select", nil, "only the tests from or to a node with the label `KEY=VALUE`")
	f.StringVar(&run, "run", "", "only the tests whose name matches `REGEXP`")
	f.IntVar(&opt.probe.Parallel, "parallel", 1, "run `N` tests of a lab at a time")
	f.IntVar(&opt.probe.Repeat, "repeat", 1, "run all tests `N` times")
	cmd.ValidArgsFunction = func(_ *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return completeLabs(word)
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > 1 && *name != "":
			return usageError{cmd, errors.New("--name goes with one FILE")}
		case opt.probe.Parallel < 1, opt.probe.Repeat < 1:
			return usageError{cmd, errors.New("--parallel and --repeat want a number of at least 1")}
		}
		var err error
		if run != "" {
			if opt.probe.Run, err = regexp.Compile(run); err != nil {
				return usageError{cmd, fmt.Errorf("--run: %w", err)}
			}
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opt.probe.Select = selected
		return a.onKernel(func(ctx context.Context, k *kernel.Kernel) error {
			sources, err := a.findEach(ctx, cmd, args, *name, k)
			if err != nil {
				return err
			}
			k.Close() // so that it keeps nothing alive that goes meanwhile
			files := []*reportFile{
				{name: junit, write: probe.Reports.WriteJUnit},
				{name: tap, write: probe.Reports.WriteTAP},
				{name: json, write: probe.Reports.WriteJSON},
				{name: os.Getenv("GITHUB_STEP_SUMMARY"), write: probe.Reports.WriteMarkdown, append: true},
			}
			defer closeEach(files)
			if err := openEach(files); err != nil {
				return err
			}
			reports, err := a.testEach(ctx, sources, opt)
			if format.json() {
				files = append(files, &reportFile{out: a.stdout, write: probe.Reports.WriteJSON})
			} else {
				files = append(files, &reportFile{out: a.stdout, write: a.writeReports})
			}
			if os.Getenv("GITHUB_ACTIONS") == "true" {
				files = append(files, &reportFile{out: a.stderr, write: func(rs probe.Reports, w io.Writer) error {
					return rs.WriteAnnotations(w, os.Getenv("GITHUB_WORKSPACE"))
				}})
			}
			for _, f := range files {
				err = errors.Join(err, f.put(reports))
			}
			passed, failed, broken := reports.Count()
			switch {
			case err != nil:
				return err
			case failed+broken > 0:
				return statusError(statusFailed)
			case passed == 0 && (run != "" || len(selected) > 0):
				// A name mistyped in CI must not look like a success.
				return withStatus{statusUsage, errors.New("no test is what --run and --select ask for\nhint: `nslab validate --resolved` shows the tests with their names")}
			case passed == 0:
				a.note("there are no tests in %s", reports[0].File)
			}
			return nil
		})
	}
	return cmd
}

// findEach finds the labs that are named, or the one that none stands for. Two
// of one name could only be tested one after the other, as one.
func (a *app) findEach(ctx context.Context, cmd *cobra.Command, args []string, name string, running lister) ([]*source, error) {
	if len(args) == 0 {
		args = []string{""}
	}
	var (
		sources []*source
		errs    []error
		files   = map[string]string{}
	)
	for _, arg := range args {
		src, err := a.find(ctx, cmd, arg, name, running)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if other, ok := files[src.lab.Name]; ok {
			errs = append(errs, usageError{cmd, fmt.Errorf("%s and %s are both lab %s\nhint: test one at a time, or one under another name with --name",
				other, src.lab.File, src.lab.Name)})
		}
		files[src.lab.Name] = src.lab.File
		sources = append(sources, src)
	}
	return sources, errors.Join(errs...)
}

// testEach tests labs side by side. Reports are in the order of sources; of a
// lab that could not be tested there is none.
func (a *app) testEach(ctx context.Context, sources []*source, opt testOptions) (probe.Reports, error) {
	var (
		all   = make([]*probe.Report, len(sources))
		errs  = make([]error, len(sources))
		slots = make(chan struct{}, labsAtOnce)
		bar   = a.newProgress()
		wg    sync.WaitGroup
	)
	tested := bar.labs(len(sources))
	for i, src := range sources {
		slots <- struct{}{}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-slots }()
			errs[i] = survived(src.lab.Name, func() (err error) {
				all[i], err = a.testLab(ctx, src, opt, bar)
				return err
			})
			tested()
		}()
	}
	wg.Wait()
	bar.clear()
	var reports probe.Reports
	for _, r := range all {
		if r != nil {
			reports = append(reports, r)
		}
	}
	return reports, errors.Join(errs...)
}

// survived calls f, and makes an error of a panic: the labs that are tested beside
// this one have to be taken down, too.
func survived(lab string, f func() error) error {
	err := bug.Guard(f)
	if bug.In(err) != nil {
		return fmt.Errorf("test %s: %w", lab, err)
	}
	return err
}

// testLab tests one lab, and brings it up and takes it down for that if it does
// not run.
func (a *app) testLab(ctx context.Context, src *source, opt testOptions, bar *progress) (report *probe.Report, err error) {
	k, err := a.newKernel()
	if err != nil {
		return nil, err
	}
	defer k.Close()
	lab := src.lab.Name
	lock, err := netsetup.LockLab(ctx, lab, a.lockTimeout)
	if err != nil {
		return nil, err
	}
	defer unlock(lock, &err)
	have, plan, err := differences(ctx, k, src)
	if err != nil {
		return nil, err
	}
	if runs(have) {
		if !plan.Empty() {
			return nil, refusal(src, plan)
		}
	} else {
		_, err := a.up(ctx, k, src, netsetup.Options{KeepOnFailure: opt.keepOnFailure || opt.keep}, bar)
		if err != nil {
			return nil, err
		}
		defer func() {
			if opt.keep || opt.keepOnFailure && (err != nil || report == nil || report.Failed+report.Errors > 0) {
				bar.aside(func() { a.note("%s is kept; `nslab down %s` removes it", lab, lab) })
				return
			}
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), teardownTime)
			defer cancel()
			_, downErr := a.remove(ctx, k, lab, joined(lab), bar)
			err = errors.Join(err, downErr)
		}()
	}
	o := opt.probe
	o.Open = func(node string) (*netns.Handle, error) { return openNode(lab, node, src.lab) }
	o.Enter = func(node string) (*proc.Node, error) { return enterNode(lab, node, src.lab) }
	doing := lab + ": tests"
	o.Progress = bar.tests(doing)
	defer bar.finish(doing)
	s := scenario{app: a, k: k, bar: bar, src: src, ctx: ctx}
	o.Change, o.Undo = s.change, s.undo
	report, err = probe.Run(ctx, src.lab, o)
	if report != nil && ctx.Err() != nil {
		err = nil // the report has what was not finished, and why
	}
	return report, errors.Join(err, s.err)
}

// runs reports whether any namespace of the lab's own is there.
func runs(have *netsetup.State) bool {
	for _, ns := range have.Namespaces {
		if ns.Kind == netsetup.Own {
			return true
		}
	}
	return false
}

// refusal is the refusal to test a running lab that is not what its file says.
func refusal(src *source, plan *netsetup.Plan) error {
	var b strings.Builder
	fmt.Fprintf(&b, "lab %s runs and differs from %s:\n", src.lab.Name, src.lab.File)
	for _, l := range plan.Lines() {
		fmt.Fprintf(&b, "  %s %s\n", l.Sign, l.Command)
	}
	fmt.Fprintf(&b, "hint: `nslab up %s` makes it what the file says", src.lab.File)
	return withStatus{statusDifferent, errors.New(b.String())}
}

// reportFile is a file that a report goes to.
type reportFile struct {
	name   string // "": none
	append bool   // to what is in it
	out    io.Writer
	file   *os.File
	write  func(probe.Reports, io.Writer) error
}

// openEach makes the files before anything is tested, so that a wrong path is
// found at once.
func openEach(files []*reportFile) error {
	for _, f := range files {
		if f.name == "" {
			continue
		}
		flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
		if f.append {
			flags = os.O_WRONLY | os.O_CREATE | os.O_APPEND
		}
		file, err := os.OpenFile(f.name, flags, 0o666)
		if err != nil {
			return withStatus{statusUsage, err}
		}
		f.file, f.out = file, file
	}
	return nil
}

// put writes the reports to the file, if there is one.
func (f *reportFile) put(reports probe.Reports) error {
	if f.out == nil {
		return nil
	}
	err := f.write(reports, f.out)
	if f.file != nil {
		err = errors.Join(err, f.file.Close())
	}
	return err
}

func closeEach(files []*reportFile) {
	for _, f := range files {
		if f.file != nil {
			f.file.Close()
		}
	}
}

// writeReports writes reports for people.
func (a *app) writeReports(reports probe.Reports, w io.Writer) error {
	return reports.WriteTable(w, bool(a.colorsFor(w)), columns(w))
}
