package netsetup_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"nslab/netsetup"
	"nslab/netsetup/kerneltest"
	"nslab/topology"
)

const filterText = `table inet filter {
	set s { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.2 } }
	chain input {
		type filter hook input priority 0; policy drop;
		iif eth0 ip saddr @s counter accept
		quota 5 mbytes accept
	}
}`

// filtered is sample with a table in n0, up.
func filtered(t *testing.T) (*kerneltest.Kernel, *netsetup.State) {
	t.Helper()
	k, want := kerneltest.New(), sample()
	want.Namespaces[0].Tables = kerneltest.Tables("lab", filterText)
	if _, err := netsetup.Up(t.Context(), k, want, netsetup.Options{}); err != nil {
		t.Fatal(err)
	}
	return k, want
}

func TestTableDrift(t *testing.T) {
	const whole = "~ ip netns exec lab.n0 nft replace table inet filter # counters and what rules added to sets begin anew"
	// other is what was there before, but for one part of the text.
	other := func(from, to string) func(n *netsetup.Namespace) {
		return func(n *netsetup.Namespace) {
			index := uint32(link(n, "eth0").Index)
			w := kerneltest.Tables("lab", strings.Replace(filterText, from, to, 1))[0]
			n.Tables[0].Content, _ = w.Compile(func(string) (uint32, error) { return index, nil })
		}
	}
	for _, c := range []struct {
		name string
		edit func(n *netsetup.Namespace)
		want string // lines of the plan
	}{
		{"nothing", func(*netsetup.Namespace) {}, ``},
		{"counted", other("counter", "counter packets 5 bytes 6"), ``},
		{"consumed", other("5 mbytes", "5 mbytes used 1 mbytes"), ``},
		{"table removed", func(n *netsetup.Namespace) { n.Tables = nil }, `
			+ ip netns exec lab.n0 nft add table inet filter
			+ ip netns exec lab.n0 nft add set inet filter s with 2 elements
			+ ip netns exec lab.n0 nft add chain inet filter input { type filter hook input priority 0; policy drop; }
			+ ip netns exec lab.n0 nft add rule inet filter input iif eth0 ip saddr @s counter accept
			+ ip netns exec lab.n0 nft add rule inet filter input quota 5 mbytes accept`},
		{"mark removed", func(n *netsetup.Namespace) { n.Tables[0].Origin, n.Tables[0].Lab = netsetup.Manual, "" }, "\n" + whole},
		{"another's table", func(n *netsetup.Namespace) {
			t := n.Tables[0]
			t.Origin, t.Lab, t.Name = netsetup.Manual, "", "other"
			n.Tables = append(n.Tables, t)
		}, ``},
		{"table added", func(n *netsetup.Namespace) {
			t := n.Tables[0]
			t.Name = "other"
			n.Tables = append(n.Tables, t)
		}, `
			- ip netns exec lab.n0 nft delete table inet other`},
		{"policy", other("policy drop", "policy accept"), whole + `
			- ip netns exec lab.n0 nft delete chain inet filter input { type filter hook input priority 0; policy accept; }
			+ ip netns exec lab.n0 nft add chain inet filter input { type filter hook input priority 0; policy drop; }`},
		{"rule added", other("quota", "drop\n\t\tquota"), whole + `
			- ip netns exec lab.n0 nft delete rule inet filter input drop`},
		{"element removed", other("10.0.0.1, ", ""), whole + `
			+ ip netns exec lab.n0 nft add element inet filter s { 0x0a000001 }`},
		{"index changed", func(n *netsetup.Namespace) { link(n, "eth0").Index = 77 }, whole + `
			- ip netns exec lab.n0 nft delete rule inet filter input iif eth0 ip saddr @s counter accept
			+ ip netns exec lab.n0 nft add rule inet filter input iif eth0 ip saddr @s counter accept`},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, want := filtered(t)
			k.Edit(func(s *netsetup.State) { c.edit(n0(s)) })
			plan, err := netsetup.Up(t.Context(), k, want, netsetup.Options{})
			if err != nil {
				t.Fatal(err)
			}
			got, expected := lines(plan), strings.ReplaceAll(strings.TrimPrefix(c.want, "\n"), "\t", "")
			if got != expected {
				t.Errorf("got\n%s\nwant\n%s", got, expected)
			}
		})
	}
}

