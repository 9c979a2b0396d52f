package nft

import "encoding/binary"

// An attribute of netlink (linux/netlink.h: struct nlattr), which is what Data
// of an Expression consists of.

// attribute is one of them; its type is without NLA_F_NESTED and
// NLA_F_NET_BYTEORDER.
type attribute struct {
	typ   uint16
	value []byte
}

// attributesOf takes a list of attributes apart. One that is cut short ends it.
func attributesOf(b []byte) []attribute {
	var list []attribute
	for len(b) >= 4 {
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			break
		}
		list = append(list, attribute{binary.NativeEndian.Uint16(b[2:]) & 0x3fff, b[4:n]})
		b = b[min((n+3)&^3, len(b)):]
	}
	return list
}

// attributeOf is the value of one attribute of a list, or nil.
func attributeOf(b []byte, typ uint16) []byte {
	for _, a := range attributesOf(b) {
		if a.typ == typ {
			return a.value
		}
	}
	return nil
}

// bigEndian is a big-endian number of up to eight bytes.
func bigEndian(b []byte) uint64 {
	var n uint64
	for _, c := range b[:min(len(b), 8)] {
		n = n<<8 | uint64(c)
	}
	return n
}

// trimNUL cuts the NULs at the end of a string.
func trimNUL(b []byte) string {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return string(b)
}
