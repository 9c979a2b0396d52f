package probe

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nslab/topology"
)

// meshLab is n hosts on one switch. With static neighbours every host has an
// entry for every other one.
func meshLab(t testing.TB, n int, static bool) *testLab {
	t.Helper()
	nodes := []string{"sw"}
	for i := range n {
		nodes = append(nodes, fmt.Sprintf("h%d", i+1))
	}
	l := emptyLab(t, nodes...)
	l.do("sw", "ip link add br0 type bridge forward_delay 0 mcast_snooping 0 && ip link set br0 up")
	mac := func(i int) string { return fmt.Sprintf("02:00:00:00:%02x:%02x", i>>8, i&255) }
	addr := func(i int) string { return fmt.Sprintf("10.0.%d.%d", i>>8, i&255) }
	var links strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&links, "link add p%d master br0 up type veth peer name eth0 address %s netns %s\n", i, mac(i), l.namespace(nodes[i]))
	}
	l.do("sw", "ip -batch - <<'END'\n"+links.String()+"END")
	for i := 1; i <= n; i++ {
		var b strings.Builder
		fmt.Fprintf(&b, "link set eth0 up\naddress add %s/16 dev eth0\n", addr(i))
		for k := 1; static && k <= n; k++ {
			if k != i {
				fmt.Fprintf(&b, "neighbour add %s lladdr %s dev eth0 nud permanent\n", addr(k), mac(k))
			}
		}
		l.do(nodes[i], "ip -batch - <<'END'\n"+b.String()+"END")
		l.Nodes[i].Interfaces = []*topology.Interface{{
			Name: "eth0", Addresses: []topology.Address{{Prefix: netip.MustParsePrefix(addr(i) + "/16")}},
		}}
	}
	return l
}

// mesh is a test of every host with every other one.
func (l *testLab) mesh(verb string, port int) *topology.Test {
	x := &topology.Test{Verb: verb, Name: verb + " all -> all", Timeout: time.Second, Size: 56}
	for _, n := range l.Nodes[1:] {
		x.Senders = append(x.Senders, topology.Target{Node: n.Name})
		x.Targets = append(x.Targets, topology.Target{Node: n.Name, Port: port})
	}
	return x
}

func TestMesh(t *testing.T) {
	for _, c := range []struct {
		verb   string
		hosts  int
		static bool
		most   time.Duration
	}{
		{topology.Ping, 100, true, 10 * time.Second},
		{topology.Ping, 30, false, 10 * time.Second},
		{topology.TCP, 50, true, 20 * time.Second},
		{topology.UDP, 50, true, 20 * time.Second},
	} {
		t.Run(fmt.Sprintf("%s, %d hosts, static neighbours: %t", c.verb, c.hosts, c.static), func(t *testing.T) {
			l := meshLab(t, c.hosts, c.static)
			r := l.run(l.mesh(c.verb, 80))
			if want := c.hosts * (c.hosts - 1); r.Passed != want || len(r.Cases) != want {
				t.Errorf("%d of %d cases passed, want all of %d", r.Passed, len(r.Cases), want)
			}
			for _, c := range r.Cases {
				if c.Outcome != Pass {
					t.Error(c.text())
					break
				}
			}
			t.Logf("%d pairs in %s", len(r.Cases), r.Duration)
			if r.Duration > c.most {
				t.Errorf("it took %s, want at most %s", r.Duration, c.most)
			}
		})
	}
}

// TestMeshAgainstPing compares with a ping process for each pair. Both are slow
// where the machine is busy.
func TestMeshAgainstPing(t *testing.T) {
	const hosts, sample = 30, 60
	l := meshLab(t, hosts, true)
	r := l.run(l.mesh(topology.Ping, 0))
	pairs := hosts * (hosts - 1)
	if r.Passed != pairs {
		t.Fatalf("%d of %d pairs passed", r.Passed, pairs)
	}
	ours := r.Duration / time.Duration(pairs)
	began := time.Now()
	for i := range sample {
		l.do(fmt.Sprintf("h%d", i%hosts+1), fmt.Sprintf("ping -q -n -c 1 10.0.0.%d", (i+1)%hosts+1))
	}
	theirs := time.Since(began) / sample
	t.Logf("a pair takes %s, with a process %s", ours, theirs)
	if 10*ours > theirs {
		t.Errorf("a pair takes %s, with a process of its own %s: want a tenth of that", ours, theirs)
	}
}

func BenchmarkMesh(b *testing.B) {
	for _, hosts := range []int{100, 200} {
		b.Run(fmt.Sprint(hosts), func(b *testing.B) {
			l := meshLab(b, hosts, true)
			l.Tests = []*topology.Test{l.mesh(topology.Ping, 0)}
			l.settle()
			b.ResetTimer()
			for range b.N {
				r, err := Run(context.Background(), l.Lab, Options{Open: l.open})
				if err != nil || r.Passed != hosts*(hosts-1) {
					b.Fatalf("%d passed, %v", r.Passed, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*hosts*(hosts-1)), "µs/pair")
		})
	}
}
