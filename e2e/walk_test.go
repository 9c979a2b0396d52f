package e2e

import (
	"bytes"
	"flag"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

var (
	walkSeed  = flag.Uint64("walk.seed", 1, "seed of the walk through random files; 0: the time")
	walkSteps = flag.Int("walk.steps", 6, "steps of the walk through random files")
)

// testWalk goes from one random file to the next. Each step is first begun and
// interrupted, which must change nothing, and then done: what stays is the very
// same, nothing is left to do, and all is as if the file had been brought up from
// nothing. What there is, ip, bridge and sysctl say.
func testWalk(t *testing.T) {
	seed := *walkSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	w := &walker{running: running{t, "walk"}, rng: rand.New(rand.NewPCG(seed, 0)), file: filepath.Join(t.TempDir(), "lab.yaml")}
	defer w.nslab(0, "down", "walk")
	for step := range *walkSteps {
		next := w.next()
		w.interrupted()
		w.step(next)
		if t.Failed() {
			t.Fatalf("step %d; from\n%s\nto\n%s", step, w.now.text, next.text)
		}
		w.now = next
	}
}

type walker struct {
	running
	rng   *rand.Rand
	file  string    // of the lab that is next
	now   randomLab // that runs
	shown []string  // what is shown of it
}

// next writes the file of a random lab that nslab takes: what the kernel would
// refuse, such as a route by a link that is down, nslab finds.
func (w *walker) next() randomLab {
	var out []byte
	for range 100 {
		lab := newRandomLab(w.t, w.rng)
		if err := os.WriteFile(w.file, lab.text, 0o644); err != nil {
			w.t.Fatal(err)
		}
		var err error
		if out, err = exec.Command("nslab", "validate", "-q", w.file).CombinedOutput(); err == nil {
			return lab
		}
	}
	w.t.Fatalf("no file that is valid:\n%s", out)
	return randomLab{}
}

// interrupted begins an up, and interrupts it at some moment.
func (w *walker) interrupted() {
	ids := w.identities()
	cmd := exec.Command("nslab", "up", "-q", w.file)
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	timer := time.AfterFunc(time.Duration(w.rng.IntN(150))*time.Millisecond, func() { cmd.Process.Signal(os.Interrupt) })
	defer timer.Stop()
	cmd.Wait()
	switch cmd.ProcessState.ExitCode() {
	case 0: // it was faster; back to what there was
		w.nslab(0, "down", "walk")
		if w.now.text != nil {
			w.up(w.now)
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

// up brings a lab up from nothing.
func (w *walker) up(lab randomLab) {
	file := w.file + ".up.yaml"
	if err := os.WriteFile(file, lab.text, 0o644); err != nil {
		w.t.Fatal(err)
	}
	w.nslab(0, "up", "-q", file)
}

// step goes to the lab whose file is next.
func (w *walker) step(lab randomLab) {
	before := w.identities()
	plan, _ := exec.Command("nslab", "plan", "-q", w.file).Output()
	w.nslab(0, "up", "-q", w.file)
	w.nslab(0, "plan", "-q", "--check", w.file)
	after := w.identities()
	for thing, is := range w.now.things {
		if lab.things[thing] == is && before[thing] != after[thing] {
			w.t.Errorf("%s was %s and is %s", thing, before[thing], after[thing])
		}
	}
	changed := w.show()
	w.nslab(0, "down", "walk")
	w.up(lab)
	w.shown = w.show()
	if d := difference(w.shown, changed); d != "" {
		w.t.Errorf("changed (+), it is not as when it is new (-):\n%s", d)
	}
	if w.t.Failed() {
		w.t.Logf("plan:\n%s", plan)
	}
}
