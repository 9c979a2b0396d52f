package kernel_test

import (
	"os/exec"
	"testing"

	"nslab/netsetup"
)

// TestSourceInAnotherTable takes away the address that a route outside table
// main prefers as source: the kernel keeps that route.
func TestSourceInAnotherTable(t *testing.T) {
	k := newKernel(t)
	want := pair()
	a := &want.Namespaces[0]
	a.Addresses = []netsetup.Address{{Link: "eth0", Prefix: prefix("10.0.0.1/24")}, {Link: "eth0", Prefix: prefix("10.0.0.2/24")}}
	for _, table := range []int{100, 254} {
		r := route("10.9.0.0/16", hop("10.0.0.9", "eth0"))
		r.Table, r.Src = table, ip("10.0.0.2")
		a.Routes = append(a.Routes, r)
	}
	up(t, k, want)
	run(t, "ip", "-n", "t.a", "address", "change", "10.0.0.2/24", "dev", "eth0", "valid_lft", "1000", "preferred_lft", "1000")
	up(t, k, want)
}

// TestRoutesByHand removes routes that somebody added, of kinds that a lab
// cannot have, and leaves those beside them that it has.
func TestRoutesByHand(t *testing.T) {
	k := newKernel(t)
	want := pair()
	a := &want.Namespaces[0]
	a.Addresses = []netsetup.Address{{Link: "eth0", Prefix: prefix("10.0.0.1/24")}, {Link: "eth0", Prefix: prefix("fd00::1/64")}}
	a.Routes = []netsetup.Route{route("10.9.0.0/16", hop("10.0.0.9", "eth0")), route6("fd09::/64", hop("fd00::9", "eth0"))}
	up(t, k, want)
	sh(t, `
		ip -n t.a route add 10.9.0.0/16 via 10.0.0.8 tos 0x10
		ip -n t.a route add throw 10.8.0.0/16
		ip -n t.a -6 route add throw fd08::/64
		ip -n t.a route add broadcast 10.7.0.0/16 dev eth0
		ip -n t.a route add multicast 10.6.0.0/16 dev eth0`)
	// One for a source alone, which not every kernel can, is no other.
	exec.Command("ip", "-n", "t.a", "-6", "route", "add", "fd09::/64", "from", "fd01::/64", "via", "fd00::8").Run()
	got := namespaceOf(t, observe(t, k, want), "t.a").Routes
	if len(got) < 7 {
		t.Errorf("observed: %v", got)
	}
	up(t, k, want)
	if out := run(t, "ip", "-n", "t.a", "route", "show", "table", "all", "proto", "boot"); out != "" {
		t.Errorf("left: %s", out)
	}
}
