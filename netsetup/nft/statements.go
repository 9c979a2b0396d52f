package nft

import "golang.org/x/sys/unix"

// Numbers of linux/netfilter/nf_log.h and nf_tables.h that x/sys does not have.
const (
	NF_LOG_TCPSEQ    = 0x01
	NF_LOG_TCPOPT    = 0x02
	NF_LOG_IPOPT     = 0x04
	NF_LOG_UID       = 0x08
	NF_LOG_MACDECODE = 0x20
	NF_LOG_MASK      = 0x2f

	NFT_LOGLEVEL_WARNING = 4
	NFT_LOGLEVEL_AUDIT   = 8

	NFT_QUEUE_FLAG_BYPASS     = 0x01
	NFT_QUEUE_FLAG_CPU_FANOUT = 0x02
)

// logLevels are those of syslog(3), and NFT_LOGLEVEL_AUDIT.
var logLevels = map[string]uint32{
	"emerg": 0, "alert": 1, "crit": 2, "err": 3, "warn": NFT_LOGLEVEL_WARNING, "notice": 5, "info": 6, "debug": 7,
	"audit": NFT_LOGLEVEL_AUDIT,
}

// logFlags are the words of `log flags`, as Log has them.
var logFlags = map[string]uint32{
	"tcp sequence": NF_LOG_TCPSEQ, "tcp options": NF_LOG_TCPOPT, "ip options": NF_LOG_IPOPT,
	"skuid": NF_LOG_UID, "ether": NF_LOG_MACDECODE, "all": NF_LOG_MASK,
}

// rejectType is one of the ways to refuse a packet.
type rejectType struct {
	Type uint32 // NFT_REJECT_*
	Code *Type  // what the code is of; nil: there is none
	// Family is the only one of packet that can be answered so; 0: any.
	Family Family
}

// rejectTypes are they by what follows `with`, as Reject.Type has it.
var rejectTypes = map[string]rejectType{
	"tcp reset": {Type: unix.NFT_REJECT_TCP_RST},
	"icmp":      {Type: unix.NFT_REJECT_ICMP_UNREACH, Code: typeICMPCode, Family: FamilyIP},
	"icmpv6":    {Type: unix.NFT_REJECT_ICMP_UNREACH, Code: typeICMPv6Code, Family: FamilyIP6},
	"icmpx":     {Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: typeICMPXCode},
}

// natFlags are the flags of snat, dnat, masquerade and redirect
// (linux/netfilter/nf_nat.h).
var natFlags = map[string]uint32{
	"random":       unix.NF_NAT_RANGE_PROTO_RANDOM,
	"fully-random": unix.NF_NAT_RANGE_PROTO_RANDOM_FULLY,
	"persistent":   unix.NF_NAT_RANGE_PERSISTENT,
}

// queueFlags are the flags of queue.
var queueFlags = map[string]uint32{"bypass": NFT_QUEUE_FLAG_BYPASS, "fanout": NFT_QUEUE_FLAG_CPU_FANOUT}

// limitUnits are what a rate is per, in seconds (NFTA_LIMIT_UNIT).
var limitUnits = map[string]uint64{
	"second": 1, "minute": 60, "hour": 60 * 60, "day": 24 * 60 * 60, "week": 7 * 24 * 60 * 60,
}
