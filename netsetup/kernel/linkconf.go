package kernel

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Attributes of IFLA_AF_SPEC, linux/if_link.h.
const (
	iflaInetConf  = 1 // IFLA_INET_CONF
	iflaInet6Conf = 2 // IFLA_INET6_CONF
)

// confSetting is a setting of an interface that the kernel tells with it, and
// need not be read from a file: its place among those of its family, from
// linux/ip.h (IPV4_DEVCONF_*, which begin at 1) and linux/ipv6.h (DEVCONF_*).
type confSetting struct {
	family, leaf string
	at           int
}

var confSettings = [...]confSetting{
	{"ipv4", "forwarding", 0},
	{"ipv4", "rp_filter", 7},
	{"ipv4", "promote_secondaries", 19},
	{"ipv6", "forwarding", 0},
	{"ipv6", "disable_ipv6", 26},
	{"ipv6", "accept_dad", 27},
	{"ipv6", "keep_addr_on_down", 42},
}

// linkConf is what confSettings are on one link.
type linkConf [len(confSettings)]int32

// noConf is a setting that the link does not have.
const noConf = -1 << 31

func (c *linkConf) reset() {
	for i := range c {
		c[i] = noConf
	}
}

// parse reads IFLA_AF_SPEC: of each family, the values one behind the other.
func (c *linkConf) parse(spec attrs) {
	for spec.next() {
		family, values := "ipv4", uint16(iflaInetConf)
		if spec.typ == unix.AF_INET6 {
			family, values = "ipv6", iflaInet6Conf
		} else if spec.typ != unix.AF_INET {
			continue
		}
		for a := spec.nested(); a.next(); {
			if a.typ != values {
				continue
			}
			for i, s := range confSettings {
				if s.family == family && len(a.value) >= 4*s.at+4 {
					c[i] = int32(native.Uint32(a.value[4*s.at:]))
				}
			}
		}
	}
}

// setting gives a setting by its name below /proc/sys; known is false for those
// that are in a file alone, there for those of links that are not there.
func (t linkTable) setting(name, expected string) (value string, known, there bool) {
	rest, ok := strings.CutPrefix(name, "net/")
	if !ok {
		return "", false, false
	}
	family, rest, _ := strings.Cut(rest, "/conf/")
	link, leaf, ok := strings.Cut(rest, "/")
	if !ok || link == "all" || link == "default" {
		return "", false, false
	}
	for i, s := range confSettings {
		if s.leaf != leaf || s.family != family {
			continue
		}
		l := t.byName(link)
		if l == nil || l.conf[i] == noConf {
			return "", true, false
		}
		if value = strconv.Itoa(int(l.conf[i])); value == expected {
			value = expected
		}
		return value, true, true
	}
	return "", false, false
}
