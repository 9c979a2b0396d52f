package kernel

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
)

// addressRequest asks for all addresses of one family.
func addressRequest(family uint8) *request {
	var r request
	r.begin(unix.RTM_GETADDR, unix.NLM_F_DUMP, 0, unix.SizeofIfAddrmsg)[0] = family
	r.end()
	return &r
}

// parsedAddress is one RTM_NEWADDR.
type parsedAddress struct {
	index   int32 // of the link
	label   []byte
	proto   uint8 // IFAPROT_*, or netsetup.Protocol
	flags   uint32
	address netsetup.Address // without Link, Label and Origin
}

func parseAddress(m message) (p parsedAddress, ok bool) {
	if m.typ != unix.RTM_NEWADDR || len(m.payload) < unix.SizeofIfAddrmsg {
		return p, false
	}
	bits := int(m.payload[1])
	p.flags = uint32(m.payload[2])
	p.address.Scope = m.payload[3]
	p.index = int32(native.Uint32(m.payload[4:]))
	var local, address netip.Addr
	for a := attributes(m.payload, unix.SizeofIfAddrmsg); a.next(); {
		switch a.typ {
		case unix.IFA_LOCAL:
			local = a.addr()
		case unix.IFA_ADDRESS:
			address = a.addr()
		case unix.IFA_LABEL:
			p.label = cString(a.value)
		case unix.IFA_FLAGS:
			p.flags = a.u32()
		case ifaProto:
			p.proto = a.u8()
		}
	}
	// IPv6 gives IFA_LOCAL only where there is a peer.
	if !local.IsValid() {
		local = address
	}
	p.address.Prefix = netip.PrefixFrom(local, bits)
	if address.IsValid() && address != local {
		// The kernel has one prefix length, which is the peer's.
		p.address.Prefix = netip.PrefixFrom(local, local.BitLen())
		p.address.Peer = netip.PrefixFrom(address, bits)
	}
	p.address.DAD = local.Is6() && p.flags&unix.IFA_F_NODAD == 0
	return p, p.address.Prefix.IsValid()
}

// madeByKernel reports an address that the kernel adds by itself.
func (p *parsedAddress) madeByKernel(link *linkInfo) bool {
	if p.proto == protoKernelLo || p.proto == protoKernelLL {
		return true
	}
	ip := p.address.Prefix.Addr()
	return link.name == "lo" && (ip == netip.IPv6Loopback() || p.address.Prefix == loopback4)
}

var loopback4 = netip.MustParsePrefix("127.0.0.1/8")

func (p *parsedAddress) origin(link *linkInfo) netsetup.Origin {
	switch {
	case p.proto == netsetup.Protocol:
		return netsetup.Ours
	case p.proto != 0, p.flags&unix.IFA_F_PERMANENT == 0, link.foreign:
		return netsetup.Foreign
	}
	return netsetup.Manual
}

func (o *observer) addresses() error {
	ns := &o.ns
	var first int // of the family being read
	var onLo []netip.Prefix
	each := func(m message) error {
		p, ok := parseAddress(m)
		if !ok {
			return nil
		}
		link := o.links.byIndex(p.index)
		if link == nil {
			return errStale
		}
		if link.index == loIndex {
			onLo = append(onLo, p.address.Prefix)
		}
		if link.at < 0 || p.madeByKernel(link) {
			return nil
		}
		p.address.Link = link.name
		p.address.Origin = p.origin(link)
		if string(p.label) != link.name {
			p.address.Label = string(p.label)
		}
		ns.Addresses = append(ns.Addresses, p.address)
		return nil
	}
	for _, req := range []*request{o.reqs.addresses4, o.reqs.addresses6} {
		first = len(ns.Addresses)
		if err := o.dump(req, func() { ns.Addresses = ns.Addresses[:first] }, each); err != nil {
			return err
		}
	}
	o.findLost(onLo)
	return nil
}

// address asks for a new address, or for another's marks and lifetime to
// change.
func (w *work) address(op int, a *netsetup.Address, flags uint16) error {
	return w.addressRequest(op, a, unix.RTM_NEWADDR, flags)
}

func (w *work) addressRequest(op int, a *netsetup.Address, typ, flags uint16) error {
	index, err := w.index(a.Link)
	if err != nil {
		return err
	}
	ip, far := a.Prefix.Addr(), a.Prefix
	if a.Peer.IsValid() {
		far = a.Peer
	}
	r, body := w.begin(op, typ, flags, unix.SizeofIfAddrmsg)
	body[0] = family(ip)
	body[1] = uint8(far.Bits())
	body[3] = a.Scope
	native.PutUint32(body[4:], uint32(index))
	r.addr(unix.IFA_LOCAL, ip)
	r.addr(unix.IFA_ADDRESS, far.Addr())
	if ip.Is4() {
		label := a.Label
		if label == "" {
			label = a.Link
		}
		r.str(unix.IFA_LABEL, label)
	}
	if typ == unix.RTM_NEWADDR {
		if ip.Is6() && !a.DAD {
			r.u32(unix.IFA_FLAGS, unix.IFA_F_NODAD)
		}
		if a.Origin == netsetup.Ours {
			r.u8(ifaProto, netsetup.Protocol)
		}
	}
	w.end()
	return nil
}

// family is the address family of an IP address.
func family(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
