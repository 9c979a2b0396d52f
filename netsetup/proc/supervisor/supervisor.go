// Package supervisor runs the processes of a lab: one small process per lab
// starts them in their nodes, in order, tells when they are ready, and starts
// those again that end.
//
// It knows what a node's processes are (netsetup.Machine) and how to find them
// again. It must not know topology files. Nothing is lost with it: the processes
// go on, and the next supervisor finds them, by the record in /run/nslab/LAB or
// else by the marks in their environment.
package supervisor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/failpoint"
	"nslab/netsetup/netns"
	"nslab/netsetup/proc"
)

// Supervisor runs the processes of one lab.
type Supervisor struct {
	lab      string
	children children

	mu        sync.Mutex
	machines  []netsetup.Machine
	processes map[string]*process // by NODE/PROCESS
	changed   chan struct{}       // closed at the next change
}

// Version is what a change of makes a process another one, which has to be
// started anew.
func Version(m *netsetup.Machine, p netsetup.Process) string {
	p.Pos = ""
	text, err := json.Marshal([]any{p, m.Env, m.Isolation, m.RootFS, m.Files, m.Private})
	if err != nil {
		panic(err) // plain values have none
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}

// change changes what is under the mutex, and tells those who wait.
func (s *Supervisor) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait waits until cond, which looks at what is under the mutex.
func (s *Supervisor) wait(ctx context.Context, cond func() bool) error {
	for {
		s.mu.Lock()
		ok, changed := cond(), s.changed
		s.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// statuses are those of all processes, sorted by node and name.
func (s *Supervisor) statuses() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []Status{}
	for _, id := range slices.Sorted(maps.Keys(s.processes)) {
		list = append(list, s.processes[id].status)
	}
	return list
}

// settle waits until it is known of every process that has ended what becomes of
// it: until then it looks like one that runs.
func (s *Supervisor) settle(ctx context.Context) {
	var over []*process
	s.wait(ctx, func() bool {
		over = over[:0]
		for _, p := range s.processes {
			if p.ending {
				return false
			}
			if st := p.status.State; st == Exited || st == Failed || st == Stopped {
				over = append(over, p)
			}
		}
		return true
	})
	for _, p := range over {
		select {
		case <-p.done:
		case <-ctx.Done():
		}
	}
}

// begin starts the life of a process, whose status and child, if it has one, are
// known.
func (s *Supervisor) begin(p *process, c *child) {
	ctx, cancel := context.WithCancel(context.Background())
	p.stop, p.done = cancel, make(chan struct{})
	s.change(func() {
		if p.overdue = false; c == nil {
			p.status.State, p.status.Reason, p.status.Ready = Waiting, "", false
		}
		p.settled = p.status.Ready
	})
	go p.live(ctx, c)
}

// newProcess gives a process that does not run.
func (s *Supervisor) newProcess(m *netsetup.Machine, spec netsetup.Process) *process {
	p := &process{s: s, machine: m, spec: spec, pos: spec.Pos, stop: func() {}, done: make(chan struct{})}
	close(p.done)
	p.status = Status{Node: m.Node, Name: spec.Name, State: Stopped, Version: Version(m, spec)}
	return p
}

// memoryLimit is that of a node now; 0 is none.
func (s *Supervisor) memoryLimit(node string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.machines {
		if s.machines[i].Node == node {
			return s.machines[i].Limits.Memory
		}
	}
	return 0
}

// apply makes the processes be those of the machines, and waits until all are
// ready. The error is a *Failure of one that is not, or that ctx has ended.
func (s *Supervisor) apply(ctx context.Context, machines []netsetup.Machine) error {
	want := map[string]*process{}
	for i := range machines {
		m := &machines[i]
		for _, spec := range m.Processes {
			p := s.newProcess(m, spec)
			want[p.status.ID()] = p
		}
	}
	var gone, begun []*process
	s.mu.Lock()
	for id, old := range s.processes {
		if p := want[id]; p == nil || p.status.Version != old.status.Version {
			gone = append(gone, old)
		}
	}
	s.mu.Unlock()
	s.stopAll(gone)
	s.change(func() {
		for _, p := range gone {
			delete(s.processes, p.status.ID())
		}
		for id, p := range want {
			if old := s.processes[id]; old != nil {
				old.pos = p.pos
				want[id] = old
			} else {
				s.processes[id] = p
			}
		}
		s.machines = machines
	})
	if err := s.saveMachines(); err != nil {
		return err
	}
	for _, p := range want {
		if s.ended(p) && !s.succeeded(p) {
			begun = append(begun, p)
		}
	}
	for _, p := range begun {
		s.begin(p, nil)
	}
	return s.waitReady(ctx, slices.Collect(maps.Values(want)))
}

// ended reports whether the life of a process is over.
func (s *Supervisor) ended(p *process) bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (s *Supervisor) succeeded(p *process) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.status.State == Exited && p.status.Ready
}

// Failure is a process that is not ready.
type Failure struct {
	Process string   `json:"process"` // NODE/PROCESS
	Pos     string   `json:"pos"`     // of the file; "" where it is not known
	What    string   `json:"what"`
	Lines   []string `json:"lines"` // the last ones that it wrote
}

func (f *Failure) Error() string {
	var b strings.Builder
	if f.Pos != "" {
		b.WriteString(f.Pos + ": ")
	}
	fmt.Fprintf(&b, "process %s %s", f.Process, f.What)
	if len(f.Lines) == 0 {
		b.WriteString("; it wrote nothing")
		return b.String()
	}
	b.WriteString("; the last that it wrote:")
	for _, l := range f.Lines {
		b.WriteString("\n  " + l)
	}
	return b.String()
}

// failureLines is how much of a log a Failure has.
const failureLines = 10

// waitReady waits until all are ready, or one will not be.
func (s *Supervisor) waitReady(ctx context.Context, list []*process) error {
	slices.SortFunc(list, func(a, b *process) int { return strings.Compare(a.status.ID(), b.status.ID()) })
	var failed *process
	var what, pos string
	err := s.wait(ctx, func() bool {
		all := true
		for _, p := range list {
			switch st := &p.status; {
			case st.Ready, p.settled && st.State != Failed && st.State != Stopped:
			case st.State == Failed:
				failed, what = p, "has failed: "+st.Reason
			case st.State == Stopped:
				failed, what = p, "was stopped"
			case st.State == Exited:
				failed, what = p, "ended before it was ready: "+whatIsReady(p.spec.Ready)
			case p.overdue:
				failed, what = p, fmt.Sprintf("is not ready after %v: %s", p.within(), whatIsReady(p.spec.Ready))
				if st.Reason != "" {
					what += "; " + st.Reason
				}
			default:
				all = false
			}
			if failed != nil {
				pos = failed.pos
				return true
			}
		}
		return all
	})
	if err != nil || failed == nil {
		return err
	}
	return &Failure{Process: failed.status.ID(), Pos: pos, What: what,
		Lines: lastLines(failed.log(), failed.from, failureLines)}
}

// stopAll stops processes and waits for their ends: each after those that come
// after it.
func (s *Supervisor) stopAll(list []*process) {
	var wg sync.WaitGroup
	for _, p := range list {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for _, q := range list {
				if q != p && slices.Contains(q.spec.After, p.status.ID()) {
					<-q.done
				}
			}
			p.stop()
			<-p.done
			// A life that was over is stopped, too: it is not to be started again.
			if s.ended(p) {
				p.set(Stopped, "")
			}
		}()
	}
	wg.Wait()
}

