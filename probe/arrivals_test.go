package probe

import (
	"testing"

	"nslab/topology"
)

// TestFarSide has requests for which the test serves nothing: that they do not
// arrive is seen at the target, not only by what comes back.
func TestFarSide(t *testing.T) {
	type want struct{ fail, reject, drop Outcome }
	for _, c := range []struct {
		name  string
		setup func(l *testLab)
		want  want
	}{
		{"no server", func(l *testLab) {}, want{Fail, Pass, Fail}},
		{"a filter on the way", func(l *testLab) {
			l.nft("r", `table inet t { chain f { type filter hook forward priority 0; meta l4proto { tcp, udp } drop; }; }`)
		}, want{Pass, Fail, Pass}},
		{"a filter of the target", func(l *testLab) {
			l.nft("b", `table inet t { chain i { type filter hook input priority 0; meta l4proto { tcp, udp } drop; }; }`)
		}, want{Pass, Fail, Pass}},
		{"a filter of the target that rejects", func(l *testLab) {
			l.nft("b", `table inet t { chain i { type filter hook input priority 0; meta l4proto { tcp, udp } reject; }; }`)
		}, want{Pass, Pass, Fail}},
		{"answers that are lost", func(l *testLab) {
			l.nft("r", `table inet t { chain f { type filter hook forward priority 0; iifname eth1 meta l4proto { icmp, tcp } drop; iifname eth1 icmpv6 type destination-unreachable drop; }; }`)
		}, want{Fail, Fail, Fail}},
		{"another port of the target", func(l *testLab) {
			l.nft("b", `table inet t {
				chain p { type nat hook prerouting priority dstnat; meta l4proto { tcp, udp } redirect to :9; }
				chain o { type filter hook output priority 0; meta l4proto { icmp, tcp } drop; icmpv6 type destination-unreachable drop; }
			}`)
		}, want{Fail, Fail, Fail}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := routedLab(t)
			c.setup(l)
			for expect, want := range map[string]Outcome{expectFail: c.want.fail, expectReject: c.want.reject, expectDrop: c.want.drop} {
				own := func(x *topology.Test) { x.Expect, x.Listen = expect, new(bool) }
				web := testItem("http", "a", "b", 80, own)
				web.Targets[0].URL = "/"
				names := testItem("dns", "a", "b", 53, own)
				names.Query, names.Type = "www.example", "A"
				l.Tests = []*topology.Test{testItem("tcp", "a", "b", 80, own), testItem("udp", "a", "b", 53, own), web, names}
				for _, got := range l.runWith(Options{Parallel: 4}).Cases {
					if got.Outcome != want {
						t.Errorf("expect %s: want %s, got %s", expect, want, got.text())
					}
				}
			}
		})
	}
}
