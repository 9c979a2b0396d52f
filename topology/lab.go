// Package topology reads a lab's topology file.
//
// It knows YAML, positions, defaults, ranges, names and address pools. It must
// not know the kernel, privilege or how a lab is made.
//
// Parse turns text into a File: strict about keys and types, ranges expanded,
// defaults merged. Resolve turns a File into a Lab: every endpoint named, every
// address, gateway, MAC and route filled in, every reference checked. Both
// report all mistakes at once, as Errors.
package topology

import (
	"net/netip"
	"time"
)

// Lab is a topology with nothing left open; what `validate --resolved` prints
// and what netsetup compiles.
type Lab struct {
	File        string // name of the file, for messages
	Name        string
	Description string
	Neighbors   string   // "learned" or "static"
	Routing     string   // "none" or "shortest"
	Nodes       []*Node  // in file order
	Links       []*Link  // in file order
	Tests       []*Test  // in file order
	Scenario    []*Event // in the order of their times, else of the file
	Warnings    Errors   // what is allowed and yet looks wrong
}

// File is what Parse makes: the same types as in Lab, holding only what was
// written or merged from defaults.
type File struct {
	Name        string // of the file, for messages
	Lab         Text   // the key name
	Description string
	Addressing  Addressing
	Routing     Text
	Nodes       []*Node
	Links       []*Link
	Tests       []*Test
	Scenario    []*Event
}

// Addressing is where `subnet: auto` takes its prefixes from.
type Addressing struct {
	Pos       Pos
	IPv4      Pool
	IPv6      Pool
	Neighbors Text // learned or static
}

// Pool is a prefix that subnets are cut from, Bits long each. The zero Pool
// (its Prefix is not valid) has no addresses: the family is not used.
type Pool struct {
	Pos    Pos
	Prefix netip.Prefix
	Bits   int
}

// Kinds of node.
const (
	Host     = "host"
	Router   = "router"
	Switch   = "switch"
	External = "external"
	Root     = "root"
)

// Node is one network namespace.
type Node struct {
	Pos        Pos // of its key
	Name       string
	Kind       string // Parse leaves "" where not given; Resolve makes it Host
	Netns      Text   // External only: a path, pid:1234, or a name under /run/netns
	Interfaces []*Interface
	Subnet     []Subnet // Switch only
	Routes     []*Route // Resolve adds the gateway's default routes and those of routing: shortest
	Gateway    Text     // Parse only: auto, none, an address, or absent
	Rules      []*Rule
	Neighbors  []*Neighbor // Resolve adds those of neighbors: static
	Keep       *Keep       // Resolve fills it in
	Sysctls    []Sysctl    // in file order
	Nftables   *Nftables   // nil: none
	Labels     map[string]string

	Isolate  Isolate
	Hostname string // Resolve: never "" on a node that the lab makes
	DNS      *Resolver
	Hosts    []HostLine
	Limits   Limits
	RootFS   Text // a directory; Resolve: absolute
	Files    []NodeFile
	Private  []Text // absolute, clean directories
	Env      []Variable
	Setup    []CommandLine
	Run      []*Process

	// Bad says that something in the node did not parse and was left out:
	// Resolve reports nothing that could only follow from that.
	Bad bool
}

// Keep says which unmarked things of a node stay though they look hand-made.
type Keep struct {
	Addresses, Routes, Rules, Neighbors, Links, Qdiscs bool
}

// Subnet is one prefix, or `auto`: one of each configured family.
type Subnet struct {
	Pos    Pos
	Auto   bool
	Prefix netip.Prefix // not valid if Auto; masked
}

// Interface types of this version.
const (
	Veth     = "veth"
	Bridge   = "bridge"
	Loopback = "lo"
)

