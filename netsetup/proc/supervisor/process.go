package supervisor

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/failpoint"
	"nslab/netsetup/proc"
	"nslab/netsetup/proc/cgroup"
)

// States of a process.
const (
	Waiting    = "waiting"    // for those that it comes after
	Starting   = "starting"   // runs, and is not ready
	Running    = "running"    // and ready
	Restarting = "restarting" // has ended, and starts again in a moment
	Stopped    = "stopped"    // on request
	Exited     = "exited"     // by itself, with 0
	Failed     = "failed"     // ended otherwise, or could not be started
)

// Status is what there is to tell of a process.
type Status struct {
	Node     string `json:"node"`
	Name     string `json:"name"`
	State    string `json:"state"`
	PID      int    `json:"pid,omitempty"`
	Restarts int    `json:"restarts"`
	Reason   string `json:"reason,omitempty"` // why it does not run
	Version  string `json:"version"`          // of what the file says of it
	Start    uint64 `json:"start,omitempty"`  // as in proc.Process
	Ready    bool   `json:"ready"`            // or has done its work
}

// ID is NODE/PROCESS.
func (s *Status) ID() string { return s.Node + "/" + s.Name }

// A process that ends is started again after a pause that doubles each time, up
// to a bound, and is the least again for one that ran as long as that bound.
const (
	minPause = 100 * time.Millisecond
	maxPause = 10 * time.Second
)

// startTime is how long a process that has no `ready` may take until it keeps
// running.
const startTime = 5 * time.Second

// process is a process of the file and its life.
type process struct {
	s       *Supervisor
	machine *netsetup.Machine
	spec    netsetup.Process

	status  Status // under s.mu
	overdue bool   // under s.mu: not ready within its time
	pos     string // under s.mu: of the file as it is now
	ending  bool   // under s.mu: it has ended, and what that makes of it is not known yet
	settled bool   // under s.mu: has been ready since it was last told to start
	from    int64  // where its output begins in the log

	stop context.CancelFunc
	done chan struct{} // closed when its life is over
}

func (p *process) log() string { return LogFile(p.machine.Lab, p.machine.Node, p.spec.Name) }

// live is the life of a process until it is stopped or has ended for good. c is
// the process where it runs already, else nil.
func (p *process) live(ctx context.Context, c *child) {
	defer close(p.done)
	var due *time.Timer
	for pause := minPause; ; {
		if c == nil {
			if p.waitAfter(ctx) != nil {
				p.set(Stopped, "")
				return
			}
			if due == nil {
				due = time.AfterFunc(p.within(), p.setOverdue)
				defer due.Stop()
			}
		}
		began := time.Now()
		failed, reason := p.once(ctx, c)
		c = nil
		if ctx.Err() != nil {
			p.set(Stopped, "")
			return
		}
		if again := p.spec.Restart; again != "always" && (again != "on-failure" || !failed) {
			p.end(failed, reason)
			return
		}
		if time.Since(began) > maxPause {
			pause = minPause
		}
		p.restartLater(reason)
		if sleep(ctx, pause) != nil {
			p.set(Stopped, "")
			return
		}
		pause = min(2*pause, maxPause)
	}
}

// once starts the process, unless it runs, and waits for its end. What it leaves
// in the background when it ends well is the process from then on; otherwise what
// it leaves is ended with it.
func (p *process) once(ctx context.Context, c *child) (failed bool, reason string) {
	group, err := cgroup.Open(p.machine.Lab, p.machine.Node)
	if err != nil {
		return true, err.Error()
	}
	before := oomKills(group)
	if c == nil {
		if c, err = p.launch(); err != nil {
			return true, err.Error()
		}
	} else {
		p.found(c)
	}
	for {
		e := p.watch(ctx, c)
		p.s.change(func() { p.ending = true })
		c.close()
		if ctx.Err() == nil && e.known && e.status == 0 {
			if k := p.background(); k != nil {
				p.found(k)
				c = k
				continue
			}
		}
		p.endOthers(c.pid)
		return e.known && e.status != 0 || !e.known, p.why(e, oomKills(group) > before)
	}
}

// watch waits for the end of c, and tells when it is ready. At the end of ctx it
// stops c.
func (p *process) watch(ctx context.Context, c *child) ending {
	looking, cancel := context.WithCancel(ctx)
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		if p.waitReady(looking, c, p.from) == nil {
			p.setReady()
		}
	}()
	defer func() { cancel(); <-looked }()
	select {
	case e := <-c.ended:
		return e
	case <-ctx.Done():
	}
	c.signal(unix.SignalNum("SIG" + p.spec.StopSignal))
	c.signal(unix.SIGCONT)
	select {
	case e := <-c.ended:
		return e
	case <-time.After(p.spec.StopTimeout):
	}
	c.signal(unix.SIGKILL)
	return <-c.ended
}

// launch starts the process.
func (p *process) launch() (*child, error) {
	out, err := openLog(p.log())
	if err != nil {
		return nil, err
	}
	defer out.Close()
	st, err := out.Stat()
	if err != nil {
		return nil, err
	}
	p.from = st.Size()
	c, err := p.s.children.run(func() (int, error) { return p.start(p.spec.Argv, out, p.spec.Name) })
	if err != nil {
		return nil, err
	}
	p.found(c)
	return c, nil
}

