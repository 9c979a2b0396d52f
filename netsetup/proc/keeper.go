package proc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/failpoint"
)

// KeeperArg is the second argument of this program re-executed as a keeper, the
// third is Machine.Key; main (and the TestMain of tests) must then exit with
// RunKeeper's status.
const KeeperArg = "__keeper"

const titlePrefix = "nslab: "

// title is the first argument of a node's keeper, by which it is found again.
func title(lab, node string) string { return titlePrefix + lab + "." + node }

// Keeper is the process that keeps the namespaces which a node owns beside its
// network.
type Keeper struct {
	PID   int
	Node  string // LAB.NODE
	Key   string // Machine.Key of what the namespaces were made from
	pidfd int
}

// Close lets go of the keeper, which goes on.
func (k *Keeper) Close() error { return unix.Close(k.pidfd) }

// Machine is what the keeper made the namespaces from.
func (k *Keeper) Machine() (*netsetup.Machine, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/fd/%d", k.PID, specFD))
	m := &netsetup.Machine{}
	if err == nil {
		err = json.Unmarshal(data, m)
	}
	if err != nil {
		return nil, fmt.Errorf("read what process %d keeps for %s: %w", k.PID, k.Node, err)
	}
	return m, nil
}

// Network is the inode number of the network namespace that the keeper is in.
func (k *Keeper) Network() uint64 { return inode(k.PID, "net") }

func inode(pid int, kind string) uint64 {
	var st unix.Stat_t
	if unix.Stat(fmt.Sprintf("/proc/%d/ns/%s", pid, kind), &st) != nil {
		return 0
	}
	return st.Ino
}

// openKeeper gives process pid if it is a keeper, else nil.
func openKeeper(pid int) (*Keeper, error) {
	k := &Keeper{PID: pid}
	if !k.identify() {
		return nil, nil
	}
	var err error
	if k.pidfd, err = unix.PidfdOpen(pid, 0); err != nil {
		if err == unix.ESRCH {
			return nil, nil
		}
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	// The number may have become another's in between.
	if !k.identify() {
		k.Close()
		return nil, nil
	}
	return k, nil
}

// identify looks at the process's arguments, and says whether they are a
// keeper's. A process that has ended has none.
func (k *Keeper) identify() bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", k.PID))
	if err != nil {
		return false
	}
	args := strings.Split(string(bytes.TrimRight(line, "\x00")), "\x00")
	if len(args) != 3 || args[1] != KeeperArg {
		return false
	}
	k.Key = args[2]
	var ours bool
	k.Node, ours = strings.CutPrefix(args[0], titlePrefix)
	return ours
}

// Keepers finds the keepers of a lab among all processes, for the caller to
// close.
func Keepers(lab string) ([]*Keeper, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var list []*Keeper
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		k, err := openKeeper(pid)
		if err != nil {
			CloseAll(list)
			return nil, err
		}
		if k == nil {
			continue
		}
		if !strings.HasPrefix(k.Node, lab+".") {
			k.Close()
			continue
		}
		list = append(list, k)
	}
	return list, nil
}

// CloseAll closes keepers.
func CloseAll(list []*Keeper) {
	for _, k := range list {
		k.Close()
	}
}

// findKeeper gives the keeper of a node whose network namespace has the inode
// number, or nil. The record says where it is; without one every process is
// looked at.
func findKeeper(lab, node string, network uint64) (*Keeper, error) {
	is := func(k *Keeper) bool { return k.Node == lab+"."+node && k.Network() == network }
	record, err := os.ReadFile(nodeFile(lab, node, keeperRecord))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if pid, err := strconv.Atoi(string(record)); err == nil {
		k, err := openKeeper(pid)
		if err != nil {
			return nil, err
		}
		if k != nil {
			if is(k) {
				return k, nil
			}
			k.Close()
		}
	}
	all, err := Keepers(lab)
	if err != nil {
		return nil, err
	}
	var found *Keeper
	for _, k := range all {
		if found == nil && is(k) {
			found = k
		} else {
			k.Close()
		}
	}
	return found, nil
}

// End ends the keeper, with every process of a PID namespace that it keeps, and
// waits for its end.
func (k *Keeper) End() error {
	err := failpoint.Around("proc.keep.end", func() error { return unix.PidfdSendSignal(k.pidfd, unix.SIGKILL, nil, 0) })
	if err != nil && err != unix.ESRCH {
		return fmt.Errorf("end process %d, which keeps the namespaces of %s: %w", k.PID, k.Node, err)
	}
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(k.pidfd), Events: unix.POLLIN}}, -1)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return fmt.Errorf("wait for the end of process %d: %w", k.PID, err)
		}
	}
	unix.Wait4(k.PID, nil, unix.WNOHANG, nil) // where it is a child of this process
	k.forget()
	return nil
}

// forget removes the record, and the directories that it was alone in.
func (k *Keeper) forget() {
	lab, node, _ := strings.Cut(k.Node, ".")
	path := nodeFile(lab, node, keeperRecord)
	if record, err := os.ReadFile(path); err != nil || string(record) != strconv.Itoa(k.PID) {
		return
	}
	failpoint.Around("proc.keep.forget", func() error { return os.Remove(path) })
	os.Remove(filepath.Join(labDir(lab), nodesDir))
	os.Remove(labDir(lab))
}

// EndAll ends the keepers of a lab that are left.
func EndAll(lab string) error {
	all, err := Keepers(lab)
	if err != nil {
		return err
	}
	defer CloseAll(all)
	var errs []error
	for _, k := range all {
		errs = append(errs, k.End())
	}
	return errors.Join(errs...)
}
