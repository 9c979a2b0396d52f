package e2e

import (
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nslab/e2e/sandbox"
)

// testKnown runs labs whose answers are known: a test whose name begins with
// "pass" has to pass, one with "fail" to fail, in every case.
func testKnown(t *testing.T) {
	files, err := filepath.Glob("testdata/known/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	right, all := 0, 0
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			r, n := known(t, f)
			right, all = right+r, all+n
		})
	}
	t.Logf("%d of %d answers are right", right, all)
}

func known(t *testing.T, file string) (right, all int) {
	before, err := sandbox.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	// One item after the other: a port that one serves is open for the others.
	out, err := exec.Command("nslab", "test", file, "-o", "json").Output()
	var status *exec.ExitError
	if !errors.As(err, &status) || status.ExitCode() != 1 {
		t.Fatalf("%v, want exit status 1: tests fail that should\n%s", err, out)
	}
	var report struct {
		Reports []struct {
			Cases []struct{ Name, Outcome, Message string }
		}
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatal(err)
	}
	for _, lab := range report.Reports {
		for _, c := range lab.Cases {
			all++
			if want, _, _ := strings.Cut(c.Name, " "); strings.TrimSuffix(want, ":") == c.Outcome {
				right++
			} else {
				t.Errorf("%s: it is %s, %s", c.Name, c.Outcome, c.Message)
			}
		}
	}
	if all == 0 {
		t.Error("no cases")
	}
	if left := remaining(before); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
	return right, all
}
