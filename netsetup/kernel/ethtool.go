package kernel

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/failpoint"
)

// offloads are the pairs of ethtool(8) commands for what `offloads: off`
// switches off, in this order: with checksums and scatter-gather gone,
// segmentation follows by itself.
var offloads = [...]struct{ get, set uint32 }{
	{unix.ETHTOOL_GTSO, unix.ETHTOOL_STSO},
	{unix.ETHTOOL_GGSO, unix.ETHTOOL_SGSO},
	{unix.ETHTOOL_GGRO, unix.ETHTOOL_SGRO},
	{unix.ETHTOOL_GSG, unix.ETHTOOL_SSG},
	{unix.ETHTOOL_GTXCSUM, unix.ETHTOOL_STXCSUM},
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

// hasNoOffloads reports whether all offloads of a link are off.
func (s *socket) hasNoOffloads(link string) (bool, error) {
	for _, o := range offloads {
		v := ethtoolValue{cmd: o.get}
		if err := s.ethtool(link, &v); err != nil {
			return false, err
		}
		if v.data != 0 {
			return false, nil
		}
	}
	return true, nil
}

// noOffloads switches them off, after the requests so far.
func (w *work) noOffloads(op int, link string) {
	w.flush()
	for _, o := range offloads {
		err := failpoint.Around("kernel.ethtool", func() error { return w.sp.sock.ethtool(link, &ethtoolValue{cmd: o.set}) })
		if err != nil {
			w.settle(op, err)
			return
		}
	}
}

// offloads reads those of the links of which they are wanted off, or were.
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
		if wanted.NoOffloads == nil {
			continue
		}
		info := o.links.byName(wanted.Name)
		if info == nil || info.at < 0 || o.ns.Links[info.at].NoOffloads != nil {
			continue
		}
		off, err := o.sp.sock.hasNoOffloads(wanted.Name)
		if errors.Is(err, unix.ENODEV) {
			return errStale
		}
		if err != nil {
			return fmt.Errorf("read offloads of %s: %w", wanted.Name, err)
		}
		o.ns.Links[info.at].NoOffloads = &off
	}
	return nil
}
