package probe

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"nslab/topology"
)

// watch is a packet socket in every node of the lab, which sees what comes in and
// goes out by all interfaces: what the driver hands over, before any filter, and
// what it is given, after all of them; packet(7).
type watch struct {
	nodes []*node
	fds   []int
}

// sighting is a packet that was seen at an interface.
type sighting struct {
	glimpse
	node    *node
	index   int  // of the interface
	out     bool // it left there
	foreign bool // it came in for another MAC address
	when    time.Time
}

// caught is how much of a packet is kept, in bytes: the headers of an error and
// of the packet that it is about, and what an echo is known by.
const caught = 256

// openWatch opens the sockets for the packets that a verb sends and what may come
// back.
func (r *runner) openWatch(verb string) (*watch, error) {
	protocols := [2]int{unix.IPPROTO_TCP, unix.IPPROTO_TCP} // of IPv4 and IPv6
	switch verb {
	case topology.Ping, topology.Path, topology.MTU:
		protocols = [2]int{unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6}
	case topology.UDP, topology.DNS:
		protocols = [2]int{unix.IPPROTO_UDP, unix.IPPROTO_UDP}
	}
	if len(r.lab.Nodes) > r.files/2 {
		return nil, fmt.Errorf("the lab has %d nodes, more than files may be open: raise the limit (ulimit -n)", len(r.lab.Nodes))
	}
	w := &watch{}
	for i, n := range r.lab.Nodes {
		n := r.nodes[n.Name]
		if i == 0 {
			n.inside(func() error { awaitTimestamps(); return nil }) // by which read sorts
		}
		var fd int
		err := n.inside(func() (err error) {
			fd, err = openPacket(protocols)
			return err
		})
		if err != nil {
			w.close()
			return nil, fmt.Errorf("%s: open a packet socket: %s", n.name, errnoText(err))
		}
		w.nodes, w.fds = append(w.nodes, n), append(w.fds, fd)
	}
	return w, nil
}

// openPacket opens a socket in the namespace of the calling thread.
func openPacket(protocols [2]int) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	growReceiveBuffer(fd)
	err = attachFilter(fd, probeFilter(protocols))
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL)})
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func networkOrder(v uint16) uint16 { return v<<8 | v>>8 }

// probeFilter passes packets of a protocol, and errors of ICMP. The data begin
// with the IP header.
func probeFilter(protocols [2]int) []bpf.Instruction {
	const version4, version6, protocol4, protocol6 = 4, 6, 9, 6
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: version4, SkipFalse: 4},
		bpf.LoadAbsolute{Off: protocol4, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(protocols[0]), SkipTrue: 7},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_ICMP, SkipTrue: 6},
		bpf.RetConstant{Val: 0},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: version6, SkipTrue: 5},
		bpf.LoadAbsolute{Off: protocol6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(protocols[1]), SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_ICMPV6, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_FRAGMENT, SkipTrue: 1},
		bpf.RetConstant{Val: caught},
		bpf.RetConstant{Val: 0},
	}
}

// read gives what was seen since the last time, in order; and how many packets
// did not fit in the buffers.
func (w *watch) read() (seen []sighting, missed uint32) {
	var data [caught]byte
	var control [64]byte
	for i, fd := range w.fds {
		for {
			n, nc, _, from, err := unix.Recvmsg(fd, data[:], control[:], unix.MSG_DONTWAIT)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				break
			}
			g, ok := glimpseOf(data[:n])
			at, is := from.(*unix.SockaddrLinklayer)
			if !ok || !is {
				continue
			}
			seen = append(seen, sighting{
				glimpse: g, node: w.nodes[i], index: at.Ifindex, when: timestamp(control[:nc]),
				out: at.Pkttype == unix.PACKET_OUTGOING, foreign: at.Pkttype == unix.PACKET_OTHERHOST,
			})
		}
		if d, err := dropped(fd); err == nil {
			missed += d
		}
	}
	slices.SortStableFunc(seen, func(a, b sighting) int { return cmp.Compare(a.when.UnixNano(), b.when.UnixNano()) })
	return seen, missed
}

// timestamp is the kernel's time of a packet; zero where there is none.
func timestamp(control []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return time.Time{}
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			return time.Unix((*unix.Timespec)(unsafe.Pointer(&m.Data[0])).Unix())
		}
	}
	return time.Time{}
}

// closersAtOnce is how many sockets are closed at a time: each close waits for a
// grace period of RCU (net/packet/af_packet.c:packet_release), which they share.
const closersAtOnce = 64

func (w *watch) close() {
	var wg sync.WaitGroup
	slots := make(chan struct{}, closersAtOnce)
	for _, fd := range w.fds {
		slots <- struct{}{}
		wg.Add(1)
		go func() {
			defer wg.Done()
			unix.Close(fd)
			<-slots
		}()
	}
	wg.Wait()
}
