package kernel_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nslab/netsetup/kernel"
)

// TestFeatures: what is said to work works for ip(8), and what is said not to does
// not.
func TestFeatures(t *testing.T) {
	found, err := kernel.Features()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]kernel.Feature{}
	for _, f := range found {
		if _, twice := byName[f.Name]; twice {
			t.Errorf("%s is there twice", f.Name)
		}
		byName[f.Name] = f
		t.Logf("%-15s %v", f.Name, f.Err)
	}
	for name, command := range map[string]string{
		"veth":           "ip link add name t type veth",
		"bridge":         "ip link add name t type bridge",
		"dummy":          "ip link add name t type dummy",
		"vlan":           "ip link add name l type bridge; ip link add name t link l type vlan id 2",
		"vrf":            "ip link add name t type vrf table 7",
		"bond":           "ip link add name t type bond",
		"macvlan":        "ip link add name l type bridge; ip link add name t link l type macvlan",
		"ipvlan":         "ip link add name l type bridge; ip link add name t link l type ipvlan",
		"vxlan":          "ip link add name t type vxlan id 7 dstport 4789",
		"geneve":         "ip link add name t type geneve id 7 remote 10.0.0.1",
		"gre":            "ip link add name t type gre remote 10.0.0.1",
		"ipip":           "ip link add name t type ipip remote 10.0.0.1",
		"wireguard":      "ip link add name t type wireguard",
		"ifb":            "ip link add name t type ifb",
		"vlan_filtering": "ip link add name t type bridge; ip -d link show t | grep -q vlan_filtering",
		"netem":          "tc qdisc add dev lo root netem delay 1ms",
		"tbf":            "tc qdisc add dev lo root tbf rate 1mbit burst 10kb latency 10ms",
		"nftables":       "nft add table inet t",
		"policy routing": "ip rule add priority 7 table 7",
		"tun":            "ip tuntap add t mode tun",
	} {
		f, ok := byName[name]
		if !ok {
			t.Errorf("%s was not tried", name)
			continue
		}
		out, err := exec.Command("unshare", "-n", "sh", "-ec", command).CombinedOutput()
		if works := err == nil; works != (f.Err == nil) {
			t.Errorf("%s: %v; %q: %v\n%s", name, f.Err, command, err, out)
		}
	}
	for _, f := range found {
		if f.Err != nil && f.Err.Error() == "" || errors.Is(f.Err, unix.EINVAL) {
			t.Errorf("%s: %v", f.Name, f.Err)
		}
	}
	if kinds, err := os.ReadFile("/proc/filesystems"); err == nil && strings.Contains(string(kinds), "\toverlay\n") && byName["overlay"].Err != nil {
		t.Errorf("overlay: %v", byName["overlay"].Err)
	}
}
