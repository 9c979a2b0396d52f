package probe

import (
	"fmt"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// onward is how the node where a request was last seen would send it on.
func (l *look) onward(f *failure) []string {
	flow := f.second.flow()
	if f.arrived(flow) || len(flow.requests) == 0 {
		return nil
	}
	s := &flow.requests[len(flow.requests)-1]
	t := l.tablesOf(s.node)
	if t == nil {
		return nil
	}
	if s.out {
		return l.otherEnd(f, s)
	}
	if l.isPort(s) || s.node == f.from.node {
		return nil
	}
	return t.forward(s)
}

// forward is the node's way for a packet that came in.
func (t *tables) forward(s *sighting) []string {
	iface, dst := t.name(s.index), s.dst.Addr()
	what := fmt.Sprintf("route in %s to %s from %s iif %s", t.node.name, dst, s.src.Addr(), iface)
	found, err := t.h.RouteGetWithOptions(dst.AsSlice(), &netlink.RouteGetOptions{SrcAddr: s.src.Addr().AsSlice(), Iif: iface})
	if err == nil && len(found) == 0 {
		err = unix.ENETUNREACH
	}
	if err != nil {
		what += ": " + errnoText(err)
	} else if found[0].Type == unix.RTN_LOCAL {
		return []string{fmt.Sprintf("%s has the address %s", t.node.name, dst)}
	} else {
		what += ": " + t.text(found[0], dst.Is6())
	}
	lines := []string{what}
	if key, off := t.forwardingOff(iface, dst.Is6()); off {
		lines = append(lines, fmt.Sprintf("%s does not forward: %s = 0", t.node.name, key))
	}
	if err != nil || found[0].Type != unix.RTN_UNICAST {
		return lines
	}
	next := gateway(found[0].Gw, found[0].Via)
	if !next.IsValid() {
		next = dst
	}
	return append(lines, t.neighbor(next, found[0].LinkIndex)...)
}

// forwardingOff reports whether an interface does not forward, and names the
// setting.
func (t *tables) forwardingOff(iface string, v6 bool) (key string, off bool) {
	family := family4
	if v6 {
		family = family6
	}
	key = fmt.Sprintf("net.%s.conf.%s.forwarding", family, iface)
	err := t.node.inside(func() error {
		b, err := os.ReadFile(fmt.Sprintf("/proc/sys/net/%s/conf/%s/forwarding", family, iface))
		off = err == nil && strings.TrimSpace(string(b)) == "0"
		return err
	})
	return key, err == nil && off
}

// otherEnd tells of the interface at the other end of a link that a packet left
// by and did not come in at.
func (l *look) otherEnd(f *failure, s *sighting) []string {
	at := l.placeOf(s)
	for _, link := range l.lab.Links {
		for i, e := range link.Endpoints {
			if e.Node != at.Node || e.Interface != at.Interface {
				continue
			}
			far := link.Endpoints[1-i]
			line := fmt.Sprintf("it did not come in at the other end, %s:%s", far.Node, far.Interface)
			if t := l.tablesOf(l.nodes[far.Node]); t != nil {
				line += t.whyNot(far.Interface, s.length)
			}
			return []string{line}
		}
	}
	return nil
}

// whyNot says why an interface takes no packet of that length, if it can be seen.
func (t *tables) whyNot(iface string, length int) string {
	link, err := t.h.LinkByName(iface)
	if err != nil {
		return ": " + errnoText(err)
	}
	switch at := link.Attrs(); {
	case at.RawFlags&unix.IFF_UP == 0:
		return ": the interface is down"
	case length > at.MTU:
		return fmt.Sprintf(": its MTU is %d, the packet has %d bytes", at.MTU, length)
	}
	return ""
}
