package topology

import (
	"fmt"
	"net/netip"
	"strings"

	"gopkg.in/yaml.v3"
)

// MTUs that a veth takes: ETH_MIN_MTU of linux/if_ether.h and ETH_MAX_MTU.
const (
	minMTU = 68
	maxMTU = 65535
)

func (p *parser) mtu(n *yaml.Node) int {
	mtu, _ := p.integer(n, minMTU, maxMTU, "an MTU in bytes")
	return mtu
}

// address reads an address of one host.
func (p *parser) address(t Text) (netip.Addr, bool) {
	a, err := netip.ParseAddr(t.Value)
	switch {
	case err == nil && a.Zone() != "":
		p.errorAt(t.Pos, "leave `%"+a.Zone()+"` out, and name the interface with `dev`", "%s has a zone", quote(t.Value))
		return netip.Addr{}, false
	case err == nil:
		return a, p.isHost(t, a)
	}
	hint := "such as 10.0.0.1 or fd00::1"
	if pre, err := netip.ParsePrefix(t.Value); err == nil {
		hint = "write " + pre.Addr().String()
	}
	p.errorAt(t.Pos, hint, "%s is not an address", quote(t.Value))
	return netip.Addr{}, false
}

// isHost reports an address that no host can have.
func (p *parser) isHost(t Text, a netip.Addr) bool {
	problem, hint := "", ""
	switch {
	case a.Is4In6():
		problem, hint = "is an IPv4 address written as one of IPv6", "write "+a.Unmap().String()
	case a.IsMulticast():
		problem = "is a multicast address"
	case a.IsUnspecified():
		problem = "is the address of no host"
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		problem = "is the broadcast address"
	default:
		return true
	}
	p.errorAt(t.Pos, hint, "%s %s", quote(t.Value), problem)
	return false
}

// withLength reads an address with a prefix length.
func (p *parser) withLength(t Text) (netip.Prefix, bool) {
	pre, err := netip.ParsePrefix(t.Value)
	if err != nil {
		hint := "such as 10.0.0.1/24 or fd00::1/64"
		if a, err := netip.ParseAddr(t.Value); err == nil && a.Zone() == "" {
			hint = fmt.Sprintf("write %v/%d, say", a, usualBits(a))
		}
		p.errorAt(t.Pos, hint, "%s is not an address with a prefix length", quote(t.Value))
		return netip.Prefix{}, false
	}
	if pre.Bits() == 0 {
		p.errorAt(t.Pos, fmt.Sprintf("write %v/%d, say", pre.Addr(), usualBits(pre.Addr())), "%s puts all addresses on one link", quote(t.Value))
		return netip.Prefix{}, false
	}
	return pre, p.isHost(t, pre.Addr())
}

func usualBits(a netip.Addr) int {
	if a.Is4() {
		return defaultIPv4.Bits
	}
	return defaultIPv6.Bits
}

// network reads a prefix; an address alone is one of full length.
func (p *parser) network(t Text) (netip.Prefix, bool) {
	pre, err := netip.ParsePrefix(t.Value)
	if err != nil {
		a, err := netip.ParseAddr(t.Value)
		if err != nil || a.Zone() != "" {
			p.errorAt(t.Pos, "such as 10.0.0.0/24, fd00::/64 or 10.0.0.1", "%s is not a network or an address", quote(t.Value))
			return netip.Prefix{}, false
		}
		pre = netip.PrefixFrom(a, a.BitLen())
	}
	if pre.Addr().Is4In6() {
		p.errorAt(t.Pos, "", "%s is an IPv4 network written as one of IPv6", quote(t.Value))
		return netip.Prefix{}, false
	}
	if m := pre.Masked(); m != pre {
		p.errorAt(t.Pos, "write "+m.String(), "%s has bits of the host set", quote(t.Value))
		return netip.Prefix{}, false
	}
	return pre, true
}

// unicastNetwork reads a prefix that hosts can be numbered from.
func (p *parser) unicastNetwork(t Text) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(t.Value); err == nil && a.Zone() == "" {
		p.errorAt(t.Pos, fmt.Sprintf("such as %v", netip.PrefixFrom(a, usualBits(a)).Masked()), "%s has no prefix length", quote(t.Value))
		return netip.Prefix{}, false
	}
	pre, ok := p.network(t)
	if ok && (pre.Addr().IsMulticast() || pre.Bits() == 0) {
		p.errorAt(t.Pos, "such as 10.0.0.0/24 or fd00::/64", "%s has no addresses for hosts", quote(t.Value))
		return netip.Prefix{}, false
	}
	return pre, ok
}

// subnets reads `subnet`: auto, a prefix, or a list of them.
func (p *parser) subnets(n *yaml.Node) []Subnet {
	const want, example = "a prefix or `auto`", "10.0.0.0/24"
	if isNull(n) || n.Kind == yaml.MappingNode {
		p.wrongType(n, want, example)
		return nil
	}
	var list []Subnet
	p.oneOrEach(n, "[10.0.0.0/24, fd00::/64]", func(item *yaml.Node) {
		t, ok := p.text(item, want, example)
		if !ok {
			return
		}
		s := Subnet{Pos: t.Pos, Auto: t.Value == "auto"}
		if !s.Auto {
			if s.Prefix, ok = p.unicastNetwork(t); !ok {
				return
			}
		}
		list = append(list, s)
	})
	return list
}

// mac reads the Ethernet address of one interface.
func (p *parser) mac(n *yaml.Node) MAC {
	const example = "02:00:00:00:00:01"
	t, ok := p.text(n, "a MAC", example)
	if !ok {
		return MAC{}
	}
	m, ok := parseMAC(t.Value)
	switch {
	case !ok:
		p.errorf(n, "such as "+example, "%s is not a MAC: six bytes in hexadecimal, separated by colons", quote(t.Value))
	case m.IsZero():
		p.errorf(n, "leave it out: a MAC is derived from lab, node and interface", "%s is no interface's MAC", quote(t.Value))
	case m[0]&1 != 0:
		p.errorf(n, "the first byte of an interface's MAC is even, such as "+example, "%s is a multicast address", quote(t.Value))
	default:
		return m
	}
	return MAC{}
}

func parseMAC(s string) (m MAC, ok bool) {
	if len(s) != 17 {
		return MAC{}, false
	}
	for i := range m {
		hi := strings.IndexByte("0123456789abcdef", lower(s[3*i]))
		lo := strings.IndexByte("0123456789abcdef", lower(s[3*i+1]))
		if hi < 0 || lo < 0 || i < 5 && s[3*i+2] != ':' && s[3*i+2] != '-' {
			return MAC{}, false
		}
		m[i] = byte(hi<<4 | lo)
	}
	return m, true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// Routing tables that have names, as in /etc/iproute2/rt_tables.
var tableNames = map[string]int{"default": 253, "main": mainTable, "local": localTable}

const maxUint32 = 1<<32 - 1

// table reads the name or number of a routing table.
func (p *parser) table(t Text) (int, bool) {
	if n, named := tableNames[t.Value]; named {
		return n, true
	}
	n, err := parseInteger(t.Value)
	if err != nil || n < 1 || n > maxUint32 {
		p.errorAt(t.Pos, "", "%s is not a routing table: `main`, `local`, `default` or 1 to %d", quote(t.Value), maxUint32)
		return 0, false
	}
	return n, true
}

// tableValue is table for a value of its own.
func (p *parser) tableValue(n *yaml.Node) int {
	t, ok := p.text(n, "a routing table", "100")
	if !ok {
		return 0
	}
	table, _ := p.table(t)
	return table
}
