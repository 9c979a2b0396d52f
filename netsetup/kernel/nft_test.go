package kernel_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"nslab/netsetup"
	"nslab/netsetup/kerneltest"
	"nslab/netsetup/netns"
	"nslab/netsetup/nft"
)

// needNft fails a test where the nft program is missing, which loads what nslab
// is to read and shows what it has written: scripts/install-test-tools has it.
func needNft(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Fatal("needs the nft program; `make tools` installs it (Debian: nftables)")
	}
}

// load has nft read a text in a namespace.
func load(t testing.TB, namespace, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ruleset")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "ip", "netns", "exec", namespace, "nft", "-f", file)
}

// ofCounters is what rules have counted.
var ofCounters = regexp.MustCompile(`"(bytes|packets)":\d+`)

// listing is what nft shows of a namespace, table by table, without what the
// kernel numbers and counts.
func listing(t testing.TB, namespace string) string {
	t.Helper()
	out, err := exec.Command("ip", "netns", "exec", namespace, "nft", "-j", "list", "ruleset").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatal(err)
	}
	tables := make(map[string]string)
	for _, x := range all["nftables"].([]any) {
		for kind, o := range x.(map[string]any) {
			o := o.(map[string]any)
			if kind == "metainfo" {
				continue
			}
			delete(o, "handle")
			table := o["table"]
			if kind == "table" {
				table = o["name"]
			}
			line, err := json.Marshal(x)
			if err != nil {
				t.Fatal(err)
			}
			tables[fmt.Sprint(o["family"], table)] += string(ofCounters.ReplaceAll(line, []byte(`"$1":0`))) + "\n"
		}
	}
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(tables)) {
		b.WriteString(tables[k])
	}
	return b.String()
}

