package nft

import "time"

// Pos is a place in the text: line and column, from 1, the column in bytes. The
// zero Pos is no place.
type Pos struct{ Line, Col int }

// At gives the Pos; embedding it makes a node.
func (p Pos) At() Pos { return p }

// Node is anything that stands somewhere in the text.
type Node interface{ At() Pos }

// File is the text of a ruleset, read: the commands in their order, with every
// variable replaced by what it stands for. `table` blocks are commands that add
// tables, chains, rules and the rest, as nft takes them apart itself.
type File struct{ Commands []Command }

// Of are the commands that one table comes of. Tables do not refer to each other,
// so that it compiles to the same as among all.
func (f *File) Of(family Family, name string) *File {
	of := &File{}
	for _, c := range f.Commands {
		if r, ok := c.(*Remove); ok && r.Kind == "ruleset" {
			of.Commands = append(of.Commands, c)
			continue
		}
		t := tableOf(c)
		if has, _ := familyByName(t.Family); has == family && t.Name == name {
			of.Commands = append(of.Commands, c)
		}
	}
	return of
}

// tableOf is the table that a command is about.
func tableOf(c Command) TableName {
	switch c := c.(type) {
	case *AddTable:
		return c.Table
	case *AddChain:
		return c.Table
	case *AddRule:
		return c.Table
	case *AddSet:
		return c.Table
	case *AddElements:
		return c.Table
	case *AddObject:
		return c.Table
	case *AddFlowtable:
		return c.Table
	case *Remove:
		return c.Table
	}
	return TableName{}
}

// Command is one of *AddTable, *AddChain, *AddRule, *AddSet, *AddElements,
// *AddObject, *AddFlowtable, *Remove.
type Command interface{ Node }

// Verb is what a command does beyond making what is not there.
type Verb uint8

const (
	Add     Verb = iota // makes it if it is not there
	Create              // refuses what is there
	Insert              // rules only: at the front
	Flush               // Remove only: empties it
	Delete              // Remove only: refuses what is not there
	Destroy             // Remove only: nothing to be done if it is not there
)

// TableName names a table. Family is "ip", "ip6", "inet", "arp", "bridge" or
// "netdev"; where the text has none it is "ip", as nft has it.
type TableName struct {
	Family string
	Name   string
}

// AddTable makes a table.
type AddTable struct {
	Pos
	Verb    Verb
	Table   TableName
	Flags   []*Value // dormant
	Comment string
}

// AddChain makes a chain; a base chain has a Hook.
type AddChain struct {
	Pos
	Verb    Verb
	Table   TableName
	Name    string
	Comment string
	Flags   []*Value // offload
	Hook    *Hook
	Policy  *Value // accept, drop; nil: not said
}

// Hook is where the packets of a base chain come from.
type Hook struct {
	Pos
	Type     *Value // filter, nat, route
	Hook     *Value // prerouting, input, …
	Devices  []*Value
	Priority *Priority
}

// Priority is a number, or a name with an offset: `filter`, `srcnat + 5`, `-150`.
type Priority struct {
	Pos
	Name   string // "" is 0
	Offset int
}

// AddRule puts a rule into a chain, at the end or (Insert) at the front.
type AddRule struct {
	Pos
	Verb    Verb
	Table   TableName
	Chain   string
	Stmts   []Stmt
	Comment string
	// Text is the rule as it was written, on one line: comments and line ends
	// with a backslash gone, runs of blanks made one.
	Text string
}

// AddSet makes a set or a map.
type AddSet struct {
	Pos
	Verb  Verb
	Table TableName
	Name  string
	IsMap bool
	// Types of the key and of a map's data: Type names them, Typeof has an
	// expression whose type it is. Where neither is given, that is for the
	// compiler to refuse.
	KeyTypes   []*Value // `ipv4_addr . inet_service`: one Value for each
	KeyTypeof  Expr
	DataTypes  []*Value // also counter, quota, limit, verdict, `ct helper` as "ct helper"
	DataTypeof Expr
	// DataInterval is `: interval ipv4_addr`.
	DataInterval bool
	Flags        []*Value // constant, interval, timeout, dynamic
	Timeout      *time.Duration
	GCInterval   *time.Duration
	Size         *uint64
	Policy       *Value // performance, memory
	AutoMerge    bool
	Comment      string
	Stmts        []Stmt // stateful ones that every element gets: counter, limit, …
	Elements     []*Element
}

