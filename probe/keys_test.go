package probe

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"nslab/topology"
)

// TestPingHeader is routedLab with an MTU of 1400 behind the router: echoes that
// may be fragmented pass, others are refused by the router, or by the kernel of
// the sender where they do not even fit into its own link.
func TestPingHeader(t *testing.T) {
	l := routedLab(t)
	l.do("r", "ip link set eth1 mtu 1400")
	l.do("b", "ip link set eth0 mtu 1400")
	for _, c := range []struct {
		size, ttl int
		df        bool
		expect    string
		text      string // of a failure
	}{
		{size: 10, expect: expectPass},
		{size: 1300, df: true, expect: expectPass},
		{size: 1400, expect: expectPass},
		{size: 8000, expect: expectPass},
		{size: 1400, df: true, expect: expectReject},
		{size: 1400, df: true, text: "answered: "},
		{size: 8000, df: true, expect: expectReject},
		{size: 8000, df: true, text: "larger than the MTU of the interface"},
		{size: 56, ttl: 2, expect: expectPass},
		{size: 56, ttl: 1, expect: expectReject},
		{size: 56, ttl: 1, text: "exceeded"},
	} {
		r := l.run(testItem("ping", "a", "b", 0, func(x *topology.Test) {
			x.Size, x.TTL, x.DF, x.Expect = c.size, c.ttl, c.df, c.expect
		}))
		if len(r.Cases) != 2 {
			t.Fatal(len(r.Cases), "cases, want one of each family")
		}
		for _, got := range r.Cases {
			want := Pass
			if c.text != "" {
				want = Fail
			}
			got.mustBe(t, want, c.text)
		}
	}
}

func bounds(min, max float64) *topology.Measure {
	return &topology.Measure{Text: "so much", Min: min, Max: max}
}

// oddLost has b drop every second echo of a node, those that are sent again, too;
// and count all of them.
const oddLost = `table inet t {
	counter echoes { }
	chain i { type filter hook input priority 0;
		icmp type echo-request counter name echoes; icmpv6 type echo-request counter name echoes;
		icmp type echo-request icmp sequence & 1 == 1 drop; icmpv6 type echo-request icmpv6 sequence & 1 == 1 drop; }; }`

func TestPingLoss(t *testing.T) {
	l := pairLab(t)
	l.nft("b", oddLost)
	for _, c := range []struct {
		loss *topology.Measure
		want Outcome
		text string
	}{
		{bounds(50, 50), Pass, ""},
		{bounds(0, 49), Fail, "10 of 20 echoes were lost: 50%, want so much"},
		{bounds(51, 100), Fail, "10 of 20 echoes were lost"},
		{nil, Fail, "no answer"},
	} {
		for _, f := range []string{family4, family6} {
			l.one(testItem("ping", "a", "b", 0, func(x *topology.Test) {
				x.Count, x.Interval, x.Loss, x.Family = 20, time.Millisecond, c.loss, f
			})).mustBe(t, c.want, c.text)
		}
	}
}

// TestPingLossOfMany sends more echoes than are sent again elsewhere: what is lost
// is counted, and was lost by the lab.
func TestPingLossOfMany(t *testing.T) {
	l := pairLab(t)
	l.nft("b", oddLost)
	queues := openBacklog()
	defer queues.close()
	many := func(x *topology.Test) { x.Count, x.Interval = 4*crowd, time.Millisecond }
	bounded := func(x *topology.Test) { many(x); x.Loss = bounds(50, 50) }
	for _, c := range l.run(testItem("ping", "a", "b", 0, bounded)).Cases {
		c.mustBe(t, Pass, "")
	}
	if n := l.output("b", "nft list counter inet t echoes"); !strings.Contains(n, fmt.Sprintf("packets %d ", 8*crowd)) && !queues.read() {
		t.Errorf("want %d echoes, none of them a second time, and not %s", 8*crowd, n)
	}
	for _, c := range l.run(testItem("ping", "a", "b", 0, many)).Cases {
		c.mustBe(t, Fail, fmt.Sprintf("%d requests sent, 0 reached", 4*crowd))
	}
}

