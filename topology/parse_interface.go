package topology

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// laterTypes are the types of interface of later versions.
var laterTypes = []string{
	"vlan", "vrf", "bond", "dummy", "macvlan", "ipvlan", "macvtap", "vxlan", "gre", "gretap", "ip6gre", "ipip", "sit",
	"ip6tnl", "geneve", "wireguard", "tun", "tap", "ifb", "xfrm",
}

// laterKeys are the keys of those types alone.
var laterKeys = []string{
	"parent", "id", "protocol", "table", "mode", "miimon", "lacp_rate", "xmit_hash_policy", "local", "remote", "group", "dev",
	"ttl", "key", "private_key", "listen_port", "fwmark", "peers", "owner", "multi_queue", "if_id",
}

// interfaceDraft is an interface while it is read.
type interfaceDraft struct {
	Interface
	bridge    BridgeSettings
	bridgeKey Text // the first key that only a bridge has
}

// Bounds of a bridge's settings: net/bridge/br_stp.c and br_private_stp.h for
// the times, br_private.h (BR_MAX_PORTS, by which a port's priority has 6 bits)
// and br_stp_if.c for the ports.
const (
	minHello, maxHello   = 1 * time.Second, 10 * time.Second
	minMaxAge, maxMaxAge = 6 * time.Second, 40 * time.Second
	maxForwardDelay      = 30 * time.Second
	maxAgeing            = 24 * time.Hour
	maxPathCost          = 65535
	maxPortPriority      = 63
	maxBridgePriority    = 65535
	bridgeTick           = 10 * time.Millisecond // USER_HZ
	maxAlias             = 255                   // IFALIASZ of linux/if.h, with a zero at the end
	maxTxQueueLen        = 1<<31 - 1
	maxLabelName         = 15 // IFNAMSIZ
)

