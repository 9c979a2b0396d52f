package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"nslab/netsetup/netns"
)

// runTests runs the tests of this process and fails where they leave anything in
// it: goroutines, or open files.
func runTests(run func() int) int {
	if err := warmUp(); err != nil {
		return fail(err)
	}
	before := ownState()
	status := run()
	left := came(before, ownState())
	for end := time.Now().Add(settle); len(left) > 0 && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
		left = came(before, ownState())
	}
	if len(left) == 0 {
		return status
	}
	fmt.Fprintf(os.Stderr, "sandbox: the tests left in their process:\n\t%s\n", strings.Join(left, "\n\t"))
	return max(status, 1)
}

// came are the differences but for what went.
func came(before, after *State) []string {
	return slices.DeleteFunc(before.Diff(after), func(d string) bool { return strings.HasPrefix(d, "- ") })
}

// warmUp makes package netns open what it keeps open.
func warmUp() error {
	h, err := netns.Current()
	if err != nil {
		return err
	}
	defer h.Close()
	return netns.Do(h, func() error { return nil })
}

// ownState is what can be left behind in this process.
func ownState() *State {
	s := &State{}
	s.goroutines()
	s.files()
	slices.Sort(s.lines)
	return s
}

// kept are functions of goroutines that stay on purpose: the one that hands on
// signals, and the few threads that package netns keeps for further work.
var kept = []string{"os/signal.loop", "nslab/netsetup/netns.(*thread).serve"}

// goroutines lists all but this one and those that are kept.
func (s *State) goroutines() {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for _, stack := range strings.Split(string(stacks), "\n\n")[1:] {
		if slices.ContainsFunc(kept, func(f string) bool { return strings.Contains(stack, f) }) {
			continue
		}
		// What it is in comes first, who made it last.
		lines := strings.Split(stack, "\n")
		in := lines[min(1, len(lines)-1)]
		if i := strings.LastIndexByte(in, '('); i >= 0 {
			in = in[:i]
		}
		_, made, _ := strings.Cut(stack, "created by ")
		made, _, _ = strings.Cut(made, " in goroutine")
		s.add("goroutine in %s, created by %s", in, made)
	}
}

// files lists the open ones but for those that the runtime polls with.
func (s *State) files() {
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		to, err := os.Readlink(link)
		if err != nil || to == "anon_inode:[eventpoll]" || to == "anon_inode:[eventfd]" {
			continue // the first is the folder itself, which is closed by now
		}
		kind, _, isKind := strings.Cut(to, ":[")
		if isKind {
			to = kind // and a number
		}
		s.add("open file %s", to)
	}
}
