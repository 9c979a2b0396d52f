package proc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"nslab/netsetup/failpoint"
)

// isKeeper says whether this process was started by Keep.
func isKeeper() bool { return len(os.Args) == 3 && os.Args[1] == KeeperArg }

func init() {
	if isKeeper() {
		// The signal at the parent's death is the main thread's, which has to
		// take it back.
		runtime.LockOSThread()
	}
}

// RunKeeper is the keeper: it sees to the namespaces that it was started in,
// says so on its descriptor 4, and when it is told on 5, lives on without who
// made it, and says that, too. As process 1 of a PID namespace it then reaps orphans, and ends the
// node at SIGTERM; else it only waits to be killed.
func RunKeeper() int {
	answer := os.NewFile(answerFD, "answer")
	let := os.NewFile(goFD, "go")
	unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&[]byte("nslab\x00")[0])), 0, 0, 0) // else it is "exe"
	m := &spec{}
	err := readSpec(m)
	if err == nil {
		err = failpoint.Around("keeper.furnish", func() error { return furnish(m) })
	}
	for i := range m.Trees {
		unix.Close(treeFD + i) // programs in the node are not to find them
	}
	if err != nil {
		var errno syscall.Errno
		text := err.Error()
		if errors.As(err, &errno) {
			text = strings.TrimSuffix(text, ": "+errno.Error())
		}
		fmt.Fprintf(answer, "%d %s\n", int(errno), strings.ReplaceAll(text, "\n", " "))
		return 1
	}
	for fd := range answerFD {
		unix.CloseOnExec(fd)
	}
	if _, err := answer.WriteString(keeperReady); err != nil {
		return 1
	}
	if n, _ := let.Read(make([]byte, 1)); n != 1 {
		return 1
	}
	let.Close()
	if unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0) != nil {
		return 1
	}
	// Who made it may end from here on, and waits until then.
	if _, err := answer.WriteString(keeperReady); err != nil {
		return 1
	}
	answer.Close()
	m = nil
	debug.FreeOSMemory()
	if os.Getpid() == 1 {
		reapOrphans()
		return 0
	}
	for {
		unix.Pause()
	}
}

// readSpec reads its spec from the descriptor, which stays open, and the hosts.
func readSpec(m *spec) error {
	var st unix.Stat_t
	if err := unix.Fstat(specFD, &st); err != nil {
		return err
	}
	data := make([]byte, st.Size)
	if _, err := unix.Pread(specFD, data, 0); err != nil {
		return err
	}
	hosts := os.NewFile(hostsFD, hostsFile)
	defer hosts.Close()
	text, err := io.ReadAll(hosts)
	m.hosts = string(text)
	return errors.Join(err, json.Unmarshal(data, m))
}

// endTime is how long the processes of a node have, once their first one is told
// to end.
const endTime = 2 * time.Second

// lookTime is how often it is looked whether any is left.
const lookTime = 10 * time.Millisecond

// reapOrphans collects what ends without a parent. At SIGTERM it ends all
// processes, and comes back when they are gone, or at the end of their time.
func reapOrphans() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGCHLD, unix.SIGTERM)
	var over, look <-chan time.Time
	for {
		for {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if pid <= 0 && err != unix.EINTR {
				break
			}
		}
		// Those that came from outside have their parents there.
		if over != nil && unix.Kill(-1, 0) == unix.ESRCH {
			return
		}
		select {
		case s := <-signals:
			if s == unix.SIGTERM && over == nil {
				unix.Kill(-1, unix.SIGTERM)
				over = time.After(endTime)
				look = time.Tick(lookTime)
			}
		case <-look:
		case <-over:
			return
		}
	}
}
