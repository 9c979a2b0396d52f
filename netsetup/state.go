// Package netsetup makes a lab be what its topology says.
//
// It knows State (what is wanted and what is observed, one type), how to
// compile a topology.Lab to it, the difference of two States as a Plan, and the
// order in which a plan is applied, verified and rolled back. It must not know
// netlink: everything that touches the kernel is behind the interface Kernel.
package netsetup

import (
	"net/netip"
	"slices"

	"nslab/netsetup/nft"
	"nslab/topology"
)

// Protocol marks routes, rules, neighbours and addresses (IFA_PROTO) as ours.
// It is in the range that rtnetlink(7) leaves to users.
const Protocol = 201

// Group is the link group of every interface made by nslab, set in the request
// that creates it.
const Group = 201

// AliasPrefix begins the alias that marks an owner: "nslab:<lab>.<node>" on lo
// of a lab's namespace, "nslab:<lab>" on a link's end in a namespace that does
// not belong to the lab.
const AliasPrefix = "nslab:"

// Origin says who made an observed thing.
type Origin uint8

const (
	Ours    Origin = iota // carries our mark; everything wanted is ours
	Manual                // unmarked and looks hand-made: protocol boot, static or none, infinite lifetime
	Foreign               // a daemon's, a DHCP client's, a VPN's: never touched
)

// State is what is wanted of a lab, or what was observed of it: plain values,
// sorted. The empty State of a lab is one without namespaces.
type State struct {
	Lab        string
	File       string      // name of the topology file, for messages; "" when observed
	Namespaces []Namespace // sorted by Name
	// Before, of a wanted State, is what was wanted up to now; nil where that is
	// not known. What it has settings for is observed too, so that a rollback can
	// bring them back with the interfaces that they belong to.
	Before *State
	// Machines, wanted, are the nodes whose namespaces are the lab's own, in file
	// order, and Hosts is the part of /etc/hosts that they share.
	Machines []Machine
	Hosts    string
}

// NamespaceKind tells a namespace of the lab from those it only joins.
type NamespaceKind uint8

const (
	Own      NamespaceKind = iota // published as /run/netns/<Name>, made and removed by the lab
	Root                          // the namespace that nslab runs in; Name is ""
	External                      // made by others; Name is how to open it
)

// Namespace is one network namespace with everything in it that State governs.
type Namespace struct {
	Pos  topology.Pos
	Kind NamespaceKind
	// Name identifies the namespace: <lab>.<node> of an Own one, "" of the
	// root, and of an External one a path, pid:1234, or a name under /run/netns.
	Name  string
	Inode uint64        // observed; 0 where wanted
	Keep  topology.Keep // wanted only
	Owned *Owned        // nil: none

	Links     []Link    // sorted by Name
	Addresses []Address // sorted by Link; of one link in the order of the interface
	Routes    []Route   // sorted by routeKey
	Rules     []Rule    // sorted by ruleKey
	LostRules []Rule    // observed, of an Own one: those of every namespace that it lacks
	// LostAddresses are, observed, of an Own one, the kernel's own on lo that it
	// lacks.
	LostAddresses []Address
	Neighbors     []Neighbor // sorted by Link, IP, Proxy
	FDB           []FDBEntry // sorted by Link, MAC
	Qdiscs        []Qdisc    // observed, of an Own one; sorted by Link, Parent
	// Tables are in the order of the text, or in that in which they were made:
	// it decides between chains of one hook and priority.
	Tables []Table
	// Sysctls: wanted, in the order in which they are written; observed, those
	// that were asked for.
	Sysctls []Sysctl
	// Indexes are, observed, those of the interfaces that wanted tables name.
	Indexes map[string]int
}

// Join adds External namespaces of which nothing is wanted, so that what the
// lab has in them goes. Those that are there already stay as they are.
func (s *State) Join(names []string) *State {
	for _, name := range names {
		if !slices.ContainsFunc(s.Namespaces, func(n Namespace) bool { return n.Name == name }) {
			s.Namespaces = append(s.Namespaces, Namespace{Kind: External, Name: name})
		}
	}
	return s.Sort()
}

// Owned is the namespaces that a node owns beside its network.
type Owned struct {
	Pos topology.Pos
	// Machine is what they are made from, or were; one without Isolation where that
	// cannot be told, so that it differs from every wanted one.
	Machine *Machine
}

// Externals are the names of the External namespaces.
func (s *State) Externals() (names []string) {
	for i := range s.Namespaces {
		if n := &s.Namespaces[i]; n.Kind == External {
			names = append(names, n.Name)
		}
	}
	return names
}

// IsEmpty reports whether a namespace has nothing in it.
func (n *Namespace) IsEmpty() bool {
	return len(n.Links)+len(n.Addresses)+len(n.Routes)+len(n.Rules)+len(n.Neighbors)+len(n.Tables) == 0
}

// Endpoint names one interface of one namespace.
type Endpoint struct {
	Namespace string // Namespace.Name
	Link      string
}

// Link kinds that State can make. Others are observed only.
const (
	KindVeth     = "veth"
	KindBridge   = "bridge"
	KindLoopback = "loopback" // lo: never made nor removed
)

// Link is one network device. In a wanted link a zero MAC, MTU or Index and a
// nil pointer mean: whatever it is.
type Link struct {
	Pos        topology.Pos
	Origin     Origin
	Name       string
	Index      int
	Kind       string
	MAC        topology.MAC
	MTU        int    // bytes
	Up         bool   // administratively
	Running    bool   // observed: it carries packets (RFC 2863 operational state up); not compared
	Master     string // the bridge it is a port of, or ""
	TxQueueLen *int
	Alias      string
	Offloads   *Offloads // observed where it was asked for
	Extra      []Extra   // observed: of LinkExtras
	// Peer is the other end of a veth. Observed: with Namespace
	// UnknownNamespace where the other end is in none that was read.
	Peer   Endpoint
	Bridge *Bridge // of kind bridge
	Port   *Port   // where Master is a bridge
}

