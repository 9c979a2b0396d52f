package netns

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nslab/netsetup/failpoint"
)

// HolderArg is the first argument of this program re-executed as a holder; main
// (and the TestMain of tests) must then exit with RunHolder's status.
const HolderArg = "__holder"

// RunHolder is the holder: the process that keeps an ordinary user's namespaces.
// It was started in fresh user, mount and network namespaces, makes them fit
// for labs (an empty /run with a shared /run/netns, lo up), says so on
// descriptor 3, waits for a byte on descriptor 4, and sleeps until it is killed;
// it has nothing to put in order. Where there comes no byte, whoever started it
// ended before anybody could find the holder again, and it ends as well.
func RunHolder() int {
	answer, recorded := os.NewFile(3, "answer"), os.NewFile(4, "recorded")
	if answer == nil || recorded == nil {
		return 1
	}
	step, err := furnish()
	if err != nil {
		var errno syscall.Errno
		if !errors.As(err, &errno) {
			step += ": " + err.Error()
		}
		fmt.Fprintf(answer, "%d %s", int(errno), step)
		return 1
	}
	if _, err := answer.WriteString("ok"); err != nil {
		return 1
	}
	answer.Close()
	if n, _ := recorded.Read(make([]byte, 1)); n == 0 {
		return 1
	}
	recorded.Close()
	for {
		unix.Pause()
	}
}

// furnish sets up the holder's namespaces; step is what failed. It is here that
// a namespace granted without its privilege shows.
func furnish() (step string, err error) {
	// Unmounting on the host must reach the copies here.
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return "keep mounts from spreading", err
	}
	err = failpoint.Around("holder.run", func() error {
		return unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755")
	})
	if err != nil {
		return "mount an empty /run", err
	}
	held, err := shareDir()
	if err != nil {
		return "make " + Dir + " a shared mount", err
	}
	unix.Close(held)
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return "take lo up", err
	}
	return "", nil
}

// holder is a running holder. Its open files keep the namespaces even when the
// process ends.
type holder struct {
	pid            int
	proc           int // its /proc directory, which is never another process's
	user, mnt, net int // its namespaces
}

func (h *holder) close() {
	for _, fd := range []int{h.proc, h.user, h.mnt, h.net} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// startHolder makes a holder, with a record of it at path. It outlives this
// process; before it is recorded it ends with this process, or the error.
func startHolder(path string) (h *holder, err error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, Limit(err)
	}
	defer read.Close()
	defer write.Close()
	await, confirm, err := os.Pipe()
	if err != nil {
		return nil, Limit(err)
	}
	defer await.Close()
	defer confirm.Close()
	cmd := &exec.Cmd{
		Path:       "/proc/self/exe",
		Args:       []string{"nslab", HolderArg},
		Env:        failpoint.Env(),
		Dir:        "/",
		ExtraFiles: []*os.File{write, await}, // descriptors 3 and 4
		SysProcAttr: &syscall.SysProcAttr{
			Setsid:      true,
			Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWNET,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		},
	}
	defer func() {
		if cmd.Process == nil {
			return
		}
		if h == nil {
			cmd.Process.Kill()
			cmd.Wait()
			return
		}
		go cmd.Wait() // should it end before this process does
	}()
	KeepFiles()
	if err := failpoint.Around("holder.start", cmd.Start); err != nil {
		return nil, UserNamespaceError(err)
	}
	write.Close()
	await.Close()
	answer, err := io.ReadAll(read)
	if err != nil {
		return nil, err
	}
	if string(answer) != "ok" {
		number, step, _ := strings.Cut(string(answer), " ")
		n, err := strconv.Atoi(number)
		if err != nil {
			return nil, errors.New("the process that keeps the namespaces ended at its start")
		}
		if n == 0 {
			return nil, errors.New(step)
		}
		return nil, fmt.Errorf("%s: %w", step, UserNamespaceError(syscall.Errno(n)))
	}
	found, err := openHolder(cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	if err = found.record(path); err == nil {
		err = confirmTo(confirm)
	}
	if err != nil {
		found.close()
		return nil, errors.Join(err, removeRecord(path))
	}
	return found, nil
}

// confirmTo tells a holder that it is recorded, and waits until it has heard: it
// closes its end of the pipe then.
func confirmTo(pipe *os.File) error {
	if _, err := pipe.Write([]byte{1}); err != nil {
		return err
	}
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(pipe.Fd())}}, -1) // for POLLERR
		if err != unix.EINTR {
			return err
		}
	}
}

