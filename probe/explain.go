package probe

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nslab/topology"
)

// maxExplained is how many cases of one Run are looked into: where a whole mesh
// fails, the first tell why.
const maxExplained = 200

// explain looks up how the sender's kernel sends to the target, and, where a
// request arrived, how the target's sends back.
func (r *runner) explain(j *job, res result) []string {
	if res.seen&unable != 0 || !j.to.addr.IsValid() || j.test.Verb == topology.RouteTo || j.test.Verb == topology.Exec {
		return nil
	}
	if r.explained.Add(1) > maxExplained {
		return nil
	}
	lines, source := explainWay(j.from.node, j.from.addr, j.to.addr)
	if res.seen&arrived != 0 && source.IsValid() {
		for _, n := range j.owners {
			back, _ := explainWay(n, j.to.addr, source)
			lines = append(lines, back...)
		}
	}
	return lines
}

// explainWay gives a node's route to an address and what it knows of the next
// hop, and the source address that the kernel takes. from may be not valid.
func explainWay(n *node, from, to netip.Addr) (lines []string, source netip.Addr) {
	t, err := openTables(n)
	if err != nil {
		return []string{err.Error()}, from
	}
	defer t.close()
	v6 := to.Is6()
	options := &netlink.RouteGetOptions{}
	words := to.WithZone("").String()
	if from.IsValid() {
		options.SrcAddr = from.AsSlice()
		words += " from " + from.String()
	}
	if zone := to.Zone(); zone != "" {
		options.Oif = zone
		words += " oif " + zone
	}
	found, err := t.h.RouteGetWithOptions(to.AsSlice(), options)
	if err == nil && len(found) == 0 {
		err = unix.ENETUNREACH
	}
	if err != nil {
		return []string{fmt.Sprintf("route in %s to %s: %s", n.name, words, errnoText(err))}, from
	}
	way := found[0]
	lines = append(lines, fmt.Sprintf("route in %s: %s", n.name, t.text(way, v6)))
	if source = from; !source.IsValid() {
		source, _ = netip.AddrFromSlice(way.Src)
		source = source.Unmap()
	}
	if way.Type != unix.RTN_UNICAST {
		return lines, source
	}
	next := gateway(way.Gw, way.Via)
	if !next.IsValid() {
		next = to.WithZone("")
	}
	return append(lines, t.neighbor(next, way.LinkIndex)...), source
}

// neighbor says what the node knows of a neighbour, and, where that does not
// answer, what is between them.
func (t *tables) neighbor(a netip.Addr, index int) []string {
	where := fmt.Sprintf("neighbour in %s: %s dev %s", t.node.name, a, t.name(index))
	if link, err := t.h.LinkByIndex(index); err == nil {
		at := link.Attrs()
		switch {
		case at.RawFlags&unix.IFF_UP == 0:
			return []string{where + ": the interface is down"}
		case at.RawFlags&unix.IFF_LOWER_UP == 0:
			return append([]string{where + ": the interface has no carrier"}, t.node.between(t.name(index), a)...)
		}
	}
	list, err := dump(func() ([]netlink.Neigh, error) { return t.h.NeighList(index, netlinkFamily(a.Is6())) })
	if err != nil {
		return []string{where + ": " + errnoText(err)}
	}
	for _, x := range list {
		if x.IP.Equal(net.IP(a.AsSlice())) {
			if len(x.HardwareAddr) > 0 {
				where += " lladdr " + x.HardwareAddr.String()
			}
			where += " " + neighborState(x.State)
			if x.State&(unix.NUD_INCOMPLETE|unix.NUD_FAILED) != 0 {
				return append([]string{where}, t.node.between(t.name(index), a)...)
			}
			return []string{where}
		}
	}
	return append([]string{where + ": none"}, t.node.between(t.name(index), a)...)
}

// neighborState is a NUD_* by the name that iproute2 gives it.
func neighborState(s int) string {
	switch {
	case s&unix.NUD_PERMANENT != 0:
		return "PERMANENT"
	case s&unix.NUD_NOARP != 0:
		return "NOARP"
	case s&unix.NUD_REACHABLE != 0:
		return "REACHABLE"
	case s&unix.NUD_STALE != 0:
		return "STALE"
	case s&unix.NUD_DELAY != 0:
		return "DELAY"
	case s&unix.NUD_PROBE != 0:
		return "PROBE"
	case s&unix.NUD_INCOMPLETE != 0:
		return "INCOMPLETE (nobody answers)"
	case s&unix.NUD_FAILED != 0:
		return "FAILED (nobody answers)"
	}
	return "NONE"
}
