package e2e

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"nslab/e2e/sandbox"
	"nslab/netsetup/netns"
)

// host is all that there is in the sandbox: what sandbox.Snapshot sees, and of
// every namespace what ip, bridge and nft show. ids are the inodes of namespaces
// and the indexes of interfaces.
type host struct {
	lines []string
	ids   map[string]string
}

// numbers are those that a snapshot shows of namespaces and processes, which ids
// has or nobody asks for.
var numbers = regexp.MustCompile(`net:\[\d+\]|process \d+`)

// lookAtHost reads what there is now.
func lookAtHost(t *testing.T) host {
	t.Helper()
	h := host{ids: map[string]string{}}
	s, err := sandbox.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range s.Lines() {
		if !ownWay.MatchString(l) {
			h.lines = append(h.lines, numbers.ReplaceAllString(l, "N"))
		}
	}
	slices.Sort(h.lines)
	h.look(t, "", "/proc/self/ns/net")
	names, err := netns.List("")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		h.look(t, name, filepath.Join(netns.Dir, name))
	}
	return h
}

// perFamily are the commands of ip whose answer depends on the family.
const perFamily = "route show table all\nrule\n"

// look reads one namespace.
func (h *host) look(t *testing.T, name, file string) {
	t.Helper()
	st, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	h.ids[name] = fmt.Sprint(st.Sys().(*syscall.Stat_t).Ino)
	var lines []string
	for _, c := range []struct{ stdin, command string }{
		{"link\naddr\nneigh show nud permanent\n" + perFamily, "ip -d -o -batch -"},
		{perFamily, "ip -6 -o -batch -"},
		{"link\nfdb show\n", "bridge -d -batch -"},
		{"", "nft list ruleset"},
	} {
		args := strings.Fields(c.command)
		if name != "" {
			args = append([]string{"nsenter", "--net=" + file, "--"}, args...)
		}
		for _, l := range strings.Split(output(t, c.stdin, args...), "\n") {
			if index, rest, ok := strings.Cut(l, ": "); ok && args[len(args)-1] == "-" {
				link, _, _ := strings.Cut(rest, ":")
				link, _, _ = strings.Cut(link, "@")
				h.ids[name+":"+link] = index
			}
			l = strings.Join(strings.Fields(passing.ReplaceAllString(l, "")), " ")
			if l != "" && !ownWay.MatchString(l) {
				lines = append(lines, name+" "+l)
			}
		}
	}
	h.lines = append(h.lines, orderOf(lines)...)
}

func output(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// same tells what differs from h to other; "" where nothing does.
func (h host) same(other host) string { return difference(h.lines, other.lines) }

// verySame also holds the two to be the same things, not others that look alike.
func (h host) verySame(other host) string {
	d := h.same(other)
	if !maps.Equal(h.ids, other.ids) {
		d += fmt.Sprintf("the things themselves: they were %v and are %v\n", h.ids, other.ids)
	}
	return d
}
