package kernel

import (
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
)

// spoken is what a kernel that is played says to one request: a list of datagrams,
// made with the number of the request.
type spoken func(seq uint32) [][]byte

// playKernel gives a socket whose other end is no kernel: it answers the n-th
// request with the n-th of answers, and those beyond with the last.
func playKernel(t *testing.T, answers ...spoken) *socket {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	patience := unix.NsecToTimeval(int64(100 * time.Millisecond))
	if err := unix.SetsockoptTimeval(ends[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, answerSize)
		for n := 0; ; n++ {
			size, err := unix.Read(ends[1], buf)
			if err != nil || size == 0 {
				return
			}
			for _, b := range answers[min(n, len(answers)-1)](native.Uint32(buf[8:])) {
				unix.Write(ends[1], b)
			}
		}
	}()
	s := &socket{fd: ends[0]}
	t.Cleanup(func() {
		s.close()
		<-ended
		unix.Close(ends[1])
	})
	return s
}

// say makes one message whose payload is a byte, repeated to four.
func say(typ, flags uint16, seq uint32, payload byte) []byte {
	var r request
	body := r.begin(typ, flags, seq, 4)
	for i := range body {
		body[i] = payload
	}
	r.end()
	return r.b
}

const aLink = unix.RTM_NEWLINK

// whole is a dump of three links; cut is one that changed in between, so that the
// second is missing.
func whole(seq uint32) [][]byte {
	return [][]byte{
		slices.Concat(say(aLink, unix.NLM_F_MULTI, seq, 1), say(aLink, unix.NLM_F_MULTI, seq, 2)),
		say(aLink, unix.NLM_F_MULTI, seq, 3),
		say(unix.NLMSG_DONE, unix.NLM_F_MULTI, seq, 0),
	}
}

func cut(seq uint32) [][]byte {
	return [][]byte{
		say(aLink, unix.NLM_F_MULTI, seq, 1),
		say(aLink, unix.NLM_F_MULTI|unix.NLM_F_DUMP_INTR, seq, 3),
		say(unix.NLMSG_DONE, unix.NLM_F_MULTI, seq, 0),
	}
}

func silent(uint32) [][]byte { return nil }

// TestDumpIsWholeOrAnError has dumps that are cut in every way: what is missing in
// one must never be taken for absent.
func TestDumpIsWholeOrAnError(t *testing.T) {
	cutAtTheEnd := func(seq uint32) [][]byte {
		all := whole(seq)
		all[1] = nil
		all[2] = say(unix.NLMSG_DONE, unix.NLM_F_MULTI|unix.NLM_F_DUMP_INTR, seq, 0)
		return slices.DeleteFunc(all, func(b []byte) bool { return b == nil })
	}
	noEnd := func(seq uint32) [][]byte { return whole(seq)[:2] }
	late := func(seq uint32) [][]byte { return append(whole(seq-1), whole(seq)...) }
	torn := func(seq uint32) [][]byte { b := say(aLink, 0, seq, 1); return [][]byte{b[:len(b)-2]} }
	refused := func(seq uint32) [][]byte {
		return [][]byte{say(aLink, unix.NLM_F_MULTI, seq, 1), say(unix.NLMSG_DONE, unix.NLM_F_MULTI, seq, 0xff)}
	}
	for _, c := range []struct {
		name     string
		answers  []spoken
		want     error // nil: all three links
		requests int
	}{
		{"whole", []spoken{whole}, nil, 1},
		{"cut once", []spoken{cut, whole}, nil, 2},
		{"cut in its last message", []spoken{cutAtTheEnd, whole}, nil, 2},
		{"cut again and again", []spoken{cut}, errInterrupted, dumpTries},
		{"behind an answer that was given up", []spoken{late}, nil, 1},
		{"without an end", []spoken{noEnd}, netsetup.ErrNoAnswer, 1},
		{"none", []spoken{silent}, netsetup.ErrNoAnswer, 1},
		{"torn", []spoken{torn}, errTruncated, 1},
		{"that fails in the midst", []spoken{refused}, unix.EPERM, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := playKernel(t, c.answers...)
			var links []byte
			resets := 0
			err := s.dump(linkRequest(), make([]byte, answerSize), func() { links = nil; resets++ }, func(m message) error {
				links = append(links, m.payload[0])
				return nil
			})
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if err == nil && !slices.Equal(links, []byte{1, 2, 3}) {
				t.Errorf("links %v", links)
			}
			if resets != c.requests {
				t.Errorf("asked %d times, want %d", resets, c.requests)
			}
		})
	}
}

// acknowledge answers each request of a batch that is one request long.
func acknowledge(seq uint32) [][]byte { return [][]byte{say(unix.NLMSG_ERROR, 0, seq, 0)} }

// TestNoAnswer has requests that are not answered: what became of them is not
// known, which is not that it was refused; and an answer that comes too late is not
// taken for that to the next.
func TestNoAnswer(t *testing.T) {
	outcome := func(s *socket) (got error) {
		b := batch{s: s, in: make([]byte, answerSize), settle: func(_ int, err error) { got = err }}
		b.begin(0, unix.RTM_NEWLINK, 0, unix.SizeofIfInfomsg)
		b.end()
		b.flush()
		return got
	}
	if err := outcome(playKernel(t, silent)); !errors.Is(err, netsetup.ErrNoAnswer) {
		t.Errorf("no answer gave %v", err)
	}
	refuseLate := func(seq uint32) [][]byte {
		return append([][]byte{say(unix.NLMSG_ERROR, 0, seq-1, 0xff)}, acknowledge(seq)...)
	}
	s := playKernel(t, silent, refuseLate)
	if err := outcome(s); !errors.Is(err, netsetup.ErrNoAnswer) {
		t.Errorf("no answer gave %v", err)
	}
	if err := outcome(s); err != nil {
		t.Errorf("behind a late answer: %v", err)
	}
}

// TestRepeat sends requests again whose answers were lost.
func TestRepeat(t *testing.T) {
	refuse := func(errno unix.Errno) spoken {
		return func(seq uint32) [][]byte {
			var r request
			native.PutUint32(r.begin(unix.NLMSG_ERROR, 0, seq, 4), uint32(-int32(errno)))
			r.end()
			return [][]byte{r.b}
		}
	}
	for _, c := range []struct {
		typ     uint16
		refusal unix.Errno
		done    bool
	}{
		{unix.RTM_NEWADDR, 0, true},
		{unix.RTM_NEWADDR, unix.EEXIST, true},
		{unix.RTM_NEWRULE, unix.EEXIST, true},
		{unix.RTM_NEWADDR, unix.ENODEV, false},
		{unix.RTM_DELRULE, unix.ENOENT, true},
		{unix.RTM_DELLINK, unix.ENODEV, true},
		{unix.RTM_DELROUTE, unix.ESRCH, true},
		{unix.RTM_DELADDR, unix.EPERM, false},
	} {
		var got error
		b := batch{s: playKernel(t, refuse(c.refusal)), in: make([]byte, answerSize), settle: func(_ int, err error) { got = err }}
		b.begin(0, c.typ, 0, unix.SizeofIfInfomsg)
		b.req.end()
		e := b.entries[0]
		e.end = len(b.req.b)
		b.repeat(e)
		if (got == nil) != c.done {
			t.Errorf("type %d, refused with %v: %v", c.typ, c.refusal, got)
		}
	}
}
