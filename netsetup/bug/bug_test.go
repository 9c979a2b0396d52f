package bug

import (
	"bytes"
	"errors"
	"testing"
)

func TestGuard(t *testing.T) {
	plain := errors.New("plain")
	for _, c := range []struct {
		name string
		f    func() error
		bug  bool
	}{
		{"nothing", func() error { return nil }, false},
		{"an error", func() error { return plain }, false},
		{"a panic", func() error { panic("out of order") }, true},
		{"a panic of the runtime", func() error { var p *Error; _ = p.Value; return nil }, true},
	} {
		err := Guard(c.f)
		e := In(err)
		if (e != nil) != c.bug {
			t.Errorf("%s: %v", c.name, err)
		}
		if e != nil && !bytes.Contains(e.Stack, []byte("bug_test.go")) {
			t.Errorf("%s: the stack does not say where:\n%s", c.name, e.Stack)
		}
	}
	err := func() (err error) {
		defer Catch(&err)
		defer func() { err = plain }()
		panic("out of order")
	}()
	if !errors.Is(err, plain) || In(err) == nil {
		t.Errorf("an error and a panic gave %v", err)
	}
}
