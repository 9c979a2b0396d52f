package nft

import "golang.org/x/sys/unix"

// Keys of linux/netfilter/nf_tables.h (enum nft_meta_keys) that x/sys does not
// have.
const (
	NFT_META_SECPATH       = 25
	NFT_META_IIFKIND       = 26
	NFT_META_OIFKIND       = 27
	NFT_META_BRI_IIFPVID   = 28
	NFT_META_BRI_IIFVPROTO = 29
	NFT_META_TIME_NS       = 30
	NFT_META_TIME_DAY      = 31
	NFT_META_TIME_HOUR     = 32
	NFT_META_SDIF          = 33
	NFT_META_SDIFNAME      = 34
	NFT_META_BRI_BROUTE    = 35
	NFT_META_BRI_IIFHWADDR = 37
)

// ifNameBits is the room for the name of an interface, with a NUL.
const ifNameBits = unix.IFNAMSIZ * 8

// metaKeys are the keys of `meta`. Which of them may be short is the grammar's
// doing (meta_key_unqualified).
var metaKeys = []MetaKey{
	{Selector: Selector{"length", unix.NFT_META_LEN, typeInteger, 32, HostEndian}},
	{Selector: Selector{"protocol", unix.NFT_META_PROTOCOL, typeEtherType, 16, BigEndian}},
	{Selector: Selector{"nfproto", unix.NFT_META_NFPROTO, typeNFProto, 8, HostEndian}},
	{Selector: Selector{"l4proto", unix.NFT_META_L4PROTO, typeInetProto, 8, HostEndian}},
	{Selector: Selector{"priority", unix.NFT_META_PRIORITY, typeClassID, 32, HostEndian}, Settable: true},
	{Selector: Selector{"mark", unix.NFT_META_MARK, typeMark, 32, HostEndian}, Settable: true, Short: true},
	{Selector: Selector{"iif", unix.NFT_META_IIF, typeIfIndex, 32, HostEndian}, Short: true},
	{Selector: Selector{"iifname", unix.NFT_META_IIFNAME, typeIfName, ifNameBits, HostEndian}, Short: true},
	{Selector: Selector{"iiftype", unix.NFT_META_IIFTYPE, typeIfaceType, 16, HostEndian}, Short: true},
	{Selector: Selector{"oif", unix.NFT_META_OIF, typeIfIndex, 32, HostEndian}, Short: true},
	{Selector: Selector{"oifname", unix.NFT_META_OIFNAME, typeIfName, ifNameBits, HostEndian}, Short: true},
	{Selector: Selector{"oiftype", unix.NFT_META_OIFTYPE, typeIfaceType, 16, HostEndian}, Short: true},
	{Selector: Selector{"skuid", unix.NFT_META_SKUID, typeUID, 32, HostEndian}, Short: true},
	{Selector: Selector{"skgid", unix.NFT_META_SKGID, typeGID, 32, HostEndian}, Short: true},
	{Selector: Selector{"nftrace", unix.NFT_META_NFTRACE, typeInteger, 1, HostEndian}, Settable: true, Short: true},
	{Selector: Selector{"rtclassid", unix.NFT_META_RTCLASSID, typeRealm, 32, HostEndian}, Short: true},
	{Selector: Selector{"secmark", unix.NFT_META_SECMARK, typeInteger, 32, HostEndian}, Settable: true},
	{Selector: Selector{"ibrname", unix.NFT_META_BRI_IIFNAME, typeIfName, ifNameBits, HostEndian}, Short: true},
	{Selector: Selector{"obrname", unix.NFT_META_BRI_OIFNAME, typeIfName, ifNameBits, HostEndian}, Short: true},
	{Selector: Selector{"pkttype", unix.NFT_META_PKTTYPE, typePktType, 8, HostEndian}, Settable: true, Short: true},
	{Selector: Selector{"cpu", unix.NFT_META_CPU, typeInteger, 32, HostEndian}, Short: true},
	{Selector: Selector{"iifgroup", unix.NFT_META_IIFGROUP, typeDevGroup, 32, HostEndian}, Short: true},
	{Selector: Selector{"oifgroup", unix.NFT_META_OIFGROUP, typeDevGroup, 32, HostEndian}, Short: true},
	{Selector: Selector{"cgroup", unix.NFT_META_CGROUP, typeInteger, 32, HostEndian}, Short: true},
	// The bytes of random are as good in one order as in the other: nft takes the
	// one in which nothing has to be turned around.
	{Selector: Selector{"random", unix.NFT_META_PRANDOM, typeInteger, 32, BigEndian}},
	{Selector: Selector{"ipsec", NFT_META_SECPATH, typeBoolean, 8, HostEndian}, Short: true},
	{Selector: Selector{"iifkind", NFT_META_IIFKIND, typeIfName, ifNameBits, HostEndian}},
	{Selector: Selector{"oifkind", NFT_META_OIFKIND, typeIfName, ifNameBits, HostEndian}},
	{Selector: Selector{"ibrpvid", NFT_META_BRI_IIFPVID, typeInteger, 16, HostEndian}},
	{Selector: Selector{"ibrvproto", NFT_META_BRI_IIFVPROTO, typeEtherType, 16, BigEndian}},
	{Selector: Selector{"time", NFT_META_TIME_NS, typeDate, 64, HostEndian}, Short: true},
	{Selector: Selector{"day", NFT_META_TIME_DAY, typeDay, 8, HostEndian}, Short: true},
	{Selector: Selector{"hour", NFT_META_TIME_HOUR, typeHour, 32, HostEndian}, Short: true},
	{Selector: Selector{"sdif", NFT_META_SDIF, typeIfIndex, 32, HostEndian}},
	{Selector: Selector{"sdifname", NFT_META_SDIFNAME, typeIfName, ifNameBits, HostEndian}},
	// nft 1.0.6 does not know these.
	{Selector: Selector{"ibrhwaddr", NFT_META_BRI_IIFHWADDR, typeEtherAddr, 48, BigEndian}},
	{Selector: Selector{"broute", NFT_META_BRI_BROUTE, typeInteger, 1, HostEndian}, Settable: true, SetOnly: true},
}

// olderMetaKeys are names that nft still takes for others.
var olderMetaKeys = map[string]string{"ibriport": "ibrname", "obriport": "obrname", "secpath": "ipsec"}

// metaByName gives a key of `meta`, also by an older name, or nil.
func metaByName(name string) *MetaKey {
	if newer, ok := olderMetaKeys[name]; ok {
		name = newer
	}
	for i := range metaKeys {
		if metaKeys[i].Name == name {
			return &metaKeys[i]
		}
	}
	return nil
}