// start starts a program as one of the process's. name, which may be "", marks
// it as the process itself.
func (p *process) start(argv []string, out *os.File, name string) (pid int, err error) {
	m := p.machine
	n, err := proc.Open(m.Lab, m.Node)
	if err != nil {
		return 0, err
	}
	defer n.Close()
	env, err := Env(m, name, p.status.Version, p.spec.Env...)
	if err != nil {
		return 0, err
	}
	c := proc.Command{Node: n, Argv: argv, Dir: "/", Base: []string{}, Env: env, User: p.spec.User}
	err = failpoint.Around("process.start", func() (err error) {
		pid, err = c.Start(out)
		return err
	})
	return pid, err
}

// Env is the environment of what the lab itself runs in a node: it is the same
// whoever calls nslab. more is over the node's own; name and version are as in
// proc.Marks.
func Env(m *netsetup.Machine, name, version string, more ...string) ([]string, error) {
	marks, err := proc.Marks(m.Lab, m.Node, name, version)
	env := append([]string{"PATH=" + searchPath, "HOME=/"}, m.Env...)
	return append(append(env, more...), marks...), err
}

// searchPath is where daemons are, and not where whoever called nslab looks.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// background gives what the process has left running when it ended: the one that
// was started first. It is nil where there is nothing.
func (p *process) background() *child {
	all, err := proc.Processes()
	if err != nil {
		return nil
	}
	var first *proc.Process
	for i := range all {
		m, ours := proc.ReadMark(all[i].PID, p.machine.Lab)
		if ours && m.Node == p.machine.Node && m.Process == p.spec.Name && (first == nil || all[i].Start < first.Start) {
			first = &all[i]
		}
	}
	if first == nil {
		return nil
	}
	return p.s.children.adopt(*first)
}

// endOthers ends what a process that has ended has left: what is in its session,
// or has its mark.
func (p *process) endOthers(pid int) {
	for range 50 {
		all, err := proc.Processes()
		if err != nil {
			return
		}
		left := false
		for i := range all {
			m, ours := proc.ReadMark(all[i].PID, p.machine.Lab)
			if all[i].Session == pid || ours && m.Node == p.machine.Node && m.Process == p.spec.Name {
				unix.Kill(all[i].PID, unix.SIGKILL)
				left = true
			}
		}
		if !left {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// why says how a process ended.
func (p *process) why(e ending, outOfMemory bool) string {
	switch {
	case !e.known:
		return "ended unseen: the supervisor that started it was killed before"
	case e.status.Signaled() && e.status.Signal() == unix.SIGKILL && outOfMemory:
		return fmt.Sprintf("killed: out of memory (limit %s)", FormatBytes(p.s.memoryLimit(p.machine.Node)))
	case e.status.Signaled():
		return "killed by " + unix.SignalName(e.status.Signal())
	}
	return fmt.Sprintf("exit status %d", e.status.ExitStatus())
}

func oomKills(g *cgroup.Group) int64 {
	if g == nil {
		return 0
	}
	s, err := g.Stats()
	if err != nil {
		return 0
	}
	return s.OOMKills
}

// FormatBytes writes an amount of memory as the file does: 256MiB.
func FormatBytes(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for v >= 1024 && i < len(units)-1 {
		v /= 1024
		i++
	}
	if v == float64(int64(v)) || v >= 100 {
		return fmt.Sprintf("%.0f%s", v, units[i])
	}
	return fmt.Sprintf("%.1f%s", v, units[i])
}

func (p *process) within() time.Duration {
	if p.spec.Ready == nil {
		return startTime
	}
	return p.spec.Ready.Within
}

// waitAfter waits until those are ready that the process comes after. One that is
// not of the lab any more is not waited for.
func (p *process) waitAfter(ctx context.Context) error {
	return p.s.wait(ctx, func() bool {
		for _, id := range p.spec.After {
			if q := p.s.processes[id]; q != nil && !q.status.Ready {
				return false
			}
		}
		return true
	})
}

func (p *process) set(state, reason string) {
	p.s.change(func() {
		p.ending = false
		p.status.State, p.status.Reason = state, reason
		p.status.PID, p.status.Start, p.status.Ready = 0, 0, false
	})
}

func (p *process) end(failed bool, reason string) {
	p.s.change(func() {
		p.ending = false
		s := &p.status
		s.State, s.Reason = Exited, reason
		if failed {
			s.State = Failed
		}
		s.PID, s.Start = 0, 0
		// One that has done its work is as good as one that is at it.
		s.Ready = !failed && (s.Ready || p.spec.Ready == nil)
	})
}

func (p *process) restartLater(reason string) {
	p.set(Restarting, reason)
	p.s.change(func() { p.status.Restarts++ })
}

// found is that the process runs as c.
func (p *process) found(c *child) {
	p.s.change(func() {
		p.ending = false
		s := &p.status
		s.PID, s.Start, s.Reason = c.pid, c.start, ""
		if s.State = Starting; s.Ready {
			s.State = Running
		}
	})
}

func (p *process) setReady() {
	p.s.change(func() { p.status.State, p.status.Ready, p.settled = Running, true, true })
}

func (p *process) setOverdue() {
	p.s.change(func() { p.overdue = !p.settled })
}
