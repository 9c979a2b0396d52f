package kernel_test

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"nslab/netsetup"
	"nslab/netsetup/kernel"
)

// ring is a lab of n routers, each linked with the next.
func ring(n int) *netsetup.State {
	s := &netsetup.State{Lab: "t"}
	name := func(i int) string { return fmt.Sprintf("t.r%d", (i+n)%n) }
	address := func(i, host int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), byte(host)}), 24)
	}
	for i := range n {
		ns := netsetup.Namespace{Name: name(i)}
		e0, e1 := veth("eth0", name(i+1), "eth1"), veth("eth1", name(i-1), "eth0")
		e0.MAC, e1.MAC = mac(byte(1)), mac(byte(2))
		ns.Links = []netsetup.Link{e0, e1, loopback(ns.Name)}
		ns.Addresses = []netsetup.Address{
			{Link: "eth0", Prefix: address(i, 1)},
			{Link: "eth1", Prefix: address((i+n-1)%n, 2)},
		}
		ns.Sysctls = baseSysctls()
		s.Namespaces = append(s.Namespaces, ns)
	}
	return s.Sort()
}

func baseSysctls() []netsetup.Sysctl {
	s := []netsetup.Sysctl{{Name: "net/ipv4/ip_forward", Value: "1"}, {Name: "net/ipv6/conf/all/forwarding", Value: "1"}}
	for _, x := range []string{"all", "default"} {
		s = append(s,
			netsetup.Sysctl{Name: "net/ipv4/conf/" + x + "/rp_filter", Value: "0"},
			netsetup.Sysctl{Name: "net/ipv6/conf/" + x + "/accept_dad", Value: "0"},
			netsetup.Sysctl{Name: "net/ipv4/conf/" + x + "/promote_secondaries", Value: "1"},
			netsetup.Sysctl{Name: "net/ipv6/conf/" + x + "/keep_addr_on_down", Value: "1"})
	}
	return s
}

// BenchmarkRing brings a ring up, up again, and down. NSLAB_RING is its size.
func BenchmarkRing(b *testing.B) {
	n := 100
	if s := os.Getenv("NSLAB_RING"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	want := ring(n)
	var first, second, down time.Duration
	for b.Loop() {
		k, err := kernel.New(kernel.Options{})
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		up(b, k, want)
		first += time.Since(start)
		k.Close()

		k, _ = kernel.New(kernel.Options{})
		start = time.Now()
		up(b, k, want)
		second += time.Since(start)

		start = time.Now()
		if _, err := netsetup.Down(b.Context(), k, "t", netsetup.Options{}); err != nil {
			b.Fatal(err)
		}
		down += time.Since(start)
		k.Close()
	}
	for name, d := range map[string]time.Duration{"up": first, "again": second, "down": down} {
		b.ReportMetric(d.Seconds()/float64(b.N), name+"-s")
	}
}
