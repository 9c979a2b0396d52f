package kernel_test

import (
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