func TestPingRTT(t *testing.T) {
	l := pairLab(t)
	// Nothing here makes delays: the bounds are such that both answers are certain.
	ms := float64(time.Millisecond)
	for _, c := range []struct {
		rtt  *topology.Measure
		want Outcome
		text string
	}{
		{bounds(0, 1000*ms), Pass, ""},
		{bounds(1000*ms, 2000*ms), Fail, "the mean round-trip time is "},
	} {
		for _, f := range []string{family4, family6} {
			l.do("a", "ip neigh flush dev eth0")
			l.one(testItem("ping", "a", "b", 0, func(x *topology.Test) {
				x.RTT, x.Timeout, x.Family = c.rtt, time.Second, f
			})).mustBe(t, c.want, c.text)
		}
	}
	l.do("b", "ip link set eth0 down")
	l.one(testItem("ping", "a", "b", 0, func(x *topology.Test) { x.RTT, x.Family = bounds(0, 1e9), family4 })).mustBe(t, Fail, "")
	l.one(testItem("ping", "a", "b", 0, func(x *topology.Test) {
		x.RTT, x.Loss, x.Family = bounds(0, 1e9), bounds(0, 100), family4
	})).mustBe(t, Fail, "")
}

func TestStable(t *testing.T) {
	l := pairLab(t)
	stable := func(x *topology.Test) {
		x.Stable, x.Timeout, x.Family = 300*time.Millisecond, 50*time.Millisecond, family4
	}
	c := l.one(testItem("ping", "a", "b", 0, stable))
	c.mustBe(t, Pass, "")
	if c.Attempts < 3 || c.Duration < 300*time.Millisecond {
		t.Errorf("%d attempts in %s", c.Attempts, c.Duration)
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		time.Sleep(200 * time.Millisecond)
		l.do("b", "ip link set eth0 down")
	}()
	c = l.one(testItem("ping", "a", "b", 0, func(x *topology.Test) { stable(x); x.Stable = 10 * time.Second }))
	c.mustBe(t, Fail, "it passed, and not ")
	<-done
}

func TestStopOnFail(t *testing.T) {
	l := pairLab(t)
	fail := func(x *topology.Test) { x.Expect, x.StopOnFail = expectFail, true }
	l.Tests = []*topology.Test{
		testItem("ping", "a", "b", 0, func(x *topology.Test) { x.StopOnFail = true }),
		testItem("ping", "b", "a", 0, fail),
		testItem("tcp", "a", "b", 80, nil),
	}
	r := l.runWith(Options{})
	if r.Passed != 2 || r.Failed != 2 || r.Skipped != 2 || r.Cases[5].Outcome != Skip {
		t.Errorf("%d passed, %d failed, %d skipped", r.Passed, r.Failed, r.Skipped)
	}
}

func TestLacking(t *testing.T) {
	for _, c := range []struct{ got, want, lack string }{
		{`{"a":1,"b":[1,2]}`, `{"a":1}`, ``},
		{`{"a":1}`, `{"a":2}`, `$.a is 1, want 2`},
		{`{"a":1}`, `{"b":2}`, `the output has no $.b`},
		{`{"a":null}`, `{"a":null}`, ``},
		{`[{"n":"x","m":1},{"n":"y"}]`, `[{"n":"y"}]`, ``},
		{`[{"n":"x"}]`, `[{"n":"y"}]`, `$[0].n is "x", want "y"`},
		{`[1,2]`, `[3]`, `no item of $ has 3`},
		{`[1,2]`, `[1,1]`, `no item of $ has 1`},
		// The first item is the only one for the second wanted.
		{`[{"a":1,"b":1},{"a":1}]`, `[{"a":1},{"b":1}]`, ``},
		{`{"a":1}`, `[1]`, `$ is {"a":1}, want [1]`},
		{`"1"`, `1`, `$ is "1", want 1`},
	} {
		var got, want any
		if json.Unmarshal([]byte(c.got), &got) != nil || json.Unmarshal([]byte(c.want), &want) != nil {
			t.Fatal(c)
		}
		if lack := lacking(got, want, "$"); lack != c.lack {
			t.Errorf("%s against %s: %q, want %q", c.got, c.want, lack, c.lack)
		}
	}
}
