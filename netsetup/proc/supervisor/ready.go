package supervisor

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/netns"
)

// readyPause is between two looks at whether a process is ready.
const readyPause = 20 * time.Millisecond

// grace is how long a process of which the file does not say when it is ready
// must have run: many that cannot do their work end at once.
const grace = 50 * time.Millisecond

// waitReady waits until the process c is ready; the error is that ctx has ended.
func (p *process) waitReady(ctx context.Context, c *child, from int64) error {
	r := p.spec.Ready
	if r == nil {
		return sleep(ctx, grace)
	}
	var look func() bool
	switch {
	case r.TCP != 0:
		look = func() bool { return listens(p.machine.Lab+"."+p.machine.Node, r.TCP) }
	case r.File != "":
		look = func() bool { return exists(c.pid, r.File) }
	case r.Exec != nil:
		look = func() bool { return p.succeeds(ctx, r.Exec) }
	default:
		want, err := regexp.Compile(r.Log)
		if err != nil {
			return err
		}
		t := &Tail{path: p.log(), offset: from}
		look = func() bool {
			lines, _ := t.Lines()
			for _, l := range append(lines, string(t.rest)) {
				if want.MatchString(l) {
					return true
				}
			}
			return false
		}
	}
	for !look() {
		if err := sleep(ctx, readyPause); err != nil {
			return err
		}
	}
	return nil
}

// whatIsReady says what a process was waited for, for messages.
func whatIsReady(r *netsetup.Ready) string {
	switch {
	case r == nil:
		return "it does not keep running"
	case r.TCP != 0:
		return fmt.Sprintf("nothing listens on TCP port %d of the node", r.TCP)
	case r.File != "":
		return fmt.Sprintf("there is no %s in the node", r.File)
	case r.Exec != nil:
		return fmt.Sprintf("`%s` does not succeed", strings.Join(r.Exec, " "))
	}
	return fmt.Sprintf("no line that it wrote matches %q", r.Log)
}

// sleep waits; the error is that ctx has ended.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// listens reports whether a socket in a namespace listens on a TCP port. That is
// what a connection would need, and nobody sees a connection of which the server
// knows nothing.
func listens(namespace string, port int) bool {
	h, err := netns.Open(namespace)
	if err != nil {
		return false
	}
	defer h.Close()
	found := false
	err = netns.Do(h, func() error {
		for _, table := range []string{"tcp", "tcp6"} {
			f, err := os.Open("/proc/thread-self/net/" + table)
			if err != nil {
				continue // there is no IPv6
			}
			defer f.Close()
			// proc_pid_net(5): the local address, as hexadecimal ADDRESS:PORT, is field
			// 2, the state field 4; 0A is TCP_LISTEN.
			for s := bufio.NewScanner(f); s.Scan(); {
				fields := strings.Fields(s.Text())
				if len(fields) < 4 || fields[3] != "0A" {
					continue
				}
				_, hex, _ := strings.Cut(fields[1], ":")
				n, err := strconv.ParseUint(hex, 16, 16)
				found = found || err == nil && int(n) == port
			}
		}
		return nil
	})
	return err == nil && found
}

// exists reports whether there is a file as a process sees the files.
func exists(pid int, path string) bool {
	root, err := unix.Open(fmt.Sprintf("/proc/%d/root", pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

// succeeds runs a program of the node, with nowhere to write to, and reports
// whether it ends with 0. It is ended when ctx is.
func (p *process) succeeds(ctx context.Context, argv []string) bool {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return false
	}
	defer null.Close()
	c, err := p.s.children.run(func() (int, error) { return p.start(argv, null, "") })
	if err != nil {
		return false
	}
	defer c.close()
	select {
	case e := <-c.ended:
		return e.known && e.status.ExitStatus() == 0
	case <-ctx.Done():
		c.signal(unix.SIGKILL)
		<-c.ended
		return false
	}
}
