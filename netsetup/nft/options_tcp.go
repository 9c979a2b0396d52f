package nft

import "strconv"

// tcpOptions are of IANA, TCP Option Kind Numbers. sack1 to sack3 are further
// blocks of sack (RFC 2018).
var tcpOptions = []*OptionHeader{
	tcpOption("eol", 0),
	tcpOption("nop", 1),
	tcpOption("maxseg", 2, tcpLength, optionField("size", 2, 16, 16)),
	tcpOption("window", 3, tcpLength, optionField("count", 2, 16, 8)),
	tcpOption("sack-perm", 4, tcpLength),
	tcpOption("sack", 5, tcpLength, optionField("left", 2, 16, 32), optionField("right", 3, 48, 32)),
	tcpOption("sack1", 5, tcpLength, optionField("left", 4, 80, 32), optionField("right", 5, 112, 32)),
	tcpOption("sack2", 5, tcpLength, optionField("left", 6, 144, 32), optionField("right", 7, 176, 32)),
	tcpOption("sack3", 5, tcpLength, optionField("left", 8, 208, 32), optionField("right", 9, 240, 32)),
	tcpOption("timestamp", 8, tcpLength, optionField("tsval", 2, 16, 32), optionField("tsecr", 3, 48, 32)),
	tcpOption("md5sig", 19, tcpLength),
	tcpOption("mptcp", 30, tcpLength, optionField("subtype", 2, 16, 4)),
	tcpOption("fastopen", 34, tcpLength),
}

// tcpLength is the second byte of every option but eol and nop.
var tcpLength = optionField("length", 1, 8, 8)

func tcpOption(name string, kind uint32, fields ...OptionField) *OptionHeader {
	return &OptionHeader{Name: name, ID: kind, Desc: kind, Field: fields}
}

// otherTCPOptions are names that nft takes for others. Of echo it uses the number
// of timestamp.
var otherTCPOptions = map[string]string{
	"mss": "maxseg", "sack0": "sack", "sack-permitted": "sack-perm", "echo": "timestamp",
}

// tcpOptionByName gives an option of TCP by a name or by its number, or nil. Of a
// number that has no name there is nothing to read but whether it is there.
func tcpOptionByName(name string) *OptionHeader {
	if other, ok := otherTCPOptions[name]; ok {
		name = other
	}
	if h := optionByName(tcpOptions, name); h != nil {
		return h
	}
	v, ok := number(name)
	if !ok || !v.IsUint64() || v.Uint64() > maxKind {
		return nil
	}
	kind := uint32(v.Uint64())
	for _, h := range tcpOptions {
		if h.ID == kind {
			return h
		}
	}
	return tcpOption(strconv.Itoa(int(kind)), kind)
}
