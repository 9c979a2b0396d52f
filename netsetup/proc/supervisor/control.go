package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/failpoint"
	"nslab/netsetup/netns"
	"nslab/netsetup/proc"
)

// Requests. They come one a connection; the end of the connection ends them.
const (
	verbApply   = "apply"
	verbStatus  = "status"
	verbStart   = "start"
	verbStop    = "stop"
	verbRestart = "restart"
	verbEnd     = "end" // stop all, and be gone
)

type request struct {
	Verb     string             `json:"verb"`
	Machines []netsetup.Machine `json:"machines,omitempty"`
	Names    []string           `json:"names,omitempty"` // NODE or NODE/PROCESS
}

type reply struct {
	Failure  *Failure `json:"failure,omitempty"`
	Error    string   `json:"error,omitempty"`
	Statuses []Status `json:"statuses,omitempty"`
}

const controlFile = "control"

type listener struct {
	*net.UnixListener
	lock *os.File
}

// listen makes the control socket. Of two supervisors the second gets an error.
func listen(lab string) (*listener, error) {
	path := filepath.Join(dir(lab), controlFile)
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("lab %s has a supervisor already: %w", lab, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var l *net.UnixListener
	err = failpoint.Around("supervisor.listen", func() (err error) {
		old := syscall.Umask(0o177)
		l, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		syscall.Umask(old)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &listener{l, lock}, nil
}

// serve answers requests until no process is wanted any more.
func (s *Supervisor) serve(l *listener) int {
	end := make(chan struct{})
	var one sync.Mutex // changes are made one after the other
	var once sync.Once
	go func() {
		<-end
		l.Close()
	}()
	var busy sync.WaitGroup
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			busy.Wait()
			return 0
		}
		busy.Add(1)
		go func() {
			defer busy.Done()
			defer conn.Close()
			if s.answer(conn, &one) {
				once.Do(func() { close(end) })
			}
		}()
	}
}

// answer carries out a request, and reports whether it was the last.
func (s *Supervisor) answer(conn *net.UnixConn, one *sync.Mutex) (last bool) {
	if !permitted(conn) {
		return false
	}
	var r request
	if err := json.NewDecoder(conn).Decode(&r); err != nil {
		return false
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		io.Copy(io.Discard, conn) // until the other side closes it
		cancel()
	}()
	if r.Verb != verbStatus {
		one.Lock()
		defer one.Unlock()
	}
	s.settle(ctx)
	err := s.do(ctx, &r)
	var a reply
	if !errors.As(err, &a.Failure) && err != nil {
		a.Error = err.Error()
	}
	a.Statuses = s.statuses()
	last = r.Verb == verbEnd || r.Verb == verbApply && len(a.Statuses) == 0
	if last {
		// Whoever comes now finds no supervisor, and makes another.
		os.Remove(filepath.Join(dir(s.lab), controlFile))
	}
	json.NewEncoder(conn).Encode(a)
	return last
}

// permitted reports whether the other side is of the same user, or root: the
// mode of the socket says the same, but for those who can open any file.
func permitted(conn *net.UnixConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	ok := false
	err = raw.Control(func(fd uintptr) {
		c, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		ok = err == nil && (c.Uid == 0 || int(c.Uid) == os.Geteuid())
	})
	return err == nil && ok
}

func (s *Supervisor) do(ctx context.Context, r *request) error {
	switch r.Verb {
	case verbStatus:
		return nil
	case verbApply:
		return s.apply(ctx, r.Machines)
	case verbEnd:
		s.mu.Lock()
		var all []*process
		for _, p := range s.processes {
			all = append(all, p)
		}
		s.mu.Unlock()
		s.stopAll(all)
		return killBelow(os.Getpid())
	}
	list, err := s.find(r.Names)
	if err != nil {
		return err
	}
	switch r.Verb {
	case verbStop:
		s.stopAll(list)
		return nil
	case verbRestart:
		s.stopAll(list)
		return s.startAll(ctx, list)
	case verbStart:
		return s.startAll(ctx, list)
	}
	return fmt.Errorf("unknown request %q", r.Verb)
}

// ErrNone is that a lab has no supervisor.
var ErrNone = errors.New("no supervisor runs")

// call asks the supervisor of a lab.
func call(ctx context.Context, lab string, r request) ([]Status, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", filepath.Join(dir(lab), controlFile))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("ask the supervisor of lab %s: %w", lab, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var a reply
	err = json.NewEncoder(conn).Encode(r)
	if err == nil {
		err = json.NewDecoder(conn).Decode(&a)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("the supervisor of lab %s went away: %w", lab, err)
	case a.Failure != nil:
		return a.Statuses, a.Failure
	case a.Error != "":
		return a.Statuses, errors.New(a.Error)
	}
	return a.Statuses, nil
}

// Arg is the last argument of this program re-executed as a supervisor, whose
// whole command line is "nslab: LAB supervisor".
const Arg = "supervisor"

// busy is the answer of a supervisor that is not the first.
const busy = "busy"

// ensure starts a supervisor where none runs. The lab's lock must be held. One that
// is about to begin, since whoever started it was killed, is waited for.
func ensure(ctx context.Context, lab string) error {
	for deadline := time.Now().Add(startTime); ; time.Sleep(10 * time.Millisecond) {
		if _, err := call(ctx, lab, request{Verb: verbStatus}); !errors.Is(err, ErrNone) {
			return err
		}
		err := start(lab)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			return err
		}
	}
}

