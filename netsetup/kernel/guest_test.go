package kernel_test

import (
	"errors"
	"strings"
	"testing"

	"nslab/netsetup"
)

func TestNotOurs(t *testing.T) {
	k := newKernel(t)
	sh(t, "ip netns add t.a\nip netns add t.other\nip netns add t.x.y")
	_, err := k.Observe(t.Context(), pair().Sort())
	var other *netsetup.NotOursError
	if !errors.As(err, &other) || other.Namespace != "t.a" {
		t.Fatalf("error: %v", err)
	}
	// One that is not wanted is in nobody's way.
	s := observe(t, k, &netsetup.State{Lab: "t"})
	if len(s.Namespaces) != 0 {
		t.Errorf("observed: %v", s.Namespaces)
	}
	if labs, err := k.Labs(t.Context()); err != nil || len(labs) != 0 {
		t.Errorf("labs: %v, %v", labs, err)
	}
}

// TestGuests looks at a root and an external namespace that are full of other
// things.
func TestGuests(t *testing.T) {
	k := newKernel(t)
	sh(t, `
		ip netns add ext
		ip -n ext link add other type bridge
		ip -n ext link set other up
		ip -n ext address add 10.1.0.1/24 dev other
		ip -n ext route add 10.2.0.0/16 dev other
		ip -n ext route add 10.3.0.0/16 dev other proto 201
		ip -n ext rule add pref 7 iif other table 5 protocol 201
		ip -n ext link add taken type bridge`)
	defer run(t, "ip", "netns", "delete", "ext")
	defer k.Close()
	want := pair()
	want.Namespaces[0].Links = append(want.Namespaces[0].Links, veth("e0", "ext", "t0"))
	end := veth("t0", "t.a", "e0")
	end.Alias = netsetup.AliasPrefix + "t"
	want.Namespaces = append(want.Namespaces, netsetup.Namespace{
		Kind: netsetup.External, Name: "ext", Links: []netsetup.Link{end},
		Addresses: []netsetup.Address{{Link: "t0", Prefix: prefix("10.9.0.1/24")}},
	})
	up(t, k, want)
	n := namespaceOf(t, observe(t, k, want), "ext")
	if len(n.Links) != 1 || len(n.Addresses) != 1 || len(n.Routes)+len(n.Rules)+len(n.Neighbors) != 0 {
		t.Errorf("observed in the external namespace: %+v", n)
	}

	// What is in the way is seen.
	want.Sort()
	e := namespaceOf(t, want, "ext")
	taken := veth("taken", "t.b", "q")
	e.Links = append(e.Links, taken)
	e.Routes = []netsetup.Route{route("10.2.0.0/16", hop("", "t0"))}
	n = namespaceOf(t, observe(t, k, want.Sort()), "ext")
	if len(n.Links) != 2 || linkOf(t, n, "taken").Origin != netsetup.Manual || len(n.Routes) != 1 || n.Routes[0].Origin != netsetup.Manual {
		t.Errorf("observed in the external namespace: %+v", n)
	}

	// One that is not there is an error that names it, unless nothing is wanted of it.
	nowhere := &netsetup.State{Lab: "t", Namespaces: []netsetup.Namespace{{Kind: netsetup.External, Name: "nowhere"}}}
	if _, err := k.Observe(t.Context(), nowhere); err != nil {
		t.Errorf("error: %v", err)
	}
	nowhere.Namespaces[0].Links = []netsetup.Link{veth("t0", "t.b", "q")}
	_, err := k.Observe(t.Context(), nowhere)
	if err == nil || !strings.Contains(err.Error(), `"nowhere"`) {
		t.Errorf("error: %v", err)
	}
}

// TestUnknownPeer sees a veth whose other end is in a namespace that is not the
// lab's.
func TestUnknownPeer(t *testing.T) {
	k := newKernel(t)
	want := pair()
	up(t, k, want)
	sh(t, `
		ip netns add elsewhere
		ip -n elsewhere link set lo alias nslab:t.b
		ip -n t.a link add v0 type veth peer name v1 netns elsewhere
		ip link add w0 type veth peer name w1 netns t.a`)
	defer run(t, "ip", "netns", "delete", "elsewhere")
	n := namespaceOf(t, observe(t, k, want), "t.a")
	if end := linkOf(t, n, "v0").Peer; end.Namespace != netsetup.UnknownNamespace {
		t.Errorf("the peer of v0 is %v", end)
	}
	if end := linkOf(t, n, "eth0").Peer; end != (netsetup.Endpoint{Namespace: "t.b", Link: "eth0"}) {
		t.Errorf("the peer of eth0 is %v", end)
	}
	if end := linkOf(t, n, "w1").Peer; end != (netsetup.Endpoint{Link: "w0"}) {
		t.Errorf("the peer of w1 is %v", end)
	}
	run(t, "ip", "link", "delete", "w0")
}