// readTables gives the tables of namespace t.a of the lab pair.
func readTables(t testing.TB, k netsetup.Kernel, want *netsetup.State) []netsetup.Table {
	t.Helper()
	s, err := k.Observe(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	return namespaceOf(t, s, "t.a").Tables
}

// TestTablesAgain reads what nft has loaded, makes the same in another
// namespace, and compares what nft shows of both.
func TestTablesAgain(t *testing.T) {
	needNft(t)
	archive, err := txtar.ParseFile("testdata/rulesets.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range archive.Files {
		t.Run(f.Name, func(t *testing.T) {
			k := newKernel(t)
			want := pair()
			up(t, k, want)
			load(t, "t.a", string(f.Data))
			a, b := &want.Namespaces[0], &want.Namespaces[1]
			for _, table := range readTables(t, k, want) {
				if table.Origin != netsetup.Manual || table.Lab != "" {
					t.Errorf("%s %s is not unmarked", table.Family, table.Name)
				}
				table.Origin, table.Lab = netsetup.Ours, "t"
				b.Tables = append(b.Tables, table)
			}
			if len(b.Tables) == 0 {
				t.Fatal("read no tables")
			}
			up(t, k, want)
			if got, want := listing(t, "t.b"), listing(t, "t.a"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			plan, err := netsetup.Up(t.Context(), k, want, netsetup.Options{})
			if err != nil || !plan.Empty() {
				t.Errorf("a second up: %v, %v", plan, err)
			}
			// A table of a wanted name that is not marked is replaced.
			a.Tables = b.Tables
			up(t, k, want)
			if got, want := listing(t, "t.b"), listing(t, "t.a"); got != want {
				t.Errorf("in place of nft's: got\n%s\nwant\n%s", got, want)
			}
			// Ours go when they are not wanted.
			a.Tables, b.Tables = nil, nil
			up(t, k, want)
			if left := listing(t, "t.a") + listing(t, "t.b"); left != "" {
				t.Errorf("left %s", left)
			}
		})
	}
}

// bulk is a table of many rules and of a set of many elements.
func bulk(rules, elements int) string {
	var b strings.Builder
	b.WriteString("table inet bulk {\n\tset hosts {\n\t\ttype ipv4_addr\n\t\telements = {\n")
	for i := range elements {
		fmt.Fprintf(&b, "10.%d.%d.%d,\n", i>>16, i>>8&255, i&255)
	}
	b.WriteString("\t}\n\t}\n\tchain input {\n\t\ttype filter hook input priority 0; policy accept;\n")
	for i := range rules {
		fmt.Fprintf(&b, "\t\tip saddr 192.0.%d.%d tcp dport %d counter accept\n", i>>8&255, i&255, i%60000+1)
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

// TestTablesInBulk writes 5000 rules and 10 000 elements in one go, reads them
// back, and compares the time with nft's. What an ordinary user may send at once
// is bounded; the error says so.
func TestTablesInBulk(t *testing.T) {
	needNft(t)
	k := newKernel(t)
	want := pair()
	up(t, k, want)
	text := bulk(5000, 10000)
	want.Namespaces[1].Tables = kerneltest.Tables("t", text)
	start := time.Now()
	_, err := netsetup.Up(t.Context(), k, want, netsetup.Options{})
	ours := time.Since(start)
	if limit := new(netns.LimitError); errors.As(err, &limit) && limit.Limit == "net.core.wmem_max" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	tables := namespaceOf(t, observe(t, k, want), "t.b").Tables
	content := tables[0].Content
	if n := len(content.Chains[0].Rules); n != 5000 {
		t.Errorf("read %d rules", n)
	}
	if n := len(content.Sets[0].Elements); n != 10000 {
		t.Errorf("read %d elements", n)
	}
	if !nft.Same(content, want.Namespaces[1].Tables[0].Content) {
		t.Error("what was read back is not what was written")
	}
	start = time.Now()
	cmd := exec.Command("ip", "netns", "exec", "t.a", "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "Message too long") {
			t.Skipf("without privilege over the host nft cannot load as much: %s", out)
		}
		t.Fatalf("nft: %v\n%s", err, out)
	}
	ofNft := time.Since(start)
	if listing(t, "t.a") != listing(t, "t.b") {
		t.Error("nft has loaded something else")
	}
	t.Logf("up, reading back included: %v; nft -f: %v; ratio %.2f", ours, ofNft, ours.Seconds()/ofNft.Seconds())
}

// TestTableMark: nft shows a marked table and its comment.
func TestTableMark(t *testing.T) {
	needNft(t)
	k := newKernel(t)
	want := pair()
	want.Namespaces[0].Tables = []netsetup.Table{{Lab: "t", Family: nft.FamilyInet, Name: "x",
		Content: &nft.Table{Family: nft.FamilyInet, Name: "x", Comment: "a comment"}}}
	up(t, k, want)
	if out := run(t, "ip", "netns", "exec", "t.a", "nft", "list", "ruleset"); !strings.Contains(out, `comment "a comment"`) {
		t.Error(out)
	}
	if tables := readTables(t, k, want); len(tables) != 1 || tables[0].Lab != "t" || tables[0].Origin != netsetup.Ours {
		t.Errorf("%+v", tables)
	}
}

// TestRefusedRule: nothing of a transaction is carried out of which a part is
// refused, and the error names the part.
func TestRefusedRule(t *testing.T) {
	k := newKernel(t)
	want := pair()
	up(t, k, want)
	rule := func(name string) *nft.Rule { return &nft.Rule{Text: name, Exprs: []nft.Expression{{Name: name}}} }
	want.Namespaces[0].Tables = []netsetup.Table{
		{Lab: "t", Family: nft.FamilyIP, Name: "a", Content: &nft.Table{Family: nft.FamilyIP, Name: "a"}},
		{Lab: "t", Family: nft.FamilyIP, Name: "b", Content: &nft.Table{Family: nft.FamilyIP, Name: "b", Chains: []*nft.Chain{
			{Name: "c", Rules: []*nft.Rule{rule("notrack"), rule("nonsense"), rule("notrack")}},
		}}},
	}
	_, err := netsetup.Up(t.Context(), k, want, netsetup.Options{})
	if err == nil || !strings.Contains(err.Error(), "add table ip b in t.a: rule of chain c: nonsense: no such file or directory") {
		t.Errorf("got %v", err)
	}
	if tables := readTables(t, k, want); len(tables) > 0 {
		t.Errorf("left %d tables", len(tables))
	}
}