// unconfirmed reports whether the holder still waits on its descriptor 4. Under the
// lock that is one whose starter was killed, and that is about to end.
func (h *holder) unconfirmed() bool {
	_, err := unix.Readlinkat(h.proc, "fd/4", make([]byte, unix.PathMax))
	return err == nil
}

// record writes down at path who the holder is.
func (h *holder) record(path string) error {
	id, err := h.identity()
	if err != nil {
		return err
	}
	return failpoint.Around("holder.record", func() error { return os.WriteFile(path, []byte(id), 0o600) })
}

func removeRecord(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// openHolder opens process pid; unix.ESRCH or ENOENT is that there is none.
func openHolder(pid int) (*holder, error) {
	h := &holder{pid: pid, proc: -1, user: -1, mnt: -1, net: -1}
	var err error
	h.proc, err = unix.Open(fmt.Sprintf("/proc/%d", pid), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, Limit(err)
	}
	for _, ns := range []struct {
		name string
		fd   *int
	}{{"user", &h.user}, {"mnt", &h.mnt}, {"net", &h.net}} {
		*ns.fd, err = unix.Openat(h.proc, "ns/"+ns.name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			h.close()
			return nil, fmt.Errorf("open the %s namespace of process %d: %w", ns.name, pid, Limit(err))
		}
	}
	return h, nil
}

// identity tells this process from any other that ever had or will have its
// number: the number, the start time in clock ticks since boot, the boot.
func (h *holder) identity() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	stat, err := h.read("stat")
	if err != nil {
		return "", err
	}
	// The name, in parentheses, may hold anything; the state follows it as field
	// 3, the start time is field 22. See proc_pid_stat(5).
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return "", fmt.Errorf("/proc/%d/stat: unexpected text %q", h.pid, stat)
	}
	if state := fields[0][0]; state == 'Z' || state == 'X' {
		return "", unix.ESRCH
	}
	return fmt.Sprintf("%d %s %s", h.pid, fields[19], bytes.TrimSpace(boot)), nil
}

func (h *holder) read(name string) ([]byte, error) {
	fd, err := unix.Openat(h.proc, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	return io.ReadAll(f)
}

// findHolder gives the holder that the record at path names, or nil if it is
// not there any more.
func findHolder(path string) (*holder, error) {
	record, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	number, _, _ := strings.Cut(string(record), " ")
	pid, err := strconv.Atoi(number)
	if err != nil {
		return nil, nil // a crash cut it short
	}
	h, err := openHolder(pid)
	if err == nil {
		var id string
		if id, err = h.identity(); err == nil && id == string(record) {
			if !h.unconfirmed() {
				return h, nil
			}
			err = h.stop()
		}
		h.close()
	}
	switch {
	case err == nil, errors.Is(err, unix.ESRCH), errors.Is(err, unix.ENOENT):
		return nil, nil
	case errors.Is(err, unix.EACCES):
		return nil, nil // the number is another user's by now
	}
	return nil, err
}

// empty says whether there is no lab in the holder's namespaces: no named
// namespace, and no run directory.
func (h *holder) empty() (bool, error) {
	for dir, counts := range map[string]func(os.DirEntry) bool{
		Dir:          func(os.DirEntry) bool { return true },
		"/run/nslab": os.DirEntry.IsDir,
	} {
		entries, err := os.ReadDir(filepath.Join(fmt.Sprintf("/proc/%d/root", h.pid), dir))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, err
		}
		for _, e := range entries {
			if counts(e) {
				return false, nil
			}
		}
	}
	return true, nil
}

// stop ends the holder and waits for its end.
func (h *holder) stop() error {
	fd, err := unix.PidfdOpen(h.pid, 0)
	if err == unix.ESRCH {
		return nil
	}
	if err != nil {
		return Limit(err)
	}
	defer unix.Close(fd)
	if _, err := h.identity(); errors.Is(err, unix.ESRCH) {
		return nil // the number may be another's
	}
	err = failpoint.Around("holder.kill", func() error { return unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) })
	if err != nil && err != unix.ESRCH {
		return err
	}
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if err != unix.EINTR {
			return err
		}
	}
}
