package netns

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// IDMaps are the texts of uid_map and gid_map, user_namespaces(7). Where one is
// empty, every number of this process's own user namespace stands for itself.
type IDMaps struct{ UIDs, GIDs string }

// enterOwned puts the calling thread into a new network namespace of a new user
// namespace. A child makes both, for only a process with one thread can; its maps
// are written from outside, where the privilege is.
func enterOwned(m *IDMaps) error {
	var ready [2]int
	if err := unix.Pipe2(ready[:], unix.O_CLOEXEC); err != nil {
		return Limit(err)
	}
	defer unix.Close(ready[0])
	write := os.NewFile(uintptr(ready[1]), "report")
	defer write.Close()
	made := &report{at: reportForked}
	w := &Way{}
	w.Unshare(unix.CLONE_NEWUSER)
	w.Call("end with nslab", nil, unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL))
	w.Unshare(unix.CLONE_NEWNET)
	w.Call("report", nil, unix.SYS_WRITE, ready[1], unsafe.Pointer(made), int(unsafe.Sizeof(*made)))
	// It waits to be killed. What is open here is open in other such children too:
	// the end of a pipe would not reach it.
	w.Call("wait", nil, unix.SYS_PPOLL, 0, 0, 0, 0, 0)
	c := &walk{calls: &w.calls[0], count: uintptr(len(w.calls)), out: uintptr(ready[1])}
	pid, err := fork(c)
	if err != nil {
		return fmt.Errorf("fork: %w", TaskLimit(err))
	}
	defer waitFor(pid)
	defer unix.Kill(pid, unix.SIGKILL)
	write.Close()
	var r report
	n, err := unix.Read(ready[0], unsafe.Slice((*byte)(unsafe.Pointer(&r)), unsafe.Sizeof(r)))
	runtime.KeepAlive(w)
	switch {
	case err != nil || n != int(unsafe.Sizeof(r)):
		return errors.Join(io.ErrUnexpectedEOF, err)
	case r.at != reportForked:
		err := w.failure(&r)
		if step := new(WayError); errors.As(err, &step) {
			step.Err = UserNamespaceError(step.Err)
		}
		return err
	}
	for _, file := range []struct{ name, text string }{{"uid_map", m.UIDs}, {"gid_map", m.GIDs}} {
		if file.text == "" {
			if file.text, err = identityMap(file.name); err != nil {
				return err
			}
		}
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/%s", pid, file.name), []byte(file.text), 0); err != nil {
			return fmt.Errorf("set the %s %q of the user namespace: %w", file.name, strings.TrimSpace(file.text), err)
		}
	}
	h, err := Open(fmt.Sprintf("pid:%d", pid))
	if err != nil {
		return err
	}
	defer h.Close()
	return h.enter()
}

// Owner opens the user namespace that the network belongs to, for the caller to
// close.
func (h *Handle) Owner() (fd int, err error) {
	fd, err = unix.IoctlRetInt(h.fd, unix.NS_GET_USERNS)
	if err != nil {
		return -1, fmt.Errorf("open the user namespace of the network: %w", Limit(err))
	}
	return fd, nil
}

// identityMap maps what this process's user namespace has to itself.
func identityMap(name string) (string, error) {
	own, err := os.ReadFile("/proc/self/" + name)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for line := range strings.Lines(string(own)) {
		if f := strings.Fields(line); len(f) == 3 {
			fmt.Fprintf(&b, "%s %s %s\n", f[0], f[0], f[2])
		}
	}
	return b.String(), nil
}
