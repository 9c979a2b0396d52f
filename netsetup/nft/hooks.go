package nft

import "golang.org/x/sys/unix"

// Hooks that x/sys does not have (linux/netfilter.h, linux/netfilter_arp.h).
const (
	NF_INET_INGRESS = 5

	NF_ARP_IN      = 0
	NF_ARP_OUT     = 1
	NF_ARP_FORWARD = 2
)

// families are the families by the names that the language has for them.
var families = map[string]Family{
	"ip": FamilyIP, "ip6": FamilyIP6, "inet": FamilyInet,
	"arp": FamilyARP, "bridge": FamilyBridge, "netdev": FamilyNetdev,
}

// ipHooks are those of ip, ip6 and bridge, and of inet, which has one more.
var ipHooks = map[string]uint32{
	"prerouting": unix.NF_INET_PRE_ROUTING, "input": unix.NF_INET_LOCAL_IN, "forward": unix.NF_INET_FORWARD,
	"output": unix.NF_INET_LOCAL_OUT, "postrouting": unix.NF_INET_POST_ROUTING,
}

var hooks = map[Family]map[string]uint32{
	FamilyIP:     ipHooks,
	FamilyIP6:    ipHooks,
	FamilyBridge: ipHooks,
	FamilyInet: {
		"prerouting": unix.NF_INET_PRE_ROUTING, "input": unix.NF_INET_LOCAL_IN, "forward": unix.NF_INET_FORWARD,
		"output": unix.NF_INET_LOCAL_OUT, "postrouting": unix.NF_INET_POST_ROUTING, "ingress": NF_INET_INGRESS,
	},
	FamilyARP:    {"input": NF_ARP_IN, "output": NF_ARP_OUT, "forward": NF_ARP_FORWARD},
	FamilyNetdev: {"ingress": unix.NF_NETDEV_INGRESS, "egress": unix.NF_NETDEV_EGRESS},
}

// hookByName gives the number of a hook, and whether the family has it.
func hookByName(family Family, name string) (uint32, bool) {
	n, ok := hooks[family][name]
	return n, ok
}

// hookTakesDevice reports whether a base chain hangs at interfaces that it names.
func hookTakesDevice(family Family, hook string) bool {
	return family == FamilyNetdev || family == FamilyInet && hook == "ingress"
}

// namedPriority is a name of a priority. Hook is the only one at which it has
// that name; "" is any.
type namedPriority struct {
	Priority int32
	Hook     string
}

// ipPriorities are NF_IP_PRI_* (linux/netfilter_ipv4.h), which are those of IPv6
// as well.
var ipPriorities = map[string]namedPriority{
	"raw":      {Priority: -300},
	"mangle":   {Priority: -150},
	"dstnat":   {Priority: -100, Hook: "prerouting"},
	"filter":   {Priority: 0},
	"security": {Priority: 50},
	"srcnat":   {Priority: 100, Hook: "postrouting"},
}

var priorities = map[Family]map[string]namedPriority{
	FamilyIP:     ipPriorities,
	FamilyIP6:    ipPriorities,
	FamilyInet:   ipPriorities,
	FamilyARP:    {"filter": {Priority: 0}},
	FamilyNetdev: {"filter": {Priority: 0}},
	// NF_BR_PRI_* (linux/netfilter_bridge.h).
	FamilyBridge: {
		"dstnat": {Priority: -300, Hook: "prerouting"},
		"filter": {Priority: -200},
		"out":    {Priority: 100, Hook: "output"},
		"srcnat": {Priority: 300, Hook: "postrouting"},
	},
}

// priorityByName gives the number of a priority, and whether it has that name in
// the family and at the hook.
func priorityByName(family Family, hook string, name string) (int32, bool) {
	p, ok := priorities[family][name]
	if !ok || p.Hook != "" && p.Hook != hook {
		return 0, false
	}
	return p.Priority, true
}
