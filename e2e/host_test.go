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

// numbered is what a snapshot shows the numbers of namespaces and processes, which ids
// has or nobody asks for.
var numbered = regexp.MustCompile(`net:\[\d+\]|process \d+`)

// unfinished are files that are there for a moment, while another process writes
// them.
var unfinished = regexp.MustCompile(`^file /run/nslab/[^/]*/(processes|machines)[.]json[.]new`)

// lookAtHost reads what there is now.
func lookAtHost(t *testing.T) host {
	t.Helper()
	h := host{ids: map[string]string{}}
	s, err := sandbox.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range s.Lines() {
		if !ownWay.MatchString(l) && !unfinished.MatchString(l) && !strings.HasSuffix(l, ") ") { // a process that ended, and that nobody waited for yet
			l = strings.Replace(l, "(exe)", "(nslab)", 1) // until it has named itself
			h.lines = append(h.lines, numbered.ReplaceAllString(l, "N"))
		}
	}
	slices.Sort(h.lines)
	names, err := netns.List("")
	if err != nil {
		t.Fatal(err)
	}
	spaces := make([]host, len(names)+1)
	atOnce(len(spaces), func(i int) {
		name, file := "", "/proc/self/ns/net"
		if i > 0 {
			name, file = names[i-1], filepath.Join(netns.Dir, names[i-1])
		}
		var err error
		if spaces[i], err = lookInside(name, file); err != nil {
			t.Errorf("look into namespace %q: %v", name, err)
		}
	})
	for _, s := range spaces {
		h.lines = append(h.lines, s.lines...)
		maps.Copy(h.ids, s.ids)
	}
	return h
}

// linkLine is how ip and bridge begin the line of a link.
var linkLine = regexp.MustCompile(`^(\d+): ([^ :@]+)(?:@[^ :]*)?: <`)

// perFamily are the commands of ip whose answer depends on the family.
const perFamily = "route show table all\nrule\n"

// lookInside reads one namespace.
func lookInside(name, file string) (h host, err error) {
	st, err := os.Stat(file)
	if err != nil {
		return h, err
	}
	h.ids = map[string]string{name: fmt.Sprint(st.Sys().(*syscall.Stat_t).Ino)}
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
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Stdin = strings.NewReader(c.stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return h, fmt.Errorf("%s: %w\n%s", cmd, err, out)
		}
		for _, l := range strings.Split(string(out), "\n") {
			if m := linkLine.FindStringSubmatch(l); m != nil {
				h.ids[name+":"+m[2]] = m[1]
			}
			l = strings.Join(strings.Fields(passing.ReplaceAllString(l, "")), " ")
			if l != "" && !ownWay.MatchString(l) {
				h.lines = append(h.lines, name+" "+l)
			}
		}
	}
	orderOf(h.lines)
	return h, nil
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
	for _, thing := range slices.Sorted(maps.Keys(h.ids)) {
		if h.ids[thing] != other.ids[thing] {
			d += fmt.Sprintf("%s was %s and is %q\n", thing, h.ids[thing], other.ids[thing])
		}
	}
	return d
}
