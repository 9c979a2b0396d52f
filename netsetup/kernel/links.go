package kernel

import (
	"bytes"
	"strings"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
)

// linkInfo is what must be known of a link to understand the rest of its
// namespace.
type linkInfo struct {
	index   int32
	name    string
	at      int32 // in Namespace.Links; -1: the link is not in the State
	master  int32 // index, or 0
	peer    int32 // index of a veth's other end
	netnsid int32 // the namespace of peer, as this one numbers it; -1: the same
	foreign bool  // Origin Foreign
	made    bool  // by nslab, and not yet given an alias
	noARP   bool  // no neighbours are asked for: the kernel makes NOARP entries
	conf    linkConf
}

// linkTable finds links by index.
type linkTable []linkInfo

func (t linkTable) byIndex(index int32) *linkInfo {
	for i := range t {
		if t[i].index == index {
			return &t[i]
		}
	}
	return nil
}

func (t linkTable) byName(name string) *linkInfo {
	for i := range t {
		if t[i].name == name {
			return &t[i]
		}
	}
	return nil
}

// name gives the name of the link with that index; "" where there is none.
func (t linkTable) name(index int32) string {
	if l := t.byIndex(index); l != nil {
		return l.name
	}
	return ""
}

// fallback devices are made by the kernel in every new namespace once the
// module of their kind is loaded (net.core.fb_tunnels_only_for_init_net).
var fallback = map[string]bool{
	"sit0": true, "tunl0": true, "gre0": true, "gretap0": true, "erspan0": true,
	"ip6tnl0": true, "ip6gre0": true, "ip_vti0": true, "ip6_vti0": true,
}

// foreignKind reports a link that some program made for itself and would miss:
// a VPN's. So is one without a kind, which is hardware (or stands for it) and
// could not be made again.
func foreignKind(kind string) bool {
	switch kind {
	case "", "tun", "wireguard", "xfrm", "ppp", "ovpn":
		return true
	}
	return false
}

// linkRequest asks for all links of a namespace.
func linkRequest() *request {
	var r request
	r.begin(unix.RTM_GETLINK, unix.NLM_F_DUMP, 0, unix.SizeofIfInfomsg)
	r.u32(unix.IFLA_EXT_MASK, filterSkipStats)
	r.end()
	return &r
}

// parsedLink is one RTM_NEWLINK.
type parsedLink struct {
	info  linkInfo
	link  netsetup.Link
	group uint32
}

// parseLink reads an RTM_NEWLINK. Master is left to the caller, who knows all
// the names.
func parseLink(m message) (p parsedLink, ok bool) {
	if m.typ != unix.RTM_NEWLINK || len(m.payload) < unix.SizeofIfInfomsg {
		return p, false
	}
	p.info = linkInfo{index: int32(native.Uint32(m.payload[4:])), at: -1, netnsid: -1}
	p.info.conf.reset()
	flags := native.Uint32(m.payload[8:])
	p.info.noARP = flags&(unix.IFF_NOARP|unix.IFF_LOOPBACK) != 0
	l := &p.link
	l.Index = int(p.info.index)
	l.Up = flags&unix.IFF_UP != 0
	if flags&unix.IFF_LOOPBACK != 0 {
		l.Kind = netsetup.KindLoopback
	}
	var lower int32
	for a := attributes(m.payload, unix.SizeofIfInfomsg); a.next(); {
		switch a.typ {
		case unix.IFLA_IFNAME:
			l.Name = internName(cString(a.value))
		case unix.IFLA_ADDRESS:
			if len(a.value) == len(l.MAC) {
				copy(l.MAC[:], a.value)
			}
		case unix.IFLA_OPERSTATE:
			l.Running = a.u8() == operStateUp
		case unix.IFLA_MTU:
			l.MTU = int(a.u32())
		case unix.IFLA_TXQLEN:
			n := int(a.u32())
			l.TxQueueLen = &n
		case unix.IFLA_IFALIAS:
			l.Alias = a.str()
		case unix.IFLA_GROUP:
			p.group = a.u32()
		case unix.IFLA_MASTER:
			p.info.master = int32(a.u32())
		case unix.IFLA_LINK:
			lower = int32(a.u32())
		case unix.IFLA_LINK_NETNSID:
			p.info.netnsid = int32(a.u32())
		case unix.IFLA_LINKINFO:
			parseLinkInfo(l, a.nested())
		case unix.IFLA_AF_SPEC:
			p.info.conf.parse(a.nested())
		}
	}
	if l.Kind != netsetup.KindLoopback {
		l.Extra = linkExtras(flags)
	}
	if l.Kind == netsetup.KindVeth {
		p.info.peer = lower
	}
	p.info.name = l.Name
	p.info.made = p.group == netsetup.Group && l.Alias == ""
	p.info.foreign = p.group != netsetup.Group && l.Kind != netsetup.KindLoopback && foreignKind(l.Kind)
	return p, l.Name != ""
}

