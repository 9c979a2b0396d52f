package nft

// Order is how the bytes of a value lie in a register. The numbers are those by
// which nft leaves it with a set (enum byteorder of its datatype.h).
type Order uint8

const (
	NoOrder    Order = iota // the type does not say; what has the type may
	HostEndian              // the machine's
	BigEndian               // as on the wire, most significant byte first
)

// Type is a datatype of the language (nft(8), DATA TYPES). Constants of a type
// are numbers, kept as bytes, most significant first, whatever the order of the
// type; a string is its bytes in their order, and NULs behind them.
type Type struct {
	// ID is nft's number of the type, which it leaves in the kernel with a set
	// so that the set can be shown again.
	ID    uint32
	Name  string
	Desc  string // such as "IPv4 address", for messages
	Bits  int    // 0: it depends on what it is the type of
	Order Order
	Base  *Type // what it is a kind of: integer, bitmask, string, ll_addr; nil: of nothing
	// Symbols are the names that values have; of a bitmask, of its bits.
	Symbols []Symbol
	// parse reads a word in the way of the type; nil: a symbol, or as Base does.
	// bits is how wide the value is to be. The error says what was expected.
	parse func(text string, bits int) ([]byte, error)
}

// Symbol is a name of a value.
type Symbol struct {
	Name  string
	Value uint64
}

// Base says from where an offset into the packet counts
// (linux/netfilter/nf_tables.h: NFT_PAYLOAD_*).
type Base uint32

const (
	LinkLayer      Base = 0
	NetworkLayer   Base = 1
	TransportLayer Base = 2
	InnerLayer     Base = 3
)

// Header is a protocol header.
type Header struct {
	Name string
	// ID is nft's number of it (enum proto_desc_id), left with a set that has
	// typeof.
	ID    uint32
	Base  Base
	Field []Field
	// Next is the name of the field that says what follows, and Upper what
	// does, by its value: ip protocol 6 is tcp. icmp and icmpv6 have Next, the
	// type, and nothing follows.
	Next  string
	Upper []Upper
	// NextMeta is the key of `meta` that says the same, and that nft asks
	// instead of Next when it adds the match itself: of ip and ip6, so that
	// extension headers are passed, and of the headers that are none: `meta
	// nfproto` of inet, `meta protocol` of netdev. "": it asks Next.
	NextMeta string
	Bits     int // length of the fixed part
	// ChecksumType is how the checksum is mended when a field is written
	// (NFT_PAYLOAD_CSUM_*), Checksum its offset in bytes; NFT_PAYLOAD_CSUM_NONE
	// where there is none to mend. Pseudo are the names of the fields that are
	// in the pseudo header of the checksum of what follows.
	ChecksumType uint32
	Checksum     int
	Pseudo       []string
}

// Upper is what follows a header.
type Upper struct {
	Value  uint64
	Header *Header
}

// Field is a part of a header. Offset and Bits count from the header's start.
type Field struct {
	Name   string
	Type   *Type
	Order  Order
	Offset int
	Bits   int
	// ICMPTypes are the types of ICMP messages that have the field (`icmp id`:
	// echo-request or echo-reply); nil: all.
	ICMPTypes []uint8
	// Index is nft's number of the field in its header's table of templates
	// (TCPHDR_DPORT, …), left with a set that has typeof.
	Index uint32
}

// Selector is something that the kernel loads into a register by its number:
// a key of meta, ct, rt, socket, fib, osf or ipsec.
type Selector struct {
	Name  string
	Key   uint32 // NFT_META_*, NFT_CT_*, …
	Type  *Type  // nil: what surrounds it says
	Bits  int    // 0: likewise
	Order Order
}

// MetaKey is a key of `meta`.
type MetaKey struct {
	Selector
	// Settable: the kernel takes `meta KEY set` (nft_meta_set_init); SetOnly: it
	// takes nothing else.
	Settable, SetOnly bool
	// Short: it may stand without the word `meta`.
	Short bool
}

// CtKey is a key of `ct`.
type CtKey struct {
	Selector
	// NeedsDirection and TakesDirection: whether `original` or `reply` must or
	// may be said. What needs one takes one.
	NeedsDirection, TakesDirection bool
	// Settable: the kernel takes `ct KEY set` (nft_ct_set_init).
	Settable bool
}

// OptionHeader is an option or an extension header, or a chunk of SCTP.
type OptionHeader struct {
	Name string
	ID   uint32 // the kind on the wire: TCPOPT_*, IPOPT_*, IPPROTO_* of an extension header
	// Desc is what nft leaves with a set that has typeof: of an extension header
	// enum exthdr_desc_id, of all others ID.
	Desc  uint32
	Field []OptionField
	// Present is the Index of the field that nft names where it is only asked
	// whether there is such a header; that question reads the first 8 bits.
	Present uint32
}

// OptionField is a part of it.
type OptionField struct {
	Name   string
	Type   *Type
	Order  Order
	Offset int // in bits
	Bits   int
	// Index is nft's number of the field in its table.
	Index uint32
}
