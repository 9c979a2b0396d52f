package kernel

import (
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/nft"
)

// Attributes of linux/netfilter/nf_tables.h that golang.org/x/sys/unix has not.
const (
	nftaTableUserdata            = 6
	nftaHookDevs                 = 4
	nftaDeviceName               = 1
	nftaChainFlags               = 10
	nftaChainID                  = 11
	nftaChainUserdata            = 12
	nftaRuleChainID              = 11
	nftaSetDescConcat            = 2
	nftaSetFieldLen              = 1
	nftaSetExpr                  = 17
	nftaSetExpressions           = 18
	nftaSetElemKeyEnd            = 10
	nftaSetElemExpressions       = 11
	nftaVerdictChainID           = 3
	nftaObjUserdata              = 8
	nftaFlowtableTable           = 1
	nftaFlowtableName            = 2
	nftaFlowtableHook            = 3
	nftaFlowtableFlags           = 7
	nftaFlowtableHookNum         = 1
	nftaFlowtableHookPrio        = 2
	nftaFlowtableHookDevs        = 3
	nftChainBase                 = 1 << 0
	nftChainBinding              = 1 << 2
	nfnlMsgBatchBegin            = 0x10 // NFNL_MSG_BATCH_BEGIN, linux/netfilter/nfnetlink.h
	nfnlMsgBatchEnd              = 0x11
	sizeofNfgenmsg               = 4 // struct nfgenmsg
	maxAttribute                 = 0xffff
	udataComment           uint8 = 0 // NFTNL_UDATA_{TABLE,CHAIN,RULE,OBJ}_COMMENT of libnftnl
)

// udataMark is the type, in a table's user data, of our mark: a string such as
// nslab:LAB. User data are a list of types, lengths and values, a byte each but
// the value; nft has types up to 2 for tables and passes over others.
const udataMark uint8 = netsetup.Protocol

// tableMark says whose a table is.
func tableMark(lab string) string { return netsetup.AliasPrefix + lab }

// appendUdata adds a string to user data.
func appendUdata(b []byte, typ uint8, s string) []byte {
	if len(s) > 254 {
		s = s[:254]
	}
	b = append(b, typ, uint8(len(s)+1))
	b = append(b, s...)
	return append(b, 0)
}

// udata gives a string out of user data; "" where there is none.
func udata(b []byte, typ uint8) string {
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		v := b[2 : 2+int(b[1])]
		if b[0] == typ {
			return string(cString(v))
		}
		b = b[2+int(b[1]):]
	}
	return ""
}

// beginNft starts a message to nf_tables.
func (r *request) beginNft(typ, flags uint16, seq uint32, family nft.Family) {
	body := r.begin(unix.NFNL_SUBSYS_NFTABLES<<8|typ, flags, seq, sizeofNfgenmsg)
	body[0] = uint8(family)
	body[1] = unix.NFNETLINK_V0
}

// nf_tables has all numbers most significant byte first.

func (r *request) be32(typ uint16, v uint32) { binary.BigEndian.PutUint32(r.attr(typ, 4), v) }
func (r *request) be64(typ uint16, v uint64) { binary.BigEndian.PutUint64(r.attr(typ, 8), v) }

func (a *attrs) be32() uint32 {
	if len(a.value) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(a.value)
}

func (a *attrs) be64() uint64 {
	if len(a.value) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(a.value)
}

// openNftSocket opens one to nf_tables in the namespace of the calling thread.
func openNftSocket() (*socket, error) { return openNetlink(unix.NETLINK_NETFILTER) }

// isAnonymous reports the name that the kernel gives to a set that has none.
func isAnonymous(flags uint32) bool { return flags&unix.NFT_SET_ANONYMOUS != 0 }

// anonymousName is what a set without a name is called until the kernel numbers
// it: __set%d for __set7. That of a meter has a name all the same.
func anonymousName(name string) string {
	if !strings.HasPrefix(name, "__") {
		return name
	}
	return strings.TrimRight(name, "0123456789") + "%d"
}
