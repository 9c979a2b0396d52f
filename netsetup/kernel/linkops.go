package kernel

import (
	"slices"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
)

// addLink asks for a link; of a veth both ends are made, each in its namespace.
func (w *work) addLink(op int, l, peer *netsetup.Link) error {
	switch l.Kind {
	case netsetup.KindVeth:
		if peer == nil {
			return errNoPeer
		}
	case netsetup.KindBridge:
	default:
		return errKind(l.Kind)
	}
	var peerSpace *space
	if peer != nil && l.Peer.Namespace != w.sp.name {
		var err error
		if peerSpace, err = w.k.space(l.Peer.Namespace); err != nil {
			return err
		}
	}

	r, body := w.begin(op, unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, unix.SizeofIfInfomsg)
	newLink(r, body, l)
	info := r.nest(unix.IFLA_LINKINFO)
	r.str(unix.IFLA_INFO_KIND, l.Kind)
	data := r.nest(unix.IFLA_INFO_DATA)
	if peer != nil {
		other := r.nest(vethInfoPeer)
		newLink(r, r.grow(unix.SizeofIfInfomsg), peer)
		if peerSpace != nil {
			r.u32(unix.IFLA_NET_NS_FD, uint32(peerSpace.handle.FD()))
		}
		r.unnest(other)
	}
	bridgeData(r, l.Bridge, nil)
	r.unnest(data)
	r.unnest(info)
	w.end()

	// What a creating request ignores.
	w.finishLink(op, l)
	if peer != nil {
		if peerSpace == nil {
			w.finishLink(op, peer)
		} else if needsFinish(peer) {
			w.later = append(w.later, later{l.Peer.Namespace, op, peer})
		}
	}
	return nil
}

// newLink fills in what the creating request of a link honours, in body, its
// struct ifinfomsg, and behind it.
func newLink(r *request, body []byte, l *netsetup.Link) {
	native.PutUint32(body[4:], uint32(l.Index))
	r.str(unix.IFLA_IFNAME, l.Name)
	if l.Origin == netsetup.Ours {
		r.u32(unix.IFLA_GROUP, netsetup.Group)
	}
	if !l.MAC.IsZero() {
		r.bytes(unix.IFLA_ADDRESS, l.MAC[:])
	}
	if l.MTU != 0 {
		r.u32(unix.IFLA_MTU, uint32(l.MTU))
	}
	if l.TxQueueLen != nil {
		r.u32(unix.IFLA_TXQLEN, uint32(*l.TxQueueLen))
	}
	if l.Kind == netsetup.KindVeth {
		r.u32(unix.IFLA_NUM_TX_QUEUES, 1)
		r.u32(unix.IFLA_NUM_RX_QUEUES, 1)
	}
}

// needsFinish reports whether finishLink has anything to do.
func needsFinish(l *netsetup.Link) bool {
	return l.Alias != "" || l.Offloads != nil || l.Kind == netsetup.KindBridge && l.MTU != 0
}

// finishLink asks for what a creating request ignores: the alias, and the MTU
// of a bridge, which otherwise follows the ports (net/bridge/br_if.c:
// br_mtu_auto_adjust).
func (w *work) finishLink(op int, l *netsetup.Link) {
	if !needsFinish(l) {
		return
	}
	bridgeMTU := l.Kind == netsetup.KindBridge && l.MTU != 0
	if l.Alias != "" || bridgeMTU {
		r, _ := w.begin(op, unix.RTM_NEWLINK, 0, unix.SizeofIfInfomsg)
		r.str(unix.IFLA_IFNAME, l.Name)
		if l.Alias != "" {
			r.bytes(unix.IFLA_IFALIAS, []byte(l.Alias))
		}
		if bridgeMTU {
			r.u32(unix.IFLA_MTU, uint32(l.MTU))
		}
		w.end()
	}
	if l.Offloads != nil {
		w.setOffloads(op, l)
	}
}

// bridgeData appends the settings of a bridge that differ from was (nil: all
// that are given).
func bridgeData(r *request, b, was *netsetup.Bridge) {
	if b == nil {
		return
	}
	if was == nil || b.STP != was.STP {
		r.u32(unix.IFLA_BR_STP_STATE, uint32(bit(b.STP)))
	}
	if was == nil || b.McastSnooping != was.McastSnooping {
		r.u8(unix.IFLA_BR_MCAST_SNOOPING, bit(b.McastSnooping))
	}
	if was == nil {
		was = &netsetup.Bridge{}
	}
	appendExtras(r, b.Extra, was.Extra, netsetup.BridgeExtras, bridgeAttrs[:])
	for _, f := range []struct {
		typ       uint16
		want, has *int
	}{
		{unix.IFLA_BR_AGEING_TIME, b.AgeingTime, was.AgeingTime},
		{unix.IFLA_BR_FORWARD_DELAY, b.ForwardDelay, was.ForwardDelay},
		{unix.IFLA_BR_HELLO_TIME, b.HelloTime, was.HelloTime},
		{unix.IFLA_BR_MAX_AGE, b.MaxAge, was.MaxAge},
	} {
		if differs(f.want, f.has) {
			r.u32(f.typ, uint32(*f.want))
		}
	}
	if differs(b.Priority, was.Priority) {
		r.u16(unix.IFLA_BR_PRIORITY, uint16(*b.Priority))
	}
}

// changeLink asks for what l has other than was.
func (w *work) changeLink(op int, l, was *netsetup.Link) error {
	if err := w.changeOwn(op, l, was); err != nil {
		return err
	}
	w.changePort(op, l, was)
	if l.Offloads != nil && (was.Offloads == nil || *was.Offloads != *l.Offloads) {
		w.setOffloads(op, l)
	}
	return nil
}

