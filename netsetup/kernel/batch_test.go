package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/netns"
)

// inNamespace runs f on a work inside a new namespace, with lo as its link.
func inNamespace(t *testing.T, ops int, f func(w *work)) {
	t.Helper()
	var sock *socket
	h, err := netns.Make("batch", func() (err error) {
		sock, err = openSocket()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		sock.close()
		h.Close()
		if err := netns.Delete("batch"); err != nil {
			t.Error(err)
		}
	}()
	d := &doing{ops: make([]netsetup.Op, ops), errs: make([]error, ops)}
	f(newWork(d, &space{name: "batch", handle: h, sock: sock, links: []linkInfo{{index: loIndex, name: "lo"}}}, make([]byte, answerSize)))
}

func addressNumber(i int) *netsetup.Address {
	ip := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
	return &netsetup.Address{Link: "lo", Prefix: netip.PrefixFrom(ip, 32)}
}

func countAddresses(t *testing.T, w *work) (n int) {
	t.Helper()
	err := w.sp.sock.dump(addressRequest(unix.AF_INET), w.in, func() { n = 0 }, func(m message) error {
		n++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestBatch sends a thousand requests of which every seventh is refused.
func TestBatch(t *testing.T) {
	const n = 1000
	inNamespace(t, n, func(w *work) {
		for i := range n {
			a := addressNumber(i)
			if i%7 == 6 {
				a = addressNumber(i - 1)
			}
			if err := w.address(i, a, unix.NLM_F_CREATE|unix.NLM_F_EXCL); err != nil {
				t.Fatal(err)
			}
			if len(w.entries) >= maxRequests {
				t.Fatalf("%d requests wait", len(w.entries))
			}
		}
		w.flush()
		for i, err := range w.d.errs {
			if refused := errors.Is(err, unix.EEXIST); refused != (i%7 == 6) {
				t.Errorf("request %d: %v", i, err)
			}
		}
		if got, want := countAddresses(t, w), n-n/7; got != want {
			t.Errorf("%d addresses, want %d", got, want)
		}
	})
}

// TestLostAcknowledgements has a receive buffer that a batch overflows.
func TestLostAcknowledgements(t *testing.T) {
	const n = 300
	inNamespace(t, n, func(w *work) {
		if err := unix.SetsockoptInt(w.s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if err := w.address(i, addressNumber(i), unix.NLM_F_CREATE|unix.NLM_F_EXCL); err != nil {
				t.Fatal(err)
			}
		}
		w.flush()
		for i, err := range w.d.errs {
			if err != nil {
				t.Errorf("request %d: %v", i, err)
			}
		}
		if got := countAddresses(t, w); got != n {
			t.Errorf("%d addresses, want %d", got, n)
		}
		for i := range n {
			w.d.ops[i].Verb = netsetup.Delete
			if err := w.addressRequest(i, addressNumber(i), unix.RTM_DELADDR, 0); err != nil {
				t.Fatal(err)
			}
		}
		w.flush()
		if err := errors.Join(w.d.errs...); err != nil {
			t.Error(err)
		}
		if got := countAddresses(t, w); got != 0 {
			t.Errorf("%d addresses are left", got)
		}
	})
}

// TestInterruptedDump begins again, but not for ever.
func TestInterruptedDump(t *testing.T) {
	inNamespace(t, 1, func(w *work) {
		for _, bad := range []int{3, dumpTries} {
			resets := 0
			err := w.sp.sock.dump(linkRequest(), w.in, func() { resets++ }, func(m message) error {
				if resets <= bad {
					return errInterrupted
				}
				return nil
			})
			if bad < dumpTries && (err != nil || resets != bad+1) || bad == dumpTries && !errors.Is(err, errInterrupted) {
				t.Errorf("%d tries are spoilt: %d tries, error %v", bad, resets, err)
			}
		}
		refused := fmt.Errorf("refused")
		if err := w.sp.sock.dump(linkRequest(), w.in, func() {}, func(m message) error { return refused }); !errors.Is(err, refused) {
			t.Errorf("error %v", err)
		}
	})
}
