package kernel

import (
	"golang.org/x/sys/unix"

	"nslab/netsetup"
)

// linkFlags are the flags of netsetup.LinkExtras, in that order.
var linkFlags = [...]uint32{unix.IFF_PROMISC, unix.IFF_ALLMULTI, unix.IFF_NOARP, unix.IFF_MULTICAST}

// linkExtras are those that the flags of a link tell. The kernel's own lo has
// others than what nslab makes.
func linkExtras(flags uint32) []netsetup.Extra {
	var list []netsetup.Extra
	for i, k := range netsetup.LinkExtras {
		v := int(bit(flags&linkFlags[i] != 0))
		if linkFlags[i] == unix.IFF_NOARP {
			v = 1 - v
		}
		if v != k.Default {
			list = append(list, netsetup.Extra{Name: k.Name, Value: v})
		}
	}
	return list
}

// changeFlags gives the flags of a request that makes the extras of a link what
// they are to be: their values, and which are meant.
func changeFlags(to, was []netsetup.Extra) (values, mask uint32) {
	for i, k := range netsetup.LinkExtras {
		v := netsetup.ExtraOf(to, k)
		if v == netsetup.ExtraOf(was, k) {
			continue
		}
		mask |= linkFlags[i]
		if (v != 0) != (linkFlags[i] == unix.IFF_NOARP) {
			values |= linkFlags[i]
		}
	}
	return values, mask
}

// extraAttr is the attribute of a netsetup.ExtraKind.
type extraAttr struct {
	typ  uint16
	size int // bytes
}

// portAttrs are those of netsetup.PortExtras, bridgeAttrs of BridgeExtras, in
// that order.
var (
	portAttrs = [...]extraAttr{
		{unix.IFLA_BRPORT_GUARD, 1}, {unix.IFLA_BRPORT_PROTECT, 1}, {unix.IFLA_BRPORT_FAST_LEAVE, 1},
		{unix.IFLA_BRPORT_UNICAST_FLOOD, 1}, {unix.IFLA_BRPORT_MCAST_FLOOD, 1}, {unix.IFLA_BRPORT_BCAST_FLOOD, 1}, {unix.IFLA_BRPORT_MCAST_TO_UCAST, 1},
		{unix.IFLA_BRPORT_PROXYARP, 1}, {unix.IFLA_BRPORT_PROXYARP_WIFI, 1}, {unix.IFLA_BRPORT_NEIGH_SUPPRESS, 1},
		{unix.IFLA_BRPORT_VLAN_TUNNEL, 1}, {unix.IFLA_BRPORT_LOCKED, 1}, {brportMAB, 1}, {unix.IFLA_BRPORT_GROUP_FWD_MASK, 2},
	}
	bridgeAttrs = [...]extraAttr{
		{unix.IFLA_BR_GROUP_FWD_MASK, 2}, {unix.IFLA_BR_VLAN_FILTERING, 1}, {unix.IFLA_BR_MCAST_QUERIER, 1},
	}
)

// parseExtra appends the extra that an attribute tells, where it is one.
func parseExtra(list []netsetup.Extra, a *attrs, kinds []netsetup.ExtraKind, of []extraAttr) []netsetup.Extra {
	for i := range of {
		if of[i].typ != a.typ {
			continue
		}
		v := int(a.u8())
		if of[i].size == 2 {
			v = int(a.u16())
		}
		if v != kinds[i].Default {
			list = append(list, netsetup.Extra{Name: kinds[i].Name, Value: v})
		}
	}
	return list
}

// appendExtras appends the attributes of those that are to be other than they
// were.
func appendExtras(r *request, to, was []netsetup.Extra, kinds []netsetup.ExtraKind, of []extraAttr) {
	for i, k := range kinds {
		v := netsetup.ExtraOf(to, k)
		switch {
		case v == netsetup.ExtraOf(was, k):
		case of[i].size == 2:
			r.u16(of[i].typ, uint16(v))
		default:
			r.u8(of[i].typ, uint8(v))
		}
	}
}
