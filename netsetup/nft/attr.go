package nft

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// attrs are netlink attributes one behind the other, being built. Numbers in
// nf_tables are big-endian.
type attrs []byte

// bytes appends an attribute.
func (a *attrs) bytes(typ uint16, v []byte) {
	n := unix.SizeofRtAttr + len(v)
	*a = binary.NativeEndian.AppendUint16(*a, uint16(n))
	*a = binary.NativeEndian.AppendUint16(*a, typ)
	*a = append(*a, v...)
	*a = append(*a, make([]byte, (4-n%4)%4)...)
}

func (a *attrs) u8(typ uint16, v uint8) { a.bytes(typ, []byte{v}) }
func (a *attrs) u16(typ, v uint16)      { a.bytes(typ, binary.BigEndian.AppendUint16(nil, v)) }
func (a *attrs) u32(typ uint16, v uint32) {
	a.bytes(typ, binary.BigEndian.AppendUint32(nil, v))
}
func (a *attrs) u64(typ uint16, v uint64) {
	a.bytes(typ, binary.BigEndian.AppendUint64(nil, v))
}

// str appends a string with the NUL that the kernel expects behind it.
func (a *attrs) str(typ uint16, s string) { a.bytes(typ, append([]byte(s), 0)) }

// nest appends an attribute that holds others.
func (a *attrs) nest(typ uint16, inner attrs) { a.bytes(typ|unix.NLA_F_NESTED, inner) }

// value appends an attribute with a value in NFTA_DATA_VALUE.
func (a *attrs) value(typ uint16, v []byte) {
	var d attrs
	d.bytes(unix.NFTA_DATA_VALUE, v)
	a.nest(typ, d)
}

// reg appends a register, counted in words of 32 bits from the first. The
// kernel has two names for the first word of each 16 bytes (nf_tables.h: enum
// nft_registers); the older one is used.
func (a *attrs) reg(typ uint16, word int) {
	n := unix.NFT_REG32_00 + word
	switch {
	case word == verdictRegister:
		n = unix.NFT_REG_VERDICT
	case word%4 == 0:
		n = unix.NFT_REG_1 + word/4
	}
	a.u32(typ, uint32(n))
}

// expression makes one of the kernel's from its name and attributes.
func expression(name string, a attrs) Expression { return Expression{Name: name, Data: a} }