func parseLinkInfo(l *netsetup.Link, info attrs) {
	var slave string
	for info.next() {
		switch info.typ {
		case unix.IFLA_INFO_KIND:
			l.Kind = internName(cString(info.value))
		case unix.IFLA_INFO_DATA:
			if l.Kind == netsetup.KindBridge {
				l.Bridge = parseBridge(info.nested())
			}
		case unix.IFLA_INFO_SLAVE_KIND:
			slave = internName(cString(info.value))
		case unix.IFLA_INFO_SLAVE_DATA:
			if slave == netsetup.KindBridge {
				l.Port = parsePort(info.nested())
			}
		}
	}
}

// parseBridge reads a bridge's settings. With STP a bridge that is not the root
// shows the times of the one that is, and nowhere its own (net/bridge/br_stp.c:
// br_record_config_timeout_values); and while the topology changes, twice the
// forward delay in the place of its ageing time (__br_set_topology_change): they
// are left out.
func parseBridge(data attrs) *netsetup.Bridge {
	br := new(netsetup.Bridge)
	var self, root []byte
	changing := false
	number := func(v uint32) *int { n := int(v); return &n }
	for data.next() {
		switch data.typ {
		case unix.IFLA_BR_STP_STATE:
			br.STP = data.u32() != 0
		case unix.IFLA_BR_MCAST_SNOOPING:
			br.McastSnooping = data.u8() != 0
		case unix.IFLA_BR_AGEING_TIME:
			br.AgeingTime = number(data.u32())
		case unix.IFLA_BR_FORWARD_DELAY:
			br.ForwardDelay = number(data.u32())
		case unix.IFLA_BR_HELLO_TIME:
			br.HelloTime = number(data.u32())
		case unix.IFLA_BR_MAX_AGE:
			br.MaxAge = number(data.u32())
		case unix.IFLA_BR_PRIORITY:
			br.Priority = number(uint32(data.u16()))
		case unix.IFLA_BR_TOPOLOGY_CHANGE:
			changing = data.u8() != 0
		case unix.IFLA_BR_BRIDGE_ID:
			self = data.value
		case unix.IFLA_BR_ROOT_ID:
			root = data.value
		default:
			br.Extra = parseExtra(br.Extra, &data, netsetup.BridgeExtras, bridgeAttrs[:])
		}
	}
	if br.STP && !bytes.Equal(self, root) {
		br.ForwardDelay, br.HelloTime, br.MaxAge = nil, nil, nil
	}
	if br.STP && changing {
		br.AgeingTime = nil
	}
	return br
}

func parsePort(data attrs) *netsetup.Port {
	p := new(netsetup.Port)
	for data.next() {
		switch data.typ {
		case unix.IFLA_BRPORT_ISOLATED:
			p.Isolated = data.u8() != 0
		case unix.IFLA_BRPORT_LEARNING:
			p.Learning = data.u8() != 0
		case unix.IFLA_BRPORT_MODE:
			p.Hairpin = data.u8() != 0
		case unix.IFLA_BRPORT_COST:
			n := int(data.u32())
			p.Cost = &n
		case unix.IFLA_BRPORT_PRIORITY:
			n := int(data.u16())
			p.Priority = &n
		default:
			p.Extra = parseExtra(p.Extra, &data, netsetup.PortExtras, portAttrs[:])
		}
	}
	return p
}

// internName spares the allocation of the strings that every namespace has.
func internName(b []byte) string {
	switch string(b) {
	case "lo":
		return "lo"
	case "eth0":
		return "eth0"
	case "eth1":
		return "eth1"
	case "veth":
		return netsetup.KindVeth
	case "bridge":
		return netsetup.KindBridge
	}
	return string(b)
}

// markedBy reports whether an alias says that a link belongs to a lab.
func markedBy(alias, lab string) bool {
	name, ok := strings.CutPrefix(alias, netsetup.AliasPrefix)
	return ok && name == lab
}
