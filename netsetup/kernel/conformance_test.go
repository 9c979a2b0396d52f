package kernel_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nslab/netsetup"
	"nslab/netsetup/nft"
	"nslab/topology"
)

// TestConformance gives every text of the corpus to nft in one namespace and to
// nslab in another, and compares what nft lists of both: each rule, each set,
// each chain and so on is to be the same.
func TestConformance(t *testing.T) {
	needNft(t)
	files, err := filepath.Glob("../nft/testdata/conformance/*.nft")
	if err != nil {
		t.Fatal(err)
	}
	var all, rules tally
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".nft"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			k := newKernel(t)
			want := twins()
			up(t, k, want)
			load(t, "t.a", string(text))
			theirs := listed(t, "t.a")
			for what := range theirs {
				all.of++
				if isRule(what) {
					rules.of++
				}
			}
			want.Namespaces[1].Tables = tablesOf(t, string(text))
			up(t, k, want)
			ours := listed(t, "t.b")
			same := func(what string) bool { return ours[what] == theirs[what] }
			for _, what := range slices.Sorted(maps.Keys(theirs)) {
				if !same(what) {
					t.Errorf("%s\nof nslab: %s\nof nft:   %s", what, ours[what], theirs[what])
					continue
				}
				all.equal++
				if isRule(what) {
					rules.equal++
				}
			}
			for _, what := range slices.Sorted(maps.Keys(ours)) {
				if _, there := theirs[what]; !there {
					t.Errorf("%s\nof nslab: %s\nof nft there is none", what, ours[what])
				}
			}
		})
	}
	t.Logf("%v equal; of them rules: %v", all, rules)
}

// tally is how many of how many are equal.
type tally struct{ equal, of int }

func (c tally) String() string { return fmt.Sprintf("%d of %d", c.equal, c.of) }

// twins is the lab t of two namespaces with the same interfaces, which are down,
// so that no packet is counted or put into a set.
func twins() *netsetup.State {
	s := &netsetup.State{Lab: "t"}
	for _, name := range []string{"t.a", "t.b"} {
		n := netsetup.Namespace{Name: name, Links: []netsetup.Link{loopback(name)}}
		for i := range 4 {
			l := veth(fmt.Sprint("eth", i), name, fmt.Sprint("eth", i^1))
			l.Up, l.Index = false, 10+i
			n.Links = append(n.Links, l)
		}
		s.Namespaces = append(s.Namespaces, n)
	}
	return s
}

// tablesOf compiles a text for a node of the lab t.
func tablesOf(t testing.TB, text string) []netsetup.Table {
	t.Helper()
	file, errs := nft.Parse(text)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	rules, errs := nft.Compile(file, nil)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	source := &topology.Nftables{Text: text, File: file, Ruleset: rules}
	var list []netsetup.Table
	for _, c := range rules.Tables {
		list = append(list, netsetup.Table{Lab: "t", Family: c.Family, Name: c.Name, Content: c, Source: source})
	}
	return list
}

const ruleWord = "rule "

func isRule(what string) bool { return strings.HasPrefix(what, ruleWord) }

// listed is what nft lists of a namespace, as JSON without handles and remaining
// times: each thing by its kind, family, table and name; a rule by its chain and
// its place in it.
func listed(t testing.TB, namespace string) map[string]string {
	t.Helper()
	out, err := exec.Command("ip", "netns", "exec", namespace, "nft", "-j", "list", "ruleset").Output()
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Nftables []map[string]map[string]any }
	d := json.NewDecoder(bytes.NewReader(out))
	d.UseNumber() // a mark of 32 bits is not a float
	if err := d.Decode(&list); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	places := make(map[string]int)
	for _, entry := range list.Nftables {
		for kind, o := range entry {
			what := fmt.Sprint(kind, " ", o["family"], " ")
			switch kind {
			case "metainfo":
				continue
			case "table":
				what += fmt.Sprint(o["name"])
			case "rule":
				what += fmt.Sprint(o["table"], " ", o["chain"])
				places[what]++
				what += fmt.Sprintf(" %4d", places[what])
			default:
				what += fmt.Sprint(o["table"], " ", o["name"])
			}
			all[what] = jsonOf(t, steady(t, o))
		}
	}
	return all
}

// steady takes out what the kernel numbers and what time changes, and sorts the
// elements of sets, whose order means nothing.
func steady(t testing.TB, v any) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "handle")
		delete(v, "expires")
		for k, x := range v {
			x = steady(t, x)
			if list, is := x.([]any); is && (k == "set" || k == "elem") {
				slices.SortFunc(list, func(a, b any) int { return strings.Compare(jsonOf(t, a), jsonOf(t, b)) })
			}
			v[k] = x
		}
	case []any:
		for i := range v {
			v[i] = steady(t, v[i])
		}
	}
	return v
}

func jsonOf(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestListedDiffers: a rule that is another one, or at another place, does not
// pass for equal; the order of elements and what is numbered does.
func TestListedDiffers(t *testing.T) {
	needNft(t)
	k := newKernel(t)
	up(t, k, twins())
	const rest = "table ip x { chain y { type filter hook input priority 0; tcp dport { 1, 2 } accept; "
	load(t, "t.a", "table ip w { chain z { accept; }; }\n"+rest+"ip saddr 10.0.0.1 drop; counter; }; }")
	load(t, "t.b", rest+"ip saddr 10.0.0.2 drop; counter; accept; }; }")
	a, b := listed(t, "t.a"), listed(t, "t.b")
	var differ []string
	for what := range a {
		if a[what] != b[what] {
			differ = append(differ, what)
		}
	}
	for what := range b {
		if _, there := a[what]; !there {
			differ = append(differ, what)
		}
	}
	slices.Sort(differ)
	want := []string{"chain ip w z", "rule ip w z    1", "rule ip x y    2", "rule ip x y    4", "table ip w"}
	if !slices.Equal(differ, want) {
		t.Errorf("differ: %q, want %q", differ, want)
	}
}
