package kernel_test

import (
	"strings"
	"testing"

	"nslab/netsetup"
	"nslab/topology"
)

// TestLostRules takes away the rules that every namespace has: up puts them
// back, unless the node keeps what is done to its rules by hand.
func TestLostRules(t *testing.T) {
	k := newKernel(t)
	want := pair()
	up(t, k, want)
	rules := func() string {
		return run(t, "ip", "-n", "t.a", "rule") + run(t, "ip", "-n", "t.a", "-6", "rule")
	}
	before := rules()
	sh(t, `
		ip -n t.a rule add priority 5 lookup local
		ip -n t.a rule del priority 0
		ip -n t.a rule del priority 32766
		ip -n t.a rule del priority 32767
		ip -n t.a -6 rule del priority 32766`)

	want.Namespaces[0].Keep = topology.Keep{Rules: true}
	if plan, err := netsetup.Diff(observe(t, k, want), want, false); err != nil || !plan.Empty() {
		t.Errorf("plan with keep: %v, %v", plan, err)
	}
	want.Namespaces[0].Keep = topology.Keep{}
	plan, err := netsetup.Diff(observe(t, k, want), want, false)
	if err != nil || len(plan.Ops) != 5 {
		t.Errorf("plan: %v, %v", plan, err)
	}
	if l := plan.Lines(); len(l) != 5 || !strings.Contains(l[2].Command, "rule add priority 32766 lookup 254") {
		t.Errorf("plan: %v", l)
	}
	up(t, k, want)
	if after := rules(); after != before {
		t.Errorf("rules are\n%s and were\n%s", after, before)
	}
}
