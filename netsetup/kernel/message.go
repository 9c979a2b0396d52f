package kernel

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// errTruncated says that a message ends before its own length says so.
var errTruncated = errors.New("the kernel's answer is cut short")

// native is the byte order of netlink: the machine's.
var native = binary.NativeEndian

// Constants of the kernel's headers that golang.org/x/sys/unix has not.
const (
	ifaProto         = 11     // IFA_PROTO, linux/if_addr.h
	ndaProtocol      = 12     // NDA_PROTOCOL, linux/neighbour.h
	ndaFlagsExt      = 15     // NDA_FLAGS_EXT
	vethInfoPeer     = 1      // VETH_INFO_PEER, linux/veth.h
	filterSkipStats  = 1 << 3 // RTEXT_FILTER_SKIP_STATS, linux/rtnetlink.h
	protoKernelLo    = 1      // IFAPROT_KERNEL_LO, linux/if_addr.h
	protoKernelLL    = 3      // IFAPROT_KERNEL_LL
	fraSportMask     = 28     // FRA_SPORT_MASK, linux/fib_rules.h
	fraDportMask     = 29     // FRA_DPORT_MASK
	sizeofFibRuleHdr = 12     // struct fib_rule_hdr, linux/fib_rules.h
	rtaNhID          = 30     // RTA_NH_ID, linux/rtnetlink.h
	brportMAB        = 40     // IFLA_BRPORT_MAB, linux/if_link.h
	attrTypeMask     = 0x3fff // NLA_TYPE_MASK, linux/netlink.h
	sizeofRtGenmsg   = 1      // struct rtgenmsg
)

func align(n int) int { return (n + 3) &^ 3 }

// A request is netlink messages one behind the other, being built. The zero
// request is empty.
type request struct {
	b     []byte
	start int // of the message being built
}

// begin starts a message with its header and room for n bytes of a fixed
// struct, which are returned, zeroed, to be filled in before anything is
// appended.
func (r *request) begin(typ, flags uint16, seq uint32, n int) []byte {
	r.start = len(r.b)
	r.b = append(r.b, make([]byte, unix.SizeofNlMsghdr+align(n))...)
	h := r.b[r.start:]
	native.PutUint16(h[4:], typ)
	native.PutUint16(h[6:], unix.NLM_F_REQUEST|flags)
	native.PutUint32(h[8:], seq)
	return h[unix.SizeofNlMsghdr:]
}

// grow appends n zeroed bytes for a fixed struct and returns them, to be filled
// in before anything else is appended.
func (r *request) grow(n int) []byte {
	at := len(r.b)
	r.b = append(r.b, make([]byte, align(n))...)
	return r.b[at:]
}

// end writes the length of the message.
func (r *request) end() {
	native.PutUint32(r.b[r.start:], uint32(len(r.b)-r.start))
}

// attr appends an attribute of n bytes and returns them, zeroed, to be filled in
// before anything else is appended.
func (r *request) attr(typ uint16, n int) []byte {
	at := len(r.b)
	r.b = append(r.b, make([]byte, align(unix.SizeofRtAttr+n))...)
	native.PutUint16(r.b[at:], uint16(unix.SizeofRtAttr+n))
	native.PutUint16(r.b[at+2:], typ)
	return r.b[at+unix.SizeofRtAttr:][:n]
}

func (r *request) bytes(typ uint16, v []byte) { copy(r.attr(typ, len(v)), v) }
func (r *request) u8(typ uint16, v uint8)     { r.attr(typ, 1)[0] = v }
func (r *request) u16(typ, v uint16)          { native.PutUint16(r.attr(typ, 2), v) }
func (r *request) u32(typ uint16, v uint32)   { native.PutUint32(r.attr(typ, 4), v) }

// str appends a string with the NUL that the kernel expects behind names.
func (r *request) str(typ uint16, s string) { copy(r.attr(typ, len(s)+1), s) }

// addr appends an IP address.
func (r *request) addr(typ uint16, a netip.Addr) {
	if a.Is4() {
		v := a.As4()
		r.bytes(typ, v[:])
		return
	}
	v := a.As16()
	r.bytes(typ, v[:])
}

// nest starts an attribute that holds others, up to the unnest of what it
// returns.
func (r *request) nest(typ uint16) int {
	at := len(r.b)
	r.attr(typ|unix.NLA_F_NESTED, 0)
	return at
}

func (r *request) unnest(at int) {
	native.PutUint16(r.b[at:], uint16(len(r.b)-at))
}

// A message is one that came from the kernel.
type message struct {
	typ     uint16
	flags   uint16
	seq     uint32
	payload []byte // behind the header
}

// nextMessage splits the first message off b.
func nextMessage(b []byte) (m message, rest []byte, err error) {
	if len(b) < unix.SizeofNlMsghdr {
		return m, nil, errTruncated
	}
	n := int(native.Uint32(b))
	if n < unix.SizeofNlMsghdr || n > len(b) {
		return m, nil, errTruncated
	}
	m = message{native.Uint16(b[4:]), native.Uint16(b[6:]), native.Uint32(b[8:]), b[unix.SizeofNlMsghdr:n]}
	return m, b[min(align(n), len(b)):], nil
}

// attrs walks over the attributes in rest:
//
//	for a := attributes(b); a.next(); {
//		use(a.typ, a.value)
//	}
//
// A list that is cut short ends early: every attribute that State depends on
// has a meaning when it is absent, and a message of a wrong length was refused
// before.
type attrs struct {
	rest  []byte
	typ   uint16 // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
	value []byte
}

// attributes gives those behind the fixed struct of n bytes.
func attributes(payload []byte, n int) attrs {
	if len(payload) < align(n) {
		return attrs{}
	}
	return attrs{rest: payload[align(n):]}
}

func (a *attrs) next() bool {
	if len(a.rest) < unix.SizeofRtAttr {
		return false
	}
	n := int(native.Uint16(a.rest))
	if n < unix.SizeofRtAttr || n > len(a.rest) {
		return false
	}
	a.typ = native.Uint16(a.rest[2:]) & attrTypeMask
	a.value = a.rest[unix.SizeofRtAttr:n]
	a.rest = a.rest[min(align(n), len(a.rest)):]
	return true
}

// nested are the attributes in the one at hand.
func (a *attrs) nested() attrs { return attrs{rest: a.value} }

// The value of the attribute at hand; 0, "" or not valid where it is too short.

func (a *attrs) u8() uint8 {
	if len(a.value) < 1 {
		return 0
	}
	return a.value[0]
}

func (a *attrs) u16() uint16 {
	if len(a.value) < 2 {
		return 0
	}
	return native.Uint16(a.value)
}

func (a *attrs) u32() uint32 {
	if len(a.value) < 4 {
		return 0
	}
	return native.Uint32(a.value)
}

func (a *attrs) str() string { return string(cString(a.value)) }

func (a *attrs) addr() netip.Addr { return ipOf(a.value) }

// cString is what stands before the first NUL.
func cString(b []byte) []byte {
	for i, c := range b {
		if c == 0 {
			return b[:i]
		}
	}
	return b
}

// ipOf is the address of 4 or 16 bytes. An IPv4-mapped one stays what it is.
func ipOf(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}
