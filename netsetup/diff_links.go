package netsetup

import (
	"iter"
	"slices"
)

// deleteLinks removes links that are not wanted, and those that have to be made
// anew: of another kind, of another owner, or with another peer. Those inside a
// namespace that goes as a whole go with it.
func (d *differ) deleteLinks(have, want *Namespace) {
	for i := range have.Links {
		l := &have.Links[i]
		if l.Kind == KindLoopback || d.model.Link(want.Name, l.Name) == nil {
			continue
		}
		w := findLink(want, l.Name)
		origin := l.Origin
		if want.Kind != Own && l.Alias != AliasPrefix+d.lab {
			origin = Foreign // another lab's
		}
		switch {
		case w == nil:
			if !d.removable(want, origin, want.Keep.Links) {
				continue
			}
		case sameLink(l, w) || d.blocked(want, origin, w.Pos, "link "+l.Name):
			continue
		}
		d.emit(Op{Phase: DeleteLinks, Verb: Delete, Namespace: want.Name, Object: l})
	}
}

// deleteStrayLinks removes those links of a namespace that goes whose other end
// is in one that is not the lab's, where it would be seen until the kernel has
// freed this one: in one that was not looked at, or not yet marked.
func (d *differ) deleteStrayLinks(n *Namespace) {
	for i := range n.Links {
		l := &n.Links[i]
		if l.Kind != KindVeth {
			continue
		}
		other := d.has[l.Peer.Namespace]
		if other != nil && other.Kind != Own {
			end := findLink(other, l.Peer.Link)
			if end != nil && end.Alias == AliasPrefix+d.lab {
				continue // its removal there is both ends'
			}
		} else if l.Peer.Namespace != UnknownNamespace && l.Peer.Namespace != "" {
			continue
		}
		d.emit(Op{Phase: DeleteLinks, Verb: Delete, Namespace: n.Name, Object: l})
	}
}

