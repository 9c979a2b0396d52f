package netsetup_test

import (
	"slices"
	"strings"
	"testing"

	"nslab/netsetup"
	"nslab/netsetup/kerneltest"
)

const twoWays = `
name: t
nodes:
  a:
    interfaces: {lo: 192.0.2.1/32, eth0: [10.0.1.1/24, fd00:1::1/64], eth1: 10.0.2.1/24}
    routes:
      - {to: 192.0.2.2/32, nexthops: [{via: 10.0.1.2}, {via: 10.0.2.2}]}
      - {to: 10.9.0.0/16, via: 10.0.1.2}
    neighbors: [{dev: eth0, ip: 10.0.1.2, mac: 02:00:00:00:00:02}]
  b:
    interfaces: {lo: 192.0.2.2/32, eth0: [10.0.1.2/24, fd00:1::2/64], eth1: 10.0.2.2/24}
    routes:
      - {to: 192.0.2.1/32, nexthops: [{via: 10.0.1.1}, {via: 10.0.2.1}]}
      - {to: default, via: "fd00:1::1"}
links:
  - [a:eth0, b:eth0]
  - [a:eth1, b:eth1]
`

// TestLink takes links down and up, one after the other and both at once.
func TestLink(t *testing.T) {
	k := kerneltest.New()
	want := compiled(t, "lab.yaml", []byte(twoWays))
	if _, err := netsetup.Up(t.Context(), k, want, netsetup.Options{}); err != nil {
		t.Fatal(err)
	}
	differs := func() string {
		t.Helper()
		have, err := netsetup.Observe(t.Context(), k, want)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := netsetup.Diff(have, want, false)
		if err != nil {
			t.Fatal(err)
		}
		return lines(plan)
	}
	down := func(node, link string, admin bool) {
		t.Helper()
		if err := netsetup.LinkDown(t.Context(), k, want, netsetup.Endpoint{Namespace: "t." + node, Link: link}, admin); err != nil {
			t.Fatal(err)
		}
	}
	up := func(node, link string) {
		t.Helper()
		if err := netsetup.LinkUp(t.Context(), k, want, netsetup.Endpoint{Namespace: "t." + node, Link: link}); err != nil {
			t.Fatal(err)
		}
	}
	isUp := func(node, link string) bool {
		t.Helper()
		for _, n := range k.State().Namespaces {
			if n.Name == "t."+node {
				i := slices.IndexFunc(n.Links, func(l netsetup.Link) bool { return l.Name == link })
				return n.Links[i].Up
			}
		}
		t.Fatal("no node", node)
		return false
	}

	down("a", "eth0", false)
	if !isUp("a", "eth0") || isUp("b", "eth0") {
		t.Error("down takes the other end down, not this one")
	}
	if differs() == "" {
		t.Error("a link that is down is no drift")
	}
	up("a", "eth0")
	if left := differs(); left != "" {
		t.Errorf("after up there is left:\n%s", left)
	}
	down("a", "eth0", true)
	if isUp("a", "eth0") || !isUp("b", "eth0") {
		t.Error("--admin takes this end down, not the other one")
	}
	up("b", "eth0")
	if left := differs(); left != "" {
		t.Errorf("after up at the other end there is left:\n%s", left)
	}

	down("a", "eth0", true)
	down("a", "eth1", true)
	up("a", "eth1")
	if isUp("a", "eth0") {
		t.Error("up took the other link up")
	}
	if left := differs(); !strings.Contains(left, "192.0.2.2") || strings.Contains(left, "10.0.2.1") {
		t.Errorf("one way is up; there is left:\n%s", left)
	}
	up("a", "eth0")
	if left := differs(); left != "" {
		t.Errorf("both are up; there is left:\n%s", left)
	}
	for _, end := range []netsetup.Endpoint{{Namespace: "t.a", Link: "lo"}, {Namespace: "t.a", Link: "eth7"}, {Namespace: "t.c", Link: "eth0"}} {
		if err := netsetup.LinkDown(t.Context(), k, want, end, false); err == nil {
			t.Errorf("%v went down", end)
		}
		if err := netsetup.LinkUp(t.Context(), k, want, end); err == nil {
			t.Errorf("%v came up", end)
		}
	}
}
