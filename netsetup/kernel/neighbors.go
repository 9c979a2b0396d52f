package kernel

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/topology"
)

// neighborRequest asks for all neighbours of both families; with AF_BRIDGE for
// the forwarding tables of all bridges.
func neighborRequest(family uint8) *request {
	var r request
	r.begin(unix.RTM_GETNEIGH, unix.NLM_F_DUMP, 0, unix.SizeofNdMsg)[0] = family
	r.end()
	return &r
}

// proxyRequest asks for the addresses that are answered for, of both families.
func proxyRequest() *request {
	r := neighborRequest(unix.AF_UNSPEC)
	r.b[unix.SizeofNlMsghdr+10] = unix.NTF_PROXY
	return r
}

// parsedNeighbor is one RTM_NEWNEIGH.
type parsedNeighbor struct {
	family uint8
	index  int32 // of the link
	state  uint16
	flags  uint8 // NTF_*
	proto  uint8
	ip     netip.Addr
	mac    topology.MAC
	vlan   bool
}

func parseNeighbor(m message) (p parsedNeighbor, ok bool) {
	if m.typ != unix.RTM_NEWNEIGH || len(m.payload) < unix.SizeofNdMsg {
		return p, false
	}
	p.family = m.payload[0]
	p.index = int32(native.Uint32(m.payload[4:]))
	p.state = native.Uint16(m.payload[8:])
	p.flags = m.payload[10]
	for a := attributes(m.payload, unix.SizeofNdMsg); a.next(); {
		switch a.typ {
		case unix.NDA_DST:
			p.ip = a.addr()
		case unix.NDA_LLADDR:
			if len(a.value) == len(p.mac) {
				copy(p.mac[:], a.value)
			}
		case unix.NDA_VLAN:
			p.vlan = true
		case ndaProtocol:
			p.proto = a.u8()
		}
	}
	return p, true
}

// stateNames are the states that State has a word for, from linux/neighbour.h.
var stateNames = map[string]uint16{
	"permanent": unix.NUD_PERMANENT,
	"noarp":     unix.NUD_NOARP,
	"reachable": unix.NUD_REACHABLE,
	"stale":     unix.NUD_STALE,
}

func stateName(state uint16) string {
	switch {
	case state&unix.NUD_PERMANENT != 0:
		return "permanent"
	case state&unix.NUD_NOARP != 0:
		return "noarp"
	case state&unix.NUD_REACHABLE != 0:
		return "reachable"
	}
	return "stale"
}

// classify says whose an entry is, and whether it is in a State at all.
func (p *parsedNeighbor) classify(link *linkInfo) (o netsetup.Origin, ok bool) {
	switch {
	case p.proto == netsetup.Protocol:
		return netsetup.Ours, true
	case p.proxy():
		// They have no state.
		if p.proto != 0 && p.proto != unix.RTPROT_BOOT && p.proto != unix.RTPROT_STATIC || link.foreign {
			return netsetup.Foreign, true
		}
		return netsetup.Manual, true
	case p.state&(unix.NUD_PERMANENT|unix.NUD_NOARP) == 0:
		return 0, false // learned
	case p.state&unix.NUD_NOARP != 0 && (link.noARP || !p.resolvable()):
		return 0, false // the kernel's own
	case p.proto != 0 && p.proto != unix.RTPROT_BOOT && p.proto != unix.RTPROT_STATIC,
		p.flags&unix.NTF_EXT_LEARNED != 0, link.foreign:
		return netsetup.Foreign, true
	}
	return netsetup.Manual, true
}

// resolvable reports an address that neighbours are asked for: others get an
// entry without asking (net/ipv4/arp.c:arp_constructor and
// net/ipv6/ndisc.c:ndisc_constructor).
func (p *parsedNeighbor) resolvable() bool {
	broadcast := p.mac == topology.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	return !p.ip.IsMulticast() && !p.ip.IsLoopback() && !p.ip.IsUnspecified() && !broadcast
}

