package netns

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// graceTime is what programs that are told to end have for it.
	graceTime = time.Second
	// releaseTime bounds the wait for namespaces to be let go of.
	releaseTime = 2 * time.Second
)

// Release ends the programs that were started in namespaces by us, waits a
// little for others to let go of these, and gives what then still holds them. It
// waits at most releaseTime, and not beyond ctx.
func Release(ctx context.Context, inodes []uint64) ([]Hold, error) {
	begin := time.Now()
	told := map[int]bool{}
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		holds, err := Holds(inodes)
		if err != nil || len(holds) == 0 {
			return nil, err
		}
		above := ancestors()
		for i := range holds {
			h := &holds[i]
			switch {
			case !h.Ours || slices.Contains(above, h.PID):
			case time.Since(begin) > graceTime:
				signalHold(h, unix.SIGKILL)
			case !told[h.PID]:
				told[h.PID] = true
				// A shell ignores the first, and a stopped program both.
				signalHold(h, unix.SIGTERM, unix.SIGHUP, unix.SIGCONT)
			}
		}
		if time.Since(begin) > releaseTime || ctx.Err() != nil {
			return holds, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// signalHold sends signals to the process of a Hold, if the number is still that
// of a program of ours in the namespace. One that has ended is no error.
func signalHold(h *Hold, signals ...unix.Signal) {
	fd, err := unix.PidfdOpen(h.PID, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if !carriesMark(h.PID, h.Inode) {
		return
	}
	for _, s := range signals {
		_ = unix.PidfdSendSignal(fd, s, nil, 0)
	}
}

// ancestors are this process, its parent, and so on: who runs nslab inside of a
// node is not ended by it.
func ancestors() []int {
	var list []int
	for pid := unix.Getpid(); pid > 0; {
		list = append(list, pid)
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			break
		}
		// Behind the name come the state and the parent; see proc_pid_stat(5).
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 2 {
			break
		}
		pid, _ = strconv.Atoi(string(fields[1]))
	}
	return list
}