var interfaceObject = newObject(append([]field[interfaceDraft]{
	{"type", "What kind of device it is; veth if not given.", enum(Veth, Bridge), (*parser).interfaceType},
	{"addresses", "Addresses with prefix length, in order.", listOrOne(anyOf(textSchema, ofObject(addressObject))), (*parser).addresses},
	{"mac", "Ethernet address; derived from lab, node and interface if not given.", macSchema, func(p *parser, n *yaml.Node, d *interfaceDraft) {
		d.MAC = p.mac(n)
	}},
	{"mtu", "MTU in bytes.", between(minMTU, maxMTU), func(p *parser, n *yaml.Node, d *interfaceDraft) { d.MTU = p.mtu(n) }},
	{"up", "Whether the interface is up; true if not given.", boolSchema, func(p *parser, n *yaml.Node, d *interfaceDraft) { d.Up = p.boolPointer(n) }},
	{"alias", "Text that `ip link` shows.", textSchema, func(p *parser, n *yaml.Node, d *interfaceDraft) {
		d.Alias = p.line(n, maxAlias, "a text")
	}},
	{"txqueuelen", "Length of the transmit queue in packets.", between(0, maxTxQueueLen), func(p *parser, n *yaml.Node, d *interfaceDraft) {
		d.TxQueueLen = p.intPointer(n, 0, maxTxQueueLen, "a number of packets")
	}},
	{"sysctls", "Kernel settings of the interface, such as ipv4.forwarding.", mapOf(scalarSchema), func(p *parser, n *yaml.Node, d *interfaceDraft) {
		d.Sysctls = p.interfaceSysctls(n, d.Name)
	}},
	{"offloads", "off: checksums and segments are the sender's own work.", boolSchema, func(p *parser, n *yaml.Node, d *interfaceDraft) {
		on, ok := p.boolean(n)
		d.NoOffloads = ok && !on
	}},
	{"port", "Settings as the port of a bridge.", ofObject(portObject), func(p *parser, n *yaml.Node, d *interfaceDraft) {
		s := PortSettings{Pos: posOf(n)}
		portObject.parse(p, p.mapping(n, "{isolated: true}"), &s)
		d.Port = &s
	}},
	{"ports", "Interfaces of the node that the bridge joins.", listOrOne(nameSchema), bridgeKey(func(p *parser, n *yaml.Node, d *interfaceDraft) {
		p.oneOrEach(n, "[eth1, eth2]", func(item *yaml.Node) {
			if name := p.device(item); name != "" {
				d.Ports = append(d.Ports, Text{posOf(item), name})
			}
		})
	})},
	{"stp", "Spanning tree protocol.", boolSchema, bridgeKey(func(p *parser, n *yaml.Node, d *interfaceDraft) { d.bridge.STP, _ = p.boolean(n) })},
	{"mcast_snooping", "Multicast snooping.", boolSchema, bridgeKey(func(p *parser, n *yaml.Node, d *interfaceDraft) { d.bridge.McastSnooping, _ = p.boolean(n) })},
	{"ageing_time", "Time after which a learned MAC is forgotten.", durationSchema, bridgeKey(func(p *parser, n *yaml.Node, d *interfaceDraft) {
		d.bridge.AgeingTime = p.bridgeTime(n, 0, maxAgeing)
	})},
	{"forward_delay", "Time a port listens and learns before it forwards.", durationSchema, bridgeKey(func(p *parser, n *yaml.Node, d *interfaceDraft) {
		d.bridge.ForwardDelay = p.bridgeTime(n, 0, maxForwardDelay)
	})},
	{"hello_time", "Time between hellos of the spanning tree.", durationSchema, bridgeKey(func(p *parser, n *yaml.Node, d *interfaceDraft) {
		d.bridge.HelloTime = p.bridgeTime(n, minHello, maxHello)
	})},
	{"max_age", "Time a hello of the spanning tree is valid.", durationSchema, bridgeKey(func(p *parser, n *yaml.Node, d *interfaceDraft) {
		d.bridge.MaxAge = p.bridgeTime(n, minMaxAge, maxMaxAge)
	})},
	{"priority", "Priority of the bridge in the spanning tree.", between(0, maxBridgePriority), bridgeKey(func(p *parser, n *yaml.Node, d *interfaceDraft) {
		d.bridge.Priority = p.intPointer(n, 0, maxBridgePriority, "a priority")
	})},
	{"fdb", "Fixed entries of the forwarding table.", listOf(ofObject(fdbObject)), bridgeKey(func(p *parser, n *yaml.Node, d *interfaceDraft) {
		p.eachOf(n, "[{mac: 02:00:00:00:00:01, port: eth1}]", func(item *yaml.Node) { p.fdbEntry(item, d) })
	})},
}, later[interfaceDraft](append([]string{"vlan_filtering", "default_pvid"}, laterKeys...)...)...)...)

// bridgeKey marks a key as one that only bridges have.
func bridgeKey(parse func(p *parser, n *yaml.Node, d *interfaceDraft)) func(p *parser, n *yaml.Node, d *interfaceDraft) {
	return func(p *parser, n *yaml.Node, d *interfaceDraft) {
		if d.bridgeKey.Value == "" {
			d.bridgeKey = Text{posOf(n), p.path[len(p.path)-1].key}
		}
		parse(p, n, d)
	}
}

var portObject = newObject(append([]field[PortSettings]{
	{"isolated", "Isolated ports do not reach each other.", boolSchema, func(p *parser, n *yaml.Node, s *PortSettings) { s.Isolated, _ = p.boolean(n) }},
	{"learning", "Learn MACs from what comes in here.", boolSchema, func(p *parser, n *yaml.Node, s *PortSettings) { s.Learning = p.boolPointer(n) }},
	{"hairpin", "Send out where it came in.", boolSchema, func(p *parser, n *yaml.Node, s *PortSettings) { s.Hairpin, _ = p.boolean(n) }},
	{"cost", "Path cost in the spanning tree.", between(1, maxPathCost), func(p *parser, n *yaml.Node, s *PortSettings) {
		s.Cost = p.intPointer(n, 1, maxPathCost, "a path cost")
	}},
	{"priority", "Priority of the port in the spanning tree.", between(0, maxPortPriority), func(p *parser, n *yaml.Node, s *PortSettings) {
		s.Priority = p.intPointer(n, 0, maxPortPriority, "a priority")
	}},
}, later[PortSettings]("pvid", "vlans", "untagged")...)...)

