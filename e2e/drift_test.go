package e2e

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write what plan shows into testdata/drift/cases.txtar")

const (
	driftLab   = "testdata/drift/lab.yaml"
	driftCases = "testdata/drift/cases.txtar"
)

// numbers are those that a repaired interface gets back; which depends on what
// was made before.
var numbers = regexp.MustCompile(` index \d+`)

// driftCase is something that somebody does by hand to a running lab.
type driftCase struct {
	commands []string // of a shell
	plan     []string // the lines that plan shows
	anew     []string // NODE or NODE:INTERFACE that is another one after the repair
}

// testDrift changes a running lab by hand, in each way that there is. plan and
// ps name it; up does what plan named and nothing else; then all is as it was
// before, for whatever ip, bridge, tc, nft and sysctl know, and what did not
// have to be made anew is the very same.
func testDrift(t *testing.T) {
	cases, err := txtar.ParseFile(driftCases)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t, "d"}
	r.nslab(0, "up", "-q", driftLab)
	if t.Failed() {
		return
	}
	defer r.nslab(0, "down", "d")
	before := r.show()
	for i := range cases.Files {
		f := &cases.Files[i]
		ok := t.Run(f.Name, func(t *testing.T) {
			r := &running{t, "d"}
			want := parseDriftCase(f.Data)
			got := r.drift(want.commands, before)
			text := numbers.ReplaceAll(got.text(), []byte(" index N"))
			if *update {
				f.Data = text
			} else if !bytes.Equal(text, f.Data) {
				t.Errorf("got\n%s", text)
			}
		})
		if !ok { // for the sake of those that follow
			r.nslab(0, "down", "d")
			r.nslab(0, "up", "-q", driftLab)
			before = r.show()
		}
	}
	fmt.Printf("drift: %d kinds of change tried\n", len(cases.Files))
	if *update {
		if err := os.WriteFile(driftCases, txtar.Format(cases), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// drift does one thing by hand and repairs it.
func (r *running) drift(commands []string, before []string) driftCase {
	got := driftCase{commands: commands}
	ids := r.identities()
	script := "set -e\n" + strings.Join(commands, "\n")
	if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
		r.t.Fatalf("%v\n%s", err, out)
	}
	got.plan = lines(r.nslab(6, "plan", "-q", "--check", driftLab))
	if shown := lines(r.nslab(6, "ps", "-q", "--drift", "d")); !slices.Equal(shown, got.plan) {
		r.t.Errorf("ps --drift shows\n%s\nplan shows\n%s", strings.Join(shown, "\n"), strings.Join(got.plan, "\n"))
	}
	did, planned := lines(r.nslab(0, "up", "-q", "-v", driftLab)), commandsOf(got.plan)
	slices.Sort(did)
	did = slices.DeleteFunc(did, baseOf(got.plan))
	if !slices.Equal(did, planned) {
		r.t.Errorf("up did\n%s\nplan had\n%s", strings.Join(did, "\n"), strings.Join(planned, "\n"))
	}
	r.nslab(0, "plan", "-q", "--check", driftLab)
	if d := r.settled(before); d != "" {
		r.t.Errorf("before (-) and after the repair (+):\n%s", d)
	}
	now := r.identities()
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		node, _, isLink := strings.Cut(id, ":")
		if ids[id] != now[id] && !(isLink && slices.Contains(got.anew, node)) {
			got.anew = append(got.anew, id)
		}
	}
	return got
}

// settled is the difference to before once the kernel has done what it does by
// itself.
func (r *running) settled(before []string) string {
	for end := time.Now().Add(3 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if d := difference(before, r.show()); d == "" || time.Now().After(end) {
			return d
		}
	}
}

func lines(s string) []string {
	if s = strings.TrimSpace(s); s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// commandsOf are those of a plan's lines, sorted. What is in a table, which
// follows it, is no command of its own.
func commandsOf(plan []string) []string {
	var list []string
	inTable := false
	for _, l := range plan {
		command := l[2:]
		isTable := !inTable && strings.Contains(command, " nft add table ") || strings.Contains(command, " nft replace table ")
		inTable = isTable || inTable && strings.Contains(command, " nft ")
		if isTable || !inTable {
			list = append(list, command)
		}
	}
	slices.Sort(list)
	return list
}

// baseOf tells the commands that a plan does not show: what every new namespace
// begins with.
func baseOf(plan []string) func(command string) bool {
	made := ""
	for _, l := range plan {
		if name, ok := strings.CutPrefix(l, "+ ip netns add "); ok {
			made = name
		}
	}
	return func(command string) bool {
		return made != "" && !slices.Contains(plan, "~ "+command) && !slices.Contains(plan, "+ "+command) &&
			(strings.Contains(command, made+" sysctl -w ") || strings.HasSuffix(command, made+" link set lo up"))
	}
}

func parseDriftCase(data []byte) (c driftCase) {
	for _, l := range lines(string(data)) {
		switch word, rest, _ := strings.Cut(l, " "); word {
		case "$":
			c.commands = append(c.commands, rest)
		case "!":
			c.anew = append(c.anew, rest)
		default:
			c.plan = append(c.plan, l)
		}
	}
	return c
}

func (c driftCase) text() []byte {
	var b bytes.Buffer
	for _, l := range c.commands {
		b.WriteString("$ " + l + "\n")
	}
	for _, l := range c.plan {
		b.WriteString(l + "\n")
	}
	for _, l := range c.anew {
		b.WriteString("! " + l + "\n")
	}
	return b.Bytes()
}
