package nft

import (
	"golang.org/x/sys/unix"
)

// load is what a packet, or the state of the kernel, is asked for.
type load interface {
	// emit puts the value, of so many bits, into a register.
	emit(r *rule, reg, bits int)
	// userData is what nft leaves with a set whose key is `typeof` this: its
	// number of the kind of expression, and what tells it from others.
	userData() (kind uint32, data udata)
}

// nft's numbers of kinds of expressions (enum expr_types of its expression.h).
const (
	kindVerdict = 1
	kindPayload = 7
	kindExthdr  = 8
	kindMeta    = 9
	kindSocket  = 10
	kindOsf     = 11
	kindCt      = 12
	kindConcat  = 13
	kindNumgen  = 22 + 1
	kindHash    = 24
	kindRt      = 25
	kindFib     = 26
	kindXfrm    = 27
)

// payloadLoad is bits of the packet. header and field are nil for raw ones.
type payloadLoad struct {
	header *Header
	field  *Field
	base   Base
	offset int // in bits
	bits   int
	raw    bool
	says   bool // the field says what follows
}

func (l *payloadLoad) emit(r *rule, reg, bits int) {
	var a attrs
	a.reg(unix.NFTA_PAYLOAD_DREG, reg)
	a.u32(unix.NFTA_PAYLOAD_BASE, uint32(l.base))
	a.u32(unix.NFTA_PAYLOAD_OFFSET, uint32(l.offset/8))
	a.u32(unix.NFTA_PAYLOAD_LEN, uint32(bytesOf(bits)))
	r.emit("payload", a)
}

func (l *payloadLoad) userData() (uint32, udata) {
	var u udata
	switch {
	case l.header == nil || l.raw && l.field == nil:
		u.u32(0, 0)
		u.u32(1, 0)
		u.u32(2, uint32(l.base)+1)
		u.u32(3, uint32(l.offset))
		u.u32(4, uint32(l.bits))
	default:
		u.u32(0, l.header.ID)
		u.u32(1, l.field.Index)
		if l.field.Type == typeInteger {
			u.u32(4, uint32(l.bits))
		}
	}
	return kindPayload, u
}

// exthdrLoad is bits of an extension header, an option or a chunk, or whether
// there is one.
type exthdrLoad struct {
	op      uint32 // NFT_EXTHDR_OP_*
	kind    uint8  // which header or option
	id      uint32 // nft's number of an extension header, where op is that of IPv6
	offset  int    // in bits
	present bool
	index   uint32
}

func (l *exthdrLoad) emit(r *rule, reg, bits int) {
	var a attrs
	a.reg(unix.NFTA_EXTHDR_DREG, reg)
	l.where(&a, bits)
	if l.present {
		a.u32(unix.NFTA_EXTHDR_FLAGS, 1) // NFT_EXTHDR_F_PRESENT
	}
	r.emit("exthdr", a)
}

func (l *exthdrLoad) where(a *attrs, bits int) {
	a.u8(unix.NFTA_EXTHDR_TYPE, l.kind)
	a.u32(unix.NFTA_EXTHDR_OFFSET, uint32(l.offset/8))
	a.u32(unix.NFTA_EXTHDR_LEN, uint32(bytesOf(bits)))
	a.u32(unix.NFTA_EXTHDR_OP, l.op)
}

func (l *exthdrLoad) userData() (uint32, udata) {
	var u udata
	// NFTNL_UDATA_EXTHDR_DESC, _TYPE, _OP.
	if l.op == unix.NFT_EXTHDR_OP_IPV6 {
		u.u32(1, l.index)
		u.u32(0, l.id)
	} else {
		u.u32(1, l.index)
		u.u32(2, l.op)
		u.u32(0, uint32(l.kind))
	}
	return kindExthdr, u
}

type metaLoad struct{ key *MetaKey }

func (l *metaLoad) emit(r *rule, reg, _ int) {
	var a attrs
	a.reg(unix.NFTA_META_DREG, reg)
	a.u32(unix.NFTA_META_KEY, l.key.Key)
	r.emit("meta", a)
}

func (l *metaLoad) userData() (uint32, udata) {
	var u udata
	u.u32(0, l.key.Key)
	return kindMeta, u
}

// ctLoad is a key of the connection; dir is -1 where no direction is said.
type ctLoad struct {
	key *CtKey
	num uint32 // NFT_CT_*
	dir int
}

func (l *ctLoad) emit(r *rule, reg, _ int) {
	var a attrs
	a.reg(unix.NFTA_CT_DREG, reg)
	a.u32(unix.NFTA_CT_KEY, l.num)
	l.direction(&a)
	r.emit("ct", a)
}

func (l *ctLoad) direction(a *attrs) {
	if l.dir >= 0 {
		a.u8(unix.NFTA_CT_DIRECTION, uint8(l.dir))
	}
}

func (l *ctLoad) userData() (uint32, udata) {
	var u udata
	u.u32(0, l.num)
	u.u32(1, uint32(int32(l.dir)))
	return kindCt, u
}

type fibLoad struct{ result, flags uint32 }

