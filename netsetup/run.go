package netsetup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nslab/netsetup/failpoint"
	"nslab/netsetup/netns"
	"nslab/topology"
)

// RunDir holds locks and a directory for each running lab. Losing it loses no
// cleanup: what runs is read from the kernel.
const RunDir = "/run/nslab"

// Lock is the right to change one lab.
type Lock struct {
	// Stale says that the last to hold it did not give it back: it was killed.
	Stale bool

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

// lockSuffix ends the name of a lab's lock.
const lockSuffix = ".lock"

// lockPause is between two tries at a lock that another process holds.
const lockPause = 20 * time.Millisecond

// LockLab takes the lock of a lab, waiting for it at most that long; then it
// gives a *LockedError.
func LockLab(ctx context.Context, lab string, wait time.Duration) (*Lock, error) {
	if err := topology.CheckLabName(lab); err != nil {
		return nil, err
	}
	path := filepath.Join(RunDir, lab+lockSuffix)
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

// tryLock gives nil without an error where somebody else has the lock. After an
// error, or a panic, nothing is left that was not there.
func tryLock(path string) (l *Lock, err error) {
	var f *os.File
	defer func() {
		if l != nil {
			return
		}
		if f != nil {
			if failed := (&Lock{path: path, file: f}); failed.acquire() == nil {
				failed.remove()
			}
			f.Close()
		}
		RemoveRunDir()
	}()
	err = failpoint.Around("run.dir", func() error { return makeDir(RunDir) })
	if err != nil {
		return nil, netns.NoSpace("/run", err)
	}
	err = failpoint.Around("run.lock", func() (err error) {
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // the directory went away in between
	}
	if err != nil {
		return nil, fmt.Errorf("lock: %w", netns.NoSpace(RunDir, err))
	}
	got := &Lock{path: path, file: f}
	if err := got.acquire(); errors.Is(err, unix.EWOULDBLOCK) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	got.Stale = lockHolder(path) != 0
	if err := failpoint.Around("run.lock.pid", got.writePID); err != nil {
		return nil, fmt.Errorf("lock: %w", netns.NoSpace(RunDir, err))
	}
	return got, nil
}

// makeDir makes a directory of this user alone, for topology files can hold
// secrets. One that is there must be this user's, and nobody else may write in
// it: then no link in it is somebody else's.
func makeDir(path string) error {
	err := os.Mkdir(path, 0o700)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err == unix.ENOENT {
		return nil // it went this moment, which the next step finds
	} else if err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
		return fmt.Errorf("%s is not a directory that this user alone can write in\nhint: nslab did not make it so; see who did, and remove it", path)
	}
	return nil
}

// acquire locks the file; unix.EWOULDBLOCK is that somebody else has the lock.
// The file goes with its lock, so what was locked may be a file that is no longer
// there: hence the second look.
func (l *Lock) acquire() error {
	if err := unix.Flock(int(l.file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return err
	}
	locked, err := l.file.Stat()
	there, err2 := os.Stat(l.path)
	if err != nil || err2 != nil || !os.SameFile(locked, there) {
		return unix.EWOULDBLOCK
	}
	return nil
}

func (l *Lock) writePID() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func (l *Lock) remove() error {
	err := os.Remove(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
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

// Unlock gives the lock back and leaves no file. What comes after it does not
// depend on its error.
func (l *Lock) Unlock() error {
	defer func() {
		RemoveRunDir()
		l.file.Close()
	}()
	if err := failpoint.Around("run.unlock", l.remove); err != nil {
		return fmt.Errorf("unlock: %w", err)
	}
	return nil
}

const (
	savedFile = "topology.yaml"
	savedName = "name"
)

// SaveFile keeps a copy of a running lab's topology file, for verbs that are
// given the lab's name. name is the file's own, for messages and for what is named
// beside it. After an error, or a panic, the copy is the one that was there before.
func SaveFile(lab, name string, data []byte) (err error) {
	oldName, old, oldErr := LoadFile(lab)
	saved := false
	defer func() {
		switch {
		case saved:
		case oldErr != nil:
			err = errors.Join(err, RemoveFiles(lab))
		default:
			err = errors.Join(err, writeFiles(lab, oldName, old))
		}
	}()
	err = writeFiles(lab, name, data)
	saved = err == nil
	return err
}

func writeFiles(lab, name string, data []byte) error {
	dir := filepath.Join(RunDir, lab)
	err := failpoint.Around("run.save.dir", func() error { return errors.Join(makeDir(RunDir), makeDir(dir)) })
	if err != nil {
		return netns.NoSpace("/run", err)
	}
	if err := writeFile(filepath.Join(dir, savedName), []byte(name)); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, savedFile), data)
}

// writeFile replaces a file as a whole.
func writeFile(path string, data []byte) error {
	tmp := path + ".new"
	err := failpoint.Around("run.save.write", func() error {
		f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		return errors.Join(err, f.Close())
	})
	if err == nil {
		err = failpoint.Around("run.save.rename", func() error { return os.Rename(tmp, path) })
	}
	if err != nil {
		os.Remove(tmp)
	}
	return netns.NoSpace(RunDir, err)
}

// LoadFile gives the copy that SaveFile kept; the error wraps fs.ErrNotExist
// where there is none.
func LoadFile(lab string) (name string, data []byte, err error) {
	if err := topology.CheckLabName(lab); err != nil {
		return "", nil, err
	}
	dir := filepath.Join(RunDir, lab)
	data, err = readFile(filepath.Join(dir, savedFile))
	if err != nil {
		return "", nil, err
	}
	n, err := readFile(filepath.Join(dir, savedName))
	if err != nil {
		return "", nil, err
	}
	return string(n), data, nil
}

// readFile reads a file, and not what a link leads to.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// RemoveFiles removes a lab's directory.
func RemoveFiles(lab string) error {
	if err := topology.CheckLabName(lab); err != nil {
		return err
	}
	err := failpoint.Around("run.remove", func() error { return os.RemoveAll(filepath.Join(RunDir, lab)) })
	RemoveRunDir()
	return err
}

// RemoveRunDir takes RunDir away where it is empty, and this user's.
func RemoveRunDir() {
	var st unix.Stat_t
	if unix.Lstat(RunDir, &st) == nil && int(st.Uid) == os.Geteuid() && st.Mode&0o022 == 0 {
		_ = unix.Rmdir(RunDir) // no directory, or not empty: it stays
	}
}

// Recorded gives the names of the labs that something in RunDir is for, sorted. A
// lab that is there need not run: a crash, or the work on it, has left the file.
func Recorded() ([]string, error) {
	entries, err := os.ReadDir(RunDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var labs []string
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), lockSuffix)
		if topology.CheckLabName(name) == nil && !slices.Contains(labs, name) {
			labs = append(labs, name)
		}
	}
	slices.Sort(labs)
	return labs, nil
}