// Offloads are what a link leaves to its driver; the zero Offloads are none.
type Offloads struct{ TX, SG, TSO, GSO, GRO bool } // the words of ethtool -K

// UnknownNamespace stands in Endpoint.Namespace for one that was not read.
const UnknownNamespace = "?"

// Bridge are a bridge's settings; times in 1/100 s (USER_HZ), as the kernel has
// them. Observed, ForwardDelay, HelloTime and MaxAge are nil where STP has
// another bridge's rule, AgeingTime where it has its own.
type Bridge struct {
	STP           bool
	McastSnooping bool
	AgeingTime    *int
	ForwardDelay  *int
	HelloTime     *int
	MaxAge        *int
	Priority      *int
	Extra         []Extra // observed: of BridgeExtras
}

// Port are the settings of a bridge port.
type Port struct {
	Isolated bool
	Learning bool
	Hairpin  bool
	Cost     *int
	Priority *int
	Extra    []Extra // observed: of PortExtras
}

// Address is one address of a link. Link-local addresses that the kernel makes
// by itself and those of lo (127.0.0.1, ::1) are not in a State.
type Address struct {
	Pos    topology.Pos
	Origin Origin
	Link   string
	Prefix netip.Prefix // not masked
	Peer   netip.Prefix // not valid: none
	Scope  uint8        // RT_SCOPE_*; 0 is global (always 0 for IPv6 global ones)
	Label  string       // IPv4; "" where it is the link's name
	DAD    bool         // IPv6: duplicate-address detection is asked for; not compared
	// Stranded says of an observed address that the kernel's own route to its
	// network is gone. Adding the address anew brings it back.
	Stranded bool
}

// Route types, as in rtnetlink(7).
const (
	Unicast     = "unicast"
	Local       = "local"
	Blackhole   = "blackhole"
	Unreachable = "unreachable"
	Prohibit    = "prohibit"
)

// Route is one route. Those that the kernel makes by itself (protocol kernel:
// connected, local, broadcast, multicast) are not in a State.
type Route struct {
	Pos      topology.Pos
	Origin   Origin
	Protocol uint8 // observed; 0 where wanted (it will be Protocol)
	Dst      netip.Prefix
	Table    int
	Metric   int
	TOS      uint8        // observed, IPv4; 0 where wanted
	From     netip.Prefix // observed, IPv6: for packets from there alone; not valid where wanted
	Type     string       // one of those above; others are observed only
	Src      netip.Addr
	MTU      int
	// Other says of an observed route that it has what State has no field for,
	// such as a window, so that it differs from every wanted one.
	Other bool
	// Nexthops: sorted by Via, Dev; empty for the types that go nowhere.
	Nexthops []Nexthop
}

// Nexthop is one way of a route.
type Nexthop struct {
	Via    netip.Addr
	Dev    string
	Weight int // 1 to 256
	OnLink bool
}

// Rule is one policy-routing rule. Those of every namespace (0, 32766 and, in
// IPv4, 32767) are not in a State, unless they are lost.
type Rule struct {
	Pos      topology.Pos
	Origin   Origin
	IPv6     bool
	Priority int
	From, To netip.Prefix // not valid: any
	IIF, OIF string
	FwMark   uint32
	FwMask   uint32 // 0: FwMark is not matched
	Table    int
	// Other holds, of an observed rule, what State has no field for (such as
	// "ipproto tcp goto 100"), so that it differs from every wanted one.
	Other string
}

// Neighbor is one fixed entry of a neighbour table (permanent or noarp, and
// whatever carries our mark); learned ones are not in a State.
type Neighbor struct {
	Pos    topology.Pos
	Origin Origin
	Link   string
	IP     netip.Addr
	MAC    topology.MAC
	State  string // permanent, noarp, reachable, stale; the last two are made, not compared
	Proxy  bool   // observed: the namespace answers for the address; it has no MAC
}

// FDBEntry is a static entry of a bridge's forwarding table. The kernel has no
// mark for these.
type FDBEntry struct {
	Pos    topology.Pos
	Origin Origin // Manual when observed
	Link   string // the port
	MAC    topology.MAC
	Local  bool // observed: what is sent there is the bridge's own
}

// Qdisc is a queueing discipline that somebody put on an interface. nslab makes
// none: an interface starts with the kernel's own, which are not in a State.
type Qdisc struct {
	Link   string
	Parent string // root, ingress or clsact
	Kind   string // such as tbf
}

// Table is one table of nf_tables with all that is in it. It is ours where its
// user data carry the lab's name; unmarked ones are Manual, whoever made them.
type Table struct {
	Pos    topology.Pos // of the table in the text
	Origin Origin
	Lab    string // whose mark it carries; "" is nobody's
	Family nft.Family
	Name   string
	// Content is what the kernel takes or has. Wanted, its interfaces have no
	// true indexes: see Compile.
	Content *nft.Table
	// Source is, wanted, the text that the table was compiled from.
	Source *topology.Nftables
}

// Sysctl is one kernel setting; Name is the path below /proc/sys.
type Sysctl struct {
	Pos   topology.Pos
	Name  string
	Value string // one blank between fields, as sysctl(8) shows them
}
