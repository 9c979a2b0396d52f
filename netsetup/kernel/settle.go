package kernel

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
)

// operStateUp is IF_OPER_UP of linux/if.h.
const operStateUp = 6

// settlePause is between two looks at links that are not ready.
const settlePause = 2 * time.Millisecond

// Settle waits until links are ready; see netsetup.Kernel. Two things come late
// in the kernel:
//
// A link that was given a carrier sends nothing until the link watch has run,
// which can wait for a second. To ask for one link by itself, not in a dump,
// makes it run for that link at once (net/core/rtnetlink.c:rtnl_getlink, since
// Linux 6.8); older kernels are asked again.
//
// An IPv6 address answers neighbours once its solicited-node group (RFC 4291,
// section 2.7.1) is joined, which a worker does (net/ipv6/addrconf.c:
// addrconf_dad_work). A question that comes earlier is repeated after a second.
func (k *Kernel) Settle(ctx context.Context, links []netsetup.Endpoint) ([]netsetup.Endpoint, error) {
	for {
		var err error
		links, err = k.notReady(context.WithoutCancel(ctx), links)
		if err != nil || len(links) == 0 {
			return nil, err
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, context.Cause(ctx)
			}
			return links, nil
		case <-time.After(settlePause):
		}
	}
}

// notReady are those of the links, sorted by namespace, that are not ready now.
func (k *Kernel) notReady(ctx context.Context, links []netsetup.Endpoint) ([]netsetup.Endpoint, error) {
	var spaces []*space
	var groups [][]netsetup.Endpoint
	for len(links) > 0 {
		n := 1
		for n < len(links) && links[n].Namespace == links[0].Namespace {
			n++
		}
		sp, err := k.space(links[0].Namespace)
		if err != nil {
			return nil, err
		}
		spaces, groups = append(spaces, sp), append(groups, links[:n])
		links = links[n:]
	}
	left := make([][]netsetup.Endpoint, len(spaces))
	err := k.each(ctx, spaces, func(i int, in []byte) error {
		var err error
		left[i], err = spaces[i].sock.notReady(groups[i], in)
		return err
	})
	return slices.Concat(left...), err
}

// notReady are those of one namespace's links.
func (s *socket) notReady(links []netsetup.Endpoint, in []byte) ([]netsetup.Endpoint, error) {
	deaf, err := s.deafLinks(in)
	if err != nil {
		return nil, err
	}
	var left []netsetup.Endpoint
	for _, l := range links {
		index, running, err := s.running(l.Link, in)
		if err != nil {
			return nil, err
		}
		if !running || slices.Contains(deaf, index) {
			left = append(left, l)
		}
	}
	return left, nil
}

// running asks for one link by name. Of links that are no veths it is not asked
// whether they carry anything: a bridge without ports never does.
func (s *socket) running(name string, in []byte) (index int32, running bool, err error) {
	var r request
	r.begin(unix.RTM_GETLINK, 0, s.nextSeq(), unix.SizeofIfInfomsg)
	r.u32(unix.IFLA_EXT_MASK, filterSkipStats)
	r.str(unix.IFLA_IFNAME, name)
	r.end()
	m, err := s.ask(r.b, in)
	if err != nil {
		return 0, false, err
	}
	p, _ := parseLink(m)
	return p.info.index, p.link.Running || p.link.Kind != netsetup.KindVeth, nil
}

// membership is a multicast group on a link.
type membership struct {
	index int32
	group netip.Addr
}

// deafLinks are the links with an IPv6 address that hears no question for it.
func (s *socket) deafLinks(in []byte) ([]int32, error) {
	var needed []membership
	err := s.dump(addressRequest(unix.AF_INET6), in, func() { needed = needed[:0] }, func(m message) error {
		p, ok := parseAddress(m)
		if ip := p.address.Prefix.Addr(); ok && !ip.IsLoopback() {
			needed = append(needed, membership{p.index, solicitedNode(ip)})
		}
		return nil
	})
	if err != nil || len(needed) == 0 {
		return nil, err
	}
	joined := make(map[membership]bool)
	var r request
	r.begin(unix.RTM_GETMULTICAST, unix.NLM_F_DUMP, 0, unix.SizeofIfAddrmsg)[0] = unix.AF_INET6
	r.end()
	err = s.dump(&r, in, func() { clear(joined) }, func(m message) error {
		if len(m.payload) < unix.SizeofIfAddrmsg {
			return nil
		}
		index := int32(native.Uint32(m.payload[4:]))
		for a := attributes(m.payload, unix.SizeofIfAddrmsg); a.next(); {
			if a.typ == unix.IFA_MULTICAST {
				joined[membership{index, a.addr()}] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var deaf []int32
	for _, n := range needed {
		if !joined[n] {
			deaf = append(deaf, n.index)
		}
	}
	return deaf, nil
}

// solicitedNode is the group in which an address is asked for: ff02::1:ff00:0/104
// with its last 24 bits.
func solicitedNode(ip netip.Addr) netip.Addr {
	a := ip.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]})
}
