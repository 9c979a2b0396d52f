package proc

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/failpoint"
	"nslab/netsetup/netns"
	"nslab/netsetup/proc/cgroup"
)

// The keeper's files.
const (
	specFD   = 3 // the Machine, as long as it lives
	answerFD = 4 // what became of its start
	goFD     = 5 // a byte there lets it outlive who made it
	hostsFD  = 6 // the part of /etc/hosts that the nodes share: its user may not open it
	treeFD   = 7 // and on: the trees of its spec
)

// spec is what a keeper makes the namespaces from. As a file it is read as a
// Machine, too.
type spec struct {
	netsetup.Machine
	Trees []string // the directories whose mounts it is given, from treeFD on
	hosts string   // the part of /etc/hosts that the lab's nodes share, of hostsFD
}

// Keep makes the namespaces that a node owns beside its network, and the process
// that keeps them. Until it is given back it ends with this process, and after an
// error nothing is left.
func Keep(net *netns.Handle, m *netsetup.Machine) (k *Keeper, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("make the namespaces of %s.%s: %w", m.Lab, m.Node, err)
		}
	}()
	trees, err := openTrees(net, m)
	defer trees.close()
	if err != nil {
		return nil, err
	}
	spec, err := memory(&spec{Machine: *m, Trees: trees.paths})
	if err != nil {
		return nil, err
	}
	defer spec.Close()
	answer, answers, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	defer answers.Close()
	wait, let, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer wait.Close()
	defer let.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	hosts, err := os.Open(filepath.Join(labDir(m.Lab), hostsFile))
	if errors.Is(err, fs.ErrNotExist) {
		hosts, err = os.Open(os.DevNull)
	}
	if err != nil {
		return nil, err
	}
	defer hosts.Close()
	files := append([]*os.File{null, null, null, spec, answers, wait, hosts}, trees.files...)

	w, err := unshare(net, m)
	defer w.close()
	if err != nil {
		return nil, err
	}
	netns.KeepFiles()
	runtime.LockOSThread() // whose end the keeper would take for ours
	defer runtime.UnlockOSThread()
	k = &Keeper{Node: m.Lab + "." + m.Node, Key: m.Key()}
	err = failpoint.Around("proc.keep.start", func() (err error) {
		k.PID, err = w.Start(&netns.Program{
			Paths: []string{"/proc/self/exe"},
			Argv:  []string{title(m.Lab, m.Node), KeeperArg, k.Key},
			Env:   append(failpoint.Env(), "GOMAXPROCS=1"),
			Files: files,
		})
		if err != nil {
			return err
		}
		if k.pidfd, err = unix.PidfdOpen(k.PID, 0); err != nil {
			unix.Kill(k.PID, unix.SIGKILL)
			reap(k.PID)
			k.PID = 0
		}
		return err
	})
	answers.Close()
	lines := bufio.NewReader(answer)
	if err == nil {
		err = started(lines)
	}
	if err == nil {
		err = k.publish(let)
	}
	if err == nil {
		err = started(lines)
	}
	if err != nil {
		if k.PID != 0 {
			err = errors.Join(err, k.End())
			k.Close()
		}
		return nil, err
	}
	return k, nil
}

// publish records the keeper and lets it live on.
func (k *Keeper) publish(let *os.File) error {
	lab, node, _ := strings.Cut(k.Node, ".")
	path := nodeFile(lab, node, keeperRecord)
	if err := failpoint.Around("proc.keep.dir", func() error { return os.MkdirAll(filepath.Dir(path), 0o755) }); err != nil {
		return err
	}
	if _, err := replace(path, []byte(strconv.Itoa(k.PID))); err != nil {
		return err
	}
	return failpoint.Around("proc.keep.let", func() error {
		_, err := let.Write([]byte{1})
		return err
	})
}

// memory is a file that no file system has.
func memory(s *spec) (*os.File, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("machine", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "machine")
	if _, err := f.Write(data); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// unshare makes the way of a keeper: into the node's network, and the user
// namespace that owns it, and into new namespaces of the other kinds.
func unshare(net *netns.Handle, m *netsetup.Machine) (*entry, error) {
	w := &entry{}
	own := m.Isolation
	if own.Cgroup {
		if err := w.unshareCgroup(m); err != nil {
			return w, err
		}
	}
	w.Call("make a session", nil, unix.SYS_SETSID)
	if own.User {
		owner, err := net.Owner()
		if err != nil {
			return w, err
		}
		w.open = append(w.open, owner)
		w.Enter(unix.CLONE_NEWUSER, owner)
		identity{}.become(&w.Way, "root of the node", true)
	}
	w.Enter(unix.CLONE_NEWNET, net.FD())
	for _, k := range []struct {
		own  bool
		kind int
	}{
		{own.IPC, unix.CLONE_NEWIPC}, {own.UTS, unix.CLONE_NEWUTS},
		{own.Mount, unix.CLONE_NEWNS}, {own.PID, unix.CLONE_NEWPID}, {own.Time, unix.CLONE_NEWTIME},
	} {
		if k.own {
			w.Unshare(k.kind)
		}
	}
	if own.Time {
		// A process that changed its user does not own its files in /proc.
		w.Call("own the files of its process", nil, unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1)
		// See time_namespaces(7): before the first process is in it.
		w.Write("set the offsets of the time namespace", "/proc/self/timens_offsets",
			offset("monotonic", own.Monotonic)+offset("boottime", own.Boottime))
	}
	if own.PID || own.Time {
		w.Fork()
	}
	// After the change of user, which clears it.
	w.Call("end with nslab", nil, unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL))
	return w, nil
}

// unshareCgroup makes a cgroup namespace, whose root is the cgroup that it is made
// in: the node's. The keeper does not stay there, for the limits are not for it.
// That comes first, while it is still the host's root that writes.
func (e *entry) unshareCgroup(m *netsetup.Machine) error {
	group, err := cgroup.Create(m.Lab, m.Node, m.Limits)
	if err != nil {
		return err
	}
	if group == nil {
		e.Unshare(unix.CLONE_NEWCGROUP)
		return nil
	}
	back, err := group.Leave()
	if err != nil {
		return err
	}
	e.joinGroup(group)
	e.Unshare(unix.CLONE_NEWCGROUP)
	for _, file := range back {
		e.Write("leave the node's cgroup", file, "0")
	}
	return nil
}

// offset is a line of timens_offsets: seconds, and nanoseconds from 0 on.
func offset(clock string, d time.Duration) string {
	seconds, rest := d/time.Second, d%time.Second
	if rest < 0 {
		seconds, rest = seconds-1, rest+time.Second
	}
	return fmt.Sprintf("%s %d %d\n", clock, seconds, rest)
}

// keeperReady is the line by which a keeper says that it is ready, and then that it
// lives on.
const keeperReady = "ok\n"

// started reads what the keeper says: keeperReady, or errno and step.
func started(answer *bufio.Reader) error {
	text, err := answer.ReadString('\n')
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("the process that keeps them ended at its start")
	case err != nil:
		return err
	case text == keeperReady:
		return nil
	}
	number, step, _ := strings.Cut(strings.TrimSuffix(text, "\n"), " ")
	errno, err := strconv.Atoi(number)
	switch {
	case err != nil:
		return errors.New("the process that keeps them ended at its start")
	case errno == 0:
		return errors.New(step)
	}
	return fmt.Errorf("%s: %w", step, syscall.Errno(errno))
}
