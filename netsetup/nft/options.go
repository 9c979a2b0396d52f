package nft

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// Kinds of options (NFTA_EXTHDR_OP) that x/sys does not have.
const (
	NFT_EXTHDR_OP_IPV4 = 2
	NFT_EXTHDR_OP_SCTP = 3
	NFT_EXTHDR_OP_DCCP = 4
)

// optionField makes a field; all are big-endian, and nearly all numbers.
func optionField(name string, index uint32, offset, bits int) OptionField {
	return OptionField{Name: name, Type: typeInteger, Order: BigEndian, Offset: offset, Bits: bits, Index: index}
}

// typed gives a field another type.
func (f OptionField) typed(t *Type) OptionField {
	f.Type = t
	return f
}

// field gives a field by its name, or nil.
func (h *OptionHeader) field(name string) *OptionField {
	for i := range h.Field {
		if h.Field[i].Name == name {
			return &h.Field[i]
		}
	}
	return nil
}

func optionByName(options []*OptionHeader, name string) *OptionHeader {
	for _, h := range options {
		if h.Name == name {
			return h
		}
	}
	return nil
}

// exthdrs are the extension headers of IPv6. Desc is enum exthdr_desc_id of nft's
// exthdr.h. Of rt0 and srh there are as many addresses as nft has; of rt2 it
// knows no field.
var exthdrs = []*OptionHeader{
	{Name: "hbh", ID: unix.IPPROTO_HOPOPTS, Desc: 1, Present: 1, Field: []OptionField{
		optionField("nexthdr", 1, 0, 8).typed(typeInetProto),
		optionField("hdrlength", 2, 8, 8),
	}},
	{Name: "rt", ID: unix.IPPROTO_ROUTING, Desc: 2, Present: 1, Field: []OptionField{
		optionField("nexthdr", 1, 0, 8).typed(typeInetProto),
		optionField("hdrlength", 2, 8, 8),
		optionField("type", 3, 16, 8),
		optionField("seg-left", 4, 24, 8),
	}},
	{Name: "rt0", ID: unix.IPPROTO_ROUTING, Desc: 3, Field: []OptionField{
		optionField("addr[1]", 2, 64, 128).typed(typeIPv6Addr),
		optionField("addr[2]", 3, 192, 128).typed(typeIPv6Addr),
	}},
	{Name: "rt2", ID: unix.IPPROTO_ROUTING, Desc: 4},
	{Name: "srh", ID: unix.IPPROTO_ROUTING, Desc: 5, Field: []OptionField{
		optionField("last-entry", 1, 32, 8),
		optionField("flags", 2, 40, 8),
		optionField("tag", 3, 48, 16),
		optionField("sid[1]", 4, 64, 128).typed(typeIPv6Addr),
		optionField("sid[2]", 5, 192, 128).typed(typeIPv6Addr),
	}},
	{Name: "frag", ID: unix.IPPROTO_FRAGMENT, Desc: 6, Present: 1, Field: []OptionField{
		optionField("nexthdr", 1, 0, 8).typed(typeInetProto),
		optionField("reserved", 2, 8, 8),
		optionField("frag-off", 3, 16, 13),
		optionField("reserved2", 4, 29, 2),
		optionField("more-fragments", 5, 31, 1),
		optionField("id", 6, 32, 32),
	}},
	{Name: "dst", ID: unix.IPPROTO_DSTOPTS, Desc: 7, Present: 1, Field: []OptionField{
		optionField("nexthdr", 1, 0, 8).typed(typeInetProto),
		optionField("hdrlength", 2, 8, 8),
	}},
	{Name: "mh", ID: unix.IPPROTO_MH, Desc: 8, Present: 1, Field: []OptionField{
		optionField("nexthdr", 1, 0, 8).typed(typeInetProto),
		optionField("hdrlength", 2, 8, 8),
		optionField("type", 3, 16, 8).typed(typeMHType),
		optionField("reserved", 4, 24, 8),
		optionField("checksum", 5, 32, 16),
	}},
}

// exthdrByName gives an extension header, or nil. `exthdr NAME exists` takes those
// that have a Present.
func exthdrByName(name string) *OptionHeader { return optionByName(exthdrs, name) }

// ipOptions are of RFC 791 and RFC 2113.
var ipOptions = []*OptionHeader{
	ipRouteOption("lsrr", 131),
	ipRouteOption("rr", 7),
	ipRouteOption("ssrr", 137),
	{Name: "ra", ID: 148, Desc: 148, Present: 1, Field: []OptionField{
		optionField("type", 1, 0, 8),
		optionField("length", 2, 8, 8),
		optionField("value", 3, 16, 16),
	}},
}

func ipRouteOption(name string, kind uint32) *OptionHeader {
	return &OptionHeader{Name: name, ID: kind, Desc: kind, Present: 1, Field: []OptionField{
		optionField("type", 1, 0, 8),
		optionField("length", 2, 8, 8),
		optionField("ptr", 4, 16, 8),
		optionField("addr", 5, 24, 32),
	}}
}

// ipOptionByName gives an option of IPv4, or nil.
func ipOptionByName(name string) *OptionHeader { return optionByName(ipOptions, name) }

// maxKind is the highest number of an option on the wire.
const maxKind = 255

// dccpOptionByName gives an option of DCCP, which only has a number; nil where it
// is none. nft 1.0.6 does not know them.
func dccpOptionByName(name string) *OptionHeader {
	v, ok := number(name)
	if !ok || !v.IsUint64() || v.Uint64() > maxKind {
		return nil
	}
	n := uint32(v.Uint64())
	return &OptionHeader{Name: strconv.Itoa(int(n)), ID: n, Desc: n, Present: 0}
}