// find gives the processes that are meant by names, NODE or NODE/PROCESS each,
// or an error.
func (s *Supervisor) find(names []string) ([]*process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*process
	for _, name := range names {
		found := false
		for _, id := range slices.Sorted(maps.Keys(s.processes)) {
			if p := s.processes[id]; id == name || p.status.Node == name {
				list, found = append(list, p), true
			}
		}
		if !found {
			return nil, fmt.Errorf("lab %s has no process %s", s.lab, name)
		}
	}
	return list, nil
}

// startAll starts processes, and what they come after, and waits until they are
// ready.
func (s *Supervisor) startAll(ctx context.Context, list []*process) error {
	for i := 0; i < len(list); i++ {
		for _, id := range list[i].spec.After {
			s.mu.Lock()
			q := s.processes[id]
			s.mu.Unlock()
			if q != nil && !slices.Contains(list, q) {
				list = append(list, q)
			}
		}
	}
	for _, p := range list {
		if s.ended(p) {
			s.begin(p, nil)
		}
	}
	return s.waitReady(ctx, list)
}

// record is what is kept of the processes for the next supervisor.
const (
	recordFile   = "processes.json"
	machinesFile = "machines.json"
)

func (s *Supervisor) saveMachines() error {
	return save(filepath.Join(dir(s.lab), machinesFile), s.machines)
}

func save(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return failpoint.Around("supervisor.save", func() error {
		if err := os.WriteFile(path+".new", text, 0o600); err != nil {
			return err
		}
		return os.Rename(path+".new", path)
	})
}

