package netns

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"nslab/netsetup/bug"
)

// maxIdle is how many threads wait for further work. Beyond it a thread ends
// with its work.
const maxIdle = 8

// thread is an operating-system thread that runs only what this package gives
// it. While it waits it is in the namespace of the process, for a thread in a
// namespace keeps that alive.
type thread struct {
	work chan work // of capacity 1
}

type work struct {
	fn   func() error
	done chan<- error // of capacity 1
}

var threads struct {
	sync.Mutex
	idle []*thread
}

// home is the namespace of the process; it stays open.
var home = sync.OnceValues(Current)

// onThread runs fn on a thread of the pool. fn may leave the thread in any
// network namespace, and change nothing else of it.
func onThread(fn func() error) error {
	if _, err := home(); err != nil {
		return err
	}
	threads.Lock()
	var t *thread
	if n := len(threads.idle); n > 0 {
		t = threads.idle[n-1]
		threads.idle = threads.idle[:n-1]
	}
	threads.Unlock()
	if t == nil {
		t = &thread{work: make(chan work, 1)}
		lockedThread(t.serve)
	}
	done := make(chan error, 1)
	t.work <- work{fn, done}
	return <-done
}

// lockedThread runs fn on a thread that is never the process's main one, since
// /proc/self tells of that one. The thread ends with fn: the runtime discards
// the thread of a goroutine that exits locked.
func lockedThread(fn func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			fn()
			return
		}
		locked := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(locked)
			fn()
		}()
		<-locked
		runtime.UnlockOSThread()
	}()
}

func (t *thread) serve() {
	for w := range t.work {
		if !t.do(w) {
			return
		}
	}
}

// errGoexit is reported where fn ended its goroutine, as testing's FailNow does.
var errGoexit = errors.New("the function given to package netns called runtime.Goexit")

// do carries out w and says whether the thread waits for more. It is idle
// before the result is out, so that the next caller finds it. A panic is w's
// result: of a thread's own it would end the program before anything is undone.
func (t *thread) do(w work) (again bool) {
	err := errGoexit
	defer func() { w.done <- err }()
	result := bug.Guard(w.fn)
	err = result

	h, _ := home()
	if bug.In(err) != nil || unix.Setns(h.fd, unix.CLONE_NEWNET) != nil {
		return false
	}
	threads.Lock()
	defer threads.Unlock()
	if len(threads.idle) == maxIdle {
		return false
	}
	threads.idle = append(threads.idle, t)
	return true
}

func (h *Handle) enter() error {
	if err := unix.Setns(h.fd, unix.CLONE_NEWNET); err != nil {
		if errors.Is(err, unix.EPERM) {
			err = needRoot("entering a network namespace is not permitted", err)
		}
		return fmt.Errorf("enter network namespace (inode %d): %w", h.inode, err)
	}
	return nil
}

// Do runs fn on a thread inside h and returns its error. Sockets that fn opens
// stay in h, as do files under /proc/thread-self/net and /proc/sys/net. fn must
// not start processes nor change the thread in other ways; goroutines that it
// starts do not run in h.
func Do(h *Handle, fn func() error) error {
	return onThread(func() error {
		if err := h.enter(); err != nil {
			return err
		}
		return fn()
	})
}

// DoEach runs fn(i) inside hs[i] for every i, on as many threads as workers
// says (at least one). It does not stop at an error; those of all are joined in
// the order of hs.
func DoEach(hs []*Handle, workers int, fn func(i int) error) error {
	errs := make([]error, len(hs))
	err := spread(len(hs), workers, func(i int) bool {
		if errs[i] = hs[i].enter(); errs[i] == nil {
			errs[i] = fn(i)
		}
		return true
	})
	return errors.Join(append(errs, err)...)
}

// spread calls fn(i) for 0 <= i < n in order, on that many threads of the pool,
// until one says false.
func spread(n, workers int, fn func(i int) bool) error {
	workers = max(1, min(workers, n))
	var next atomic.Int64
	var stop atomic.Bool
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs[w] = onThread(func() error {
				for !stop.Load() {
					i := int(next.Add(1)) - 1
					if i >= n {
						break
					}
					if !fn(i) {
						stop.Store(true)
					}
				}
				return nil
			})
		}()
	}
	wg.Wait()
	return errors.Join(errs...)
}
