package kernel

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/netns"
	"nslab/netsetup/nft"
)

const (
	// nfnlgrpNftrace is NFNLGRP_NFTRACE, linux/netfilter/nfnetlink.h.
	nfnlgrpNftrace = 9
	// nftTableOwner is NFT_TABLE_F_OWNER: the kernel removes the table when the
	// socket that made it is closed, however that comes about.
	nftTableOwner = 1 << 1
	// tracePriority is that of our chains: before those of connection tracking
	// (-200, its defragmentation -400) and of what people write.
	tracePriority = -450
)

// Trace is nf_tables telling what it does with packets in one namespace. As long
// as it is open the namespace has a table more, marked as the lab's, whose chains
// only set a packet's trace flag.
type Trace struct {
	rules  *socket // owns the tables that mark the packets
	events *socket
	tables []netsetup.Table // those that were there
	in     []byte
}

// Verdict is what nf_tables did with a packet in the end.
type Verdict struct {
	Code   int32  // NF_DROP and so on
	Policy bool   // by the policy of the chain, not by a rule
	Handle uint64 // of the rule, as nft -a has it; 0: none
	Family nft.Family
	Table  string
	Chain  string
	// Read is the table as it is in the kernel, Rule its rule; nil where it was
	// not there when the trace began.
	Read *nft.Table
	Rule *nft.Rule
	// Packet is the packet's network header and the beginning of what follows.
	Packet []byte
}

// StartTrace begins to trace the packets for which one of the matches holds, each
// in nft's words. It gives nil in a namespace that has no rules. Whoever has a
// Trace closes it.
func StartTrace(h *netns.Handle, lab string, matches []string) (*Trace, error) {
	t := &Trace{in: make([]byte, answerSize)}
	err := netns.Do(h, func() error { return t.start(lab, matches) })
	if err == nil && len(t.tables) > 0 {
		return t, nil
	}
	t.Close()
	if isWithoutNft(err) {
		return nil, nil
	}
	return nil, err
}

func (t *Trace) start(lab string, matches []string) (err error) {
	if t.rules, err = openNftSocket(); err != nil {
		return err
	}
	r := tableReader{s: t.rules, in: t.in, take: func(*netsetup.Table, string) bool { return true }}
	if err := r.read(); err != nil || len(r.tables) == 0 {
		return err
	}
	t.tables = r.tables
	if t.events, err = openNftSocket(); err != nil {
		return err
	}
	// A socket without an address of its own gets nothing that is sent to a group
	// (net/netlink/af_netlink.c:do_one_broadcast).
	if err := unix.Bind(t.events.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("bind a netlink socket", err)
	}
	if err := unix.SetsockoptInt(t.events.fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, nfnlgrpNftrace); err != nil {
		return os.NewSyscallError("listen to what nf_tables traces", err)
	}
	_, rules, errs := nft.Check(t.text(matches))
	if len(errs) > 0 {
		return errs
	}
	return t.add(lab, rules.Tables)
}

