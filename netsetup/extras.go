package netsetup

import (
	"fmt"
	"slices"
	"strings"
)

// Extra is a setting that no topology file has and that is not as the kernel
// makes it: somebody changed it by hand. Wanted states have none.
type Extra struct {
	Name  string // as iproute2 has it
	Value int
}

// ExtraKind is a setting that may be an Extra.
type ExtraKind struct {
	Name    string
	Default int  // what the kernel makes
	Switch  bool // shown as on and off
}

// LinkExtras are flags of an interface.
var LinkExtras = []ExtraKind{
	{"promisc", 0, true}, {"allmulticast", 0, true}, {"arp", 1, true}, {"multicast", 1, true},
}

// PortExtras are settings of a bridge port, with the defaults of
// net/bridge/br_if.c:new_nbp.
var PortExtras = []ExtraKind{
	{"guard", 0, true}, {"root_block", 0, true}, {"fastleave", 0, true},
	{"flood", 1, true}, {"mcast_flood", 1, true}, {"bcast_flood", 1, true}, {"mcast_to_unicast", 0, true},
	{"proxy_arp", 0, true}, {"proxy_arp_wifi", 0, true}, {"neigh_suppress", 0, true},
	{"vlan_tunnel", 0, true}, {"locked", 0, true}, {"mab", 0, true}, {"group_fwd_mask", 0, false},
}

// BridgeExtras are settings of a bridge, with the defaults of
// net/bridge/br_device.c:br_dev_setup.
var BridgeExtras = []ExtraKind{
	{"group_fwd_mask", 0, false}, {"vlan_filtering", 0, false}, {"mcast_querier", 0, false},
}

// ExtraOf gives the value of one of kinds in list: what is not in there is as
// the kernel makes it.
func ExtraOf(list []Extra, kind ExtraKind) int {
	if i := slices.IndexFunc(list, func(e Extra) bool { return e.Name == kind.Name }); i >= 0 {
		return list[i].Value
	}
	return kind.Default
}

// extraWords are the words of ip-link(8) for what differs from was.
func extraWords(kinds []ExtraKind, to, was []Extra) string {
	var b strings.Builder
	for _, k := range kinds {
		v := ExtraOf(to, k)
		switch {
		case v == ExtraOf(was, k):
		case k.Switch:
			b.WriteString(" " + k.Name + " " + onOff(v != 0))
		default:
			fmt.Fprintf(&b, " %s %d", k.Name, v)
		}
	}
	return b.String()
}
