package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"nslab/netsetup/proc"
	"nslab/topology"
)

// commands is the verb exec.
type commands struct {
	test           *topology.Test
	panics         *panics
	stdout, stderr *regexp.Regexp // nil: anything
	json           any            // what the output has; only where test.JSON is not ""
}

func newCommands(r *runner, t *topology.Test) (*commands, error) {
	c := &commands{test: t, panics: &r.panics}
	for _, x := range []struct {
		to      **regexp.Regexp
		pattern string
	}{{&c.stdout, t.Stdout}, {&c.stderr, t.Stderr}} {
		if x.pattern == "" {
			continue
		}
		var err error
		if *x.to, err = regexp.Compile("(?m)" + x.pattern); err != nil {
			return nil, err
		}
	}
	if t.JSON != "" {
		if err := json.Unmarshal([]byte(t.JSON), &c.json); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *commands) close() {}

// try runs the command in each node, few at once: programs are not ours, and
// may be large.
func (c *commands) try(ctx context.Context, jobs []*job, report func(*job, result)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4*runtime.GOMAXPROCS(0))
	for _, j := range jobs {
		slots <- struct{}{}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer c.panics.keep()
			res := func() result {
				defer func() { <-slots }()
				return c.run(ctx, j)
			}()
			report(j, res)
		}()
	}
	wg.Wait()
}

// maxOutput bounds what is kept of a stream, in bytes.
const maxOutput = 1 << 20

func (c *commands) run(ctx context.Context, j *job) (res result) {
	began := time.Now()
	defer func() { res.began, res.ended = began, time.Now() }()
	n, err := j.from.node.programs()
	if err != nil {
		return broken("%v", err)
	}
	timeout := fmt.Errorf("it ran longer than %s", c.test.Timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, c.test.Timeout, timeout)
	defer cancel()
	var stdout, stderr output
	command := proc.Command{Node: n, Argv: c.test.Command, Stdout: &stdout, Stderr: &stderr}
	exit, err := command.Run(ctx)
	details := append(stdout.lines("stdout"), stderr.lines("stderr")...)
	var start *proc.StartError
	switch {
	case errors.Is(err, timeout):
		return result{seen: failed, what: timeout.Error() + " and was killed", details: details}
	case errors.As(err, &start) && c.test.Exit != start.Status:
		return broken("%v", err)
	case start != nil:
		exit = start.Status
	case err != nil:
		return broken("%v", err)
	}
	var wrong []string
	if exit != c.test.Exit {
		wrong = append(wrong, fmt.Sprintf("exit status %d, want %d", exit, c.test.Exit))
	}
	for _, x := range []struct {
		name    string
		out     *output
		want    *regexp.Regexp
		pattern string // as written
	}{{"stdout", &stdout, c.stdout, c.test.Stdout}, {"stderr", &stderr, c.stderr, c.test.Stderr}} {
		switch {
		case x.want == nil || x.want.Match(x.out.Bytes()):
		case x.out.cut:
			wrong = append(wrong, fmt.Sprintf("the first %d bytes of %s do not match %q", maxOutput, x.name, x.pattern))
		default:
			wrong = append(wrong, fmt.Sprintf("%s does not match %q", x.name, x.pattern))
		}
	}
	if c.test.JSON != "" {
		var got any
		if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
			wrong = append(wrong, fmt.Sprintf("stdout is not JSON: %v", err))
		} else if lack := lacking(got, c.json, "$"); lack != "" {
			wrong = append(wrong, lack)
		}
	}
	if len(wrong) > 0 {
		return result{seen: failed, what: strings.Join(wrong, "; "), details: details}
	}
	return result{seen: answered}
}

// output keeps the beginning of what a program writes.
type output struct {
	bytes.Buffer
	cut bool
}

func (o *output) Write(p []byte) (int, error) {
	if left := maxOutput - o.Len(); len(p) > left {
		o.cut = true
		o.Buffer.Write(p[:left])
	} else {
		o.Buffer.Write(p)
	}
	return len(p), nil
}

// maxLines is how many lines of a stream a report shows: the last ones.
const maxLines = 10

func (o *output) lines(name string) []string {
	text := strings.TrimRight(o.String(), "\n")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	if n := len(lines); n > maxLines {
		lines = append([]string{fmt.Sprintf("(%d lines more)", n-maxLines)}, lines[n-maxLines:]...)
	}
	for i := range lines {
		lines[i] = name + ": " + printable(strings.TrimSuffix(lines[i], "\r"))
	}
	return lines
}

// printable is a text of others without what a terminal would obey.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' {
			return utf8.RuneError
		}
		return r // of what is not UTF-8 RuneError, too
	}, s)
}
