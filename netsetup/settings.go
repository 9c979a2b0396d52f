package netsetup

import "slices"

// interfaceSetting is a setting that every interface has and that decides
// whether the lab works as its file says.
type interfaceSetting struct {
	family, leaf string
	from         string // the setting that it follows, at once or when the interface is made
	lo           bool   // lo follows too: it is older than what a namespace is given
}

// interfaceSettings follow the namespace's, unless the file says otherwise.
var interfaceSettings = []interfaceSetting{
	{"ipv4", "forwarding", "net/ipv4/ip_forward", true},
	{"ipv4", "rp_filter", "net/ipv4/conf/default/rp_filter", false},
	{"ipv4", "promote_secondaries", "net/ipv4/conf/default/promote_secondaries", false},
	{"ipv6", "forwarding", "net/ipv6/conf/all/forwarding", true},
	{"ipv6", "disable_ipv6", "net/ipv6/conf/all/disable_ipv6", true},
	{"ipv6", "accept_dad", "net/ipv6/conf/default/accept_dad", false},
	{"ipv6", "keep_addr_on_down", "net/ipv6/conf/default/keep_addr_on_down", false},
}

// of is the name of the setting of one interface.
func (s *interfaceSetting) of(link string) string {
	return "net/" + s.family + "/conf/" + link + "/" + s.leaf
}

// settingNames are the names of interfaceSettings, by interface: of a large lab's,
// which are mostly called the same.
type settingNames map[string][]string

func (n settingNames) of(link string) []string {
	names := n[link]
	if names == nil {
		for i := range interfaceSettings {
			names = append(names, interfaceSettings[i].of(link))
		}
		n[link] = names
	}
	return names
}

// addImpliedSysctls adds those of the interfaces that follow from the namespace's to
// what the file sets itself.
func addImpliedSysctls(given []Sysctl, links []Link, names settingNames) []Sysctl {
	list := slices.Grow(given, len(links)*len(interfaceSettings))
	for i := range interfaceSettings {
		s := &interfaceSettings[i]
		at := slices.IndexFunc(given, func(g Sysctl) bool { return g.Name == s.from })
		if at < 0 {
			continue
		}
		for j := range links {
			l := &links[j]
			if l.Kind == KindLoopback && !s.lo || s.family == "ipv6" && l.MTU != 0 && l.MTU < ipv6MinMTU {
				continue
			}
			name := names.of(l.Name)[i]
			if !slices.ContainsFunc(given, func(g Sysctl) bool { return g.Name == name }) {
				list = append(list, Sysctl{Name: name, Value: given[at].Value})
			}
		}
	}
	return list
}

// implied reports a setting that an interface has without being given it: one
// that is not there is no difference.
func (s *Sysctl) implied() bool { return s.Pos.IsZero() && InterfaceOf(s.Name) != "" }
