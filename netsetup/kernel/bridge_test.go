package kernel_test

import (
	"testing"
	"time"

	"nslab/netsetup"
	"nslab/netsetup/kerneltest"
)

// TestSpanningTree joins two bridges of different times: the one that is not
// the root shows those of the root, which is no drift.
func TestSpanningTree(t *testing.T) {
	k := newKernel(t)
	bridge := func(priority, delay int) netsetup.Link {
		return netsetup.Link{Name: "br0", Kind: netsetup.KindBridge, Up: true, Bridge: &netsetup.Bridge{
			STP: true, Priority: ptr(priority), ForwardDelay: ptr(delay), HelloTime: ptr(100), MaxAge: ptr(delay)}}
	}
	want := pair()
	for i, b := range []netsetup.Link{bridge(4096, 600), bridge(8192, 700)} {
		n := &want.Namespaces[i]
		for j := range n.Links {
			if l := &n.Links[j]; l.Kind == netsetup.KindVeth {
				l.Master, l.Port = "br0", &netsetup.Port{Learning: true}
			}
		}
		n.Links = append(n.Links, b)
	}
	up(t, k, want)
	follows := func() bool {
		n := namespaceOf(t, observe(t, k, want), "t.b")
		return linkOf(t, n, "br0").Bridge.ForwardDelay == nil
	}
	for end := time.Now().Add(10 * time.Second); !follows(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("t.b has not heard of the root")
		}
	}
	if plan, err := netsetup.Diff(observe(t, k, want), want, true); err != nil || !plan.Empty() {
		t.Errorf("plan: %v, %v", plan, err)
	}
	if root := linkOf(t, namespaceOf(t, observe(t, k, want), "t.a"), "br0").Bridge; root.ForwardDelay == nil || *root.ForwardDelay != 600 {
		t.Errorf("the root's times: %+v", root)
	}
}

// TestPortLeaves takes a link out of a bridge and gives it an MTU at which the
// bridge, if it were still its port, would lose its IPv6 addresses.
func TestPortLeaves(t *testing.T) {
	k := newKernel(t)
	want := pair()
	a := &want.Namespaces[0]
	a.Links[1].MTU, a.Links[1].Master, a.Links[1].Port = 1500, "br0", &netsetup.Port{Learning: true}
	a.Links = append(a.Links, netsetup.Link{Name: "br0", Kind: netsetup.KindBridge, Up: true, Bridge: &netsetup.Bridge{}})
	a.Addresses = []netsetup.Address{{Link: "br0", Prefix: prefix("fd00::1/64")}}
	up(t, k, want)

	eth0 := linkOf(t, namespaceOf(t, want, "t.a"), "eth0")
	eth0.MTU, eth0.Master, eth0.Port = 1200, "", nil
	counting := &kerneltest.Faulty{Kernel: k}
	plan, err := netsetup.Up(t.Context(), counting, want, netsetup.Options{})
	if err != nil || counting.Done != len(plan.Ops) {
		t.Errorf("%d ops were planned, %d needed: %v", len(plan.Ops), counting.Done, err)
	}
}

// TestBridgeStillFollows rolls a change of a port's MTU back: the bridge, whose
// MTU nobody set, follows its ports after that as before.
func TestBridgeStillFollows(t *testing.T) {
	k := newKernel(t)
	want := pair()
	a := &want.Namespaces[0]
	a.Links[1].Master, a.Links[1].Port = "br0", &netsetup.Port{Learning: true}
	a.Links = append(a.Links, netsetup.Link{Name: "br0", Kind: netsetup.KindBridge, Up: true, Bridge: &netsetup.Bridge{}})
	up(t, k, want)
	mtu := func(mtu int) {
		linkOf(t, namespaceOf(t, want, "t.a"), "eth0").MTU = mtu
	}
	mtu(1400)
	failing := &kerneltest.Faulty{Kernel: k, FailAt: 2}
	b := namespaceOf(t, want, "t.b")
	b.Addresses = []netsetup.Address{{Link: "eth0", Prefix: prefix("10.0.0.1/24")}}
	if _, err := netsetup.Up(t.Context(), failing, want, netsetup.Options{}); err == nil {
		t.Fatal("up did not fail")
	}
	mtu(1300)
	up(t, k, want)
	if got := linkOf(t, namespaceOf(t, observe(t, k, want), "t.a"), "br0").MTU; got != 1300 {
		t.Errorf("the bridge has MTU %d, its port 1300", got)
	}
}
