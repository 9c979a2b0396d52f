package e2e

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// testByHand has faults that stay, so that a rollback cannot do all: what it says is
// left to be done, done by hand, leads back to what was there before.
func testByHand(t *testing.T, nslab string) {
	one, two := fixture("one"), fixture("two")
	for _, c := range []struct {
		name   string
		before []string
		faults string
	}{
		{"namespaces stay", nil, "kernel.batch.before#18=error,netns.unmount.before#1+=error"},
		{"nothing can be sent any more", words("up", one), "kernel.batch.before#9+=error"},
		{"nothing can be sent any more, later", words("up", one), "kernel.batch.before#13+=error"},
		{"tables stay", words("up", one), "kernel.nft.after#2=error,kernel.nft.before#3+=error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			output(t, "", words("ip netns add theirs")...)
			defer removeAll()
			r := &trials{failpoints: &failpoints{nslab: nslab}, t: t}
			if c.before != nil {
				r.must(c.before...)
			}
			before := lookAtHost(t)
			status, out := r.run("NSLAB_FAILPOINT="+c.faults, "up", two)
			if status != 5 || !strings.Contains(out, "rolled back, but not all of it") {
				t.Fatalf("status %d\n%s", status, out)
			}
			commands := 0
			for _, l := range strings.Split(out, "\n") {
				if command, ok := strings.CutPrefix(l, "to be done by hand: "); ok {
					commands++
					text, err := exec.Command("sh", "-c", command).CombinedOutput()
					// The other end of a link goes with a namespace, some time after its name.
					if err != nil && !strings.Contains(string(text), "Cannot find device") {
						t.Errorf("%s: %v\n%s", command, err, text)
					}
				}
			}
			after := lookAtHost(t)
			if d := difference(unmarked(before), unmarked(after)); d != "" || commands == 0 {
				t.Errorf("%d commands lead to something else:\n%s\n%s", commands, d, out)
			}
			r.must("down", "fp")
		})
	}
}

// marks are what nslab makes other than ip does, which the commands do not say.
var marks = regexp.MustCompile(` proto \S+| protocol \d+| group \S+| num[tr]xqueues \d+`)

// unmarked is what there is without them, sorted.
func unmarked(h host) []string {
	var lines []string
	for _, l := range h.lines {
		lines = append(lines, marks.ReplaceAllString(l, ""))
	}
	slices.Sort(lines)
	return lines
}
