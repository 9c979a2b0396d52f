package probe

import (
	"testing"
	"time"

	"nslab/topology"
)

// TestBandwidth has a link that lets 20 Mbit of frames through in a second. Of a
// frame of 1514 bytes so many are payload: TCP has 20 bytes of header and 12 of
// time stamps, UDP 8, IPv4 20, IPv6 40. The queue of the link keeps it busy while
// a loaded machine does not run the sender.
func TestBandwidth(t *testing.T) {
	const limit, frame = 20e6, 1514.
	l := pairLab(t)
	l.do("a", "tc qdisc add dev eth0 root tbf rate 20mbit burst 16kb latency 300ms")
	payload := map[bool]map[string]float64{
		false: {family4: 1448, family6: 1428},
		true:  {family4: 1472, family6: 1452},
	}
	for udp, of := range payload {
		for family, bytes := range of {
			want := limit * bytes / frame
			measure := func(min, max float64, within time.Duration) Case {
				return l.one(testItem("bandwidth", "a", "b", 0, func(x *topology.Test) {
					x.Rate, x.For, x.OverUDP = &topology.Measure{Text: "that", Min: min, Max: max}, time.Second, udp
					x.Family, x.Within = family, within
				}))
			}
			// A loaded machine loses packets at times.
			c := measure(0.95*want, 1.05*want, 30*time.Second)
			c.mustBe(t, Pass, "")
			t.Logf("%s, UDP %t: %.4g of %.4g bit/s, attempt %d", c.Name, udp, c.Rate, want, c.Attempts)
			measure(1.05*want, 2*want, 0).mustBe(t, Fail, "mbit over ")
		}
	}
}

// TestBandwidthWithoutWay has a target that nothing reaches.
func TestBandwidthWithoutWay(t *testing.T) {
	l := pairLab(t)
	l.nft("b", `table inet t { chain i { type filter hook input priority 0; meta l4proto { tcp, udp } drop; }; }`)
	for _, udp := range []bool{false, true} {
		set := func(x *topology.Test) {
			x.Rate, x.For, x.OverUDP = &topology.Measure{Text: ">= 1mbit", Min: 1e6, Max: 1e9}, 200*time.Millisecond, udp
		}
		for _, c := range l.run(testItem("bandwidth", "a", "b", 0, set)).Cases {
			c.mustBe(t, Fail, "")
			t.Log(c.text())
		}
	}
	l.one(testItem("bandwidth", "a", "10.0.0.77", 0, func(x *topology.Test) {
		x.Rate, x.For = &topology.Measure{Text: ">= 1mbit", Min: 1e6, Max: 1e9}, time.Second
	})).mustBe(t, Error, "no node of the lab has 10.0.0.77")
}
