package probe

import (
	"context"
	"testing"
	"time"

	"nslab/topology"
)

func TestNeighborTables(t *testing.T) {
	tables, ok := readNeighborTables()
	if !ok {
		t.Fatal("the kernel tells nothing of its tables")
	}
	for i, x := range tables {
		t.Logf("%d: %+v", i, x)
		if x.limit == 0 {
			t.Errorf("table %d has no limit", i)
		}
	}
}

// TestNoBuffer has an interface whose queue takes nothing, for a while or for good.
func TestNoBuffer(t *testing.T) {
	l := pairLab(t)
	l.do("a", "ip neigh replace 10.0.0.2 lladdr $(ip netns exec "+l.namespace("b")+" cat /sys/class/net/eth0/address) dev eth0 nud permanent")
	full := "tc qdisc replace dev eth0 root tbf rate 8kbit burst 30 limit 3000"
	send := testItem("udp", "a", "b", 53, func(x *topology.Test) { x.Family, x.Timeout = family4, time.Second })
	l.do("a", full)
	l.one(send).mustBe(t, Error, "the kernel of a could not send: no buffer space available (ENOBUFS): a queue was full")
	done := make(chan bool)
	go func() {
		defer close(done)
		time.Sleep(200 * time.Millisecond)
		l.do("a", "tc qdisc change dev eth0 root tbf rate 100mbit burst 15kb limit 30000")
	}()
	c := l.one(send)
	<-done
	c.mustBe(t, Pass, "")
}

// TestFullTable has a kernel whose table of neighbours is full: what is not heard
// then is tried again, and, where it stays so, not taken for filtered.
func TestFullTable(t *testing.T) {
	l := pairLab(t)
	l.nft("b", `table inet t { chain i { type filter hook input priority 0; meta l4proto { icmp, tcp, udp } drop; icmpv6 type echo-request drop; }; }`)
	for _, c := range []struct {
		expect string
		times  int // that the table is full
		want   Outcome
		text   string
	}{
		{expectPass, 1000, Fail, "no answer within 300ms; meanwhile the kernel's table of neighbours was full: 1000 entries of all namespaces"},
		{expectDrop, 1000, Error, "net.ipv4.neigh.default.gc_thresh3"},
		{expectFail, 1000, Error, "net.ipv4.neigh.default.gc_thresh3"},
		{expectDrop, 2, Pass, ""},
	} {
		set := func(x *topology.Test) { x.Expect, x.Family = c.expect, family4 }
		l.Tests = []*topology.Test{testItem("ping", "a", "b", 0, set), testItem("tcp", "a", "b", 80, set), testItem("udp", "a", "b", 53, set)}
		l.settle()
		r := newRunner(l.Lab, Options{Open: l.open})
		r.files = 1000
		items := r.rounds()[0].items
		fulls := 0
		r.neighbors.read = func() (tables [2]neighborTable, ok bool) {
			fulls = min(fulls+1, c.times)
			tables[0] = neighborTable{1000, 1024, uint64(fulls)}
			return tables, true
		}
		for _, it := range items {
			r.runItems(context.Background(), []*item{it})
			for _, j := range it.jobs {
				j.c.mustBe(t, c.want, c.text)
			}
		}
		r.close()
	}
}
