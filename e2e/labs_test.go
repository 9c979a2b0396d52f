package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nslab/e2e/sandbox"
	"nslab/labs"
)

// testLabs runs the tests of every lab, which the program has as it is in its file.
func testLabs(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../labs/*.yaml", "../labs/namespaces/*.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) != len(labs.List()) {
		t.Errorf("%d files in labs/, but %d labs in the program", len(files), len(labs.List()))
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".yaml")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if shipped, err := labs.Read(name); err != nil || !bytes.Equal(shipped, text) {
				t.Errorf("the program has another: %v", err)
			}
			mustRun(t, nil, "test", name)
		})
	}
}

// mustRun runs nslab, which must end with status 0, and leave nothing behind.
func mustRun(t *testing.T, stdin []byte, args ...string) {
	t.Helper()
	before, err := sandbox.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nslab", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", cmd, err, out)
	}
	if left := remaining(before); left != "" {
		t.Errorf("%s left behind:\n%s", cmd, left)
	}
}