// text is the tables that mark the packets: for each family that has chains, one
// whose chains come before all of them.
func (t *Trace) text(matches []string) string {
	// What is random keeps apart those that look into a namespace at once.
	name := fmt.Sprintf("nslab-trace-%08x", rand.Uint32())
	var b strings.Builder
	chain := func(chain, hook string) {
		fmt.Fprintf(&b, "chain %s { type filter hook %s; policy accept;\n", chain, hook)
		for _, m := range matches {
			fmt.Fprintf(&b, "%s meta nftrace set 1\n", m)
		}
		b.WriteString("}\n")
	}
	var ip, bridge bool
	var devices []string
	for i := range t.tables {
		switch c := t.tables[i].Content; c.Family {
		case nft.FamilyIP, nft.FamilyIP6, nft.FamilyInet:
			ip = true
			devices = append(devices, c.Devices()...)
		case nft.FamilyBridge:
			bridge = true
		case nft.FamilyNetdev:
			devices = append(devices, c.Devices()...)
		}
	}
	for _, f := range []struct {
		name string
		is   bool
	}{{"inet", ip}, {"bridge", bridge}} {
		if f.is {
			fmt.Fprintf(&b, "table %s %s {\n", f.name, name)
			chain("pre", fmt.Sprintf("prerouting priority %d", tracePriority))
			chain("out", fmt.Sprintf("output priority %d", tracePriority))
			b.WriteString("}\n")
		}
	}
	slices.Sort(devices)
	if devices = slices.Compact(devices); len(devices) > 0 {
		fmt.Fprintf(&b, "table netdev %s {\n", name)
		for i, d := range devices {
			chain(fmt.Sprintf("in%d", i), fmt.Sprintf("ingress device %q priority -2000000000", d))
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// add makes the tables, in one transaction.
func (t *Trace) add(lab string, tables []*nft.Table) error {
	tx := &transaction{seq: t.rules.seq}
	tx.bracket(nfnlMsgBatchBegin)
	for _, c := range tables {
		c.Flags |= nftTableOwner
		tx.add(0, &netsetup.Table{Lab: lab, Family: c.Family, Name: c.Name, Content: c, Origin: netsetup.Ours})
	}
	tx.bracket(nfnlMsgBatchEnd)
	t.rules.seq = tx.seq
	var refused error
	err := tx.send(t.rules, t.in, func(_ *part, err error) {
		if refused == nil {
			refused = err
		}
	})
	return errors.Join(err, refused)
}

// Close ends the trace: with the socket that owns them go the tables.
func (t *Trace) Close() {
	for _, s := range []*socket{t.events, t.rules} {
		if s != nil {
			s.close()
		}
	}
}

// Verdicts gives those by which nf_tables kept packets, so far; not that it let
// them through.
func (t *Trace) Verdicts() ([]Verdict, error) {
	var list []Verdict
	packets := make(map[uint32][]byte) // by number; a chain that is entered tells the packet once
	for {
		n, _, err := unix.Recvfrom(t.events.fd, t.in, unix.MSG_DONTWAIT)
		switch err {
		case nil:
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return list, nil
		default:
			return list, os.NewSyscallError("receive what nf_tables traces", err)
		}
		for b := t.in[:n]; len(b) > 0; {
			var m message
			if m, b, err = nextMessage(b); err != nil {
				return list, err
			}
			if m.typ != unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_TRACE || len(m.payload) < sizeofNfgenmsg {
				continue
			}
			if v, kept := t.verdict(m.payload, packets); kept {
				list = append(list, v)
			}
		}
	}
}

// verdict reads one event, and says whether it is of a packet that went no
// further.
func (t *Trace) verdict(payload []byte, packets map[uint32][]byte) (v Verdict, kept bool) {
	const accept = 1 // NF_ACCEPT; negative codes go on in another chain
	v.Family = nft.Family(payload[0])
	var id, kind uint32
	var packet []byte
	v.Code = accept
	for a := attributes(slices.Clone(payload), sizeofNfgenmsg); a.next(); {
		switch a.typ {
		case unix.NFTA_TRACE_TABLE:
			v.Table = a.str()
		case unix.NFTA_TRACE_CHAIN:
			v.Chain = a.str()
		case unix.NFTA_TRACE_RULE_HANDLE:
			v.Handle = a.be64()
		case unix.NFTA_TRACE_TYPE:
			kind = a.be32()
		case unix.NFTA_TRACE_ID:
			id = a.be32()
		case unix.NFTA_TRACE_VERDICT:
			for b := a.nested(); b.next(); {
				if b.typ == unix.NFTA_VERDICT_CODE {
					v.Code = int32(b.be32())
				}
			}
		case unix.NFTA_TRACE_POLICY:
			v.Code = int32(a.be32())
		case unix.NFTA_TRACE_NETWORK_HEADER, unix.NFTA_TRACE_TRANSPORT_HEADER:
			packet = append(packet, a.value...)
		}
	}
	if packet != nil {
		packets[id] = packet
	}
	v.Packet, v.Policy = packets[id], kind == unix.NFT_TRACETYPE_POLICY
	if v.Code < 0 || v.Code == accept {
		return v, false
	}
	for i := range t.tables {
		c := t.tables[i].Content
		if c.Family != v.Family || c.Name != v.Table {
			continue
		}
		v.Read = c
		for _, ch := range c.Chains {
			for _, rule := range ch.Rules {
				if rule.Handle == v.Handle && v.Handle != 0 {
					v.Rule = rule
				}
			}
		}
	}
	return v, true
}
