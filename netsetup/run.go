package netsetup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nslab/topology"
)

// RunDir holds locks and a directory for each running lab. Losing it loses no
// cleanup: what runs is read from the kernel.
const RunDir = "/run/nslab"

// Lock is the right to change one lab.
type Lock struct {
	path string
	file *os.File
}

// LockedError says that another nslab holds the lab.
type LockedError struct {
	Lab string
	PID int // of the holder; 0 where it could not be read
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("lab %s is locked by another nslab", e.Lab)
	}
	return fmt.Sprintf("lab %s is locked by another nslab, pid %d", e.Lab, e.PID)
}

// lockPause is between two tries at a lock that another process holds.
const lockPause = 20 * time.Millisecond

// LockLab takes the lock of a lab, waiting for it at most that long; then it
// gives a *LockedError.
func LockLab(ctx context.Context, lab string, wait time.Duration) (*Lock, error) {
	if err := topology.CheckLabName(lab); err != nil {
		return nil, err
	}
	path := filepath.Join(RunDir, lab+".lock")
	deadline := time.Now().Add(wait)
	for {
		l, err := tryLock(path)
		if l != nil || err != nil {
			return l, err
		}
		if time.Now().After(deadline) {
			return nil, &LockedError{Lab: lab, PID: lockHolder(path)}
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(lockPause):
		}
	}
}

// tryLock gives nil without an error where somebody else has the lock. The file
// goes with its lock, so what was locked may be a file that is no longer there:
// hence the second look.
func tryLock(path string) (*Lock, error) {
	if err := os.MkdirAll(RunDir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // the directory went away in between
	}
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, nil
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	locked, err := f.Stat()
	there, err2 := os.Stat(path)
	if err != nil || err2 != nil || !os.SameFile(locked, there) {
		f.Close()
		return nil, nil
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock: %w", err)
	}
	return &Lock{path, f}, nil
}

func lockHolder(path string) int {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return pid
}

// Unlock gives the lock back and leaves no file.
func (l *Lock) Unlock() {
	os.Remove(l.path)
	os.Remove(RunDir) // only where it is empty
	l.file.Close()
}

const (
	savedFile = "topology.yaml"
	savedName = "name"
)

// SaveFile keeps a copy of a running lab's topology file, for verbs that are
// given the lab's name. name is the file's own, for messages and for what is named
// beside it.
func SaveFile(lab, name string, data []byte) error {
	dir := filepath.Join(RunDir, lab)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, savedName), []byte(name)); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, savedFile), data)
}

// writeFile replaces a file as a whole.
func writeFile(path string, data []byte) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// LoadFile gives the copy that SaveFile kept; the error wraps fs.ErrNotExist
// where there is none.
func LoadFile(lab string) (name string, data []byte, err error) {
	dir := filepath.Join(RunDir, lab)
	data, err = os.ReadFile(filepath.Join(dir, savedFile))
	if err != nil {
		return "", nil, err
	}
	n, err := os.ReadFile(filepath.Join(dir, savedName))
	if err != nil {
		return "", nil, err
	}
	return string(n), data, nil
}

// RemoveFiles removes a lab's directory.
func RemoveFiles(lab string) error {
	if err := topology.CheckLabName(lab); err != nil {
		return err
	}
	err := os.RemoveAll(filepath.Join(RunDir, lab))
	os.Remove(RunDir) // only where it is empty
	return err
}
