package e2e

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nslab/e2e/sandbox"
)

var (
	walkSeed  = flag.Uint64("walk.seed", 1, "seed of the random walk; 0: the time")
	walkSteps = flag.Int("walk.steps", 8, "steps of the random walk")
	walkTime  = flag.Duration("walk.time", 0, "how long to walk, instead of a number of steps")
)

// testWalk goes from one random file to the next, kills nslab in between, and
// changes the lab by hand. After each step the lab is as if its file had been
// brought up from nothing, for whatever ip, bridge, tc, nft and sysctl know, and
// nothing is left to do; without the lab nothing is left at all.
func testWalk(t *testing.T) {
	seed := *walkSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	empty, err := sandbox.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	w := &walker{running: running{t, "walk"}, rng: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir(), empty: empty}
	defer w.nslab(0, "down", "walk")
	steps, findings := 0, 0
	for end := time.Now().Add(*walkTime); ; steps++ {
		if *walkTime == 0 && steps == *walkSteps || *walkTime > 0 && time.Now().After(end) {
			break
		}
		kind := w.kind(steps)
		if !t.Run(fmt.Sprintf("%d-%s", steps, kind.name), func(t *testing.T) {
			w.t = t
			kind.do(w)
			if t.Failed() {
				t.Logf("seed %d; from\n%s\nto\n%s", seed, w.now.text, w.then.text)
			}
		}) {
			findings++
			w.t = t
			w.again()
		}
		w.t = t
	}
	fmt.Printf("soak: %d steps, %d kills, %d drifts, %d findings (seed %d)\n", steps, w.kills, w.drifts, findings, seed)
}

type walker struct {
	running
	rng   *rand.Rand
	dir   string         // of the files
	empty *sandbox.State // what there is without the lab
	now   randomLab      // that runs
	then  randomLab      // that is next
	shown []string       // what is shown of it
	took  time.Duration  // by the last up

	kills, drifts int
}

// stepKind is one of the things that a walk does.
type stepKind struct {
	name   string
	weight int
	do     func(*walker)
}

var stepKinds = []stepKind{
	{"change", 3, (*walker).change},
	{"killed-up", 3, (*walker).killedUp},
	{"killed-down", 1, (*walker).killedDown},
	{"by-hand", 4, (*walker).byHand},
}

// kind draws one; the first step needs a lab.
func (w *walker) kind(step int) stepKind {
	if step == 0 {
		return stepKinds[0]
	}
	all := 0
	for _, k := range stepKinds {
		all += k.weight
	}
	n := w.rng.IntN(all)
	for _, k := range stepKinds {
		if n -= k.weight; n < 0 {
			return k
		}
	}
	panic("unreachable")
}

func (w *walker) oneIn(n int) bool { return w.rng.IntN(n) == 0 }

// next draws a lab that nslab takes: what the kernel would refuse, such as a
// route by a link that is down, nslab finds.
func (w *walker) next() randomLab {
	var out []byte
	for range 100 {
		lab := newRandomLab(w.t, w.rng)
		var err error
		if out, err = exec.Command("nslab", "validate", "-q", w.write(lab)).CombinedOutput(); err == nil {
			w.then = lab
			return lab
		}
	}
	w.t.Fatalf("no file that is valid:\n%s", out)
	return randomLab{}
}

// write gives the file of a lab.
func (w *walker) write(lab randomLab) string {
	file := filepath.Join(w.dir, "lab.yaml")
	if err := os.WriteFile(file, lab.text, 0o644); err != nil {
		w.t.Fatal(err)
	}
	return file
}

func (w *walker) up(lab randomLab) {
	w.t.Helper()
	start := time.Now()
	file := w.write(lab)
	w.nslab(0, "up", "-q", file)
	w.took = time.Since(start)
	w.nslab(0, "plan", "-q", "--check", file)
}

// anew takes down what there is, of which nothing may be left, and brings the
// lab up from nothing.
func (w *walker) anew(lab randomLab) {
	w.t.Helper()
	w.down()
	w.up(lab)
	w.now, w.shown = lab, w.show()
}

func (w *walker) down() {
	w.t.Helper()
	w.nslab(0, "down", "walk")
	if left := remaining(w.empty); left != "" {
		w.t.Errorf("left behind:\n%s", left)
	}
}

// again goes on after a finding.
func (w *walker) again() {
	exec.Command("nslab", "down", "-q", "walk").Run()
	if remaining(w.empty) != "" {
		removeAll()
	}
	if w.now.text != nil {
		w.anew(w.now)
	}
}

// change goes to another file: first up is interrupted, which must change
// nothing, then done, and what stays is the very same.
func (w *walker) change() {
	next := w.next()
	w.interrupted(next)
	before := w.identities()
	plan, _ := exec.Command("nslab", "plan", "-q", w.write(next)).Output()
	w.up(next)
	after := w.identities()
	for thing, is := range w.now.things {
		if next.things[thing] == is && before[thing] != after[thing] {
			w.t.Errorf("%s was %s and is %s", thing, before[thing], after[thing])
		}
	}
	w.compare(next)
	if w.t.Failed() {
		w.t.Logf("plan:\n%s", plan)
	}
}

