package kernel_test

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"nslab/e2e/sandbox"
	"nslab/netsetup"
	"nslab/netsetup/kernel"
	"nslab/netsetup/netns"
	"nslab/topology"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// newKernel gives a Kernel that is closed with the test, after which the
// namespaces of lab t are gone.
func newKernel(t testing.TB) *kernel.Kernel {
	t.Helper()
	k, err := kernel.New(kernel.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		k.Close()
		names, err := netns.List("t.")
		if err != nil {
			t.Error(err)
		}
		if err := netns.Delete(names...); err != nil {
			t.Error(err)
		}
	})
	return k
}

// up makes a lab and fails the test where that does.
func up(t testing.TB, k *kernel.Kernel, want *netsetup.State) {
	t.Helper()
	if _, err := netsetup.Up(t.Context(), k, want.Sort(), netsetup.Options{}); err != nil {
		t.Fatal(err)
	}
}

func observe(t testing.TB, k *kernel.Kernel, want *netsetup.State) *netsetup.State {
	t.Helper()
	s, err := k.Observe(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// namespaceOf picks one namespace of a state.
func namespaceOf(t testing.TB, s *netsetup.State, name string) *netsetup.Namespace {
	t.Helper()
	for i := range s.Namespaces {
		if s.Namespaces[i].Name == name {
			return &s.Namespaces[i]
		}
	}
	t.Fatalf("no namespace %q in the state", name)
	return nil
}

func linkOf(t testing.TB, n *netsetup.Namespace, name string) *netsetup.Link {
	t.Helper()
	for i := range n.Links {
		if n.Links[i].Name == name {
			return &n.Links[i]
		}
	}
	t.Fatalf("no link %s in %s", name, n.Name)
	return nil
}

// run runs a program and gives its output.
func run(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

// sh runs lines, each a command of words without quotes.
func sh(t testing.TB, lines string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		if f := strings.Fields(line); len(f) > 0 {
			run(t, f...)
		}
	}
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func ip(s string) netip.Addr       { return netip.MustParseAddr(s) }

func mac(n byte) topology.MAC { return topology.MAC{2, 0, 0, 0, 0, n} }

func ptr[T any](v T) *T { return &v }

// loopback is the lo of a namespace of a lab.
func loopback(namespace string) netsetup.Link {
	return netsetup.Link{Name: "lo", Kind: netsetup.KindLoopback, Up: true, Alias: netsetup.AliasPrefix + namespace}
}

func veth(name, peerNamespace, peer string) netsetup.Link {
	return netsetup.Link{
		Name: name, Kind: netsetup.KindVeth, MTU: 1500, Up: true,
		Peer: netsetup.Endpoint{Namespace: peerNamespace, Link: peer},
	}
}

// pair is the lab t of two namespaces with one link: a and b, each with eth0.
func pair() *netsetup.State {
	return &netsetup.State{Lab: "t", Namespaces: []netsetup.Namespace{
		{Name: "t.a", Links: []netsetup.Link{loopback("t.a"), veth("eth0", "t.b", "eth0")}},
		{Name: "t.b", Links: []netsetup.Link{loopback("t.b"), veth("eth0", "t.a", "eth0")}},
	}}
}
