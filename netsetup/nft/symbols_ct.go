package nft

// ctStateSymbols are NF_CT_STATE_* of linux/netfilter/nf_conntrack_common.h.
var ctStateSymbols = []Symbol{
	{"invalid", 1 << 0},
	{"new", 1 << 3},
	{"established", 1 << 1},
	{"related", 1 << 2},
	{"untracked", 1 << 6},
}

// ctDirSymbols are IP_CT_DIR_*.
var ctDirSymbols = []Symbol{
	{"original", 0},
	{"reply", 1},
}

// ctStatusSymbols are those of IPS_* that nft names.
var ctStatusSymbols = []Symbol{
	{"expected", 1 << 0},
	{"seen-reply", 1 << 1},
	{"assured", 1 << 2},
	{"confirmed", 1 << 3},
	{"snat", 1 << 4},
	{"dnat", 1 << 5},
	{"dying", 1 << 9},
}

// ctEventSymbols are the bits of IPCT_*.
var ctEventSymbols = []Symbol{
	{"new", 1 << 0},
	{"related", 1 << 1},
	{"destroy", 1 << 2},
	{"reply", 1 << 3},
	{"assured", 1 << 4},
	{"protoinfo", 1 << 5},
	{"helper", 1 << 6},
	{"mark", 1 << 7},
	{"seqadj", 1 << 8},
	{"secmark", 1 << 9},
	{"label", 1 << 10},
}
