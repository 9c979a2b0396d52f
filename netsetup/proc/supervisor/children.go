package supervisor

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nslab/netsetup/proc"
)

// children are the processes below the supervisor. It is their subreaper, so that
// what a process leaves behind becomes its child, too.
type children struct {
	mu      sync.Mutex
	waiting map[int]chan ending
}

// ending is how a process ended.
type ending struct {
	known  bool // false of one that was not our child
	status syscall.WaitStatus
}

// child is a process that is watched.
type child struct {
	pid   int
	start uint64 // as in proc.Process
	fd    int    // a pidfd; -1 where the process has ended already
	ended chan ending
}

// signal sends a signal; that the process has ended is no error.
func (c *child) signal(s unix.Signal) {
	if c.fd >= 0 {
		unix.PidfdSendSignal(c.fd, s, nil, 0)
	}
}

func (c *child) close() {
	if c.fd >= 0 {
		unix.Close(c.fd)
	}
}

// reap collects whatever ends, for as long as the program runs.
func (c *children) reap() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGCHLD)
	for {
		select {
		case <-signals:
		case <-time.After(time.Second): // one that came before Notify
		}
		c.mu.Lock()
		for {
			var status syscall.WaitStatus
			pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
			if err == syscall.EINTR {
				continue
			}
			if pid <= 0 {
				break
			}
			if ch := c.waiting[pid]; ch != nil {
				ch <- ending{true, status}
				delete(c.waiting, pid)
			}
		}
		c.mu.Unlock()
	}
}

// run starts a process, and watches it. Nothing is reaped meanwhile.
func (c *children) run(start func() (pid int, err error)) (*child, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pid, err := start()
	if err != nil {
		return nil, err
	}
	return c.watch(pid), nil
}

// adopt watches a process that runs already; nil where it does not any more.
func (c *children) adopt(p proc.Process) *child {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, err := proc.ReadProcess(p.PID)
	if err != nil || now.Start != p.Start || now.Zombie && now.Parent != os.Getpid() {
		return nil
	}
	if now.Parent == os.Getpid() {
		return c.watch(p.PID)
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return nil
	}
	k := &child{pid: p.PID, start: p.Start, fd: fd, ended: make(chan ending, 1)}
	go func() {
		for {
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			if err != unix.EINTR {
				k.ended <- ending{}
				return
			}
		}
	}()
	return k
}

// watch is for a child of this process that nobody has reaped.
func (c *children) watch(pid int) *child {
	k := &child{pid: pid, fd: -1, ended: make(chan ending, 1)}
	if p, err := proc.ReadProcess(pid); err == nil {
		k.start = p.Start
	}
	if fd, err := unix.PidfdOpen(pid, 0); err == nil {
		k.fd = fd
	}
	c.waiting[pid] = k.ended
	return k
}