// AddElements adds to a set or map that is there: `add element t s { … }`.
type AddElements struct {
	Pos
	Verb     Verb // Add, Create; Delete and Destroy take them away
	Table    TableName
	Set      string
	Elements []*Element
}

// AddObject makes a named stateful object.
type AddObject struct {
	Pos
	Verb    Verb
	Table   TableName
	Name    string
	Comment string
	// Object is one of *Counter, *Quota, *Limit, *Synproxy, *CtHelper,
	// *CtTimeout, *CtExpectation, *Secmark.
	Object Node
}

// CtHelper is `type "ftp" protocol tcp; l3proto ip`. What is not said is nil, here
// and in the other objects of ct; what must be said is for the compiler to know.
type CtHelper struct {
	Pos
	Type     *Value
	Protocol *Value // tcp, udp
	L3Proto  *Value // ip, ip6, inet; nil: not said
}

// CtTimeout is `protocol tcp; l3proto ip; policy = { established: 100, close: 4 }`.
type CtTimeout struct {
	Pos
	Protocol *Value
	L3Proto  *Value
	Policy   []TimeoutPolicy
}

// TimeoutPolicy is how long a connection stays in a state.
type TimeoutPolicy struct {
	State *Value
	Time  time.Duration
}

// CtExpectation is `protocol tcp; dport 9876; timeout 2m; size 12; l3proto ip`.
type CtExpectation struct {
	Pos
	Protocol *Value
	DPort    *Value
	Timeout  *time.Duration
	Size     *Value
	L3Proto  *Value
}

// Secmark is a security context.
type Secmark struct {
	Pos
	Context string
}

// AddFlowtable makes a flowtable.
type AddFlowtable struct {
	Pos
	Verb     Verb
	Table    TableName
	Name     string
	Hook     *Value // ingress
	Priority *Priority
	Devices  []*Value
	Flags    []*Value // offload
	Counter  bool
}

// Remove takes away or empties. Kind is "ruleset", "table", "chain", "set",
// "map", "flowtable", "counter", "quota", "limit", "synproxy", "secmark",
// "ct helper", "ct timeout", "ct expectation". For a ruleset, Table.Family may
// be given ("" is all of them) and no names are.
type Remove struct {
	Pos
	Verb  Verb
	Kind  string
	Table TableName
	Name  string
}

// Expr is an expression. The constants are *Value, *Range, *Prefix, *List,
// *Concat, *Binary, *SetLiteral, *SetRef, *Verdict; what a packet is asked for
// are *Payload, *RawPayload, *Exthdr, *Option, *Meta, *Ct, *Fib, *Rt, *Socket,
// *Osf, *Numgen, *Hash, *Ipsec; *Map looks one up by another.
type Expr interface{ Node }

// Value is a word that gets its meaning from what it stands beside: a number, a
// name, an address, a time, a string. Text is without quotes; a number of up to
// 64 bits is in decimal, whatever its base was in the text, and a variable that
// stands for a negative one has a `-` before it.
type Value struct {
	Pos
	Text   string
	Quoted bool
}

// Range is `from-to`.
type Range struct {
	Pos
	From, To Expr
}

// Prefix is `addr/len`.
type Prefix struct {
	Pos
	Addr Expr
	Len  int
}

// List is `a,b,c`, which for flags means all of them.
type List struct {
	Pos
	Items []Expr
}

// Concat is `a . b`.
type Concat struct {
	Pos
	Items []Expr
}

// Binary is `x & y`, with Op one of & | ^ << >>.
type Binary struct {
	Pos
	Op   string
	X, Y Expr
}

// SetLiteral is `{ … }`: an anonymous set or map.
type SetLiteral struct {
	Pos
	Elements []*Element
}

// Element is one of a set, or of a map, where Data is what is behind the colon.
// The key `*` of everything else is a Value "*".
type Element struct {
	Pos
	Key     Expr
	Data    Expr // nil in a set; a *Verdict in a verdict map
	Timeout *time.Duration
	Expires *time.Duration
	Comment string
	Stmts   []Stmt // stateful ones: counter, limit, quota, ct count, last
}

// SetRef is `@name`.
type SetRef struct {
	Pos
	Name string
}

// Verdict is accept, drop, continue, return, jump, goto, or queue without more
// (as data of a map). Block is the anonymous chain of `jump { … }`.
type Verdict struct {
	Pos
	Kind  string
	Chain string
	Block []*AddRule // Table and Chain are not filled in
}