// Interface is a network device of a node. Parse gives those declared; Resolve
// adds the ends of links, the br0 of a switch and lo, so that a Lab's node
// lists every interface it has, in the order of file and links: those that the
// file does not declare are lo and br0, which come first, and links' ends, last.
type Interface struct {
	Pos        Pos // of its key; of the link's endpoint where it has none
	Name       string
	Type       string // Veth, Bridge, or Loopback for the name lo; Parse leaves "" where not given
	Addresses  []Address
	MAC        MAC   // Resolve derives it from lab, node and name; zero on lo
	MTU        int   // bytes; 0: not given (Resolve: 1500 on veths, 0 on bridges and lo)
	Up         *bool // nil: not given (Resolve: never nil)
	Alias      string
	TxQueueLen *int     // packets; nil: the kernel's default, not compared
	Sysctls    []Sysctl // of this interface, Name such as net.ipv4.conf.eth0.forwarding
	NoOffloads bool     // offloads: off

	Bridge *BridgeSettings // Type Bridge: never nil after Resolve
	Ports  []Text          // Type Bridge: names of the node's interfaces
	FDB    []FDBEntry      // Type Bridge

	Port   *PortSettings // as a bridge port; nil: defaults
	Master string        // Resolve: the bridge that has it as port, or ""

	Link *Link // Resolve: the link it is an end of; nil on bridges and lo
}

// Address is one address of an interface.
type Address struct {
	Pos    Pos
	Prefix netip.Prefix // address and length, not masked
	Peer   netip.Prefix // point to point; not valid: none
	DAD    bool         // IPv6: run duplicate-address detection
	Scope  string       // global, link, host; "" is by the address, as the kernel does
	Label  string       // IPv4 only
}

// BridgeSettings are a bridge's own; times in hundredths of seconds are the
// kernel's, here they are durations.
type BridgeSettings struct {
	STP           bool
	McastSnooping bool
	AgeingTime    *time.Duration // nil: the kernel's default, not compared; so below
	ForwardDelay  *time.Duration
	HelloTime     *time.Duration
	MaxAge        *time.Duration
	Priority      *int
}

// PortSettings are those of a bridge port. nil: the kernel's default, not
// compared.
type PortSettings struct {
	Pos      Pos
	Isolated bool
	Learning *bool
	Hairpin  bool
	Cost     *int
	Priority *int
}

// FDBEntry is a static forwarding entry of a bridge.
type FDBEntry struct {
	Pos  Pos
	MAC  MAC
	Port string // interface name of the node
}

// Route is one route. After Resolve: Nexthops has at least one entry for
// unicast routes, each with its Dev; Table is not 0; Type is not "".
type Route struct {
	Pos      Pos
	To       netip.Prefix // default: 0.0.0.0/0 or ::/0; masked
	Type     string       // unicast, blackhole, unreachable, prohibit, local
	Nexthops []Nexthop    // none for the types that go nowhere
	Src      netip.Addr
	Metric   *int // nil: not given (IPv4: 0, IPv6: 1024, as the kernel has it; Resolve: never nil)
	Table    int  // 0: not given (Resolve: 254, main; 255 for type local)
	MTU      int  // 0: none
}

// Nexthop is one way of a route.
type Nexthop struct {
	Via    netip.Addr // not valid: directly on Dev; of either family
	Dev    string
	Weight int  // 1 to 256; 0: not given (Resolve: 1)
	OnLink bool // Via is on Dev whatever the addresses say
}

// Rule is one policy-routing rule.
type Rule struct {
	Pos      Pos
	IPv6     bool   // Resolve: from From, To, or, with neither, one rule of each family
	Family   string // ipv4, ipv6 or "" where not given (Resolve: never "")
	Priority *int   // nil: not given (Resolve: 32765 downward, in file order, as ip-rule(8) does)
	From, To netip.Prefix
	IIF, OIF string
	FwMark   *uint32
	FwMask   *uint32 // nil: all bits
	Table    int
}

// Neighbor is a fixed entry of a neighbour table.
type Neighbor struct {
	Pos   Pos
	Dev   string
	IP    netip.Addr
	MAC   MAC
	State string // permanent (the default), noarp, reachable, stale
}

