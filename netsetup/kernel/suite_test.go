package kernel

import (
	"testing"
	"time"

	"nslab/netsetup/kerneltest"
)

// TestSuite holds the running kernel to what the one in memory does.
func TestSuite(t *testing.T) {
	k, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	kerneltest.Suite(t, k, "suite", uint64(time.Now().UnixNano()), 40, 40)
}
