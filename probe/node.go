package probe

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nslab/netsetup/netns"
	"nslab/netsetup/proc"
	"nslab/topology"
)

// node is a node of the lab with its namespace, which is opened when it is
// first needed.
type node struct {
	name string
	topo *topology.Node
	open func(node string) (*netns.Handle, error)
	run  *runner // that it is a node of; nil in tests of the node alone

	enter func(node string) (*proc.Node, error) // nil: through the namespace alone

	mu sync.Mutex
	h  *netns.Handle
	p  *proc.Node
}

// programs is the node as programs get into it.
func (n *node) programs() (*proc.Node, error) {
	enter := n.enter
	if enter == nil {
		enter = func(node string) (*proc.Node, error) {
			h, err := n.open(node)
			return proc.Bare(h), err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.p == nil {
		p, err := enter(n.name)
		if err != nil {
			return nil, err
		}
		n.p = p
	}
	return n.p, nil
}

func (n *node) handle() (*netns.Handle, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.h == nil {
		h, err := n.open(n.name)
		if err != nil {
			return nil, err
		}
		n.h = h
	}
	return n.h, nil
}

func (n *node) close() {
	if n.h != nil {
		n.h.Close()
	}
	if n.p != nil {
		n.p.Close()
	}
}

// inside runs fn in the node's namespace.
func (n *node) inside(fn func() error) error {
	h, err := n.handle()
	if err != nil {
		return err
	}
	return netns.Do(h, fn)
}

// sockaddr is an address for the kernel, its zone being an interface of the
// node.
func (n *node) sockaddr(a netip.AddrPort) (sa unix.Sockaddr, err error) {
	if a.Addr().Zone() == "" {
		return sockaddr(a)
	}
	err = n.inside(func() error {
		sa, err = sockaddr(a)
		return err
	})
	return sa, err
}

// netlink gives a netlink socket of the node, for the caller to close.
func (n *node) netlink() (*netlink.Handle, error) {
	var h *netlink.Handle
	err := n.inside(func() (err error) {
		h, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket in %s: %w", n.name, err)
	}
	return h, nil
}

// usable reports whether an address can stand for a node.
func usable(a netip.Addr, v6 bool) bool {
	return a.Is6() == v6 && !a.IsLinkLocalUnicast() && !a.IsLoopback() && !a.IsUnspecified()
}

// fileAddress is the first usable address that the file gives the interface;
// with "", any interface.
func (n *node) fileAddress(iface string, v6 bool) (netip.Addr, bool) {
	for _, in := range n.topo.Interfaces {
		if iface != "" && in.Name != iface {
			continue
		}
		for _, a := range in.Addresses {
			if usable(a.Prefix.Addr(), v6) {
				return a.Prefix.Addr(), true
			}
		}
	}
	return netip.Addr{}, false
}

// hasFamily reports whether the node has an address of a family: by the file,
// or, where that gives it none at all, by the kernel.
func (n *node) hasFamily(iface string, v6 bool) bool {
	if _, ok := n.fileAddress(iface, v6); ok {
		return true
	}
	if _, ok := n.fileAddress(iface, !v6); ok {
		return false
	}
	_, err := n.kernelAddress(iface, v6)
	return err == nil
}

// address is what stands for the node: the first usable address in file order,
// else the first that the kernel has.
func (n *node) address(iface string, v6 bool) (netip.Addr, error) {
	if a, ok := n.fileAddress(iface, v6); ok {
		return a, nil
	}
	return n.kernelAddress(iface, v6)
}

func (n *node) kernelAddress(iface string, v6 bool) (netip.Addr, error) {
	family, name := netlink.FAMILY_V4, "IPv4"
	if v6 {
		family, name = netlink.FAMILY_V6, "IPv6"
	}
	where := n.name
	if iface != "" {
		where += ":" + iface
	}
	h, err := n.netlink()
	if err != nil {
		return netip.Addr{}, err
	}
	defer h.Close()
	var link netlink.Link
	if iface != "" {
		if link, err = h.LinkByName(iface); err != nil {
			return netip.Addr{}, fmt.Errorf("look up %s: %w", where, err)
		}
	}
	list, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(link, family) })
	if err != nil {
		return netip.Addr{}, fmt.Errorf("read the addresses of %s: %w", where, err)
	}
	for _, x := range list {
		if a, ok := netip.AddrFromSlice(x.IP); ok && usable(a.Unmap(), v6) {
			return a.Unmap(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%s has no %s address", where, name)
}

// owns reports whether an address is one of the node's, by the file or by the
// kernel.
func (n *node) owns(a netip.Addr) bool {
	if topologyHas(n.topo, a) {
		return true
	}
	h, err := n.netlink()
	if err != nil {
		return false
	}
	defer h.Close()
	list, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(nil, netlinkFamily(a.Is6())) })
	return err == nil && slices.ContainsFunc(list, func(x netlink.Addr) bool { return x.IP.Equal(a.AsSlice()) })
}

// dump repeats a dump that was interrupted by a change.
func dump[T any](read func() ([]T, error)) (all []T, err error) {
	for range 10 {
		all, err = read()
		if err == nil || err != netlink.ErrDumpInterrupted {
			return all, err
		}
	}
	return nil, err
}

// index is that of an interface.
func (n *node) index(name string) (uint32, error) {
	h, err := n.netlink()
	if err != nil {
		return 0, err
	}
	defer h.Close()
	link, err := h.LinkByName(name)
	if err != nil {
		return 0, err
	}
	return uint32(link.Attrs().Index), nil
}
