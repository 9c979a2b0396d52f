package kernel

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/topology"
)

// sent turns what would be sent to the kernel into what it would send back:
// both have the same form.
func sent(t *testing.T, b []byte) []message {
	t.Helper()
	var list []message
	for len(b) > 0 {
		m, rest, err := nextMessage(b)
		if err != nil {
			t.Fatal(err)
		}
		list, b = append(list, m), rest
	}
	return list
}

// newTestWork gives a work that collects requests and sends none.
func newTestWork(links ...linkInfo) *work {
	d := &doing{ops: make([]netsetup.Op, 1), errs: make([]error, 1)}
	return newWork(d, &space{sock: &socket{}, links: links}, nil)
}

var eth0 = linkInfo{index: 7, name: "eth0"}

func TestRouteCodec(t *testing.T) {
	for _, s := range []netsetup.Route{
		{Dst: netip.MustParsePrefix("0.0.0.0/0"), Table: 254, Type: netsetup.Unicast,
			Nexthops: []netsetup.Nexthop{{Via: netip.MustParseAddr("10.0.0.1"), Dev: "eth0", Weight: 1}}},
		{Dst: netip.MustParsePrefix("fd00::/64"), Table: 100000, Metric: 1024, MTU: 1280, Type: netsetup.Unicast,
			Src: netip.MustParseAddr("fd00::5"), Nexthops: []netsetup.Nexthop{
				{Via: netip.MustParseAddr("fd00::1"), Dev: "eth0", Weight: 256},
				{Via: netip.MustParseAddr("fd00::2"), Dev: "eth0", Weight: 1, OnLink: true}}},
		{Dst: netip.MustParsePrefix("10.0.0.0/9"), Table: 254, Type: netsetup.Prohibit},
		{Dst: netip.MustParsePrefix("10.0.0.0/9"), Table: 254, Type: netsetup.Unicast,
			Nexthops: []netsetup.Nexthop{{Via: netip.MustParseAddr("fd00::1"), Dev: "eth0", Weight: 1, OnLink: true}}},
	} {
		w := newTestWork(eth0)
		if err := w.addRoute(0, &s, unix.NLM_F_CREATE); err != nil {
			t.Fatal(err)
		}
		list := sent(t, w.req.b)
		if len(list) != 1 || list[0].typ != unix.RTM_NEWROUTE || list[0].flags != unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE {
			t.Fatalf("sent: %+v", list)
		}
		if proto, ok := routeProtocol(list[0]); proto != netsetup.Protocol || !ok {
			t.Errorf("protocol %d", proto)
		}
		p, ok := parseRoute(list[0], linkTable{eth0})
		if got, want := p.route.String(), s.String(); !ok || got != want || p.origin() != netsetup.Ours {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestRuleCodec(t *testing.T) {
	for _, r := range []netsetup.Rule{
		{Priority: 5, Table: 1000},
		{IPv6: true, From: netip.MustParsePrefix("fd00::/8"), To: netip.MustParsePrefix("fd01::/16"), IIF: "a", OIF: "b", FwMark: 1, FwMask: 3, Table: 254},
		{From: netip.MustParsePrefix("10.0.0.0/8"), FwMask: 0xff, Table: 7},
	} {
		w := newTestWork()
		if err := w.addRule(0, &r); err != nil {
			t.Fatal(err)
		}
		p, ok := parseRule(sent(t, w.req.b)[0])
		if !ok || p.rule != r || p.proto != netsetup.Protocol {
			t.Errorf("got %+v, want %+v", p, r)
		}
	}
}

func TestAddressCodec(t *testing.T) {
	for _, a := range []netsetup.Address{
		{Link: "eth0", Prefix: netip.MustParsePrefix("10.0.0.1/24"), Label: "eth0:x", Scope: 253},
		{Link: "eth0", Prefix: netip.MustParsePrefix("10.0.0.1/32"), Peer: netip.MustParsePrefix("10.0.0.2/31")},
		{Link: "eth0", Prefix: netip.MustParsePrefix("fd00::1/64")},
		{Link: "eth0", Prefix: netip.MustParsePrefix("fd00::1/64"), DAD: true},
	} {
		w := newTestWork(eth0)
		if err := w.address(0, &a, unix.NLM_F_CREATE); err != nil {
			t.Fatal(err)
		}
		p, ok := parseAddress(sent(t, w.req.b)[0])
		label := a.Label
		if label == "" && a.Prefix.Addr().Is4() {
			label = a.Link
		}
		got := p.address
		got.Link, got.Label = a.Link, a.Label
		if !ok || got != a || string(p.label) != label || p.proto != netsetup.Protocol || p.index != 7 {
			t.Errorf("got %+v, want %+v", p, a)
		}
	}
}

func TestLinkCodec(t *testing.T) {
	seven := 7
	l := netsetup.Link{
		Name: "br0", Kind: netsetup.KindBridge, MAC: topology.MAC{2, 1}, MTU: 1400, TxQueueLen: &seven,
		Bridge: &netsetup.Bridge{STP: true, McastSnooping: true, AgeingTime: &seven, Priority: &seven},
	}
	w := newTestWork()
	if err := w.addLink(0, &l, nil); err != nil {
		t.Fatal(err)
	}
	list := sent(t, w.req.b)
	if len(list) != 2 {
		t.Fatalf("%d requests, want that which creates and that which fixes the MTU", len(list))
	}
	p, ok := parseLink(list[0])
	got := p.link
	if !ok || got.Name != l.Name || got.Kind != l.Kind || got.MAC != l.MAC || got.MTU != l.MTU || *got.TxQueueLen != 7 || p.group != netsetup.Group {
		t.Errorf("got %+v", p)
	}
	if b := got.Bridge; b == nil || !b.STP || !b.McastSnooping || *b.AgeingTime != 7 || *b.Priority != 7 || b.MaxAge != nil {
		t.Errorf("got %+v", b)
	}

	if err := w.addLink(0, &netsetup.Link{Name: "v", Kind: netsetup.KindVeth}, nil); !errors.Is(err, errNoPeer) {
		t.Errorf("a veth without another end: %v", err)
	}
}

func TestTruncated(t *testing.T) {
	w := newTestWork(eth0)
	rt := netsetup.Route{Dst: netip.MustParsePrefix("10.0.0.0/8"), Table: 254, Type: netsetup.Unicast,
		Nexthops: []netsetup.Nexthop{{Dev: "eth0"}, {Dev: "eth0", Via: netip.MustParseAddr("10.0.0.1")}}}
	if err := w.addRoute(0, &rt, 0); err != nil {
		t.Fatal(err)
	}
	for n := range len(w.req.b) - 1 {
		if _, _, err := nextMessage(w.req.b[:n]); !errors.Is(err, errTruncated) {
			t.Errorf("%d of %d bytes: %v", n, len(w.req.b), err)
		}
	}
}

// FuzzParse gives the parsers messages that are cut short or nonsense.
func FuzzParse(f *testing.F) {
	w := newTestWork(eth0)
	seven := 7
	for _, err := range []error{
		w.addRoute(0, &netsetup.Route{Dst: netip.MustParsePrefix("10.0.0.0/8"), Table: 254, MTU: 5, Type: netsetup.Unicast,
			Nexthops: []netsetup.Nexthop{{Dev: "eth0"}, {Dev: "eth0", Via: netip.MustParseAddr("fd00::1")}}}, 0),
		w.addRule(0, &netsetup.Rule{From: netip.MustParsePrefix("10.0.0.0/8"), IIF: "eth0", FwMask: 1}),
		w.address(0, &netsetup.Address{Link: "eth0", Prefix: netip.MustParsePrefix("10.0.0.1/24")}, 0),
		w.addLink(0, &netsetup.Link{Name: "br0", Kind: netsetup.KindBridge, Bridge: &netsetup.Bridge{MaxAge: &seven}}, nil),
		w.neighbor(0, &netsetup.Neighbor{Link: "eth0", IP: netip.MustParseAddr("fd00::1"), State: "permanent"}),
	} {
		if err != nil {
			f.Fatal(err)
		}
	}
	for b := w.req.b; len(b) > 0; {
		_, rest, err := nextMessage(b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:len(b)-len(rest)])
		b = rest
	}
	var failure request
	native.PutUint32(failure.begin(unix.NLMSG_ERROR, unix.NLM_F_ACK_TLVS, 1, 20), ^uint32(0))
	failure.str(unix.NLMSGERR_ATTR_MSG, "no")
	failure.end()
	f.Add(failure.b)
	f.Fuzz(func(t *testing.T, data []byte) {
		data = bytes.Clone(data)
		for len(data) > 0 {
			m, rest, err := nextMessage(data)
			if err != nil {
				return
			}
			data = rest
			for _, typ := range []uint16{m.typ, unix.RTM_NEWLINK, unix.RTM_NEWADDR, unix.RTM_NEWROUTE, unix.RTM_NEWRULE, unix.RTM_NEWNEIGH} {
				m.typ = typ
				parseLink(m)
				parseStats(m)
				parseAddress(m)
				parseNeighbor(m)
				if p, ok := parseRule(m); ok {
					p.madeByKernel()
				}
				if _, ok := routeProtocol(m); ok {
					if p, ok := parseRoute(m, linkTable{eth0}); ok {
						_ = p.route.String()
					}
				}
			}
			_ = refusalOf(m)
			_ = doneError(m)
		}
	})
}
