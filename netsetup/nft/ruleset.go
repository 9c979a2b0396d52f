package nft

import "time"

// Ruleset is what a File compiles to: the tables that are there when all its
// commands were carried out, in the order in which they were made, as the kernel
// takes them (linux/netfilter/nf_tables.h).
type Ruleset struct{ Tables []*Table }

// Table holds sets, objects, flowtables and chains, each in the order of the
// text.
type Table struct {
	Pos
	Family     Family
	Name       string
	Flags      uint32 // NFT_TABLE_F_*
	Comment    string
	Sets       []*Set // anonymous ones before the rule that looks into them
	Objects    []*Object
	Flowtables []*Flowtable
	Chains     []*Chain
	// Interfaces are the names of the interfaces whose indexes are in the
	// compiled rules and elements, sorted.
	Interfaces []string
}

// Family is NFPROTO_*.
type Family uint8

const (
	FamilyInet   Family = 1
	FamilyIP     Family = 2
	FamilyARP    Family = 3
	FamilyNetdev Family = 5
	FamilyBridge Family = 7
	FamilyIP6    Family = 10
)

// Chain is a chain; Hook is nil for a regular one.
type Chain struct {
	Pos
	Name    string
	Comment string
	Hook    *ChainHook
	Flags   uint32 // NFT_CHAIN_HW_OFFLOAD, NFT_CHAIN_BINDING
	// ID numbers a chain that rules of the same transaction refer to before the
	// kernel has named it (`jump { … }`); 0: none.
	ID    uint32
	Rules []*Rule
}

// ChainHook is where a base chain hangs.
type ChainHook struct {
	Type     string // filter, nat, route
	Hook     uint32 // NF_*
	Priority int32
	Policy   *uint32 // NF_ACCEPT, NF_DROP; nil: the kernel's default
	Devices  []string
}

// Rule is a rule. Text is how the file writes it.
type Rule struct {
	Pos
	Text    string
	Comment string
	Exprs   []Expression
	Handle  uint64 // the kernel's number of a rule that was read; 0: it was compiled
}

// Expression is one operation of a rule, as the kernel takes it: its name and
// the attributes in NFTA_EXPR_DATA, encoded. A look-up in an anonymous set
// refers to it by the names and numbers of Set.
type Expression struct {
	Name string
	Data []byte
	// Set is, for an expression that names an anonymous set, that set.
	Set *Set
}

// Set is a set or map (NFTA_SET_*).
type Set struct {
	Pos
	Name      string // "__set%d" and "__map%d" where Anonymous
	ID        uint32 // in this ruleset, from 1
	Anonymous bool
	Flags     uint32 // NFT_SET_*
	KeyType   uint32
	KeyLen    uint32 // bytes
	DataType  uint32 // of a map; 0xffffff00 (NFT_DATA_VERDICT) of a verdict map
	DataLen   uint32
	ObjType   uint32 // NFT_OBJECT_* of a map of objects
	Timeout   time.Duration
	GC        time.Duration
	Policy    *uint32  // NFT_SET_POL_*
	Size      uint32   // NFTA_SET_DESC_SIZE; 0: none
	Fields    []uint32 // NFTA_SET_DESC_CONCAT: length of each, for an interval set of concatenations
	Exprs     []Expression
	UserData  []byte
	Comment   string // is in UserData
	Elements  []*SetElement
}

// SetElement is one element (NFTA_SET_ELEM_*).
type SetElement struct {
	Pos
	Key, KeyEnd []byte // KeyEnd: of a range of concatenations
	Flags       uint32 // NFT_SET_ELEM_INTERVAL_END, NFT_SET_ELEM_CATCHALL
	Data        []byte
	Verdict     *SetVerdict
	Object      string
	Timeout     *time.Duration
	Expires     *time.Duration
	Exprs       []Expression
	UserData    []byte
}

// SetVerdict is the data of a verdict map: NFT_JUMP and so on.
type SetVerdict struct {
	Code  int32
	Chain string
}

// Object is a named stateful object. Data are the attributes in NFTA_OBJ_DATA.
type Object struct {
	Pos
	Name    string
	Type    uint32 // NFT_OBJECT_*
	Data    []byte
	Comment string
}

// Flowtable is a flowtable.
type Flowtable struct {
	Pos
	Name     string
	Hook     uint32
	Priority int32
	Devices  []string
	Flags    uint32
}