func findLink(n *Namespace, name string) *Link {
	i, ok := slices.BinarySearchFunc(n.Links, name, func(l Link, name string) int {
		switch {
		case l.Name < name:
			return -1
		case l.Name > name:
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return &n.Links[i]
}

// leaveMasters takes links out of bridges that they are no longer to be ports of,
// before their MTU changes: a bridge's follows it, down to where the bridge
// loses its IPv6 addresses.
func (d *differ) leaveMasters(_, want *Namespace) {
	for i := range want.Links {
		w := &want.Links[i]
		is := d.model.Link(want.Name, w.Name)
		if is == nil || is.Master == "" || is.Master == w.Master {
			continue
		}
		was, to := *is, *is
		to.Pos, to.Master, to.Port = w.Pos, "", nil
		d.emit(Op{Phase: Links, Verb: Change, Namespace: want.Name, Object: &to, Was: &was})
	}
}

// links makes what is missing and changes what can be changed in place.
func (d *differ) links(have, want *Namespace) {
	for i := range want.Links {
		w := &want.Links[i]
		is := d.model.Link(want.Name, w.Name)
		switch {
		case is == nil:
			d.addLink(have, want, w)
		case !sameSettings(is, w) || is.Up && !w.Up || want.strays(w, have):
			was, to := *is, w.over(*is)
			to.Up = is.Up && w.Up
			if want.strays(w, have) {
				to.MTU = want.portsMTU(w.Name)
			}
			d.emit(Op{Phase: Links, Verb: Change, Namespace: want.Name, Object: &to, Was: &was})
		}
	}
}

// strays reports a bridge without an MTU in the file whose MTU is not what its
// ports make it: somebody set it, and the kernel leaves it alone since
// (net/bridge/br_if.c:br_mtu_auto_adjust).
func (n *Namespace) strays(bridge *Link, have *Namespace) bool {
	if bridge.Kind != KindBridge || bridge.MTU != 0 || n.Kind != Own {
		return false
	}
	is := findLink(have, bridge.Name)
	return is != nil && is.Kind == KindBridge && is.MTU != 0 && is.MTU != have.portsMTU(bridge.Name)
}

// portsMTU is the MTU that its ports give a bridge.
func (n *Namespace) portsMTU(bridge string) int {
	return portsMTU(bridge, func(yield func(*Link) bool) {
		for i := range n.Links {
			if !yield(&n.Links[i]) {
				return
			}
		}
	})
}

// portsMTU is the MTU that its ports, which are among links, give a bridge.
func portsMTU(bridge string, links iter.Seq[*Link]) int {
	least := 0
	for l := range links {
		if l.Master == bridge && l.MTU != 0 && (least == 0 || l.MTU < least) {
			least = l.MTU
		}
	}
	if least == 0 {
		return 1500 // ETH_DATA_LEN
	}
	return least
}

// over is the link as it will be when the wanted settings are laid over what it
// is; its master and whether it is up are not touched.
func (l *Link) over(is Link) Link {
	is.Pos = l.Pos
	if !l.MAC.IsZero() {
		is.MAC = l.MAC
	}
	if l.MTU != 0 {
		is.MTU = l.MTU
	}
	is.Alias = l.Alias
	is.TxQueueLen = orElse(l.TxQueueLen, is.TxQueueLen)
	if l.Offloads != nil {
		is.Offloads = l.Offloads
	}
	is.Extra = l.Extra
	if l.Bridge != nil {
		b, was := *l.Bridge, Bridge{}
		if is.Bridge != nil {
			was = *is.Bridge
		}
		b.AgeingTime = orElse(b.AgeingTime, was.AgeingTime)
		b.ForwardDelay = orElse(b.ForwardDelay, was.ForwardDelay)
		b.HelloTime = orElse(b.HelloTime, was.HelloTime)
		b.MaxAge = orElse(b.MaxAge, was.MaxAge)
		b.Priority = orElse(b.Priority, was.Priority)
		is.Bridge = &b
	}
	return is
}

func orElse(a, b *int) *int {
	if a != nil {
		return a
	}
	return b
}

// addLink makes a link, both ends of a veth in one request. What was there
// under the same name a moment ago gives it its index, so that what holds the
// index stays true.
func (d *differ) addLink(have, want *Namespace, w *Link) {
	if w.Origin == Foreign {
		return // a rollback cannot bring back a daemon's device
	}
	l := *w
	keepIndex(&l, have)
	op := Op{Phase: Links, Verb: Add, Namespace: want.Name, Object: &l}
	if w.Kind == KindVeth {
		other := d.wanted[w.Peer.Namespace]
		if other == nil {
			return // a rollback to a link whose other end was never seen
		}
		end := findLink(other, w.Peer.Link)
		if end == nil {
			return
		}
		peer := *end
		keepIndex(&peer, d.has[other.Name])
		op.PeerLink = &peer
	}
	d.emit(op)
}

func keepIndex(l *Link, have *Namespace) {
	if was := findLink(have, l.Name); was != nil && l.Index == 0 {
		l.Index = was.Index
	}
}

// masters puts links into bridges and out of them, and sets them as ports.
func (d *differ) masters(_, want *Namespace) {
	for i := range want.Links {
		w := &want.Links[i]
		is := d.model.Link(want.Name, w.Name)
		if is == nil || sameMaster(is, w) {
			continue
		}
		was, to := *is, *is
		to.Pos, to.Master, to.Port = w.Pos, w.Master, nil
		if w.Port != nil {
			port := *w.Port
			if is.Port != nil && is.Master == w.Master {
				port.Cost = orElse(port.Cost, is.Port.Cost)
				port.Priority = orElse(port.Priority, is.Port.Priority)
			}
			to.Port = &port
		}
		if was.Master != to.Master {
			was.Port = nil // a port starts with the kernel's defaults
		}
		d.emit(Op{Phase: Masters, Verb: Change, Namespace: want.Name, Object: &to, Was: &was})
	}
}

func (d *differ) linksUp(_, want *Namespace) {
	for i := range want.Links {
		w := &want.Links[i]
		is := d.model.Link(want.Name, w.Name)
		if is == nil || is.Up || !w.Up {
			continue
		}
		was, to := *is, *is
		to.Pos, to.Up = w.Pos, true
		d.emit(Op{Phase: LinksUp, Verb: Change, Namespace: want.Name, Object: &to, Was: &was})
	}
}

// deleteAddresses removes addresses that are not wanted, and those that stand
// before or behind where they should: the order of IPv4 addresses decides which
// is primary.
func (d *differ) deleteAddresses(have, want *Namespace) {
	for i := 0; i < len(have.Addresses); {
		j := i + 1
		for j < len(have.Addresses) && have.Addresses[j].Link == have.Addresses[i].Link {
			j++
		}
		d.deleteAddressesOf(have.Addresses[i:j], want)
		i = j
	}
}

func (d *differ) deleteAddressesOf(has []Address, want *Namespace) {
	wanted := addressesOf(want, has[0].Link)
	var kept []Address
	for i := range has {
		a := &has[i]
		w := slices.IndexFunc(wanted, func(w Address) bool { return w.Prefix == a.Prefix })
		switch {
		case w >= 0 && sameAddress(a, &wanted[w]):
			if a.Prefix.Addr().Is4() {
				kept = append(kept, *a)
			}
		case w >= 0 || d.removable(want, a.Origin, want.Keep.Addresses):
			if w >= 0 && want.Kind != Own && d.blocked(want, a.Origin, wanted[w].Pos, "address "+a.String()) {
				continue
			}
			d.emit(Op{Phase: DeleteAddresses, Verb: Delete, Namespace: want.Name, Object: a})
		}
	}
	stay := longestStart(kept, ipv4Of(wanted))
	for i := range kept[stay:] {
		d.emit(Op{Phase: DeleteAddresses, Verb: Delete, Namespace: want.Name, Object: &kept[stay+i]})
	}
}

// longestStart is how many of the addresses that an interface has can stay
// where they are, so that adding the missing ones of wanted gives its order.
func longestStart(has, wanted []Address) int {
	for n := len(has); n > 0; n-- {
		list := slices.Clone(has[:n])
		for i := range wanted {
			if !slices.ContainsFunc(has[:n], func(h Address) bool { return sameAddress(&h, &wanted[i]) }) {
				list = insertIPv4(list, wanted[i])
			}
		}
		if slices.EqualFunc(list, wanted, func(a, b Address) bool { return sameAddress(&a, &b) }) {
			return n
		}
	}
	return 0
}

// addressesOf are the wanted addresses of one link.
func addressesOf(n *Namespace, link string) []Address {
	i := slices.IndexFunc(n.Addresses, func(a Address) bool { return a.Link == link })
	if i < 0 {
		return nil
	}
	j := i
	for j < len(n.Addresses) && n.Addresses[j].Link == link {
		j++
	}
	return n.Addresses[i:j]
}

func (d *differ) addresses(have, want *Namespace) {
	if !want.Keep.Addresses {
		for i := range have.LostAddresses {
			d.emit(Op{Phase: Addresses, Verb: Add, Namespace: want.Name, Object: &have.LostAddresses[i]})
		}
	}
	n := d.model.namespaces[want.Name]
	for i := range want.Addresses {
		w := &want.Addresses[i]
		has := slices.ContainsFunc(n.addresses[w.Link], func(a Address) bool { return sameAddress(&a, w) })
		if !has && w.Origin != Foreign {
			d.emit(Op{Phase: Addresses, Verb: Add, Namespace: want.Name, Object: w})
		}
	}
}