// Map is `key map { … }` or `key map @name`: Of is a *SetLiteral or a *SetRef.
type Map struct {
	Pos
	Key Expr
	Of  Expr
}

// Payload is a field of a header: `tcp dport`, `ether saddr`, `th sport`, `arp
// saddr ip` (Field is then "saddr ip"). Of
// `tcp` and its like alone, as typeof or existence test have none, there is
// nothing.
type Payload struct {
	Pos
	Proto, Field string
}

// RawPayload is `@nh,96,32`: Base is "ll", "nh", "th" or "ih"; offset and length
// in bits.
type RawPayload struct {
	Pos
	Base        string
	Offset, Len int
}

// Exthdr is a field of an IPv6 extension header (`hbh nexthdr`, `rt0 addr[1]`:
// Field is then "addr[1]", `srh sid[2]`), or with Field "" whether there is one
// (`exthdr frag exists`).
type Exthdr struct {
	Pos
	Header, Field string
}

// Option is a field of an option: of TCP (`tcp option maxseg size`), IP (`ip
// option lsrr addr`), a chunk of SCTP (`sctp chunk data tsn`), an option of DCCP
// (`dccp option 40`). Of is "tcp", "ip", "sctp", "dccp". Field "" asks whether
// there is one. Name may be a number (`tcp option 254 length`); raw is `tcp
// option @23,8,16`, with Name "@23", Offset and Len in bits. Of several names of
// an option there is one: maxseg (also mss), nop (noop), sack-perm
// (sack-permitted), sack (sack0).
type Option struct {
	Pos
	Of, Name, Field string
	Offset, Len     int
}

// Meta is a key of the packet's metadata, `meta mark` as well as the short
// `mark`, `iifname`, …
type Meta struct {
	Pos
	Key string
}

// Ct is a key of its connection. Dir is "", "original" or "reply"; Key is such
// as "state", "mark", "saddr", "proto-src", "packets", and "ip saddr", "ip6
// daddr" where the family is said, "count" never (that is a statement).
type Ct struct {
	Pos
	Dir, Key string
}

// Fib is a look-up of a route: `fib saddr . iif oif`. Result is oif, oifname or
// type; `fib … exists` (or missing) is a Match with `oif` on the left, and the
// word on the right.
type Fib struct {
	Pos
	Flags  []*Value // saddr, daddr, mark, iif, oif
	Result string
}

// Rt is `rt classid`, `rt nexthop`, `rt mtu`, `rt ipsec`; Family is "ip", "ip6"
// or "".
type Rt struct {
	Pos
	Family, Key string
}

// Socket is `socket transparent`, mark, wildcard, cgroupv2 (with `level N`).
type Socket struct {
	Pos
	Key   string
	Level uint32
}

// Osf is `osf ttl skip name` or version; TTL is "", "loose" or "skip".
type Osf struct {
	Pos
	TTL, Key string // Key: "name", "version"
}

// Numgen is `numgen inc mod 2 offset 100`; Mode is inc or random.
type Numgen struct {
	Pos
	Mode        string
	Mod, Offset uint32
}

// Hash is jhash over Of, or symhash, with Of nil.
type Hash struct {
	Pos
	Of          Expr
	Mod, Offset uint32
	Seed        *uint32
}

// Ipsec is `ipsec in spnum 1 ip saddr`, reqid, spi.
type Ipsec struct {
	Pos
	Dir         string // in, out
	SPNum       uint32
	Family, Key string // Family is "ip" or "ip6" for saddr and daddr, else ""
}

// Stmt is a statement: one of those below, or a *Verdict.
type Stmt interface{ Node }

// Match compares. Op is "" where the text has none, or == != < > <= >=. `tcp
// flags syn / syn,ack` is as nft reads it: Left `tcp flags & (syn,ack)`, Op
// "==". `tcp flags ! syn` has Op "!".
type Match struct {
	Pos
	Left  Expr
	Op    string
	Right Expr
}

// Vmap looks a verdict up: `tcp dport vmap { … }`; Of is a *SetLiteral or a
// *SetRef.
type Vmap struct {
	Pos
	Key Expr
	Of  Expr
}

// Counter counts, from what it is given.
type Counter struct {
	Pos
	Packets, Bytes uint64
}

