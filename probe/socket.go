package probe

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// receiveBuffer is what raw sockets ask for, in bytes. Where the host allows
// less (net.core.rmem_max, without CAP_NET_ADMIN on the host) they get less.
const receiveBuffer = 4 << 20

func growReceiveBuffer(fd int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer) // at worst it stays as it was
	}
}

// sendBuffer is what a socket asks for that sends as much as a link takes, in
// bytes; as receiveBuffer.
const sendBuffer = 1 << 20

func growSendBuffer(fd int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer) // at worst it stays as it was
	}
}

// keepTimestamps opens a socket that has the kernel write the time on all packets
// as long as it is open. The kernel begins to some time after it is asked to; a
// packet without a time gets that of being read (net/socket.c:__sock_recv_timestamp).
func keepTimestamps() (fd int, err error) {
	if fd, err = newSocket(false, unix.SOCK_DGRAM, 0); err != nil {
		return -1, err
	}
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("ask for the times of packets: %s", errnoText(err))
	}
	return fd, nil
}

// stampTime bounds how long awaitTimestamps waits.
const stampTime = 500 * time.Millisecond

// awaitTimestamps waits until packets get their time when they are received, not
// when they are read. The calling thread is in a namespace whose lo is up; where it
// is not, nothing is known and there is no wait.
func awaitTimestamps() {
	fd, err := newSocket(false, unix.SOCK_DGRAM, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) != nil ||
		unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}) != nil {
		return
	}
	to, err := unix.Getsockname(fd)
	if err != nil {
		return
	}
	var data, control [64]byte
	for begin := time.Now(); time.Since(begin) < stampTime; {
		if unix.Sendto(fd, data[:1], 0, to) != nil {
			return
		}
		sent := time.Now()
		time.Sleep(time.Millisecond)
		_, n, _, _, err := unix.Recvmsg(fd, data[:], control[:], unix.MSG_DONTWAIT)
		if err != nil || timestamp(control[:n]).Before(sent) {
			return
		}
	}
}

// dropped is how many packets a socket lost because its buffer was full.
func dropped(fd int) (uint32, error) {
	var info [9]uint32 // SK_MEMINFO_VARS of linux/sock_diag.h
	const drops = 8    // SK_MEMINFO_DROPS
	size := uint32(len(info) * 4)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, errno
	}
	return info[drops], nil
}

func socketFamily(v6 bool) int {
	if v6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// newSocket opens a socket in the namespace of the calling thread.
func newSocket(v6 bool, kind, protocol int) (int, error) {
	fd, err := unix.Socket(socketFamily(v6), kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return -1, fmt.Errorf("open a socket: %s", errnoText(err))
	}
	return fd, nil
}

// bindTo gives a socket an address of the node, and a port or 0.
func bindTo(fd int, a netip.AddrPort) error {
	if !a.Addr().Is6() {
		// The port is chosen with the target, so that many can share one.
		unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	}
	sa, err := sockaddr(a)
	if err != nil {
		return err
	}
	return unix.Bind(fd, sa)
}

// sockaddr is an address for the kernel. A zone is looked up in the namespace
// of the calling thread.
func sockaddr(a netip.AddrPort) (unix.Sockaddr, error) {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, nil
	}
	sa := &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	if zone := a.Addr().Zone(); zone != "" {
		in, err := net.InterfaceByName(zone)
		if err != nil {
			return nil, fmt.Errorf("look up interface %s: %w", zone, err)
		}
		sa.ZoneId = uint32(in.Index)
	}
	return sa, nil
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// sendError says what it means that the sender's own kernel refuses a request.
func sendError(node string, err error) result {
	text := errnoText(err)
	var errno unix.Errno
	if errors.As(err, &errno) {
		switch errno {
		case unix.EPERM:
			return result{seen: lost, what: fmt.Sprintf("the kernel of %s dropped it: %s, as a firewall rule for output does", node, text)}
		case unix.EINVAL:
			return result{seen: lost, what: fmt.Sprintf("the kernel of %s dropped it: %s, as a blackhole route does", node, text)}
		case unix.EMSGSIZE:
			return result{seen: refused, what: fmt.Sprintf("the kernel of %s refused it: %s: it is larger than the MTU of the interface", node, text)}
		case unix.EACCES, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ENETDOWN, unix.EHOSTDOWN, unix.ECONNREFUSED:
			return result{seen: refused, what: fmt.Sprintf("the kernel of %s refused it: %s", node, text)}
		}
	}
	res := broken("send from %s: %s", node, text)
	res.busy = errno == unix.ENOBUFS
	return res
}

// errnoText is an errno with its name.
func errnoText(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		if name := unix.ErrnoName(errno); name != "" {
			return fmt.Sprintf("%s (%s)", errno.Error(), name)
		}
	}
	return err.Error()
}