// neighbors reads the entries of both tables: of neighbours, and of addresses
// that the namespace answers for in their stead.
func (o *observer) neighbors() error {
	ns := &o.ns
	var first int // of the table being read
	each := func(m message) error {
		p, ok := parseNeighbor(m)
		if !ok || !p.ip.IsValid() {
			return nil
		}
		link := o.links.byIndex(p.index)
		if link == nil {
			return nil // learned on a link that is new
		}
		if origin, ok := p.classify(link); ok && link.at >= 0 {
			ns.Neighbors = append(ns.Neighbors, netsetup.Neighbor{
				Origin: origin, Link: link.name, IP: p.ip, MAC: p.mac, State: stateName(p.state), Proxy: p.proxy(),
			})
		}
		return nil
	}
	for _, req := range []*request{o.reqs.neighbors, o.reqs.proxies} {
		first = len(ns.Neighbors)
		if err := o.dump(req, func() { ns.Neighbors = ns.Neighbors[:first] }, each); err != nil {
			return err
		}
	}
	return nil
}

func (p *parsedNeighbor) proxy() bool { return p.flags&unix.NTF_PROXY != 0 }

// fdb reads the forwarding tables where there is a bridge: the entries that
// bridge(8) calls static, and those it calls permanent but for the kernel's own,
// of a link's MAC. Those with a VLAN are copies that the kernel makes.
func (o *observer) fdb() error {
	ns := &o.ns
	macs := make(map[topology.MAC]bool, len(ns.Links))
	for i := range ns.Links {
		macs[ns.Links[i].MAC] = true
	}
	return o.dump(o.reqs.fdb, func() { ns.FDB = nil }, func(m message) error {
		p, ok := parseNeighbor(m)
		if !ok || p.family != unix.AF_BRIDGE || p.flags&unix.NTF_SELF != 0 || p.flags&unix.NTF_EXT_LEARNED != 0 ||
			p.vlan || p.state != unix.NUD_NOARP && (p.state != unix.NUD_PERMANENT || macs[p.mac]) {
			return nil
		}
		if link := o.links.byIndex(p.index); link != nil && link.at >= 0 {
			ns.FDB = append(ns.FDB, netsetup.FDBEntry{
				Origin: netsetup.Manual, Link: link.name, MAC: p.mac, Local: p.state == unix.NUD_PERMANENT,
			})
		}
		return nil
	})
}

// neighbor asks for an entry to be as given, in place of a learned one too.
func (w *work) neighbor(op int, n *netsetup.Neighbor) error {
	state, ok := stateNames[n.State]
	if !ok {
		return errState(n.State)
	}
	return w.neighborRequest(op, n, unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, state)
}

func (w *work) neighborRequest(op int, n *netsetup.Neighbor, typ, flags, state uint16) error {
	index, err := w.index(n.Link)
	if err != nil {
		return err
	}
	r, body := w.begin(op, typ, flags, unix.SizeofNdMsg)
	body[0] = family(n.IP)
	native.PutUint32(body[4:], uint32(index))
	native.PutUint16(body[8:], state)
	if n.Proxy {
		body[10] = unix.NTF_PROXY
	}
	r.addr(unix.NDA_DST, n.IP)
	if typ == unix.RTM_NEWNEIGH {
		if !n.MAC.IsZero() {
			r.bytes(unix.NDA_LLADDR, n.MAC[:])
		}
		if n.Origin == netsetup.Ours {
			r.u8(ndaProtocol, netsetup.Protocol)
		}
	}
	w.end()
	return nil
}

// fdbEntry asks for a static forwarding entry, in place of a learned one too,
// or for its end.
func (w *work) fdbEntry(op int, f *netsetup.FDBEntry, typ, flags uint16) error {
	index, err := w.index(f.Link)
	if err != nil {
		return err
	}
	r, body := w.begin(op, typ, flags, unix.SizeofNdMsg)
	body[0] = unix.AF_BRIDGE
	native.PutUint32(body[4:], uint32(index))
	native.PutUint16(body[8:], unix.NUD_NOARP)
	if f.Local {
		native.PutUint16(body[8:], unix.NUD_PERMANENT)
	}
	body[10] = unix.NTF_MASTER
	r.bytes(unix.NDA_LLADDR, f.MAC[:])
	w.end()
	return nil
}
