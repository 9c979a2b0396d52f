package nft

// sctpChunks are of IANA, SCTP Chunk Types.
var sctpChunks = []*OptionHeader{
	sctpChunk("data", 0,
		optionField("tsn", 3, 32, 32),
		optionField("stream", 4, 64, 16),
		optionField("ssn", 5, 80, 16),
		optionField("ppid", 6, 96, 32)),
	sctpChunk("init", 1, sctpInit...),
	sctpChunk("init-ack", 2, sctpInit...),
	sctpChunk("sack", 3,
		optionField("cum-tsn-ack", 3, 32, 32),
		optionField("a-rwnd", 4, 64, 32),
		optionField("num-gap-ack-blocks", 5, 96, 16),
		optionField("num-dup-tsns", 6, 112, 16)),
	sctpChunk("heartbeat", 4),
	sctpChunk("heartbeat-ack", 5),
	sctpChunk("abort", 6),
	sctpChunk("shutdown", 7, optionField("cum-tsn-ack", 3, 32, 32)),
	sctpChunk("shutdown-ack", 8),
	sctpChunk("error", 9),
	sctpChunk("cookie-echo", 10),
	sctpChunk("cookie-ack", 11),
	sctpChunk("ecne", 12, optionField("lowest-tsn", 3, 32, 32)),
	sctpChunk("cwr", 13, optionField("lowest-tsn", 3, 32, 32)),
	sctpChunk("shutdown-complete", 14),
	sctpChunk("asconf-ack", 128, optionField("seqno", 3, 32, 32)),
	sctpChunk("forward-tsn", 192, optionField("new-cum-tsn", 3, 32, 32)),
	sctpChunk("asconf", 193, optionField("seqno", 3, 32, 32)),
}

var sctpInit = []OptionField{
	optionField("init-tag", 3, 32, 32),
	optionField("a-rwnd", 4, 64, 32),
	optionField("num-outbound-streams", 5, 96, 16),
	optionField("num-inbound-streams", 6, 112, 16),
	optionField("initial-tsn", 7, 128, 32),
}

// sctpChunk makes a chunk of the fields that all have and its own.
func sctpChunk(name string, kind uint32, fields ...OptionField) *OptionHeader {
	common := []OptionField{
		optionField("type", 0, 0, 8),
		optionField("flags", 1, 8, 8),
		optionField("length", 2, 16, 16),
	}
	return &OptionHeader{Name: name, ID: kind, Desc: kind, Field: append(common, fields...)}
}

// sctpChunkByName gives a chunk of SCTP, or nil.
func sctpChunkByName(name string) *OptionHeader { return optionByName(sctpChunks, name) }
