package nft

import "encoding/binary"

// udata is data that the kernel keeps for user space: nft's own types, lengths
// and values of one byte each and the value (libnftnl/udata.h).
type udata []byte

func (u *udata) bytes(typ uint8, v []byte) {
	*u = append(*u, typ, uint8(len(v)))
	*u = append(*u, v...)
}

func (u *udata) u32(typ uint8, v uint32) {
	u.bytes(typ, binary.NativeEndian.AppendUint32(nil, v))
}

func (u *udata) str(typ uint8, s string) { u.bytes(typ, append([]byte(s), 0)) }

// enum nftnl_udata_set_types and nftnl_udata_set_elem_types.
const (
	udataSetKeyOrder      = 0
	udataSetDataOrder     = 1
	udataSetMerge         = 2
	udataSetKeyTypeof     = 3
	udataSetDataTypeof    = 4
	udataSetDataInterval  = 6
	udataSetComment       = 7
	udataElementComment   = 0
	udataElementFlags     = 1
	elementIntervalOpen   = 1 // NFTNL_SET_ELEM_F_INTERVAL_OPEN
	udataTypeofExpression = 0
	udataTypeofData       = 1
)

// typeofData is how nft remembers what an expression was; nil where it does not.
func typeofData(t *term) udata {
	kind, data, ok := typeofParts(t)
	if !ok {
		return nil
	}
	var u udata
	u.u32(udataTypeofExpression, kind)
	u.bytes(udataTypeofData, data)
	return u
}

func typeofParts(t *term) (kind uint32, data udata, ok bool) {
	switch t.kind {
	case loaded:
		kind, data = t.load.userData()
		return kind, data, true
	case decision:
		return kindVerdict, nil, true
	case concat:
		for i, p := range t.parts {
			for p.kind == computed || p.kind == swapped {
				p = p.x
			}
			kind, inner, ok := typeofParts(p)
			if !ok {
				return 0, nil, false
			}
			var part udata
			part.u32(udataTypeofExpression, kind)
			part.bytes(udataTypeofData, inner)
			data.bytes(uint8(i), part)
		}
		return kindConcat, data, true
	}
	return 0, nil, false
}