func load(path string, v any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// recordPause is between two writings of the record: many changes come together.
const recordPause = 20 * time.Millisecond

// keepRecord writes the record whenever something has changed, and bounds the
// logs, for as long as the program runs.
func (s *Supervisor) keepRecord() {
	for bounded := time.Now(); ; {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		// Without it processes are found by their marks.
		save(filepath.Join(dir(s.lab), recordFile), s.statuses())
		time.Sleep(recordPause)
		select {
		case <-changed:
		case <-time.After(boundPause):
		}
		if time.Since(bounded) >= boundPause {
			for _, st := range s.statuses() {
				bound(LogFile(s.lab, st.Node, st.Name))
			}
			bounded = time.Now()
		}
	}
}

// boundPause is between two looks at the sizes of logs.
const boundPause = 500 * time.Millisecond

// findAgain takes over the processes of a supervisor that is gone.
func (s *Supervisor) findAgain() error {
	if err := load(filepath.Join(dir(s.lab), machinesFile), &s.machines); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for i := range s.machines {
		m := &s.machines[i]
		for _, spec := range m.Processes {
			p := s.newProcess(m, spec)
			s.processes[p.status.ID()] = p
		}
	}
	found, err := Find(s.lab)
	if err != nil {
		return err
	}
	for _, st := range found {
		p := s.processes[st.ID()]
		if p == nil || p.status.Version != st.Version {
			// The file of the machines is older than the process, or lost.
			p = s.newProcess(&netsetup.Machine{Lab: s.lab, Node: st.Node}, netsetup.Process{Name: st.Name,
				StopSignal: "TERM", StopTimeout: maxPause})
			s.processes[st.ID()] = p
		}
		p.status = st
		if c := s.children.adopt(proc.Process{PID: st.PID, Start: st.Start}); st.PID != 0 && c != nil {
			s.begin(p, c)
		} else if p.spec.Restart != "" && p.spec.Restart != "no" && st.State != Stopped {
			s.begin(p, nil)
		}
	}
	return nil
}

// Find gives the processes of a lab, from the record and from what runs, without
// a supervisor: that which the record says runs and does not any more has failed.
func Find(lab string) ([]Status, error) {
	var record []Status
	if err := load(filepath.Join(dir(lab), recordFile), &record); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	found := map[string]*Status{}
	for i := range record {
		st := &record[i]
		found[st.ID()] = st
		if st.PID == 0 {
			continue
		}
		now, err := proc.ReadProcess(st.PID)
		if err != nil || now.Zombie || now.Start != st.Start {
			*st = Status{Node: st.Node, Name: st.Name, Version: st.Version, Restarts: st.Restarts,
				State: Failed, Reason: "ended while no supervisor was there"}
		}
	}
	all, err := proc.Processes()
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		m, ours := proc.ReadMark(p.PID, lab)
		if !ours || m.Process == "" {
			continue
		}
		st := Status{Node: m.Node, Name: m.Process, State: Running, PID: p.PID, Start: p.Start, Version: m.Version}
		// Its children have the same marks.
		if old := found[st.ID()]; old == nil || old.PID == 0 && old.State != Stopped {
			found[st.ID()] = &st
		} else if old.Start > p.Start && !slices.ContainsFunc(record, func(r Status) bool { return r.ID() == st.ID() && r.PID != 0 }) {
			found[st.ID()] = &st
		}
	}
	list := []Status{}
	for _, id := range slices.Sorted(maps.Keys(found)) {
		list = append(list, *found[id])
	}
	return list, nil
}

// Run is the supervisor of a lab; main must exit with its status. It says on
// descriptor 3 that it is there, or why not, and ends when no process is wanted
// any more.
func Run(lab string) int {
	answer := os.NewFile(3, "answer")
	if answer == nil {
		return 1
	}
	unix.CloseOnExec(3) // who waits for the answer waits for its end
	s := &Supervisor{lab: lab, processes: map[string]*process{}, changed: make(chan struct{})}
	s.children.waiting = map[int]chan ending{}
	l, err := s.prepare()
	if errors.Is(err, unix.EWOULDBLOCK) {
		fmt.Fprint(answer, busy)
		return 1
	}
	if err != nil {
		fmt.Fprint(answer, err)
		return 1
	}
	fmt.Fprint(answer, "ok")
	answer.Close()
	go s.keepRecord()
	return s.serve(l)
}

func (s *Supervisor) prepare() (*listener, error) {
	// Else it would be that of /proc/self/exe.
	if name, err := unix.BytePtrFromString("nslab"); err == nil {
		unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(name)), 0, 0, 0)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become a subreaper: %w", err)
	}
	// Each process takes a descriptor.
	if err := netns.RaiseFileLimit(); err != nil {
		return nil, err
	}
	l, err := listen(s.lab)
	if err != nil {
		return nil, err
	}
	go s.children.reap()
	return l, s.findAgain()
}
