package kernel

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"nslab/netsetup/netns"

	"nslab/netsetup"
)

const (
	// answerTimeout bounds the wait for one answer. The kernel answers while
	// it works on the request, so that an answer this late is a lost one.
	answerTimeout = 20 // seconds

	// receiveBuffer holds the acknowledgements of a full batch: a queued one
	// takes 768 bytes of it, 1280 with a message (measured).
	receiveBuffer = 256 << 10

	// answerSize is more than the 32 KiB that the kernel puts into one read
	// of a dump (net/netlink/af_netlink.c:netlink_recvmsg).
	answerSize = 64 << 10

	// dumpTries bounds how often a dump is begun again that the kernel says
	// was inconsistent.
	dumpTries = 20
)

// A socket speaks netlink to the namespace that it was opened in. It is not
// safe for concurrent use.
type socket struct {
	fd  int
	seq uint32
}

// openSocket opens one for rtnetlink(7) in the namespace of the calling thread.
func openSocket() (*socket, error) { return openNetlink(unix.NETLINK_ROUTE) }

func openNetlink(protocol int) (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, os.NewSyscallError("open a netlink socket", netns.Limit(err))
	}
	s := &socket{fd: fd}
	if err := s.configure(); err != nil {
		s.close()
		return nil, fmt.Errorf("configure a netlink socket: %w", err)
	}
	return s, nil
}

func (s *socket) configure() error {
	for _, option := range []int{unix.NETLINK_EXT_ACK, unix.NETLINK_CAP_ACK, unix.NETLINK_GET_STRICT_CHK} {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, option, 1); err != nil {
			return err
		}
	}
	// Beyond net.core.rmem_max only with privilege over the host. What is
	// there without either suffices for a batch in the usual case.
	if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	return unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: answerTimeout})
}

func (s *socket) close() {
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
}

// nextSeq numbers a request.
func (s *socket) nextSeq() uint32 {
	s.seq++
	return s.seq
}

func (s *socket) send(b []byte) error {
	for {
		_, err := unix.Write(s.fd, b)
		if err == unix.EINTR {
			continue
		}
		return os.NewSyscallError("send a netlink request", err)
	}
}

// errNoAnswer says that the kernel was silent for answerTimeout.
var errNoAnswer = fmt.Errorf("%w within %d s", netsetup.ErrNoAnswer, answerTimeout)

// receive reads the next answer into buf.
func (s *socket) receive(buf []byte) ([]byte, error) {
	for {
		n, err := unix.Read(s.fd, buf)
		switch err {
		case nil:
			return buf[:n], nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return nil, errNoAnswer
		}
		return nil, os.NewSyscallError("receive a netlink answer", err)
	}
}

// drain throws away what is queued.
func (s *socket) drain(buf []byte) {
	for {
		_, _, err := unix.Recvfrom(s.fd, buf, unix.MSG_DONTWAIT)
		if err != nil && err != unix.EINTR && err != unix.ENOBUFS {
			return
		}
	}
}

// refusal is the kernel's no to one request.
type refusal struct {
	errno   unix.Errno
	message string // NLMSGERR_ATTR_MSG; may be empty
}

func (e *refusal) Error() string {
	if e.message == "" {
		return e.errno.Error()
	}
	return e.errno.Error() + " (" + e.message + ")"
}

func (e *refusal) Unwrap() error { return e.errno }

// refusalOf reads a message of type NLMSG_ERROR; nil is an acknowledgement.
func refusalOf(m message) error {
	if len(m.payload) < 4 {
		return errTruncated
	}
	errno := -int32(native.Uint32(m.payload))
	if errno == 0 {
		return nil
	}
	return &refusal{unix.Errno(errno), extendedMessage(m, 4+unix.SizeofNlMsghdr)}
}

// extendedMessage is the text among the attributes behind the first n bytes,
// which, with NETLINK_CAP_ACK, are all that comes before them.
func extendedMessage(m message, n int) string {
	if m.flags&unix.NLM_F_ACK_TLVS == 0 {
		return ""
	}
	for a := attributes(m.payload, n); a.next(); {
		if a.typ == unix.NLMSGERR_ATTR_MSG {
			return a.str()
		}
	}
	return ""
}

// ask sends one request, whose number is the socket's latest, and gives its one
// answer, which is valid until buf is used again.
func (s *socket) ask(req, buf []byte) (message, error) {
	if err := s.send(req); err != nil {
		return message{}, err
	}
	for {
		b, err := s.receive(buf)
		if err != nil {
			return message{}, err
		}
		for len(b) > 0 {
			var m message
			if m, b, err = nextMessage(b); err != nil {
				return m, err
			}
			if m.seq != s.seq {
				continue
			}
			if m.typ == unix.NLMSG_ERROR {
				return m, refusalOf(m)
			}
			return m, nil
		}
	}
}

// errInterrupted says that what is dumped changed meanwhile.
var errInterrupted = errors.New("changed while it was read")

// dump sends the one request in req, which asks for a dump, and calls each for
// every message of the answer. It begins again where the kernel says that the
// answer is inconsistent, or was lost; reset is called before each beginning.
// The payload is valid during the call alone.
func (s *socket) dump(req *request, buf []byte, reset func(), each func(m message) error) error {
	var err error
	for range dumpTries {
		reset()
		native.PutUint32(req.b[8:], s.nextSeq())
		err = s.dumpOnce(req.b, buf, each)
		if !errors.Is(err, errInterrupted) && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
		s.drain(buf)
	}
	return fmt.Errorf("read %d times: %w", dumpTries, err)
}

func (s *socket) dumpOnce(req, buf []byte, each func(m message) error) error {
	if err := s.send(req); err != nil {
		return err
	}
	var failed error
	for {
		b, err := s.receive(buf)
		if err != nil {
			return err
		}
		for len(b) > 0 {
			var m message
			if m, b, err = nextMessage(b); err != nil {
				return err
			}
			if m.seq != s.seq {
				continue // the rest of an answer that was given up
			}
			if m.flags&unix.NLM_F_DUMP_INTR != 0 {
				failed = errInterrupted
			}
			switch m.typ {
			case unix.NLMSG_ERROR:
				return refusalOf(m)
			case unix.NLMSG_DONE:
				return errors.Join(failed, doneError(m))
			case unix.NLMSG_NOOP, unix.NLMSG_OVERRUN:
				continue
			}
			if failed == nil {
				failed = each(m)
			}
		}
	}
}

// doneError reads the errno that the end of a dump carries.
func doneError(m message) error {
	if len(m.payload) < 4 {
		return nil
	}
	errno := -int32(native.Uint32(m.payload))
	if errno <= 0 {
		return nil
	}
	return &refusal{unix.Errno(errno), extendedMessage(m, 4)}
}
