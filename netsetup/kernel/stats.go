package kernel

import (
	"cmp"
	"context"
	"slices"

	"golang.org/x/sys/unix"
)

// LinkStats is what a link has done so far.
type LinkStats struct {
	Name      string
	OperState string // as ip-link(8) shows it: up, down, unknown, ...
	Carrier   bool
	RxPackets uint64
	TxPackets uint64
	RxBytes   uint64
	TxBytes   uint64
	RxErrors  uint64
	TxErrors  uint64
	RxDropped uint64
	TxDropped uint64
}

// operStates are RFC 2863's, as linux/if.h numbers them.
var operStates = [...]string{"unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"}

// Stats gives those of all links of a namespace, sorted by name. ns is a
// netsetup.Namespace.Name.
func (k *Kernel) Stats(ctx context.Context, ns string) ([]LinkStats, error) {
	sp, err := k.space(ns)
	if err != nil {
		return nil, err
	}
	var list []LinkStats
	err = k.each(ctx, []*space{sp}, func(_ int, in []byte) error {
		var r request
		r.begin(unix.RTM_GETLINK, unix.NLM_F_DUMP, 0, unix.SizeofIfInfomsg)
		r.end()
		return sp.sock.dump(&r, in, func() { list = nil }, func(m message) error {
			if s, ok := parseStats(m); ok {
				list = append(list, s)
			}
			return nil
		})
	})
	slices.SortFunc(list, func(a, b LinkStats) int { return cmp.Compare(a.Name, b.Name) })
	return list, err
}

func parseStats(m message) (s LinkStats, ok bool) {
	if m.typ != unix.RTM_NEWLINK {
		return s, false
	}
	for a := attributes(m.payload, unix.SizeofIfInfomsg); a.next(); {
		switch a.typ {
		case unix.IFLA_IFNAME:
			s.Name = a.str()
		case unix.IFLA_OPERSTATE:
			s.OperState = "unknown"
			if n := int(a.u8()); n < len(operStates) {
				s.OperState = operStates[n]
			}
		case unix.IFLA_CARRIER:
			s.Carrier = a.u8() != 0
		case unix.IFLA_STATS64:
			// struct rtnl_link_stats64: packets, bytes, errors, dropped,
			// each received and sent.
			for i, p := range []*uint64{
				&s.RxPackets, &s.TxPackets, &s.RxBytes, &s.TxBytes,
				&s.RxErrors, &s.TxErrors, &s.RxDropped, &s.TxDropped,
			} {
				if len(a.value) >= 8*(i+1) {
					*p = native.Uint64(a.value[8*i:])
				}
			}
		}
	}
	return s, s.Name != ""
}
