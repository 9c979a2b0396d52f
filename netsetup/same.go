package netsetup

import "slices"

// The functions here say whether what is observed is what is wanted. A wanted
// zero or nil that stands for "whatever it is" agrees with everything.

// sameLink leaves out Up, settings and master, which can be changed in place:
// see sameSettings.
func sameLink(have, want *Link) bool {
	return have.Kind == want.Kind && have.Origin == want.Origin &&
		(want.Index == 0 || have.Index == want.Index) &&
		(want.Kind != KindVeth || have.Peer == want.Peer)
}

// sameSettings compares what does not depend on other links.
func sameSettings(have, want *Link) bool {
	return (want.MAC.IsZero() || have.MAC == want.MAC) &&
		(want.MTU == 0 || have.MTU == want.MTU) &&
		have.Alias == want.Alias &&
		!differs(want.TxQueueLen, have.TxQueueLen) &&
		(want.Offloads == nil || have.Offloads != nil && *have.Offloads == *want.Offloads) &&
		slices.Equal(have.Extra, want.Extra) &&
		sameBridge(have.Bridge, want.Bridge)
}

func sameBridge(have, want *Bridge) bool {
	if want == nil {
		return true
	}
	return have != nil && have.STP == want.STP && have.McastSnooping == want.McastSnooping &&
		!differs(want.Priority, have.Priority) && sameTime(have.AgeingTime, want.AgeingTime) &&
		sameTime(have.ForwardDelay, want.ForwardDelay) && sameTime(have.HelloTime, want.HelloTime) &&
		sameTime(have.MaxAge, want.MaxAge) && slices.Equal(have.Extra, want.Extra)
}

// sameTime compares one of a bridge's times, which the spanning tree may set: nil
// is also that the kernel does not show it.
func sameTime(have, want *int) bool { return have == nil || want == nil || *have == *want }

func sameMaster(have, want *Link) bool {
	return have.Master == want.Master && samePort(have.Port, want.Port)
}

func samePort(have, want *Port) bool {
	if want == nil {
		return true
	}
	return have != nil && have.Isolated == want.Isolated && have.Learning == want.Learning &&
		have.Hairpin == want.Hairpin && !differs(want.Cost, have.Cost) && !differs(want.Priority, have.Priority) &&
		slices.Equal(have.Extra, want.Extra)
}

func sameAddress(have, want *Address) bool {
	return have.Link == want.Link && have.Prefix == want.Prefix && have.Peer == want.Peer &&
		have.Scope == want.Scope && have.Label == want.Label && have.Origin == want.Origin &&
		have.Stranded == want.Stranded
}

func sameRoute(have, want *Route) bool {
	return compareRouteKeys(*have, *want) == 0 && have.Origin == want.Origin &&
		(want.Protocol == 0 || have.Protocol == want.Protocol) &&
		have.Type == want.Type && have.Src == want.Src && have.MTU == want.MTU && have.Other == want.Other &&
		slices.Equal(have.Nexthops, want.Nexthops)
}

func sameRule(have, want *Rule) bool {
	return compareRules(*have, *want) == 0 && have.Origin == want.Origin
}

func sameNeighbor(have, want *Neighbor) bool {
	return have.Link == want.Link && have.IP == want.IP && have.Proxy == want.Proxy && have.Origin == want.Origin &&
		(!fixedState(want.State) || have.MAC == want.MAC && have.State == want.State)
}

// fixedState reports whether a neighbour entry stays as it is made; the kernel
// moves others on by itself.
func fixedState(state string) bool { return state == "permanent" || state == "noarp" }

func sameFDB(have, want *FDBEntry) bool {
	return have.Link == want.Link && have.MAC == want.MAC && have.Local == want.Local
}

// sameNamespace reports that nothing at all is to be done in a namespace: the
// quick way for most namespaces of a running lab.
func sameNamespace(have, want *Namespace) bool {
	equalLinks := func(h, w Link) bool {
		return h.Name == w.Name && sameLink(&h, &w) && sameSettings(&h, &w) && sameMaster(&h, &w) && h.Up == w.Up &&
			!want.strays(&w, have)
	}
	return slices.EqualFunc(have.Links, want.Links, equalLinks) &&
		slices.EqualFunc(have.Addresses, want.Addresses, func(h, w Address) bool { return sameAddress(&h, &w) }) &&
		slices.EqualFunc(have.Routes, want.Routes, func(h, w Route) bool { return sameRoute(&h, &w) }) &&
		slices.EqualFunc(have.Rules, want.Rules, func(h, w Rule) bool { return sameRule(&h, &w) }) &&
		(len(have.LostRules) == 0 || want.Keep.Rules) &&
		(len(have.LostAddresses) == 0 || want.Keep.Addresses) &&
		(slices.Equal(have.Qdiscs, want.Qdiscs) || want.Keep.Qdiscs) &&
		slices.EqualFunc(have.Neighbors, want.Neighbors, func(h, w Neighbor) bool { return sameNeighbor(&h, &w) }) &&
		sameOwned(have.Owned, want.Owned) &&
		slices.EqualFunc(have.FDB, want.FDB, func(h, w FDBEntry) bool { return sameFDB(&h, &w) }) &&
		sameSysctls(have.Sysctls, want.Sysctls) &&
		sameTables(have, want)
}

func sameOwned(have, want *Owned) bool {
	if have == nil || want == nil {
		return have == want
	}
	return have.Machine.Key() == want.Machine.Key()
}

// sameUser reports whether two have the same user namespace, or none; have may be
// unknown.
func sameUser(have, want *Owned) bool {
	if !have.Machine.Kept() {
		return true
	}
	h, w := have.Machine.Isolation, Isolation{}
	if want != nil {
		w = want.Machine.Isolation
	}
	return h.User == w.User && slices.Equal(h.UIDs, w.UIDs) && slices.Equal(h.GIDs, w.GIDs)
}

func sameSysctls(have, want []Sysctl) bool {
	if len(have) == len(want) {
		same := slices.EqualFunc(have, want, func(h, w Sysctl) bool { return h.Name == w.Name && h.Value == w.Value })
		if same {
			return true
		}
	}
	values := make(map[string]string, len(have))
	for _, s := range have {
		values[s.Name] = s.Value
	}
	for i := range want {
		s := &want[i]
		if v, ok := values[s.Name]; ok && v != s.Value || !ok && !s.implied() {
			return false
		}
	}
	return true
}
