package netsetup_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"nslab/e2e/sandbox"
	"nslab/netsetup"
)

// The sandbox gives the tests a /run of their own.
func TestMain(m *testing.M) { sandbox.Main(m) }

func TestLock(t *testing.T) {
	l, err := netsetup.LockLab(t.Context(), "lab", 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = netsetup.LockLab(t.Context(), "lab", 50*time.Millisecond)
	var locked *netsetup.LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Fatalf("second lock: %v", err)
	}
	if other, err := netsetup.LockLab(t.Context(), "other", 0); err != nil {
		t.Error(err)
	} else {
		other.Unlock()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := netsetup.LockLab(ctx, "lab", time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	l.Unlock()
	if left, err := os.ReadDir(netsetup.RunDir); !errors.Is(err, fs.ErrNotExist) && len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestRunDirIsOurs: what is kept is this user's alone, and no link or directory of
// somebody else is followed.
func TestRunDirIsOurs(t *testing.T) {
	elsewhere := t.TempDir()
	clean := func() {
		os.Remove(netsetup.RunDir) // a link
		os.RemoveAll(netsetup.RunDir)
	}
	t.Cleanup(clean)
	use := func() error {
		l, err := netsetup.LockLab(t.Context(), "lab", 0)
		if err == nil {
			err = errors.Join(netsetup.SaveFile("lab", "lab.yaml", []byte("secret")), l.Unlock())
		}
		return err
	}
	if err := use(); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(netsetup.RunDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	clean()
	for _, test := range []struct {
		name string
		do   func() error
	}{
		{"the directory is a link", func() error { return os.Symlink(elsewhere, netsetup.RunDir) }},
		{"others can write in it", func() error {
			return errors.Join(os.Mkdir(netsetup.RunDir, 0o700), os.Chmod(netsetup.RunDir, 0o777))
		}},
		{"it is a file", func() error { return os.WriteFile(netsetup.RunDir, nil, 0o600) }},
		{"the lock is a link", func() error {
			return errors.Join(os.Mkdir(netsetup.RunDir, 0o700), os.Symlink(elsewhere+"/lock", netsetup.RunDir+"/lab.lock"))
		}},
		{"the lab's directory is a link", func() error {
			return errors.Join(os.Mkdir(netsetup.RunDir, 0o700), os.Symlink(elsewhere, netsetup.RunDir+"/lab"))
		}},
		{"a file is a link", func() error {
			return errors.Join(os.MkdirAll(netsetup.RunDir+"/lab", 0o700), os.Symlink(elsewhere+"/name", netsetup.RunDir+"/lab/name.new"))
		}},
	} {
		if err := test.do(); err != nil {
			t.Fatal(err)
		}
		if err := use(); err == nil {
			t.Errorf("%s, and it is used", test.name)
		}
		if got, err := os.ReadDir(elsewhere); err != nil || len(got) > 0 {
			t.Errorf("%s: %v was written elsewhere, %v", test.name, got, err)
		}
		clean()
	}
	if err := os.MkdirAll(netsetup.RunDir+"/lab", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", netsetup.RunDir+"/lab/topology.yaml"); err != nil {
		t.Fatal(err)
	}
	for _, lab := range []string{"lab", "../lab", "/etc", ".", "..", ""} {
		if _, data, err := netsetup.LoadFile(lab); err == nil {
			t.Errorf("lab %q: read %q", lab, data)
		}
	}
	for _, lab := range []string{"../lab", "/etc", ".", "..", ""} {
		if l, err := netsetup.LockLab(t.Context(), lab, 0); err == nil {
			l.Unlock()
			t.Errorf("lab %q can be locked", lab)
		}
		if netsetup.RemoveFiles(lab) == nil {
			t.Errorf("lab %q can be removed", lab)
		}
	}
}

// A lock's file goes with it: whoever waited must not hold a file that nobody
// else can see.
func TestLockIsHeldByOne(t *testing.T) {
	var wg sync.WaitGroup
	var holders, most int
	var mu sync.Mutex
	count := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		holders += by
		most = max(most, holders)
	}
	for range 20 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			l, err := netsetup.LockLab(t.Context(), "lab", time.Minute)
			if err != nil {
				t.Error(err)
				return
			}
			count(1)
			time.Sleep(time.Millisecond)
			count(-1)
			l.Unlock()
		}()
	}
	wg.Wait()
	if most != 1 {
		t.Errorf("%d held the lock at once", most)
	}
}

func TestSavedFile(t *testing.T) {
	if _, _, err := netsetup.LoadFile("lab"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing saved: %v", err)
	}
	for _, data := range []string{"name: lab\n", "name: lab # changed\n"} {
		if err := netsetup.SaveFile("lab", "dir/lab.yaml", []byte(data)); err != nil {
			t.Fatal(err)
		}
		name, got, err := netsetup.LoadFile("lab")
		if err != nil || name != "dir/lab.yaml" || string(got) != data {
			t.Errorf("%q %q %v", name, got, err)
		}
	}
	if err := netsetup.RemoveFiles("lab"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(netsetup.RunDir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", netsetup.RunDir, err)
	}
}
