package kernel_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"nslab/netsetup/kernel"
)

// TestTraceOfPackets has rules that keep packets: which one did is told, and afterwards
// nothing is there that was not there before.
func TestTraceOfPackets(t *testing.T) {
	needNft(t)
	k := newKernel(t)
	up(t, k, pair())
	sh(t, `ip -n t.a address add 10.0.0.1/24 dev eth0
		ip -n t.b address add 10.0.0.2/24 dev eth0
		ip -n t.a address add fd00::1/64 dev eth0 nodad
		ip -n t.b address add fd00::2/64 dev eth0 nodad`)
	h, err := k.Handle("t.b")
	if err != nil {
		t.Fatal(err)
	}
	matches := []string{"ip saddr 10.0.0.1", "ip6 saddr fd00::1 icmpv6 type echo-request"}
	if trace, err := kernel.StartTrace(h, "t", matches); trace != nil || err != nil {
		t.Fatalf("without rules: %v, %v", trace, err)
	}
	for _, c := range []struct {
		rules, ping string
		want        string // "": the packet is not kept
	}{
		{"table inet f { chain i { type filter hook input priority 0; ip daddr 10.9.9.9 drop; icmp type echo-request drop; }; }", "10.0.0.2", "inet f i rule"},
		{"table inet f { chain i { type filter hook input priority 0; icmpv6 type echo-request reject; }; }", "fd00::2", "inet f i rule"},
		{"table ip f { chain p { type filter hook prerouting priority raw; drop; }; }", "10.0.0.2", "ip f p rule"},
		{"table ip f { chain d { icmp type echo-request drop; }; chain i { type filter hook input priority 0; jump d; }; }", "10.0.0.2", "ip f d rule"},
		{"table ip f { chain i { type filter hook input priority 0; policy drop; tcp dport 80 accept; }; }", "10.0.0.2", "ip f i policy"},
		{"table netdev f { chain i { type filter hook ingress device eth0 priority 0; ip protocol icmp drop; }; }", "10.0.0.2", "netdev f i rule"},
		{"table inet f { chain i { type filter hook input priority 0; accept; }; }", "10.0.0.2", ""},
	} {
		load(t, "t.b", "flush ruleset\n"+c.rules)
		before := listing(t, "t.b")
		trace, err := kernel.StartTrace(h, "t", matches)
		if err != nil {
			t.Fatalf("%s: %v", c.rules, err)
		}
		if during := listing(t, "t.b"); !strings.Contains(during, "nslab-trace") {
			t.Errorf("%s: no table marks packets", c.rules)
		}
		exec.Command("ip", "netns", "exec", "t.a", "ping", "-c1", "-W1", c.ping).Run() // most fail
		verdicts, err := trace.Verdicts()
		if err != nil {
			t.Fatal(err)
		}
		trace.Close()
		got := ""
		if len(verdicts) > 0 {
			v := verdicts[0]
			got = fmt.Sprintf("%s %s %s rule", v.Family, v.Table, v.Chain)
			if v.Policy {
				got = strings.TrimSuffix(got, "rule") + "policy"
			}
			if v.Policy == (v.Rule != nil) {
				t.Errorf("%s: policy %v, rule %v", c.rules, v.Policy, v.Rule)
			}
			if len(v.Packet) < 20 || v.Packet[0]>>4 != 4 && v.Packet[0]>>4 != 6 {
				t.Errorf("%s: the packet is %x", c.rules, v.Packet)
			}
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.rules, got, c.want)
		}
		if after := listing(t, "t.b"); after != before {
			t.Errorf("%s: there was\n%sthere is\n%s", c.rules, before, after)
		}
	}
}