var fdbObject = newObject(append([]field[FDBEntry]{
	{"mac", "Ethernet address.", macSchema, func(p *parser, n *yaml.Node, e *FDBEntry) { e.MAC = p.mac(n) }},
	{"port", "Port that it is behind.", nameSchema, func(p *parser, n *yaml.Node, e *FDBEntry) { e.Port = p.device(n) }},
}, later[FDBEntry]("vlan")...)...)

func (p *parser) fdbEntry(n *yaml.Node, d *interfaceDraft) {
	e := FDBEntry{Pos: posOf(n)}
	bad := p.scope(func() {
		entries := p.mapping(n, "{mac: 02:00:00:00:00:01, port: eth1}")
		fdbObject.parse(p, entries, &e)
		p.require(n, entries, "mac", "port")
	})
	if !bad {
		d.FDB = append(d.FDB, e)
	}
}

// require reports keys that a map must have and has not.
func (p *parser) require(n *yaml.Node, entries []*yaml.Node, keys ...string) {
	if n.Kind != yaml.MappingNode {
		return // reported already
	}
	for _, k := range keys {
		if lookup(entries, k) == nil {
			p.errorf(n, "", "`%s` is missing", k)
		}
	}
}

// bridgeTime reads a time that the kernel keeps in hundredths of seconds.
func (p *parser) bridgeTime(n *yaml.Node, least, most time.Duration) *time.Duration {
	d, ok := p.duration(n)
	switch {
	case !ok:
	case d < least || d > most:
		p.errorf(n, "", "%v is not a time from %v to %v", d, least, most)
	case d%bridgeTick != 0:
		p.errorf(n, "", "%v is not a multiple of %v, in which the kernel counts", d, bridgeTick)
	default:
		return &d
	}
	return nil
}

func (p *parser) interfaceType(n *yaml.Node, d *interfaceDraft) {
	t, ok := p.text(n, "a type of interface", Bridge)
	switch {
	case !ok:
	case d.Name == "lo":
		p.errorf(n, "take it out", "lo is what it is")
	case t.Value == Veth || t.Value == Bridge:
		d.Type = t.Value
	case slices.Contains(laterTypes, t.Value):
		p.notYet(n, "the type `"+t.Value+"`")
	default:
		hint := "the types are veth and bridge"
		if near := nearest(strings.ToLower(t.Value), append([]string{Veth, Bridge}, laterTypes...)); near != "" {
			hint = "did you mean `" + near + "`?"
		}
		p.errorf(n, hint, "%s is not a type of interface", quote(t.Value))
	}
}

// interfaces reads those of a node.
func (p *parser) interfaces(n *yaml.Node, d *nodeDraft) {
	entries := p.mapping(n, "{eth0: 10.0.0.1/24}")
	d.interfaces = make([]interfaceDraft, 0, len(entries)/2)
	for i := 0; i < len(entries); i += 2 {
		k, v := entries[i], deref(entries[i+1])
		if p.interfaceName(Text{posOf(k), k.Value}) == "" {
			continue
		}
		p.enter(k.Value)
		d.interfaces = append(d.interfaces, interfaceDraft{Interface: Interface{Pos: posOf(k), Name: k.Value}})
		p.oneInterface(v, &d.interfaces[len(d.interfaces)-1])
		p.leave()
	}
}

