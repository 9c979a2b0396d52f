package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// faults are what can happen at a failpoint; see package failpoint.
var faults = []string{"error", "panic", "kill", "int"}

// failing is a command that is let fail at each of its failpoints, with each fault.
type failing struct {
	name    string
	before  []string // what makes the lab that is there before; nil: there is none
	command []string
	up      bool     // the command is to bring the lab up; false: to take it down
	down    []string // takes it down
	noDir   bool     // there is no /run/netns before
}

// testFailpoints lets nslab, built with its failpoints, fail at each of them.
func testFailpoints(t *testing.T, nslab string) {
	one, two, small := fixture("one"), fixture("two"), fixture("small")
	f := &failpoints{nslab: nslab, points: map[string]bool{}, done: map[string]bool{}}
	for _, c := range []failing{
		// First what passes most of them, and has most to go back to.
		{name: "change", before: words("up", one), command: words("up", two), up: true},
		{name: "up", command: words("up", two), up: true},
		{name: "down", before: words("up", two), command: words("down fp")},
		{name: "first", command: words("up", small), up: true, noDir: true},
		{name: "last", before: words("up", small), command: words("down small"), noDir: true},
		{name: "rootless up", command: words("--rootless up", small), up: true},
		{name: "rootless down", before: words("--rootless up", small), command: words("--rootless down small")},
	} {
		t.Run(c.name, func(t *testing.T) { f.letFail(t, c) })
	}
	t.Logf("failpoints: %d points × %d faults: %d tried, %d left something", len(f.points), len(faults), f.tried, f.left)
}

func fixture(name string) string { return filepath.Join("testdata", "reliability", name+".yaml") }

func words(s ...string) []string { return strings.Fields(strings.Join(s, " ")) }

type failpoints struct {
	nslab       string
	points      map[string]bool
	done        map[string]bool // points with faults, as NAME=FAULT
	tried, left int
}

// point is one passing of a failpoint.
type point struct {
	name string
	n    int // of this name
}

// trial is a fault at a point.
type trial struct {
	point
	fault string
}

// chosen are the trials for the points that the command passes: each fault at each
// passing; or, in short, each fault at each point that it was not tried at before,
// by turns at the first and at the last passing. Those without root are of the
// points that there are none of with it.
func (r *trials) chosen(all []point) []trial {
	var list []trial
	last := map[string]int{}
	for _, p := range all {
		last[p.name] = p.n
	}
	for _, p := range all {
		for i, fault := range faults {
			n := 1
			if i%2 == 1 {
				n = last[p.name]
			}
			switch key := p.name + "=" + fault; {
			case *full:
			case p.n != n || r.done[key] || r.rootless() && !strings.HasPrefix(p.name, "holder."):
				continue
			default:
				r.done[key] = true
			}
			list = append(list, trial{p, fault})
		}
	}
	return list
}

// trials are those of one command.
type trials struct {
	*failpoints
	failing
	t                      *testing.T
	nothing, before, after host
}

func (f *failpoints) letFail(t *testing.T, c failing) {
	defer func() {
		if t.Failed() {
			removeAll()
		}
	}()
	if c.noDir {
		removeNetnsDir(t)
		defer makeNetnsDir(t)
	} else {
		output(t, "", words("ip netns add theirs")...)
		defer output(t, "", words("ip netns del theirs")...)
		output(t, "", words("ip -n theirs link add own0 type bridge")...)
		output(t, "", words("ip -n theirs link set own0 up")...)
		output(t, "", words("ip -n theirs addr add 10.77.0.1/24 dev own0")...)
	}
	r := &trials{failpoints: f, failing: c, t: t, nothing: lookAtHost(t)}
	r.down = words("down --all")
	if r.rootless() {
		r.down = words("--rootless down --all")
	}
	r.restore()
	points := r.pass()
	r.after = lookAtHost(t)
	r.restore()
	begin, tried, left := time.Now(), f.tried, f.left
	for _, p := range r.chosen(points) {
		f.points[p.name] = true
		f.tried++
		if problem := r.fault(p.point, p.fault); problem != "" {
			f.left++
			t.Errorf("%s at %s, time %d: %s", p.fault, p.name, p.n, problem)
			r.restore()
		}
	}
	r.must(r.down...)
	if d := r.nothing.verySame(lookAtHost(t)); d != "" {
		t.Errorf("at the end there is left:\n%s", d)
	}
	t.Logf("%d faults in %v: %d left something", f.tried-tried, time.Since(begin).Round(time.Second), f.left-left)
}

func (c *failing) rootless() bool { return c.command[0] == "--rootless" }

// restore makes again what there was before the command.
func (r *trials) restore() {
	r.t.Helper()
	r.must(r.down...)
	if r.failing.before != nil {
		r.must(r.failing.before...)
	}
	r.before = lookAtHost(r.t)
}

// pass runs the command without a fault, and gives the points that it passes.
func (r *trials) pass() []point {
	log := filepath.Join(r.t.TempDir(), "log")
	if status, out := r.run("NSLAB_FAILPOINT_LOG="+log, r.command...); status != 0 {
		r.t.Fatalf("without a fault: status %d\n%s", status, out)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		r.t.Fatal(err)
	}
	var list []point
	n := map[string]int{}
	for _, name := range strings.Fields(string(text)) {
		n[name]++
		list = append(list, point{name, n[name]})
	}
	return list
}

