package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"
	"time"

	"nslab/netsetup"
	"nslab/netsetup/bug"
	"nslab/netsetup/netns"
	"nslab/topology"
)

func TestExitStatus(t *testing.T) {
	cmd := new(app).upCommand()
	op := &netsetup.OpError{Op: netsetup.Op{Namespace: "campus.r1", Object: &netsetup.Link{Name: "eth0"}}, Err: syscall.EBUSY}
	for _, test := range []struct {
		name   string
		err    error
		status int
	}{
		{"nothing", nil, 0},
		{"a test failed", statusError(1), 1},
		{"usage", usageError{cmd, errors.New("what?")}, 2},
		{"topology", topology.Errors{{File: "lab.yaml", Msg: "wrong"}}, 3},
		{"one of several files", errors.Join(topology.Errors{{File: "lab.yaml", Msg: "wrong"}}), 3},
		{"privilege", &netns.PrivilegeError{What: "not allowed", Hint: "be root"}, 4},
		{"limit", &netns.LimitError{Limit: "fs.mount-max", Hint: "raise it", Err: syscall.ENOSPC}, 4},
		{"limit met by a change", &netsetup.RolledBackError{Lab: "campus", Cause: &netns.LimitError{Limit: "fs.mount-max", Hint: "raise it", Err: syscall.ENOSPC}}, 4},
		{"a file of the host", &fs.PathError{Op: "open", Path: "/run/nslab", Err: syscall.EROFS}, 4},
		{"a refused change", op, 5},
		{"several refused changes", errors.Join(op, op), 5},
		{"rolled back", &netsetup.RolledBackError{Lab: "campus", Cause: op}, 5},
		{"not ours", &netsetup.NotOursError{Namespace: "campus.r1"}, 5},
		{"left", &netsetup.LeftError{Lab: "campus"}, 5},
		{"unsettled", &netsetup.UnsettledError{Rest: &netsetup.Plan{}}, 5},
		{"a bug", &bug.Error{Value: "no such index"}, 5},
		{"a bug, undone", &netsetup.RolledBackError{Lab: "campus", Cause: &bug.Error{Value: "no such index"}}, 5},
		{"different", withStatus{statusDifferent, errors.New("differs")}, 6},
		{"locked", fmt.Errorf("up: %w", &netsetup.LockedError{Lab: "campus", PID: 7}), 7},
		{"exec", execError(usageError{cmd, errors.New("what?")}), 125},
		{"interrupted", withStatus{statusInterrupted, errInterrupted}, 130},
	} {
		if got := exitStatus(test.err); got != test.status {
			t.Errorf("%s: status %d, want %d", test.name, got, test.status)
		}
	}
}

func TestEndedBy(t *testing.T) {
	interrupted, cancel := context.WithCancelCause(context.Background())
	cancel(errInterrupted)
	late, release := context.WithTimeoutCause(context.Background(), 0, errors.New("--timeout of 1s is over"))
	defer release()
	<-late.Done()
	for _, test := range []struct {
		name   string
		ctx    context.Context
		err    error
		status int
		text   string
	}{
		{"done in time", interrupted, nil, 0, ""},
		{"interrupted", interrupted, errors.Join(context.Canceled, context.Canceled), 130, "interrupted"},
		{"interrupted and rolled back", interrupted,
			&netsetup.RolledBackError{Lab: "campus", Cause: errors.Join(context.Canceled, context.Canceled)}, 130,
			"interrupted\nrolled back: everything is as it was before"},
		{"interrupted and not gone", interrupted, &netsetup.LeftError{Lab: "campus", Err: context.Canceled}, 130,
			"interrupted: lab campus is not gone: context canceled"},
		{"interrupted with tests that failed", interrupted, statusError(1), 130, "interrupted"},
		{"late", late, context.DeadlineExceeded, 4, "--timeout of 1s is over"},
		{"late and rolled back", late, &netsetup.RolledBackError{Lab: "campus", Cause: context.DeadlineExceeded}, 5,
			"--timeout of 1s is over\nrolled back: everything is as it was before"},
		{"late with tests that failed", late, statusError(1), 1, ""},
		{"not ended", context.Background(), errors.New("no"), 4, "no"},
	} {
		err := endedBy(test.ctx, test.err)
		if got := exitStatus(err); got != test.status {
			t.Errorf("%s: status %d, want %d", test.name, got, test.status)
		}
		if got := errorText(err); got != test.text {
			t.Errorf("%s: text %q, want %q", test.name, got, test.text)
		}
	}
}

func TestErrorText(t *testing.T) {
	cmd := new(app).upCommand()
	for _, test := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{statusError(6), ""},
		{usageError{cmd, errors.New("what?")}, "what?\nhint: `up --help` shows what there is"},
		{usageError{cmd, errors.New("what?\nhint: this")}, "what?\nhint: this"},
		{&netns.PrivilegeError{What: "not allowed", Hint: "be root"}, "not allowed\nhint: be root"},
		{&netsetup.RolledBackError{Lab: "campus", Cause: &bug.Error{Value: "no such index"}},
			"this is a bug in nslab: no such index\nrolled back: everything is as it was before\nhint: " + bugHint},
		{&netsetup.RolledBackError{Lab: "campus", Ran: true, Cause: errors.New("no"), Err: errors.New("busy"), Left: []string{"ip link del a", "ip link del b"}},
			"no\nrolled back, but not all of it: busy\nto be done by hand: ip link del a\nto be done by hand: ip link del b\n" +
				"hint: `nslab up campus` tries again to bring back what ran, `nslab down campus` removes all of the lab"},
		{&netsetup.RolledBackError{Lab: "campus", Kept: true, Cause: errors.New("no")}, "no\nkept as it is; `nslab down campus` removes it"},
	} {
		if got := errorText(test.err); got != test.want {
			t.Errorf("text of %#v is %q, want %q", test.err, got, test.want)
		}
	}
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	p := &progress{out: &out, now: func() time.Time { return now }, start: now, last: now}
	tell := p.of("campus")
	for _, step := range []struct {
		after time.Duration
		done  int
	}{{0, 1}, {900 * time.Millisecond, 2}, {200 * time.Millisecond, 3}, {4 * time.Second, 4}, {time.Second, 5}, {5 * time.Second, 9}} {
		now = now.Add(step.after)
		tell(step.done, 10)
	}
	p.clear()
	if want := "campus: 4/10\ncampus: 9/10\n"; out.String() != want {
		t.Errorf("progress wrote %q, want %q", out.String(), want)
	}
	if (&app{quiet: true}).newProgress().of("campus") != nil {
		t.Error("there is progress in spite of --quiet")
	}
}