// changeOwn is what one request can change of a link.
func (w *work) changeOwn(op int, l, was *netsetup.Link) error {
	var master int32
	if l.Master != "" && l.Master != was.Master {
		var err error
		if master, err = w.index(l.Master); err != nil {
			return err
		}
	}
	r, body := w.begin(op, unix.RTM_NEWLINK, 0, unix.SizeofIfInfomsg)
	flags, mask := changeFlags(l.Extra, was.Extra)
	if l.Up != was.Up {
		mask |= unix.IFF_UP
		flags |= unix.IFF_UP * uint32(bit(l.Up))
	}
	native.PutUint32(body[12:], mask)
	native.PutUint32(body[8:], flags)
	r.str(unix.IFLA_IFNAME, l.Name)
	if l.Origin == netsetup.Ours && was.Origin != netsetup.Ours {
		r.u32(unix.IFLA_GROUP, netsetup.Group)
	}
	if !l.MAC.IsZero() && l.MAC != was.MAC {
		r.bytes(unix.IFLA_ADDRESS, l.MAC[:])
	}
	if l.MTU != 0 && l.MTU != was.MTU {
		r.u32(unix.IFLA_MTU, uint32(l.MTU))
	}
	if differs(l.TxQueueLen, was.TxQueueLen) {
		r.u32(unix.IFLA_TXQLEN, uint32(*l.TxQueueLen))
	}
	if l.Alias != was.Alias {
		r.bytes(unix.IFLA_IFALIAS, []byte(l.Alias))
	}
	if l.Master != was.Master {
		r.u32(unix.IFLA_MASTER, uint32(master))
	}
	if l.Bridge != nil {
		info := r.nest(unix.IFLA_LINKINFO)
		r.str(unix.IFLA_INFO_KIND, l.Kind)
		data := r.nest(unix.IFLA_INFO_DATA)
		bridgeData(r, l.Bridge, was.Bridge)
		r.unnest(data)
		r.unnest(info)
	}
	w.end()
	return nil
}

// changePort asks for the settings of a bridge port that differ; those of one
// that has just become a port are all sent.
func (w *work) changePort(op int, l, was *netsetup.Link) {
	if l.Port == nil || l.Master == "" {
		return
	}
	has := was.Port
	if l.Master != was.Master {
		has = nil
	}
	if has != nil && has.Isolated == l.Port.Isolated && has.Learning == l.Port.Learning && has.Hairpin == l.Port.Hairpin &&
		!differs(l.Port.Cost, has.Cost) && !differs(l.Port.Priority, has.Priority) && slices.Equal(has.Extra, l.Port.Extra) {
		return
	}
	if has == nil {
		has = &netsetup.Port{}
	}
	r, _ := w.begin(op, unix.RTM_NEWLINK, 0, unix.SizeofIfInfomsg)
	r.str(unix.IFLA_IFNAME, l.Name)
	info := r.nest(unix.IFLA_LINKINFO)
	r.str(unix.IFLA_INFO_SLAVE_KIND, netsetup.KindBridge)
	data := r.nest(unix.IFLA_INFO_SLAVE_DATA)
	r.u8(unix.IFLA_BRPORT_ISOLATED, bit(l.Port.Isolated))
	r.u8(unix.IFLA_BRPORT_LEARNING, bit(l.Port.Learning))
	r.u8(unix.IFLA_BRPORT_MODE, bit(l.Port.Hairpin))
	if l.Port.Cost != nil {
		r.u32(unix.IFLA_BRPORT_COST, uint32(*l.Port.Cost))
	}
	if l.Port.Priority != nil {
		r.u16(unix.IFLA_BRPORT_PRIORITY, uint16(*l.Port.Priority))
	}
	appendExtras(r, l.Port.Extra, has.Extra, netsetup.PortExtras, portAttrs[:])
	r.unnest(data)
	r.unnest(info)
	w.end()
}

func (w *work) deleteLink(op int, l *netsetup.Link) {
	r, _ := w.begin(op, unix.RTM_DELLINK, 0, unix.SizeofIfInfomsg)
	r.str(unix.IFLA_IFNAME, l.Name)
	w.end()
}

// doomed is a link group that exists within one write alone.
const doomed = 0x6e736c64

// linksToDelete counts the links that are to be deleted at the start of ops, as
// far as they go together: hardware among them would keep the kernel from
// deleting any.
func (w *work) linksToDelete(ops []int) int {
	for n, op := range ops {
		l, ok := w.d.ops[op].Object.(*netsetup.Link)
		if !ok || w.d.ops[op].Verb != netsetup.Delete || l.Kind == "" || n == maxRequests-1 {
			return n
		}
	}
	return len(ops)
}

// deleteLinks deletes several links at once. To unregister a link takes the
// kernel some 16 ms of waiting, for one as for many: they are put into a group
// of their own, which is deleted as a whole. All of it is one write, which
// nothing interrupts.
func (w *work) deleteLinks(ops []int) {
	w.flush()
	for _, op := range ops {
		w.d.traceOp(op)
		r, _ := w.begin(op, unix.RTM_NEWLINK, 0, unix.SizeofIfInfomsg)
		r.str(unix.IFLA_IFNAME, w.d.ops[op].Object.(*netsetup.Link).Name)
		r.u32(unix.IFLA_GROUP, doomed)
		w.end()
	}
	r, _ := w.begin(ops[0], unix.RTM_DELLINK, 0, unix.SizeofIfInfomsg)
	r.u32(unix.IFLA_GROUP, doomed)
	w.end()
	w.flush()
}

// differs reports whether a wanted setting, where there is one, is not what is.
func differs(want, has *int) bool { return want != nil && (has == nil || *want != *has) }

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