// ObjectRef uses a named object: `counter name "x"`, `quota name x`, `limit
// name`, `synproxy name`, `ct helper set "x"`, `ct timeout set`, `ct
// expectation set`, `meta secmark set` is an Assign. Kind is as of Remove; Name
// is a *Value, or a *Map whose data are names.
type ObjectRef struct {
	Pos
	Kind string
	Name Expr
}

// Limit is a rate: packets, or bytes with Bytes.
type Limit struct {
	Pos
	Over  bool
	Rate  uint64 // in packets, or bytes (units multiplied out)
	Per   string // second, minute, hour, day, week
	Bytes bool
	// Burst is in packets or bytes; nil: not said.
	Burst *uint64
}

// Quota is an amount of bytes: until, or over.
type Quota struct {
	Pos
	Over        bool
	Bytes, Used uint64
}

// CtCount is `ct count over 10`.
type CtCount struct {
	Pos
	Over  bool
	Count uint32
}

// Last remembers when it was last passed.
type Last struct {
	Pos
	Used *time.Duration // nil: never
}

// Log writes a line, or sends the packet to a group.
type Log struct {
	Pos
	Prefix    *string
	Level     *Value // emerg … debug, audit
	Group     *Value
	Snaplen   *Value
	Threshold *Value
	Flags     []*Value // "tcp sequence", "tcp options", "ip options", "skuid", "ether", "all"
}

// Reject answers. Type is "", "tcp reset", "icmp", "icmpv6", "icmpx"; Code is
// the type's name or number (`with icmp port-unreachable`, `with icmp type
// port-unreachable`: both are Type "icmp").
type Reject struct {
	Pos
	Type string
	Code *Value
}

// NAT rewrites addresses. Kind is snat, dnat, masquerade, redirect.
type NAT struct {
	Pos
	Kind   string
	Family string // "ip", "ip6", "" as written before `to`
	// Addr is what is before the port: an address, a range, a prefix, a map,
	// a concatenation through a map (`dnat ip to tcp dport map { 80 : 10.0.0.1 .
	// 8080 }`, with AddrPort). nil for `to :80`.
	Addr Expr
	Port Expr // behind the colon; nil: none
	// Interval is the old `interval`, Prefix `prefix`, AddrPort `addr . port`
	// between family and `to`.
	Prefix, Interval, AddrPort bool
	Flags                      []*Value // random, fully-random, persistent
}

// TProxy hands the packet to a local socket.
type TProxy struct {
	Pos
	Family string
	Addr   Expr // nil: the socket's
	Port   Expr // nil: the packet's
}

// Notrack keeps the packet out of connection tracking.
type Notrack struct{ Pos }

// Dup sends a copy: `dup to ADDR device DEV`; in netdev, To is the device.
type Dup struct {
	Pos
	To, Dev Expr
}

// Fwd sends the packet on: `fwd to DEV`, where To is nil, `fwd ip to ADDR device
// DEV`.
type Fwd struct {
	Pos
	Family  string
	To, Dev Expr
}

// Queue hands the packet to a program: `queue flags bypass to 1-3`. Num is nil,
// a *Value, a *Range, a *Map or an expression.
type Queue struct {
	Pos
	Num   Expr
	Flags []*Value // bypass, fanout
}

// Assign sets a key of the packet: Target is a *Meta, *Ct, *Payload,
// *RawPayload, *Exthdr or *Option. `ct mark set …` and `meta mark set …` alike.
type Assign struct {
	Pos
	Target Expr
	Value  Expr
}

// ResetOption is `reset tcp option maxseg`.
type ResetOption struct {
	Pos
	Option *Option
}

// Update adds to, updates or deletes from a set or map: `add @s { ip saddr
// timeout 5s counter }`, `update @m { ip saddr : mark }`. Key holds all of it.
type Update struct {
	Pos
	Op  string // add, update, delete
	Set string
	Key *Element
}

// Meter is the older way to write an Update of a set of its own: `meter m size 128
// { ip saddr limit rate 1/second }`. Size is 0 where not said.
type Meter struct {
	Pos
	Name string
	Size uint32
	Key  *Element
}

// FlowAdd is `flow add @f`.
type FlowAdd struct {
	Pos
	Flowtable string
}

// Synproxy answers for a server: `synproxy mss 1460 wscale 7 timestamp
// sack-perm`.
type Synproxy struct {
	Pos
	MSS, WScale         *Value
	Timestamp, SackPerm bool
}
