package main

import (
	"errors"
	"strings"
	"testing"

	"nslab/netsetup/kernel"
	"nslab/netsetup/netns"
)

func TestLimits(t *testing.T) {
	raise := sysctlRaise("fs.mount-max")
	for _, test := range []struct {
		name string
		limit
		state, has, hint string
	}{
		{"nothing is needed", limit{value: 5, used: 9}, checkOK, "5, 9 in use", ""},
		{"all of it", limit{value: 10, used: 3, need: 7, raise: raise}, checkOK, "10, 3 in use", ""},
		{"one more", limit{value: 10, used: 3, need: 8, raise: raise}, checkMissing, "10, 3 in use", "sudo sysctl -w fs.mount-max=22"},
		{"perhaps", limit{value: 10, need: 11, perhaps: true, raise: raise}, checkWarning, "10", "sudo sysctl -w fs.mount-max=22"},
		{"no number", limit{value: 0, need: 1, raise: "free some"}, checkMissing, "0", "free some"},
	} {
		c := test.check()
		if c.State != test.state || c.Has != test.has || c.Hint != test.hint {
			t.Errorf("%s: %+v", test.name, c)
		}
	}
}

func TestCheckFeature(t *testing.T) {
	vlan := kernel.Feature{Name: "vlan", Option: "CONFIG_VLAN_8021Q", Module: "8021q"}
	if c := checkFeature(vlan, true); c.State != checkOK || c.Needs != "yes" {
		t.Errorf("there and wanted: %+v", c)
	}
	vlan.Err = errors.New("no")
	if c := checkFeature(vlan, false); c.State != checkAbsent {
		t.Errorf("not there and not wanted: %+v", c)
	}
	const hint = "sudo modprobe 8021q, or a kernel with CONFIG_VLAN_8021Q"
	if c := checkFeature(vlan, true); c.State != checkMissing || c.Hint != hint {
		t.Errorf("not there and wanted: %+v", c)
	}
}

// TestDemand: what a lab needs is foreseen from its file.
func TestDemand(t *testing.T) {
	a := &app{stdin: strings.NewReader(`name: d
nodes:
  sw: {kind: switch, subnet: [10.0.0.0/24, fd00::/64]}
  "h[1-40]": {}
  r:
    rules: [priority 7 from 10.0.0.0/8 table 7]
    nftables: |
      table ip t { chain c { ip saddr 10.0.0.1 accept; } }
links:
  - ["h[1-40]", sw]
  - {endpoints: [r, sw]}
`)}
	src, err := a.find(t.Context(), a.doctorCommand(), "-", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	d := demandOf(src)
	for name, want := range map[string]bool{"veth": true, "bridge": true, "nftables": true, "policy routing": true, "vlan": false} {
		if d.features[name] != want {
			t.Errorf("%s is needed: %t, want %t", name, d.features[name], want)
		}
	}
	if d.namespaces != 42 || d.neighbors != [2]uint64{41 * 40, 41 * 40} || d.sendBuffer < 2048 || d.sendBuffer > 4096 {
		t.Errorf("needs %+v", d)
	}
	host := map[string]string{"user.max_net_namespaces": "20", "net.ipv4.neigh.default.gc_thresh3": "1024"}
	report, err := diagnose(src, host, &netns.PrivilegeError{What: "no", Hint: "be root"})
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for _, c := range report.Checks {
		states[c.Name] = c.State
	}
	if report.CanRun || states["namespaces"] != checkMissing || states["user.max_net_namespaces"] != checkMissing ||
		states["net.ipv4.neigh.default.gc_thresh3"] != checkWarning || states["fs.mount-max"] != checkOK {
		t.Errorf("found %v", states)
	}
}
