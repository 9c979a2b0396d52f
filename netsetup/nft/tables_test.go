package nft

import (
	"fmt"
	"math/bits"
	"slices"
	"testing"
)

// unique reports what is in a list twice.
func unique[T comparable](t *testing.T, what string, list []T) {
	t.Helper()
	seen := map[T]bool{}
	for _, v := range list {
		if seen[v] {
			t.Errorf("%s: %v is there twice", what, v)
		}
		seen[v] = true
	}
}

func TestTypes(t *testing.T) {
	var ids []uint32
	for _, typ := range types {
		ids = append(ids, typ.ID)
		if typ.Name == "" || typ.Desc == "" {
			t.Errorf("type %d has no name or description", typ.ID)
		}
		var names []string
		for _, s := range typ.Symbols {
			names = append(names, s.Name)
			switch {
			case typ.Bits < 64 && s.Value>>typ.Bits != 0:
				t.Errorf("%s: %s is more than %d bits", typ.Name, s.Name, typ.Bits)
			case typ.Base == typeBitmask && bits.OnesCount64(s.Value) != 1:
				t.Errorf("%s: %s is not a bit", typ.Name, s.Name)
			}
			if _, err := typ.value(s.Name, 0); err != nil {
				t.Error(err)
			}
		}
		unique(t, typ.Name, names)
		if best := typ.Base; best != nil && !slices.Contains(types, best) {
			t.Errorf("%s is a kind of %s, which is not in the table", typ.Name, best.Name)
		}
	}
	unique(t, "numbers of types", ids)
	const most = 46 // TYPE_MAX of nft 1.0.6
	if len(types) != most || slices.Max(ids) != most || slices.Min(ids) != 1 {
		t.Errorf("%d types of %d to %d, expected 1 to %d", len(types), slices.Min(ids), slices.Max(ids), most)
	}
}

func TestHeaders(t *testing.T) {
	var ids []uint32
	for _, h := range headers {
		ids = append(ids, h.ID)
		if headerByName(h.Name) != h {
			t.Errorf("%s is not found by its name", h.Name)
		}
		var indexes []uint32
		for i := range h.Field {
			f := &h.Field[i]
			indexes = append(indexes, f.Index)
			switch {
			case f.Offset+f.Bits > h.Bits || f.Bits == 0:
				t.Errorf("%s %s is not within the header", h.Name, f.Name)
			case f.Type.Bits != 0 && f.Type.Bits != f.Bits:
				t.Errorf("%s %s is of %d bits, its type %s of %d", h.Name, f.Name, f.Bits, f.Type.Name, f.Type.Bits)
			case f.Order != BigEndian:
				t.Errorf("%s %s is not big-endian", h.Name, f.Name)
			case h.field(f.Name) != f:
				t.Errorf("%s %s is not found by its name", h.Name, f.Name)
			case h.saysNext(f) != (f.Name == h.Next):
				t.Errorf("%s %s", h.Name, f.Name)
			}
		}
		unique(t, h.Name, h.fieldNames())
		unique(t, "indexes of "+h.Name, indexes)
		if int(slices.Max(indexes)) != len(indexes) {
			t.Errorf("%s: indexes have gaps: %v", h.Name, indexes)
		}
		for _, name := range append(h.Pseudo, h.Next) {
			if name != "" && h.field(name) == nil {
				t.Errorf("%s has no field %s", h.Name, name)
			}
		}
		if f := h.field("checksum"); h.ChecksumType != 0 && (f == nil || f.Offset != 8*h.Checksum) {
			t.Errorf("%s: the checksum is not at %d", h.Name, h.Checksum)
		}
	}
	unique(t, "numbers of headers", ids)
	for _, h := range append(headers, inetHeader, netdevHeader, inetServiceHeader) {
		if len(h.Upper) > 0 && h.Next == "" && h.NextMeta == "" {
			t.Errorf("nothing says what follows %s", h.Name)
		}
		if h.NextMeta != "" && metaByName(h.NextMeta) == nil {
			t.Errorf("%s: no meta %s", h.Name, h.NextMeta)
		}
		for _, u := range h.Upper {
			if h.upper(u.Value) != u.Header {
				t.Errorf("%s %d is not %s", h.Name, u.Value, u.Header.Name)
			}
			if v, ok := h.upperValue(u.Header); !ok || h.upper(v) != u.Header {
				t.Errorf("%s has no value for %s", h.Name, u.Header.Name)
			}
		}
	}
	if icmpv6Header.field("parameter-problem") == nil {
		t.Error("icmpv6 parameter-problem is not found")
	}
	if _, ok := ipHeader.upperValue(arpHeader); ok || ipHeader.upper(255) != nil || headerByName("inet") != nil {
		t.Error("there are links that there are not")
	}
}

