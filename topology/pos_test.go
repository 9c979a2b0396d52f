package topology

import "testing"

// TestErrorIsPrintable: a file has no say over the terminal that its mistakes are
// shown on, and cannot add lines to them.
func TestErrorIsPrintable(t *testing.T) {
	e := &Error{File: "a\x1b.yaml", Pos: Pos{Line: 1, Col: 2}, Path: "nodes.\x1b[31mé", Msg: "no\nhint: rm", Hint: "x\r\u009by"}
	want := `a\x1b.yaml:1:2: nodes.\x1b[31mé: no\nhint: rm` + "\nhint: " + `x\r\u009by`
	if got := e.Error(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
