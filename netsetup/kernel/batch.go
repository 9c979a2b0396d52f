package kernel

import (
	"errors"

	"golang.org/x/sys/unix"

	"nslab/netsetup/failpoint"
)

const (
	// maxRequests is how many requests travel in one write: beyond about 256
	// acknowledgements a receive buffer of the usual size overflows.
	maxRequests = 128

	// maxBytes ends a batch of long requests early, well within the usual
	// send buffer of 208 KiB.
	maxBytes = 48 << 10
)

// batch collects requests to one socket and sends them together. It is not a
// transaction: the kernel carries out every request, whatever became of those
// before it.
type batch struct {
	s       *socket
	req     request
	in      []byte // answers
	entries []entry

	// settle gets the outcome of each request: nil, or a *refusal, or what
	// kept the request from being sent.
	settle func(op int, err error)
}

// entry is one request of a batch.
type entry struct {
	op         int // what the caller knows it by
	seq        uint32
	start, end int // in batch.req
}

// begin starts a request, which belongs to op; see request.begin.
func (b *batch) begin(op int, typ, flags uint16, n int) (*request, []byte) {
	seq := b.s.nextSeq()
	body := b.req.begin(typ, unix.NLM_F_ACK|flags, seq, n)
	b.entries = append(b.entries, entry{op: op, seq: seq, start: b.req.start})
	return &b.req, body
}

// end finishes the request, and sends all where there are enough.
func (b *batch) end() {
	b.req.end()
	b.entries[len(b.entries)-1].end = len(b.req.b)
	if len(b.entries) == maxRequests || len(b.req.b) >= maxBytes {
		b.flush()
	}
}

// raw appends a message of the kernel's as a request of another type.
func (b *batch) raw(op int, typ, flags uint16, payload []byte) {
	r, _ := b.begin(op, typ, flags, 0)
	r.b = append(r.b, payload...)
	r.b = append(r.b, make([]byte, align(len(payload))-len(payload))...)
	b.end()
}

// flush sends what there is and waits for all the outcomes.
func (b *batch) flush() {
	if len(b.entries) > 0 {
		err := failpoint.Around("kernel.batch", func() error {
			b.exchange(b.entries, b.req.b, true)
			return nil
		})
		if err != nil {
			b.settleAll(b.entries, err)
		}
	}
	b.req.b, b.entries = b.req.b[:0], b.entries[:0]
}

// exchange sends the requests that out consists of. Where acknowledgements are
// lost (ENOBUFS) although everything was carried out, those without an outcome
// are sent once more, one by one, if again is set.
func (b *batch) exchange(entries []entry, out []byte, again bool) {
	if err := b.s.send(out); err != nil {
		b.settleAll(entries, err)
		return
	}
	for len(entries) > 0 {
		in, err := b.s.receive(b.in)
		switch {
		case errors.Is(err, unix.ENOBUFS) && again:
			b.s.drain(b.in)
			for _, e := range entries {
				b.repeat(e)
			}
			return
		case err != nil:
			b.settleAll(entries, err)
			return
		}
		for len(in) > 0 && len(entries) > 0 {
			var m message
			if m, in, err = nextMessage(in); err != nil {
				b.settleAll(entries, err)
				return
			}
			if m.typ != unix.NLMSG_ERROR {
				continue
			}
			// They come in the order of the requests; other numbers belong
			// to exchanges that were given up.
			if m.seq == entries[0].seq {
				b.settle(entries[0].op, refusalOf(m))
				entries = entries[1:]
			}
		}
	}
}

// repeat sends a request again whose outcome was lost. That it was carried out
// the first time shows in the refusal of the second (what is to be made is there,
// what is to be deleted is not), which is therefore none. Were it another's doing,
// reading back would show it.
func (b *batch) repeat(e entry) {
	out := b.req.b[e.start:e.end]
	e.seq = b.s.nextSeq()
	native.PutUint32(out[8:], e.seq)
	// rtnetlink numbers its types in fours: new, delete, get, set.
	deletes := native.Uint16(out[4:])&3 == unix.RTM_DELLINK&3
	settle := b.settle
	b.settle = func(op int, err error) {
		if deletes && isGone(err) || !deletes && errors.Is(err, unix.EEXIST) {
			err = nil
		}
		settle(op, err)
	}
	b.exchange([]entry{e}, out, false)
	b.settle = settle
}

func (b *batch) settleAll(entries []entry, err error) {
	for _, e := range entries {
		b.settle(e.op, err)
	}
}
