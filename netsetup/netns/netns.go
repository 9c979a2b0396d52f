// Package netns makes, publishes, opens, deletes and enters network namespaces.
// It is the only code of the program that calls setns(2) and unshare(2).
//
// It knows threads, /run/netns (as ip-netns(8) keeps it, so that both programs
// see and delete each other's namespaces) and, for those without privilege, the
// process that keeps a user's namespaces. It must not know what is in a
// namespace, nor what a lab is.
package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Dir is where named network namespaces are published: each is an nsfs file
// bind-mounted on an empty file there, see ip-netns(8).
const Dir = "/run/netns"

// Handle is an open network namespace. It keeps the namespace alive until it is
// closed. It may be used from several goroutines; Close may not run beside
// other uses.
type Handle struct {
	fd    int
	inode uint64
}

// FD is the open file descriptor, good for IFLA_NET_NS_FD and setns(2); it
// stays the handle's.
func (h *Handle) FD() int { return h.fd }

// Inode is the namespace's inode number, which /proc/PID/ns/net and lsns(8) show.
func (h *Handle) Inode() uint64 { return h.inode }

// Close gives the descriptor back. A second Close is an error.
func (h *Handle) Close() error {
	if h.fd < 0 {
		return fs.ErrClosed
	}
	fd := h.fd
	h.fd = -1
	return unix.Close(fd)
}

// Current opens the namespace that the process runs in: that of its main
// thread, which this package never moves.
func Current() (*Handle, error) {
	h, err := openPath("/proc/self/ns/net", 0)
	if err != nil {
		return nil, fmt.Errorf("open the network namespace of this process: %w", err)
	}
	return h, nil
}

// Open opens a namespace by a name under Dir, by an absolute path, or by
// "pid:N", the namespace of process N. The error names ref and wraps
// fs.ErrNotExist where there is none.
func Open(ref string) (*Handle, error) {
	path, err := refPath(ref)
	if err == nil {
		var h *Handle
		if h, err = openPath(path, 0); err == nil {
			return h, nil
		}
	}
	return nil, fmt.Errorf("open network namespace %q: %w", ref, err)
}

func refPath(ref string) (string, error) {
	if pid, ok := strings.CutPrefix(ref, "pid:"); ok {
		n, err := strconv.ParseUint(pid, 10, 31)
		if err != nil || n == 0 {
			return "", fmt.Errorf("%q is not a process number", pid)
		}
		return fmt.Sprintf("/proc/%d/ns/net", n), nil
	}
	if filepath.IsAbs(ref) {
		return ref, nil
	}
	return namePath(ref)
}

// ErrNotNetwork is why a path that leads elsewhere cannot be opened.
var ErrNotNetwork = errors.New("is not a network namespace")

// openPath looks before it opens, since opening a FIFO blocks and opening a
// device can do anything. flags can be O_NOFOLLOW.
func openPath(path string, flags int) (*Handle, error) {
	at, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		return nil, Limit(err)
	}
	defer unix.Close(at)
	var sfs unix.Statfs_t
	if err := unix.Fstatfs(at, &sfs); err != nil {
		return nil, err
	}
	if sfs.Type != unix.NSFS_MAGIC {
		return nil, ErrNotNetwork
	}
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(at), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, Limit(err)
	}
	h, err := newHandle(fd)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return h, nil
}

// newHandle takes over fd, which is in nsfs.
func newHandle(fd int) (*Handle, error) {
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if err != nil {
		return nil, err
	}
	if kind != unix.CLONE_NEWNET {
		return nil, ErrNotNetwork
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	return &Handle{fd: fd, inode: st.Ino}, nil
}

// namePath checks a name before it becomes a path below Dir. NAME_MAX is 255
// bytes.
func namePath(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("a namespace's name is empty")
	case name == ".", name == "..", strings.ContainsAny(name, "/\x00"), len(name) > 255:
		return "", fmt.Errorf("%q is not a name for a namespace", name)
	}
	return Dir + "/" + name, nil
}
