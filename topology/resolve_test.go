package topology

import (
	"fmt"
	"net/netip"
	"testing"
)

// ringFile is a ring of n nodes with a /30 on each link, as Parse would give it.
func ringFile(n int) *File {
	f := &File{Name: "ring.yaml", Lab: Text{Value: "ring"}}
	c := cutter{pool: Pool{Prefix: defaultIPv4.Prefix, Bits: 30}}
	name := func(i int) string { return fmt.Sprintf("n%d", i%n+1) }
	for i := range n {
		pos := Pos{Line: int32(3 + i), Col: 3}
		f.Nodes = append(f.Nodes, &Node{Pos: pos, Name: name(i)})
	}
	for i := range n {
		pos := Pos{Line: int32(4 + n + i), Col: 5}
		p, _ := c.cut()
		f.Links = append(f.Links, &Link{
			Pos:       pos,
			Endpoints: [2]Endpoint{{pos, name(i), "eth1"}, {pos, name(i + 1), "eth0"}},
			Subnet:    []Subnet{{Pos: pos, Prefix: p}},
		})
	}
	return f
}

func BenchmarkResolveRing(b *testing.B) {
	f := ringFile(10000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Resolve(f); err != nil {
			b.Fatal(err)
		}
	}
}

// gridFile is a grid of routers with routing: shortest.
func gridFile(side int) *File {
	f := &File{Name: "grid.yaml", Lab: Text{Value: "grid"}, Routing: Text{Value: "shortest"}}
	name := func(x, y int) string { return fmt.Sprintf("n%d-%d", y, x) }
	f.Addressing.IPv4 = Pool{Pos: Pos{Line: 1, Col: 1}, Prefix: netip.MustParsePrefix("10.0.0.0/8"), Bits: 30}
	for y := range side {
		for x := range side {
			f.Nodes = append(f.Nodes, &Node{Name: name(x, y), Kind: Router})
			auto := []Subnet{{Auto: true}}
			if x > 0 {
				f.Links = append(f.Links, &Link{Endpoints: [2]Endpoint{{Node: name(x-1, y)}, {Node: name(x, y)}}, Subnet: auto})
			}
			if y > 0 {
				f.Links = append(f.Links, &Link{Endpoints: [2]Endpoint{{Node: name(x, y-1)}, {Node: name(x, y)}}, Subnet: auto})
			}
		}
	}
	return f
}

func BenchmarkShortestGrid(b *testing.B) {
	f := gridFile(32)
	b.ReportAllocs()
	for b.Loop() {
		l, err := Resolve(f)
		if err != nil {
			b.Fatal(err)
		}
		routes := 0
		for _, n := range l.Nodes {
			routes += len(n.Routes)
		}
		b.ReportMetric(float64(routes), "routes")
	}
}

// switchFile is a switch with hosts and static neighbours.
func switchFile(hosts int) *File {
	f := &File{Name: "switch.yaml", Lab: Text{Value: "switch"}}
	f.Addressing.Neighbors.Value = "static"
	f.Nodes = append(f.Nodes, &Node{Name: "sw", Kind: Switch, Subnet: []Subnet{{Prefix: netip.MustParsePrefix("10.0.0.0/16")}}})
	for i := range hosts {
		name := fmt.Sprintf("h%d", i+1)
		f.Nodes = append(f.Nodes, &Node{Name: name})
		f.Links = append(f.Links, &Link{Endpoints: [2]Endpoint{{Node: name}, {Node: "sw"}}})
	}
	return f
}

func BenchmarkStaticNeighbors(b *testing.B) {
	f := switchFile(200)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Resolve(f); err != nil {
			b.Fatal(err)
		}
	}
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// TestCutter checks prefixes cut around those that are taken.
func TestCutter(t *testing.T) {
	for _, c := range []struct {
		pool  string
		bits  int
		taken []string
		want  string
	}{
		{"10.0.0.0/22", 24, nil, "[10.0.0.0/24 10.0.1.0/24 10.0.2.0/24 10.0.3.0/24]"},
		{"10.0.0.0/22", 24, []string{"10.0.0.0/23", "10.0.0.7/32", "10.0.2.9/32"}, "[10.0.3.0/24]"},
		{"10.0.0.0/22", 24, []string{"9.0.0.0/8", "10.0.3.0/25", "10.0.3.128/25", "fd00::/8"}, "[10.0.0.0/24 10.0.1.0/24 10.0.2.0/24]"},
		{"10.0.0.0/22", 24, []string{"0.0.0.0/0"}, "[]"},
		{"255.255.255.0/24", 25, nil, "[255.255.255.0/25 255.255.255.128/25]"},
		{"fd00::/62", 64, []string{"10.0.0.0/8", "fd00:0:0:1::/64"}, "[fd00::/64 fd00:0:0:2::/64 fd00:0:0:3::/64]"},
	} {
		cut := cutter{pool: Pool{Prefix: prefix(c.pool), Bits: c.bits}}
		for _, p := range c.taken {
			cut.taken = append(cut.taken, prefix(p))
		}
		got := []netip.Prefix{}
		for {
			p, ok := cut.cut()
			if !ok {
				break
			}
			got = append(got, p)
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s/%d without %v: %v; want %s", c.pool, c.bits, c.taken, got, c.want)
		}
	}
}

func TestHosts(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.0/24": "10.0.0.1 10.0.0.254",
		"10.0.0.0/30": "10.0.0.1 10.0.0.2",
		"10.0.0.0/31": "10.0.0.0 10.0.0.1",
		"10.0.0.0/32": "10.0.0.0 10.0.0.0",
		"fd00::/64":   "fd00::1 fd00::ffff:ffff:ffff:ffff",
		"fd00::/127":  "fd00:: fd00::1",
		"fd00::/128":  "fd00:: fd00::",
	} {
		first, last := hosts(prefix(in))
		if got := first.String() + " " + last.String(); got != want {
			t.Errorf("%s: %s; want %s", in, got, want)
		}
	}
}

// TestMACs checks that MACs of a large lab are unicast, locally administered and
// unlike each other, and that Resolve leaves its input alone.
func TestMACs(t *testing.T) {
	f := ringFile(3000)
	lab, err := Resolve(f)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[MAC]bool{}
	for _, n := range lab.Nodes {
		for _, i := range n.Interfaces {
			if i.Type == Loopback {
				continue
			}
			if i.MAC[0]&3 != 2 || seen[i.MAC] {
				t.Errorf("%s:%s has %v", n.Name, i.Name, i.MAC)
			}
			seen[i.MAC] = true
		}
	}
	if len(seen) != 6000 {
		t.Errorf("%d interfaces", len(seen))
	}
	for i, n := range ringFile(3000).Nodes {
		if fmt.Sprint(*n) != fmt.Sprint(*f.Nodes[i]) {
			t.Fatalf("Resolve changed node %d of the file", i)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"h1", "router1", "firewall", "eth0", "eth1"}
	for in, want := range map[string]string{
		"ruoter1": "router1", "firewal": "firewall", "ehh0": "eth0", "eht1": "eth1", "zzz": "", "h12": "h1",
	} {
		if got := nearest(in, names); got != want {
			t.Errorf("%q: %q; want %q", in, got, want)
		}
	}
}
