package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"nslab/e2e/sandbox"
)

// testDocuments holds the documents to what is true: every block marked yaml is
// a lab whose tests pass (one without a name gets one), and every command of a
// block marked console prints what stands below it.
func testDocuments(t *testing.T) {
	files, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, "../README.md") {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(f), func(t *testing.T) {
			for _, b := range blocks(string(text), "yaml") {
				t.Run(fmt.Sprintf("line %d", b.line), func(t *testing.T) { runExample(t, b.text) })
			}
			runSessions(t, blocks(string(text), "console"))
		})
	}
}

func runExample(t *testing.T, lab string) {
	if !strings.Contains("\n"+lab, "\nname:") {
		lab = "name: example\n" + lab
	}
	if !strings.Contains("\n"+lab, "\ntests:") {
		t.Fatal("the lab has no tests")
	}
	mustRun(t, []byte(lab), "test", "-")
}

// runSessions runs the commands of one document in order, in a folder of their
// own that has labs/ in it.
func runSessions(t *testing.T, sessions []block) {
	before, err := sandbox.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	labs, err := filepath.Abs("../labs")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(labs, filepath.Join(dir, "labs")); err != nil {
		t.Fatal(err)
	}
	for _, s := range sessions {
		for _, c := range commands(s) {
			cmd := exec.Command("sh", "-c", c.command)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if _, ok := err.(*exec.ExitError); err != nil && !ok {
				t.Fatal(err)
			}
			if got, want := steady(string(out)), steady(c.output); got != want {
				t.Errorf("line %d: %s\nprints:\n%s\nthe document says:\n%s", c.line, c.command, got, want)
			}
		}
	}
	if left := remaining(before); left != "" {
		t.Errorf("the sessions left behind:\n%s", left)
	}
}

// duration is what differs from run to run.
var duration = regexp.MustCompile(`\b[0-9]+(\.[0-9]+)?(ms|µs|s)\b`)

// steady is output without durations and white space at the end of lines.
func steady(output string) string {
	lines := strings.Split(duration.ReplaceAllString(output, "TIME"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// block is a fenced block of a Markdown file.
type block struct {
	line int // of its first line of text
	text string
}

// blocks gives the blocks that are marked as language.
func blocks(markdown, language string) []block {
	var found []block
	var in *block
	for i, line := range strings.SplitAfter(markdown, "\n") {
		switch fence := strings.TrimSpace(line); {
		case in == nil && fence == "```"+language:
			in = &block{line: i + 2}
		case in != nil && fence == "```":
			found = append(found, *in)
			in = nil
		case in != nil:
			in.text += line
		}
	}
	return found
}

// command is one of a session, with what it prints.
type command struct {
	line            int
	command, output string
}

// commands splits a session: a command follows `$ `, its output follows it.
func commands(session block) []command {
	var list []command
	for i, line := range strings.Split(session.text, "\n") {
		if c, ok := strings.CutPrefix(line, "$ "); ok {
			list = append(list, command{line: session.line + i, command: c})
		} else if len(list) > 0 {
			list[len(list)-1].output += line + "\n"
		}
	}
	return list
}
