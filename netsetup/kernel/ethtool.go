package kernel

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/failpoint"
)

// offloads are the pairs of ethtool(8) commands for each of netsetup.Offloads, in
// the order in which they are switched off: with checksums and scatter-gather
// gone, segmentation follows by itself. They are switched on the other way round.
var offloads = [...]struct {
	get, set uint32
	of       func(f *netsetup.Offloads) *bool
}{
	{unix.ETHTOOL_GTSO, unix.ETHTOOL_STSO, func(f *netsetup.Offloads) *bool { return &f.TSO }},
	{unix.ETHTOOL_GGSO, unix.ETHTOOL_SGSO, func(f *netsetup.Offloads) *bool { return &f.GSO }},
	{unix.ETHTOOL_GGRO, unix.ETHTOOL_SGRO, func(f *netsetup.Offloads) *bool { return &f.GRO }},
	{unix.ETHTOOL_GSG, unix.ETHTOOL_SSG, func(f *netsetup.Offloads) *bool { return &f.SG }},
	{unix.ETHTOOL_GTXCSUM, unix.ETHTOOL_STXCSUM, func(f *netsetup.Offloads) *bool { return &f.TX }},
}

// ethtoolValue is struct ethtool_value, linux/ethtool.h.
type ethtoolValue struct{ cmd, data uint32 }

// ethtoolRequest is struct ifreq with a pointer to a command.
type ethtoolRequest struct {
	name [unix.IFNAMSIZ]byte
	data *ethtoolValue
	_    [16]byte
}

// ethtool carries out one command on a link of the socket's namespace: any
// socket takes this ioctl.
func (s *socket) ethtool(link string, v *ethtoolValue) error {
	req := ethtoolRequest{data: v}
	copy(req.name[:unix.IFNAMSIZ-1], link)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s.fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req)))
	if errno != 0 {
		return errno
	}
	return nil
}

// offloads reads those of a link.
func (s *socket) offloads(link string) (f netsetup.Offloads, err error) {
	for _, o := range offloads {
		v := ethtoolValue{cmd: o.get}
		if err := s.ethtool(link, &v); err != nil {
			return f, err
		}
		*o.of(&f) = v.data != 0
	}
	return f, nil
}

// setOffloads switches those of a link, after the requests so far.
func (w *work) setOffloads(op int, l *netsetup.Link) {
	w.flush()
	var off, on []ethtoolValue
	for _, o := range offloads {
		if *o.of(l.Offloads) {
			on = append(on, ethtoolValue{cmd: o.set, data: 1})
		} else {
			off = append(off, ethtoolValue{cmd: o.set})
		}
	}
	slices.Reverse(on)
	for _, v := range append(off, on...) {
		if err := failpoint.Around("kernel.ethtool", func() error { return w.sp.sock.ethtool(l.Name, &v) }); err != nil {
			w.settle(op, err)
			return
		}
	}
}

// offloads reads those of the links of which any are wanted, or were.
func (o *observer) offloads() error {
	for _, n := range []*netsetup.Namespace{o.want, o.was} {
		if n == nil {
			continue
		}
		if err := o.offloadsOf(n.Links); err != nil {
			return err
		}
	}
	return nil
}

func (o *observer) offloadsOf(links []netsetup.Link) error {
	for i := range links {
		wanted := &links[i]
		if wanted.Offloads == nil {
			continue
		}
		info := o.links.byName(wanted.Name)
		if info == nil || info.at < 0 || o.ns.Links[info.at].Offloads != nil {
			continue
		}
		has, err := o.sp.sock.offloads(wanted.Name)
		if errors.Is(err, unix.ENODEV) {
			return errStale
		}
		if err != nil {
			return fmt.Errorf("read offloads of %s: %w", wanted.Name, err)
		}
		o.ns.Links[info.at].Offloads = &has
	}
	return nil
}
