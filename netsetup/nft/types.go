package nft

// Order is how the bytes of a value lie in a register.
type Order uint8

const (
	BigEndian  Order = iota // as on the wire, most significant byte first
	HostEndian              // the machine's
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
	Base  *Type // what it is a kind of: integer, bitmask, string, lladdr; nil for these
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
	// does, by its value: ip protocol 6 is tcp. Of ether, what `meta protocol`
	// says, of inet's pseudo header what `meta nfproto` does.
	Next  string
	Upper []Upper
	Bits  int // length of the fixed part
	// Checksum: offset in bytes of a checksum to be mended when a field is
	// written; Pseudo: names of the fields that are in the pseudo header of
	// the checksum of what follows.
	Checksum    int
	HasChecksum bool
	Pseudo      []string
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

// MetaKey is a key of `meta`.
type MetaKey struct {
	Name  string
	Key   uint32 // NFT_META_*
	Type  *Type
	Bits  int
	Order Order
}

// CtKey is a key of `ct`.
type CtKey struct {
	Name  string
	Key   uint32 // NFT_CT_*
	Type  *Type  // nil: it depends on the family of the address (saddr, daddr, …)
	Bits  int
	Order Order
	// NeedsDirection and TakesDirection: whether `original` or `reply` must or
	// may be said.
	NeedsDirection, TakesDirection bool
}

// OptionHeader is an option or an extension header, or a chunk of SCTP.
type OptionHeader struct {
	Name  string
	ID    uint32 // the kind on the wire: TCPOPT_*, IPOPT_*, IPPROTO_* of an extension header
	Field []OptionField
}

// OptionField is a part of it.
type OptionField struct {
	Name   string
	Type   *Type
	Order  Order
	Offset int // in bits
	Bits   int
	// Value is, for the names of one field in several kinds of a header
	// (`srh sid[1]`, `rt0`), what the type field of the header has to be; -1: all.
	Value int
	// Index is nft's number of the field in its table.
	Index uint32
}
