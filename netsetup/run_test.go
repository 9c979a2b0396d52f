package netsetup_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
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