// start starts a supervisor; the error wraps unix.EWOULDBLOCK where there is one.
func start(lab string) error {
	log, err := openLog(filepath.Join(dir(lab), "logs", "supervisor.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	defer write.Close()
	marks, err := proc.Marks(lab, "", "", "")
	if err != nil {
		return err
	}
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{"nslab:", lab, Arg}, Dir: "/",
		Env:        append(os.Environ(), marks...),
		Stdout:     log,
		Stderr:     log,
		ExtraFiles: []*os.File{write}, // descriptor 3
		// It is not to end with the terminal, nor with what its caller is sent.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	netns.KeepFiles()
	if err := failpoint.Around("supervisor.start", cmd.Start); err != nil {
		return fmt.Errorf("start the supervisor of lab %s: %w", lab, err)
	}
	go cmd.Wait()
	netns.RestoreFileLimit(cmd.Process.Pid) // an error means that it has ended
	write.Close()
	read.SetReadDeadline(time.Now().Add(startTime))
	answer, err := io.ReadAll(read)
	switch {
	case err != nil, string(answer) == "ok":
	case string(answer) == busy:
		err = unix.EWOULDBLOCK
	default:
		err = errors.New(string(answer))
	}
	if err != nil {
		cmd.Process.Kill()
		return fmt.Errorf("start the supervisor of lab %s: %w", lab, err)
	}
	return nil
}

// Apply makes the processes of a lab be those of the machines, by the difference
// alone, and waits until they are ready. It starts a supervisor where there is
// none and one is needed. The error is a *Failure of a process that is not ready,
// or what ended ctx. The lab's lock must be held.
func Apply(ctx context.Context, lab string, machines []netsetup.Machine) error {
	var with []netsetup.Machine
	for _, m := range machines {
		if len(m.Processes) > 0 {
			with = append(with, m)
		}
	}
	if len(with) == 0 {
		found, err := Find(lab)
		if err != nil || len(found) == 0 {
			return err
		}
	}
	if err := ensure(ctx, lab); err != nil {
		return err
	}
	return failpoint.Around("supervisor.apply", func() error {
		_, err := call(ctx, lab, request{Verb: verbApply, Machines: with})
		return err
	})
}

// Control starts, stops or restarts (verb) the processes that names, NODE or
// NODE/PROCESS each, mean. The lab's lock must be held.
func Control(ctx context.Context, lab, verb string, names []string) error {
	if err := ensure(ctx, lab); err != nil {
		return err
	}
	_, err := call(ctx, lab, request{Verb: verb, Names: names})
	return err
}

// statusTime bounds the wait for a supervisor that ought to answer at once.
const statusTime = 5 * time.Second

// List gives the processes of a lab, sorted by node and name. Where no
// supervisor runs it is what Find finds.
func List(ctx context.Context, lab string) ([]Status, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	list, err := call(ctx, lab, request{Verb: verbStatus})
	if errors.Is(err, ErrNone) {
		return Find(lab)
	}
	return list, err
}
