package kernel

import (
	"errors"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
)

// noNetnsid is what a namespace without a number is given
// (NETNSA_NSID_NOT_ASSIGNED, linux/net_namespace.h).
const noNetnsid = -1

// peers finds the namespaces at the other ends of veths. A namespace numbers
// those that it knows of by itself (network namespace ids, "nsid"): what a
// number means is asked through the namespace's own socket, once.
type peers struct {
	marked map[string]*observer // own namespaces, by their mark
	others []*observer          // guests, and own ones whose mark somebody wrote over
	in     []byte
}

// netnsid is a number by which one namespace knows another.
type netnsid struct {
	id    int32
	other *observer // nil: one that was not read
}

func (o *observer) known(id int32) (other *observer, ok bool) {
	for _, n := range o.netnsids {
		if n.id == id {
			return n.other, true
		}
	}
	return nil, false
}

func (o *observer) learn(id int32, other *observer) {
	o.netnsids = append(o.netnsids, netnsid{id, other})
}

// resolvePeers fills in Link.Peer of all veths.
func resolvePeers(list []*observer) error {
	p := &peers{
		marked: make(map[string]*observer, len(list)),
		in:     make([]byte, answerSize),
	}
	for _, o := range list {
		if o.guest() || o.alias != mark(o.ns.Name) {
			p.others = append(p.others, o)
		} else {
			p.marked[o.alias] = o
		}
	}
	for _, o := range list {
		for i := range o.links {
			l := &o.links[i]
			if l.at < 0 || o.ns.Links[l.at].Kind != netsetup.KindVeth {
				continue
			}
			end, err := p.otherEnd(o, l)
			if err != nil {
				return err
			}
			o.ns.Links[l.at].Peer = end
			p.adopt(o, end)
		}
	}
	return nil
}

// adopt takes a link in a guest for the lab's that nslab made together with one in
// a namespace of the lab, and did not come to mark.
func (p *peers) adopt(o *observer, end netsetup.Endpoint) {
	if o.guest() {
		return
	}
	for _, g := range p.others {
		if !g.guest() || g.ns.Name != end.Namespace {
			continue
		}
		if l := g.links.byName(end.Link); l != nil && l.made && l.at >= 0 {
			g.ns.Links[l.at].Origin = netsetup.Ours
		}
	}
}

func (p *peers) otherEnd(o *observer, l *linkInfo) (netsetup.Endpoint, error) {
	unknown := netsetup.Endpoint{Namespace: netsetup.UnknownNamespace}
	other := o
	if l.netnsid != noNetnsid {
		var err error
		if other, err = p.resolve(o, l.netnsid); err != nil || other == nil {
			return unknown, err
		}
	}
	// Both must know each other: a mark can be forged, or be that of an
	// unpublished namespace which somebody keeps.
	far := other.links.byIndex(l.peer)
	if far == nil || far.peer != l.index {
		return unknown, nil
	}
	if far.netnsid != noNetnsid {
		back, ok := other.known(far.netnsid)
		if !ok {
			other.learn(far.netnsid, o)
		} else if back != o {
			return unknown, nil
		}
	}
	return netsetup.Endpoint{Namespace: other.ns.Name, Link: far.name}, nil
}

// resolve gives the namespace that o knows as id; nil is one that was not read.
func (p *peers) resolve(o *observer, id int32) (*observer, error) {
	if other, ok := o.known(id); ok {
		return other, nil
	}
	other, err := p.ask(o, id)
	if err == nil {
		o.learn(id, other)
	}
	return other, err
}

func (p *peers) ask(o *observer, id int32) (*observer, error) {
	alias, _, err := o.sp.sock.loMark(id, p.in)
	if err != nil {
		return nil, err
	}
	if other := p.marked[alias]; other != nil {
		return other, nil
	}
	for _, g := range p.others {
		n, err := o.sp.sock.netnsid(g.sp.handle.FD(), p.in)
		if err != nil {
			return nil, err
		}
		if n == id {
			return g, nil
		}
	}
	return nil, nil
}

// loMark gives the alias and the group of lo in the namespace that the socket's
// own knows as id (noNetnsid: its own); nothing where there is no such namespace
// any more.
func (s *socket) loMark(id int32, in []byte) (alias string, group uint32, err error) {
	var r request
	native.PutUint32(r.begin(unix.RTM_GETLINK, 0, s.nextSeq(), unix.SizeofIfInfomsg)[4:], loIndex)
	r.u32(unix.IFLA_EXT_MASK, filterSkipStats)
	if id != noNetnsid {
		r.u32(unix.IFLA_TARGET_NETNSID, uint32(id))
	}
	r.end()
	m, err := s.ask(r.b, in)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENODEV) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	p, _ := parseLink(m)
	return p.link.Alias, p.group, nil
}

// netnsid gives the number by which the socket's namespace knows the one that
// is open as fd.
func (s *socket) netnsid(fd int, in []byte) (int32, error) {
	var r request
	r.begin(unix.RTM_GETNSID, 0, s.nextSeq(), sizeofRtGenmsg)
	r.u32(unix.NETNSA_FD, uint32(fd))
	r.end()
	m, err := s.ask(r.b, in)
	if err != nil {
		return 0, err
	}
	for a := attributes(m.payload, sizeofRtGenmsg); a.next(); {
		if a.typ == unix.NETNSA_NSID {
			return int32(a.u32()), nil
		}
	}
	return noNetnsid, nil
}