func TestTablesInTheWay(t *testing.T) {
	k, want := filtered(t)
	root := netsetup.Namespace{Kind: netsetup.Root, Tables: kerneltest.Tables("lab", "table ip host { }")}
	k.Edit(func(s *netsetup.State) {
		theirs := kerneltest.Tables("", "table ip host { chain c { }; }")
		theirs[0].Origin = netsetup.Manual
		s.Namespaces[0].Tables = theirs
	})
	want.Namespaces = append(want.Namespaces, root)
	_, err := netsetup.Up(t.Context(), k, want.Sort(), netsetup.Options{})
	const inTheWay = "table ip host in the root namespace exists and was not made by this lab\n" +
		"hint: remove it with `nft delete table ip host`, or use another name in the file"
	if err == nil || err.Error() != inTheWay {
		t.Errorf("got %v", err)
	}
}

func TestMissingInterface(t *testing.T) {
	for _, text := range []string{
		"table ip x {\n chain c {\n  oif nowhere drop\n }\n}",
		"table netdev x {\n\n chain c { type filter hook ingress device nowhere priority 0; }\n}",
	} {
		k, want := filtered(t)
		before := k.State()
		n := &want.Namespaces[0]
		n.Tables = append(n.Tables, kerneltest.Tables("lab", text)...)
		want.File = "lab.yaml"
		_, err := netsetup.Up(t.Context(), k, want, netsetup.Options{})
		var missing *netsetup.MissingInterfaceError
		if !errors.As(err, &missing) || missing.Interface != "nowhere" || missing.Pos.Line != 3 ||
			!strings.Contains(err.Error(), "x in lab.n0 names the interface nowhere, which there is none of") {
			t.Errorf("got %v", err)
		}
		if plan, err := netsetup.Diff(k.State(), before, false); err != nil || !plan.Empty() {
			t.Errorf("something was changed: %v", err)
		}
	}
}

// What a lab has in namespaces that are not its own goes with it.
func TestTablesOfGuests(t *testing.T) {
	k, want := filtered(t)
	k.Edit(func(s *netsetup.State) {
		s.Namespaces = append(s.Namespaces, netsetup.Namespace{Kind: netsetup.External, Name: "theirs"})
		s.Sort()
	})
	without := want.Clone()
	want.Namespaces = append(want.Namespaces,
		netsetup.Namespace{Kind: netsetup.External, Name: "theirs", Tables: kerneltest.Tables("lab", "table ip x { }")},
		netsetup.Namespace{Kind: netsetup.Root, Tables: kerneltest.Tables("lab", "table ip y { }")})
	tables := func() string {
		var list []string
		for _, n := range k.State().Namespaces {
			for _, t := range n.Tables {
				list = append(list, n.Name+" "+t.Name)
			}
		}
		slices.Sort(list)
		return strings.Join(list, ", ")
	}
	up := func(w *netsetup.State) {
		t.Helper()
		if _, err := netsetup.Up(t.Context(), k, w.Sort(), netsetup.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	up(want)
	if got := tables(); got != " y, lab.n0 filter, theirs x" {
		t.Errorf("have %s", got)
	}
	up(without.Join([]string{"theirs"}))
	if got := tables(); got != "lab.n0 filter" {
		t.Errorf("have %s", got)
	}
	up(want)
	found, err := netsetup.Down(t.Context(), k, "lab", netsetup.Options{Joined: []string{"theirs"}})
	if err != nil || !found || tables() != "" {
		t.Errorf("found %v, %v; have %s", found, err, tables())
	}
	if found, err := netsetup.Down(t.Context(), k, "lab", netsetup.Options{Joined: []string{"theirs"}}); err != nil || found {
		t.Errorf("again: found %v, %v", found, err)
	}
}

// A range or a default gives many nodes one text.
func TestSharedRules(t *testing.T) {
	want := compiled(t, "lab.yaml", []byte("name: lab\nnodes:\n  \"a[1-3]\":\n    nftables: |\n      table ip x { chain c { drop; }; }\n"))
	var sources []*topology.Nftables
	for _, n := range want.Namespaces {
		sources = append(sources, n.Tables[0].Source)
		if pos := n.Tables[0].At(n.Tables[0].Content.Chains[0].Rules[0].Pos); pos != (topology.Pos{Line: 5, Col: 30}) {
			t.Errorf("the rule is at %v", pos)
		}
	}
	if sources = slices.Compact(sources); len(sources) != 1 {
		t.Errorf("%d texts", len(sources))
	}
}