func TestOptions(t *testing.T) {
	for of, list := range map[string][]*OptionHeader{
		"exthdr": exthdrs, "ip": ipOptions, "tcp": tcpOptions, "sctp": sctpChunks,
	} {
		var headerNames []string
		for _, h := range list {
			headerNames = append(headerNames, h.Name)
			if of != "exthdr" && h.Desc != h.ID {
				t.Errorf("%s %s: %d on the wire, %d left with a set", of, h.Name, h.ID, h.Desc)
			}
			var names []string
			var indexes []uint32
			for i := range h.Field {
				f := &h.Field[i]
				names, indexes = append(names, f.Name), append(indexes, f.Index)
				if f.Bits == 0 || f.Offset%8+f.Bits > 8 && (f.Offset+f.Bits)%8 != 0 && f.Name != "frag-off" {
					t.Errorf("%s %s %s: %d bits at %d", of, h.Name, f.Name, f.Bits, f.Offset)
				}
				if h.field(f.Name) != f {
					t.Errorf("%s %s %s is not found by its name", of, h.Name, f.Name)
				}
			}
			unique(t, of+" "+h.Name, names)
			unique(t, "indexes of "+of+" "+h.Name, indexes)
		}
		unique(t, of, headerNames)
	}
	for name, want := range map[string]string{
		"maxseg": "maxseg", "mss": "maxseg", "sack-permitted": "sack-perm", "sack0": "sack", "echo": "timestamp",
		"2": "maxseg", "5": "sack", "0x8": "timestamp", "254": "254", "256": "", "": "", "mptpc": "",
	} {
		h := tcpOptionByName(name)
		if h == nil != (want == "") || h != nil && h.Name != want {
			t.Errorf("tcp option %s: %v, expected %q", name, h, want)
		}
	}
	if h := tcpOptionByName("254"); h.ID != 254 || len(h.Field) != 0 {
		t.Errorf("tcp option 254: %+v", h)
	}
	if h := dccpOptionByName("40"); h == nil || h.ID != 40 || dccpOptionByName("256") != nil || dccpOptionByName("x") != nil {
		t.Errorf("dccp option 40: %+v", h)
	}
	if exthdrByName("srh").field("sid[2]").Offset != 192 || ipOptionByName("rr").field("value") != nil ||
		sctpChunkByName("init-ack").field("initial-tsn") == nil {
		t.Error("fields are missing, or too many")
	}
}

func TestSelectors(t *testing.T) {
	lists := map[string][]Selector{"rt": rtKeys, "socket": socketKeys, "fib": fibResults, "osf": osfKeys, "ipsec": ipsecKeys}
	for _, k := range metaKeys {
		lists["meta"] = append(lists["meta"], k.Selector)
		if metaByName(k.Name).Key != k.Key {
			t.Errorf("meta %s is not found by its name", k.Name)
		}
		if k.SetOnly && !k.Settable {
			t.Errorf("meta %s can neither be read nor set", k.Name)
		}
	}
	for _, k := range ctKeys {
		lists["ct"] = append(lists["ct"], k.Selector)
		if ctByName(k.Name).Key != k.Key {
			t.Errorf("ct %s is not found by its name", k.Name)
		}
		if k.NeedsDirection && !k.TakesDirection {
			t.Errorf("ct %s needs a direction and takes none", k.Name)
		}
	}
	for of, list := range lists {
		var names []string
		var keys []uint32
		for _, s := range list {
			names = append(names, s.Name)
			if s.Name != "nexthop" { // ip's, until the family is known
				keys = append(keys, s.Key)
			}
			// A truth value is as wide as the register it comes in.
			if s.Type != nil && s.Type.Bits != 0 && s.Type.Bits != s.Bits && s.Type != typeBoolean {
				t.Errorf("%s %s is of %d bits, its type %s of %d", of, s.Name, s.Bits, s.Type.Name, s.Type.Bits)
			}
		}
		unique(t, of, names)
		unique(t, "keys of "+of, keys)
	}
	for older, newer := range olderMetaKeys {
		if metaByName(older).Name != newer {
			t.Errorf("%s is not %s", older, newer)
		}
	}
	switch {
	case metaByName("iff") != nil || ctByName("stat") != nil || rtByName("", "via") != nil || socketByName("x") != nil || fibByName("x") != nil || osfByName("x") != nil:
		t.Error("there are keys that there are not")
	case rtByName("ip6", "nexthop").Type != typeIPv6Addr || rtByName("", "nexthop").Type != nil || rtByName("ip", "mtu").Name != "mtu":
		t.Error("the family of rt")
	case ipsecByName("ip6", "saddr").Type != typeIPv6Addr || ipsecByName("", "spi") == nil || ipsecByName("", "saddr") != nil || ipsecByName("ip", "spi") != nil:
		t.Error("the family of ipsec")
	}
}