// oneInterface reads a map, or the short form: its addresses alone.
func (p *parser) oneInterface(n *yaml.Node, d *interfaceDraft) {
	if n.Kind != yaml.MappingNode {
		p.addresses(n, d)
		return
	}
	entries := p.entries(n)
	if t := lookup(entries, "type"); t != nil && slices.Contains(laterTypes, t.Value) {
		p.enter("type")
		p.notYet(t, "the type `"+t.Value+"`")
		p.leave()
		return // its other keys are of that type
	}
	interfaceObject.parse(p, entries, d)
	if d.Type == Bridge {
		d.Bridge = &d.bridge
	}
}

// addresses reads a list of addresses, or a single one.
func (p *parser) addresses(n *yaml.Node, d *interfaceDraft) {
	p.oneOrEach(n, "[10.0.0.1/24, fd00::1/64]", func(item *yaml.Node) {
		if item.Kind != yaml.MappingNode {
			if t, ok := p.text(item, "an address with a prefix length", "10.0.0.1/24"); ok {
				if pre, ok := p.withLength(t); ok {
					d.Addresses = append(d.Addresses, Address{Pos: t.Pos, Prefix: pre})
				}
			}
			return
		}
		a := addressDraft{Address: Address{Pos: posOf(item)}, dev: d.Name}
		bad := p.scope(func() {
			entries := p.entries(item)
			addressObject.parse(p, entries, &a)
			p.require(item, entries, "address")
		})
		if !bad && p.checkAddress(&a) {
			d.Addresses = append(d.Addresses, a.Address)
		}
	})
}

// addressDraft is an address while it is read.
type addressDraft struct {
	Address
	dev string // the interface
}

var addressScopes = []string{"global", "link", "host"}

var addressObject = newObject([]field[addressDraft]{
	{"address", "Address with prefix length.", textSchema, func(p *parser, n *yaml.Node, a *addressDraft) {
		if t, ok := p.text(n, "an address with a prefix length", "10.0.0.1/24"); ok {
			a.Prefix, _ = p.withLength(t)
		}
	}},
	{"dad", "IPv6: look for a duplicate first.", boolSchema, func(p *parser, n *yaml.Node, a *addressDraft) { a.DAD, _ = p.boolean(n) }},
	{"scope", "IPv4: where the address is valid.", enum(addressScopes...), func(p *parser, n *yaml.Node, a *addressDraft) {
		a.Scope = p.word(n, addressScopes...).Value
	}},
	{"peer", "Address of the other end, with or without a prefix length.", textSchema, func(p *parser, n *yaml.Node, a *addressDraft) {
		t, ok := p.text(n, "an address", "10.0.0.2/32")
		if !ok {
			return
		}
		if strings.Contains(t.Value, "/") {
			a.Peer, _ = p.withLength(t)
		} else if addr, ok := p.address(t); ok {
			a.Peer = netip.PrefixFrom(addr, addr.BitLen())
		}
	}},
	{"label", "IPv4: name that ifconfig shows, such as eth0:1.", textSchema, func(p *parser, n *yaml.Node, a *addressDraft) {
		a.Label = p.line(n, maxLabelName, "a label")
		if a.Label != "" && a.Label != a.dev && !strings.HasPrefix(a.Label, a.dev+":") {
			p.errorf(n, "such as `"+a.dev+":1`", "%s does not begin with the name of the interface", quote(a.Label))
		}
	}},
}...)

// checkAddress checks an address against its family.
func (p *parser) checkAddress(a *addressDraft) bool {
	v4 := a.Prefix.Addr().Is4()
	problem := ""
	switch {
	case v4 && a.DAD:
		problem = "`dad` is of IPv6 addresses"
	case !v4 && a.Scope != "":
		problem = "`scope` is of IPv4 addresses; that of an IPv6 address is in its first bits"
	case !v4 && a.Label != "":
		problem = "`label` is of IPv4 addresses"
	case a.Peer.IsValid() && a.Peer.Addr().Is4() != v4:
		problem = "the address and its peer are of different families"
	default:
		return true
	}
	p.errorAt(a.Pos, "", "%s", problem)
	return false
}