// run runs nslab; status 128+n is that signal n ended it.
func (r *trials) run(env string, args ...string) (status int, out string) {
	cmd := exec.Command(r.nslab, append([]string{"--jobs", "1"}, args...)...)
	cmd.Env = append(os.Environ(), env)
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if cmd.ProcessState == nil {
		r.t.Fatal(err)
	}
	w := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if w.Signaled() {
		return 128 + int(w.Signal()), text.String()
	}
	return w.ExitStatus(), text.String()
}

// must runs what has to succeed.
func (r *trials) must(args ...string) {
	r.t.Helper()
	if status, out := r.run("", args...); status != 0 {
		r.t.Errorf("nslab %s: status %d\n%s", strings.Join(args, " "), status, out)
	}
}

// fault lets the command fail once and checks what becomes of it; the text is what
// is wrong. If nothing is, there is again what was before.
func (r *trials) fault(p point, fault string) string {
	status, out := r.run(fmt.Sprintf("NSLAB_FAILPOINT=%s#%d=%s", p.name, p.n, fault), r.command...)
	problem := r.wrongEnd(p, fault, status, out)
	if problem == "" {
		switch {
		case !r.up:
			problem = r.afterDown(status)
		case status == 137 && (r.tried/len(faults))%2 == 0:
			problem = r.afterKill()
		case status == 137, status == 0, strings.Contains(out, " is up"):
			problem = r.afterUp(status != 0 || elsewherePoints.MatchString(p.name))
		default:
			problem = r.before.verySame(lookAtHost(r.t))
		}
	}
	if problem == "" {
		return ""
	}
	return fmt.Sprintf("%s\nit ended with status %d:\n%s", problem, status, out)
}

// elsewherePoints are those that other processes pass than the one that is started,
// and those that it passes only where such a one is late.
var elsewherePoints = regexp.MustCompile(`^(holder[.]run|cgroup[.]write|supervisor[.](log|listen|save|kill)|process)[.]`)

// wrongEnd checks a command's exit status and message.
func (r *trials) wrongEnd(p point, fault string, status int, out string) string {
	statuses := map[string][]int{"error": {0, 4, 5}, "panic": {5}, "kill": {137}, "int": {0, 130}}[fault]
	// The process that keeps the namespaces, and the one that runs those of the nodes,
	// are not the one that is started.
	elsewhere := elsewherePoints.MatchString(p.name) || r.rootless() && strings.HasPrefix(p.name, "netns.dir.")
	if elsewhere {
		statuses = []int{0, 4, 5, 130, 137}
	}
	ok := false
	for _, s := range statuses {
		ok = ok || s == status
	}
	switch {
	case !ok:
		return fmt.Sprintf("the exit status is none of %v", statuses)
	case fault == "panic" && !elsewhere && !strings.Contains(out, "this is a bug in nslab: failpoint "+p.name):
		return "the message does not tell of the bug"
	case status == 4 && !elsewhere && !strings.Contains(out, "hint:") && !strings.Contains(out, p.name) && fault == "error":
		return "the message does not tell what failed"
	case status == 130 && !r.rootless() && !strings.Contains(out, "interrupted"):
		return "the message does not tell of the interrupt"
	case r.up && strings.Contains(out, "by hand"):
		return "something was left"
	}
	return ""
}

// afterUp checks that the lab is as the file says, after an up again where the first
// was killed or could not do all.
func (r *trials) afterUp(again bool) (problem string) {
	if again {
		r.must(r.command...)
	}
	if d := r.after.same(lookAtHost(r.t)); d != "" {
		problem = "it is not as it should be:\n" + d
	}
	if status, out := r.run("", append(r.command[:len(r.command)-2:len(r.command)-2], "plan", "--check", r.command[len(r.command)-1])...); status != 0 {
		problem += fmt.Sprintf("plan --check: status %d\n%s", status, out)
	}
	r.restore()
	return problem
}

// afterKill checks that down finds everything that a killed up left, without what
// nslab itself wrote down.
func (r *trials) afterKill() (problem string) {
	os.RemoveAll("/run/nslab")
	r.must(r.down...)
	if d := r.nothing.verySame(lookAtHost(r.t)); d != "" {
		problem = "down leaves:\n" + d
	}
	r.restore()
	return problem
}

// afterDown checks that nothing is left, at the latest after another down.
func (r *trials) afterDown(status int) (problem string) {
	if status != 0 {
		r.must(r.down...)
	}
	if d := r.nothing.verySame(lookAtHost(r.t)); d != "" {
		problem = "down leaves:\n" + d
	}
	r.restore()
	return problem
}

// removeNetnsDir takes /run/netns away, so that nslab is the first to make it.
func removeNetnsDir(t *testing.T) {
	t.Helper()
	if err := syscall.Unmount("/run/netns", 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove("/run/netns"); err != nil {
		t.Fatal(err)
	}
}

// makeNetnsDir makes it as the sandbox has it.
func makeNetnsDir(t *testing.T) {
	if err := os.Mkdir("/run/netns", 0o755); err != nil {
		t.Error(err)
	}
	if err := syscall.Mount("/run/netns", "/run/netns", "", syscall.MS_BIND, ""); err != nil {
		t.Error(err)
	}
	if err := syscall.Mount("", "/run/netns", "", syscall.MS_SHARED, ""); err != nil {
		t.Error(err)
	}
}
