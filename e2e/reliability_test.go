package e2e

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

var full = flag.Bool("full", false, "try everything that the tests of reliability can, as `make reliability` does")

// TestReliability is what docs/reliability.md promises; the figures that it prints
// are the ones there.
func TestReliability(t *testing.T) {
	dir := commonDir(t)
	build(t, dir)
	failing := buildFailing(t, dir)
	t.Run("failpoints", func(t *testing.T) { testFailpoints(t, failing) })
	t.Run("by hand", func(t *testing.T) { testByHand(t, failing) })
	t.Run("concurrency", testConcurrency)
	if *full { // TestProgram has a little of them
		*walkTime = max(*walkTime, 5*time.Minute)
		t.Run("drift", testDrift)
		t.Run("soak", testWalk)
	}
}

// buildFailing builds the program with its failpoints.
func buildFailing(t *testing.T, dir string) string {
	nslab := filepath.Join(dir, "failing", "nslab")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-tags", "failpoint", "-o", nslab, "nslab/cmd/nslab")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return nslab
}