func TestHooks(t *testing.T) {
	for _, c := range []struct{ family, hook, priority, want string }{
		{"ip", "prerouting", "dstnat", "0 -100"},
		{"ip6", "postrouting", "srcnat", "4 100"},
		{"inet", "input", "filter", "1 0"},
		{"inet", "ingress", "raw", "5 -300 device"},
		{"inet", "forward", "security", "2 50"},
		{"ip", "output", "mangle", "3 -150"},
		{"ip", "output", "dstnat", "3 -"},
		{"ip", "ingress", "filter", "- 0"},
		{"arp", "output", "filter", "1 0"},
		{"arp", "forward", "raw", "2 -"},
		{"bridge", "prerouting", "dstnat", "0 -300"},
		{"bridge", "forward", "filter", "2 -200"},
		{"bridge", "output", "out", "3 100"},
		{"bridge", "postrouting", "srcnat", "4 300"},
		{"bridge", "input", "out", "1 -"},
		{"netdev", "egress", "filter", "1 0 device"},
		{"netdev", "ingress", "srcnat", "0 - device"},
		{"nonsense", "input", "filter", "- -"},
	} {
		f, got := families[c.family], "-"
		if n, ok := hookByName(f, c.hook); ok {
			got = fmt.Sprint(n)
		}
		if p, ok := priorityByName(f, c.hook, c.priority); ok {
			got += fmt.Sprint(" ", p)
		} else {
			got += " -"
		}
		if hookTakesDevice(f, c.hook) {
			got += " device"
		}
		if got != c.want {
			t.Errorf("%s %s %s: %s, expected %s", c.family, c.hook, c.priority, got, c.want)
		}
	}
	for name, f := range families {
		if h := familyHeader(f); h == unknownHeader {
			t.Errorf("%s has no header", name)
		}
	}
	if familyHeader(0) != unknownHeader {
		t.Error("no family has a header")
	}
}

func TestStatementWords(t *testing.T) {
	for name, m := range map[string]map[string]uint32{
		"log levels": logLevels, "nat flags": natFlags, "queue flags": queueFlags, "fib flags": fibFlags, "numgen": numgenModes,
	} {
		var values []uint32
		for _, v := range m {
			values = append(values, v)
		}
		unique(t, name, values)
	}
	var all uint32
	for word, f := range logFlags {
		if word != "all" {
			all |= f
		}
	}
	if all != logFlags["all"] {
		t.Errorf("all flags of log are %#x", all)
	}
	for protocol, states := range ctTimeoutStates {
		for i, s := range states {
			if int(s.Index) != i || s.Seconds == 0 {
				t.Errorf("protocol %d: %+v is number %d", protocol, s, i)
			}
		}
	}
	for name, p := range ctProtocols {
		if ctTimeoutStates[p] == nil {
			t.Errorf("no states of %s", name)
		}
	}
	for name, r := range rejectTypes {
		if (r.Code == nil) != (name == "tcp reset") {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if len(osfTTL) != 3 || len(ipsecDirections) != 2 || len(ctDirections) != 2 || limitUnits["week"] != 604800 {
		t.Error("words are missing")
	}
}

func TestNearest(t *testing.T) {
	words := []string{"established", "related", "new", "invalid"}
	for word, want := range map[string]string{
		"establised": "established", "realted": "related", "nwe": "new", "xyz": "", "": "", "n": "",
		"invalidd": "invalid", "new": "new",
	} {
		if got := nearest(word, words); got != want {
			t.Errorf("%q: %q, expected %q", word, got, want)
		}
	}
}