func (l *fibLoad) emit(r *rule, reg, _ int) {
	var a attrs
	a.reg(unix.NFTA_FIB_DREG, reg)
	a.u32(unix.NFTA_FIB_RESULT, l.result)
	a.u32(unix.NFTA_FIB_FLAGS, l.flags)
	r.emit("fib", a)
}

func (l *fibLoad) userData() (uint32, udata) {
	var u udata
	u.u32(0, l.result)
	u.u32(1, l.flags)
	return kindFib, u
}

type rtLoad struct{ key uint32 }

func (l *rtLoad) emit(r *rule, reg, _ int) {
	var a attrs
	a.reg(unix.NFTA_RT_DREG, reg)
	a.u32(unix.NFTA_RT_KEY, l.key)
	r.emit("rt", a)
}

func (l *rtLoad) userData() (uint32, udata) {
	var u udata
	u.u32(0, l.key)
	return kindRt, u
}

type socketLoad struct{ key, level uint32 }

// NFTA_SOCKET_*.
const (
	nftaSocketKey   = 1
	nftaSocketDreg  = 2
	nftaSocketLevel = 3
)

func (l *socketLoad) emit(r *rule, reg, _ int) {
	var a attrs
	a.u32(nftaSocketKey, l.key)
	a.reg(nftaSocketDreg, reg)
	a.u32(nftaSocketLevel, l.level)
	r.emit("socket", a)
}

func (l *socketLoad) userData() (uint32, udata) {
	var u udata
	u.u32(0, l.key)
	return kindSocket, u
}

type osfLoad struct {
	ttl   uint8
	flags uint32
}

// NFTA_OSF_*.
const (
	nftaOsfDreg  = 1
	nftaOsfTTL   = 2
	nftaOsfFlags = 3
)

func (l *osfLoad) emit(r *rule, reg, _ int) {
	var a attrs
	a.reg(nftaOsfDreg, reg)
	a.u8(nftaOsfTTL, l.ttl)
	if l.flags != 0 { // the kernel refuses none
		a.u32(nftaOsfFlags, l.flags)
	}
	r.emit("osf", a)
}

func (l *osfLoad) userData() (uint32, udata) { return kindOsf, nil }

type numgenLoad struct{ mode, mod, offset uint32 }

func (l *numgenLoad) emit(r *rule, reg, _ int) {
	var a attrs
	a.reg(unix.NFTA_NG_DREG, reg)
	a.u32(unix.NFTA_NG_TYPE, l.mode)
	a.u32(unix.NFTA_NG_MODULUS, l.mod)
	a.u32(unix.NFTA_NG_OFFSET, l.offset)
	r.emit("numgen", a)
}

func (l *numgenLoad) userData() (uint32, udata) {
	var u udata
	u.u32(0, l.mode)
	u.u32(1, l.mod)
	u.u32(2, l.offset)
	return kindNumgen, u
}

// hashLoad is jhash over a term, or symhash with none.
type hashLoad struct {
	of          *term
	mod, offset uint32
	seed        *uint32
}

func (l *hashLoad) emit(r *rule, reg, _ int) {
	var a attrs
	kind := uint32(unix.NFT_HASH_SYM)
	if l.of != nil {
		kind = unix.NFT_HASH_JENKINS
		r.into(l.of, func(from int) { a.reg(unix.NFTA_HASH_SREG, from) })
		a.u32(unix.NFTA_HASH_LEN, uint32(l.of.size()))
	}
	a.reg(unix.NFTA_HASH_DREG, reg)
	a.u32(unix.NFTA_HASH_MODULUS, l.mod)
	if l.seed != nil {
		a.u32(unix.NFTA_HASH_SEED, *l.seed)
	}
	a.u32(unix.NFTA_HASH_OFFSET, l.offset)
	a.u32(unix.NFTA_HASH_TYPE, kind)
	r.emit("hash", a)
}

func (l *hashLoad) userData() (uint32, udata) {
	var u udata
	kind := uint32(unix.NFT_HASH_SYM)
	if l.of != nil {
		kind = unix.NFT_HASH_JENKINS
	}
	seed, has := uint32(0), uint32(0)
	if l.seed != nil {
		seed, has = *l.seed, 1
	}
	for i, v := range []uint32{kind, l.offset, l.mod, seed, has} {
		u.u32(uint8(i), v)
	}
	return kindHash, u
}

type xfrmLoad struct {
	key   uint32
	dir   uint8
	spnum uint32
}

// NFTA_XFRM_*.
const (
	nftaXfrmDreg  = 1
	nftaXfrmKey   = 2
	nftaXfrmDir   = 3
	nftaXfrmSPNum = 4
)

func (l *xfrmLoad) emit(r *rule, reg, _ int) {
	var a attrs
	a.reg(nftaXfrmDreg, reg)
	a.u32(nftaXfrmKey, l.key)
	a.u8(nftaXfrmDir, l.dir)
	a.u32(nftaXfrmSPNum, l.spnum)
	r.emit("xfrm", a)
}

func (l *xfrmLoad) userData() (uint32, udata) {
	var u udata
	u.u32(0, l.key)
	u.u32(1, l.spnum)
	u.u32(2, uint32(l.dir))
	return kindXfrm, u
}