// compare makes the lab that runs anew, and compares.
func (w *walker) compare(lab randomLab) {
	changed := w.show()
	w.anew(lab)
	if d := difference(w.shown, changed); d != "" {
		w.t.Errorf("changed (+), it is not as when it is new (-):\n%s", d)
	}
}

// interrupted begins an up, and interrupts it at some moment.
func (w *walker) interrupted(lab randomLab) {
	ids := w.identities()
	cmd := exec.Command("nslab", "up", "-q", w.write(lab))
	var out bytes.Buffer
	cmd.Stderr = &out
	w.endAfter(cmd, os.Interrupt)
	switch cmd.ProcessState.ExitCode() {
	case 0: // it was faster; back to what there was
		if w.now.text != nil {
			w.anew(w.now)
		} else {
			w.down()
		}
	case 130:
		if d := difference(w.shown, w.show()); d != "" || !maps.Equal(ids, w.identities()) {
			w.t.Errorf("interrupted, it is not as before:\n%s%s", &out, d)
		}
	default: // by the signal itself, where it came before nslab listened
		if cmd.ProcessState.Exited() {
			w.t.Errorf("interrupted: %v\n%s", cmd.ProcessState, &out)
		}
	}
}

// endAfter runs nslab and sends it a signal at some moment of the time that it
// is likely to take.
func (w *walker) endAfter(cmd *exec.Cmd, sig os.Signal) {
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	likely := max(w.took, 50*time.Millisecond)
	after := time.Duration(w.rng.Int64N(int64(likely)))
	timer := time.AfterFunc(after, func() { cmd.Process.Signal(sig) })
	defer timer.Stop()
	cmd.Wait()
}

// killedUp kills up on its way to another file. The next up goes on from there,
// to that file or back to the one before, unless down comes first.
func (w *walker) killedUp() {
	next := w.next()
	w.kills++
	w.endAfter(exec.Command("nslab", "up", "-q", w.write(next)), os.Kill)
	switch w.rng.IntN(4) {
	case 0:
		w.anew(next)
	case 1:
		back := w.now
		w.up(back)
		w.compare(back)
	default:
		w.up(next)
		w.compare(next)
	}
}

// killedDown kills down. The next down does the rest, or up brings it all back.
func (w *walker) killedDown() {
	w.kills++
	w.endAfter(exec.Command("nslab", "down", "-q", "walk"), os.Kill)
	if w.oneIn(2) {
		w.anew(w.now)
		return
	}
	w.up(w.now)
	w.compare(w.now)
}

// byHand changes a few things in nodes of the lab. What can be seen plan sees,
// and up repairs.
func (w *walker) byHand() {
	w.drifts++
	var did []string
	for range 1 + w.rng.IntN(3) {
		did = append(did, w.handiwork()...)
	}
	file := w.write(w.now)
	changed := difference(w.shown, w.show())
	plan, err := exec.Command("nslab", "plan", "-q", "--check", file).CombinedOutput()
	if changed != "" && err == nil {
		w.t.Errorf("plan shows nothing of\n%s", changed)
	}
	w.nslab(0, "up", "-q", file)
	w.nslab(0, "plan", "-q", "--check", file)
	if d := w.settled(w.shown); d != "" {
		w.t.Errorf("repaired (+), it is not as it was (-):\n%s", d)
	}
	if w.t.Failed() {
		w.t.Logf("by hand:\n%s\nplan:\n%s", strings.Join(did, "\n"), plan)
	}
}

// handiwork is one thing done by hand in some node, as the commands that did it.
func (w *walker) handiwork() []string {
	for range 20 {
		spaces := w.namespaces()
		if len(spaces) == 0 {
			return nil
		}
		ns := filepath.Base(spaces[w.rng.IntN(len(spaces))])
		links := w.linksOf(ns)
		if len(links) == 0 {
			continue
		}
		script := handiworks[w.rng.IntN(len(handiworks))]
		cmd := exec.Command("sh", "-e", "-c", script, "sh", ns, links[w.rng.IntN(len(links))], fmt.Sprint(w.rng.IntN(9)))
		if cmd.Run() == nil {
			return []string{ns + ": " + cmd.Args[5] + " " + cmd.Args[6] + ": " + script}
		}
	}
	return nil
}

// linksOf are the interfaces of a namespace but for lo.
func (w *walker) linksOf(ns string) []string {
	var names []string
	_, node, _ := strings.Cut(ns, ".")
	for id := range w.identities() {
		if name, ok := strings.CutPrefix(id, node+":"); ok && name != "lo" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
