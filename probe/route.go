package probe

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nslab/topology"
)

// routes is the verb route.
type routes struct{}

func (routes) close() {}

func (routes) try(ctx context.Context, jobs []*job, report func(*job, result)) {
	tables := make(map[*node]*tables)
	defer func() {
		for _, t := range tables {
			t.close()
		}
	}()
	for _, j := range jobs {
		began := time.Now()
		t, ok := tables[j.from.node]
		if !ok {
			var err error
			if t, err = openTables(j.from.node); err != nil {
				report(j, broken("%v", err))
				continue
			}
			tables[j.from.node] = t
		}
		res := t.check(j)
		res.began, res.ended = began, time.Now()
		report(j, res)
	}
}

// tables are the routes, neighbours and interfaces of a node.
type tables struct {
	node  *node
	h     *netlink.Handle
	names map[int]string // of interfaces, by index
}

func openTables(n *node) (*tables, error) {
	h, err := n.netlink()
	if err != nil {
		return nil, err
	}
	return &tables{node: n, h: h, names: make(map[int]string)}, nil
}

func (t *tables) close() { t.h.Close() }

// name is that of an interface, "" for index 0.
func (t *tables) name(index int) string {
	if index == 0 {
		return ""
	}
	if name, ok := t.names[index]; ok {
		return name
	}
	name := fmt.Sprintf("interface %d", index)
	if link, err := t.h.LinkByIndex(index); err == nil {
		name = link.Attrs().Name
	}
	t.names[index] = name
	return name
}

// check looks up what a job asks for: an address as the kernel does for a
// packet, by rules and tables; a prefix as the route of exactly that prefix.
func (t *tables) check(j *job) result {
	var found []netlink.Route
	var what string
	if j.to.node == nil && !j.to.prefix.IsSingleIP() {
		list, err := dump(func() ([]netlink.Route, error) {
			return t.h.RouteListFiltered(netlinkFamily(j.ipv6), &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		})
		if err != nil {
			return broken("read the routes of %s: %s", t.node.name, errnoText(err))
		}
		for _, r := range list {
			if prefixOf(r, j.ipv6) == j.to.prefix && r.Table != unix.RT_TABLE_LOCAL {
				found = append(found, r)
			}
		}
		what = "no table has a route to " + j.to.prefix.String()
	} else {
		options := &netlink.RouteGetOptions{FIBMatch: true}
		if j.from.addr.IsValid() {
			options.SrcAddr = j.from.addr.AsSlice()
		}
		list, err := t.h.RouteGetWithOptions(j.to.addr.AsSlice(), options)
		if err != nil {
			return result{seen: failed, what: fmt.Sprintf("%s has no route to %s: %s", t.node.name, j.to.addr, errnoText(err))}
		}
		found = list
		what = fmt.Sprintf("%s has no route to %s", t.node.name, j.to.addr)
	}
	var texts []string
	for _, r := range found {
		if t.fits(r, j.test) {
			return result{seen: answered}
		}
		texts = append(texts, t.text(r, j.ipv6))
	}
	if len(texts) > 0 {
		what = fmt.Sprintf("expected %s; found %s", wanted(j.test), strings.Join(texts, ", "))
	}
	return result{seen: failed, what: what}
}

func netlinkFamily(v6 bool) int {
	if v6 {
		return netlink.FAMILY_V6
	}
	return netlink.FAMILY_V4
}

// prefixOf is a route's destination.
func prefixOf(r netlink.Route, v6 bool) netip.Prefix {
	if r.Dst == nil {
		if v6 {
			return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	a, _ := netip.AddrFromSlice(r.Dst.IP)
	if !v6 {
		a = a.Unmap()
	}
	ones, _ := r.Dst.Mask.Size()
	return netip.PrefixFrom(a, ones)
}

// hop is one way of a route.
type hop struct {
	via netip.Addr
	dev string
}

func (t *tables) hops(r netlink.Route) []hop {
	if len(r.MultiPath) == 0 {
		return []hop{{gateway(r.Gw, r.Via), t.name(r.LinkIndex)}}
	}
	hops := make([]hop, len(r.MultiPath))
	for i, n := range r.MultiPath {
		hops[i] = hop{gateway(n.Gw, n.Via), t.name(n.LinkIndex)}
	}
	return hops
}

// gateway is a next hop's address, of either family; not valid if there is none.
func gateway(gw net.IP, via netlink.Destination) netip.Addr {
	if v, ok := via.(*netlink.Via); ok && v != nil {
		gw = v.Addr
	}
	a, _ := netip.AddrFromSlice(gw)
	return a.Unmap()
}

// goesNowhere are the route types that no packet follows.
var goesNowhere = map[int]string{
	unix.RTN_BLACKHOLE:   "blackhole",
	unix.RTN_UNREACHABLE: "unreachable",
	unix.RTN_PROHIBIT:    "prohibit",
	unix.RTN_THROW:       "throw",
}

// fits reports whether a route is as the test wants it; of several next hops
// one is enough.
func (t *tables) fits(r netlink.Route, want *topology.Test) bool {
	if _, ok := goesNowhere[r.Type]; ok || want.Table != 0 && r.Table != want.Table {
		return false
	}
	for _, h := range t.hops(r) {
		if (!want.Via.IsValid() || h.via == want.Via) && (want.Dev == "" || h.dev == want.Dev) {
			return true
		}
	}
	return false
}

// wanted is what a test asks of a route, in the words of ip-route(8).
func wanted(t *topology.Test) string {
	var words []string
	if t.Via.IsValid() {
		words = append(words, "via "+t.Via.String())
	}
	if t.Dev != "" {
		words = append(words, "dev "+t.Dev)
	}
	if t.Table != 0 {
		words = append(words, fmt.Sprintf("table %d", t.Table))
	}
	if len(words) == 0 {
		return "a route that leads somewhere"
	}
	return strings.Join(words, " ")
}

// text is a route in the words of ip-route(8).
func (t *tables) text(r netlink.Route, v6 bool) string {
	var b strings.Builder
	if kind := goesNowhere[r.Type]; kind != "" {
		b.WriteString(kind + " ")
	}
	b.WriteString(prefixOf(r, v6).String())
	if _, ok := goesNowhere[r.Type]; !ok {
		hops := t.hops(r)
		for _, h := range hops {
			if len(hops) > 1 {
				b.WriteString(" nexthop")
			}
			if h.via.IsValid() {
				b.WriteString(" via " + h.via.String())
			}
			if h.dev != "" {
				b.WriteString(" dev " + h.dev)
			}
		}
	}
	if r.Src != nil {
		b.WriteString(" src " + r.Src.String())
	}
	if r.Table != unix.RT_TABLE_MAIN && r.Table != 0 {
		fmt.Fprintf(&b, " table %d", r.Table)
	}
	return b.String()
}
