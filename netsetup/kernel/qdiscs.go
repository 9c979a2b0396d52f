package kernel

import (
	"errors"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
)

// Of linux/pkt_sched.h, and struct tcmsg of linux/rtnetlink.h.
const (
	tcHRoot     = 0xffffffff // TC_H_ROOT
	tcHIngress  = 0xfffffff1 // TC_H_INGRESS, and TC_H_CLSACT
	tcHMajor    = 0xffff0000 // TC_H_MAJ_MASK
	tcaKind     = 1          // TCA_KIND
	sizeofTcmsg = 20
)

// qdiscRequest asks for the queueing disciplines of all links.
func qdiscRequest() *request {
	var r request
	r.begin(unix.RTM_GETQDISC, unix.NLM_F_DUMP, 0, sizeofTcmsg)
	r.end()
	return &r
}

// qdiscs reads those that somebody made: they have a number, and the kernel's
// own have none. One below another goes with that. A kernel without traffic
// control has none.
func (o *observer) qdiscs() error {
	ns := &o.ns
	if o.guest() {
		return nil
	}
	err := o.dump(o.reqs.qdiscs, func() { ns.Qdiscs = nil }, func(m message) error {
		if m.typ != unix.RTM_NEWQDISC || len(m.payload) < sizeofTcmsg {
			return nil
		}
		handle, parent := native.Uint32(m.payload[8:]), native.Uint32(m.payload[12:])
		link := o.links.byIndex(int32(native.Uint32(m.payload[4:])))
		if handle&tcHMajor == 0 || link == nil || link.at < 0 || link.foreign {
			return nil
		}
		q := netsetup.Qdisc{Link: link.name}
		for a := attributes(m.payload, sizeofTcmsg); a.next(); {
			if a.typ == tcaKind {
				q.Kind = a.str()
			}
		}
		switch parent {
		case tcHRoot:
			q.Parent = "root"
		case tcHIngress:
			q.Parent = q.Kind // ingress or clsact
		default:
			return nil
		}
		ns.Qdiscs = append(ns.Qdiscs, q)
		return nil
	})
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// deleteQdisc asks for the kernel's own to take the place of one.
func (w *work) deleteQdisc(op int, q *netsetup.Qdisc) error {
	index, err := w.index(q.Link)
	if err != nil {
		return err
	}
	_, body := w.begin(op, unix.RTM_DELQDISC, 0, sizeofTcmsg)
	native.PutUint32(body[4:], uint32(index))
	native.PutUint32(body[12:], tcHRoot)
	if q.Parent != "root" {
		native.PutUint32(body[12:], tcHIngress)
	}
	w.end()
	return nil
}