// Sysctl is one kernel setting of a namespace. Name is the path below
// /proc/sys with slashes, so that interface names with dots are no trouble:
// net/ipv4/conf/eth0.10/forwarding.
type Sysctl struct {
	Pos   Pos
	Name  string
	Value string
}

// Link joins two endpoints with a veth pair.
type Link struct {
	Pos       Pos
	Endpoints [2]Endpoint // Resolve fills in the interface names
	Subnet    []Subnet    // Resolve: cut, no Auto left
	MTU       int         // 0: not given
	Up        *bool       // nil: not given, up
	Labels    map[string]string

	// Bad is as in Node.
	Bad bool
}

// Endpoint is one end of a link.
type Endpoint struct {
	Pos       Pos
	Node      string
	Interface string
}

// Test verbs of this version.
const (
	Ping      = "ping"
	TCP       = "tcp"
	UDP       = "udp"
	HTTP      = "http"
	DNS       = "dns"
	Path      = "path"
	MTU       = "mtu"
	Bandwidth = "bandwidth"
	RouteTo   = "route"
	Exec      = "exec"
)

// Test is one item of `tests:`.
type Test struct {
	Pos      Pos
	Name     string // Resolve: the item's text where not given, such as "ping h1 -> h2"
	Verb     string
	From, To []Text   // Parse: the words of each side
	Senders  []Target // Resolve; of an exec: the nodes
	Targets  []Target // Resolve; empty for exec

	Expect     string        // pass (the default), fail, reject, drop
	Family     string        // ipv4, ipv6, both; "": every family both sides have
	Timeout    time.Duration // of one try; 0: not given (Resolve: 1s; exec 30s)
	Within     time.Duration // 0: one try
	Stable     time.Duration // 0: to pass once is enough
	StopOnFail bool          // what comes after it is skipped if it does not pass

	Count    int           // Ping; 0: not given (Resolve: 1)
	Size     int           // Ping: bytes of payload; 0: not given (Resolve: 56)
	DF       bool          // Ping: it must not be fragmented
	TTL      int           // Ping; 0: the kernel's
	Interval time.Duration // Ping; 0: not given (Resolve: 10ms)
	Loss     *Measure      // Ping: share that is lost, in percent; nil: none may be
	RTT      *Measure      // Ping: mean round-trip time in ns; nil: not checked

	Payload string // TCP, UDP
	Listen  *bool  // TCP, UDP: nil: on targets that run no processes; HTTP, DNS: nil: false

	Status  int      // HTTP; 0: not given (Resolve: 200)
	Body    string   // HTTP: regular expression, as Stdout; "": anything
	Headers []Header // HTTP

	Query  string   // DNS: the name
	Type   string   // DNS; "": not given (Resolve: A, or AAAA where Answer has an IPv6 address)
	Answer []string // DNS: the records, or one code such as NXDOMAIN; nil: any record

	Hops  []Text // Path: the routers in order, each a node or an address
	Bytes int    // MTU: the largest packet that passes, with its IP header

	Rate    *Measure      // Bandwidth: payload in bits per second
	For     time.Duration // Bandwidth: how long it is measured; 0: not given (Resolve: 3s)
	OverUDP bool          // Bandwidth

	Command []string // Exec: argv; a shell string became /bin/sh -c
	Exit    int      // Exec
	Stdout  string   // Exec: regular expression, where ^ and $ are those of a line; "": anything
	Stderr  string   // Exec
	JSON    string   // Exec: JSON text; the output has all of it; "": not checked

	Via   netip.Addr // RouteTo; not valid: not checked
	Dev   string     // RouteTo; "": not checked
	Table int        // RouteTo; 0: not checked
}

// Header is what a header of an HTTP answer has to be.
type Header struct {
	Name  string
	Value string // regular expression, as Stdout
}

// Target is one side of one pair.
type Target struct {
	Pos       Pos
	Node      string       // "" where Prefix is a literal address
	Interface string       // "" means any
	Prefix    netip.Prefix // a literal address (full length), or RouteTo's prefix; else not valid
	Port      int          // 0: none
	URL       string       // HTTP: path and query, beginning with /
}
