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
	"regexp"
	"slices"
	"strings"
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
	w := &walker{t: t, rng: rand.New(rand.NewPCG(seed, 0)), file: filepath.Join(t.TempDir(), "lab.yaml")}
	defer w.nslab(0, "down", "walk")
	for step := range *walkSteps {
		next := w.next()
		w.interrupted()
		w.step(next)
		if t.Failed() {
			t.Fatalf("step %d; from\n%s\nto\n%s", step, w.lab.text, next.text)
		}
		w.lab = next
	}
}

type walker struct {
	t     *testing.T
	rng   *rand.Rand
	file  string    // of the lab that is next
	lab   randomLab // that runs
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

// nslab runs the program, which must end with that status.
func (w *walker) nslab(status int, args ...string) string {
	w.t.Helper()
	cmd := exec.Command("nslab", args...)
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != status {
		w.t.Errorf("%s: status %d, want %d\n%s", cmd, got, status, out)
	}
	return string(out)
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
		if w.lab.text != nil {
			w.up(w.lab)
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
	for thing, is := range w.lab.things {
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

// namespaces are those of the lab.
func (w *walker) namespaces() []string {
	files, err := filepath.Glob("/run/netns/walk.*")
	if err != nil {
		w.t.Fatal(err)
	}
	return files
}

// identities are the inodes of nodes and the indexes of their interfaces, by
// NODE and NODE:INTERFACE.
func (w *walker) identities() map[string]string {
	ids := map[string]string{}
	for _, file := range w.namespaces() {
		_, node, _ := strings.Cut(filepath.Base(file), ".")
		ids[node] = strings.Fields(w.output("ls", "-i", file))[0]
		for _, l := range strings.Split(w.output("ip", "-n", filepath.Base(file), "-o", "link"), "\n") {
			if index, rest, ok := strings.Cut(l, ": "); ok {
				name, _, _ := strings.Cut(rest, ":")
				name, _, _ = strings.Cut(name, "@")
				ids[node+":"+name] = index
			}
		}
	}
	return ids
}

func (w *walker) output(name string, args ...string) string {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s %s: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// showAll shows what there is in a namespace: addresses of one family and
// interface in their order, all else sorted.
const showAll = `
ip -d -o link
ip -o address | sed -E 's/^[0-9]+: //' | sort -s -k1,2
ip route show table all
ip -6 route show table all
ip rule
ip -6 rule
ip neigh show nud permanent
bridge -d -o link
bridge fdb show | grep -E 'static|permanent'
sysctl -a --pattern '^net[.]ipv[46][.]' 2>/dev/null`

// passing is what differs from one time to another and is none of nslab's:
// numbers, timers, carriers, and what the kernel does by itself.
var passing = regexp.MustCompile(`^[0-9]+: |@[^ :]*|NO-CARRIER,|,LOWER_UP|,M-DOWN|link-netns(id)? \S+|` +
	`qdisc \S+|state \S+|linkdown|dead |tentative|nodad|[a-z_]*timer +\S+|(root|designated)_\S+ \S+|` +
	`port_(id|no) \S+|topology_change(_detected|_ack)? \S+|config_pending \S+|promiscuity.*maxmtu \S+|tso_max_size \S+`)

// ownWay are lines of what the kernel does by itself, in its own time: IPv6
// addresses of the link, groups, and settings that count or are secret.
var ownWay = regexp.MustCompile(`fe80::|ff00::|ff02::|33:33:|01:00:5e|stable_secret|base_reachable|random|` +
	`anycast|^(local|broadcast) .* table local|[.]mtu = `)

func (w *walker) show() []string {
	var all []string
	for _, file := range w.namespaces() {
		ns := filepath.Base(file)
		var lines []string
		for _, l := range strings.Split(w.output("ip", "netns", "exec", ns, "sh", "-c", showAll), "\n") {
			l = strings.Join(strings.Fields(passing.ReplaceAllString(l, "")), " ")
			if l != "" && !ownWay.MatchString(l) {
				lines = append(lines, ns+" "+l)
			}
		}
		all = append(all, orderOf(lines)...)
	}
	return all
}

// orderOf sorts lines but for those of IPv4 addresses.
func orderOf(lines []string) []string {
	slices.SortStableFunc(lines, func(a, b string) int {
		return strings.Compare(beforeAddress(a), beforeAddress(b))
	})
	return lines
}

func beforeAddress(line string) string {
	if before, _, ok := strings.Cut(line, " inet "); ok {
		return before + " inet "
	}
	return line
}

// difference tells the lines that only one of the two has, and at least the
// first where the order differs.
func difference(a, b []string) string {
	var out strings.Builder
	for _, l := range a {
		if !slices.Contains(b, l) {
			fmt.Fprintf(&out, "- %s\n", l)
		}
	}
	for _, l := range b {
		if !slices.Contains(a, l) {
			fmt.Fprintf(&out, "+ %s\n", l)
		}
	}
	if out.Len() == 0 && !slices.Equal(a, b) {
		for i, l := range a {
			if i >= len(b) || b[i] != l {
				return "the order differs at " + l + "\n"
			}
		}
		return "some lines are there twice\n"
	}
	return out.String()
}
