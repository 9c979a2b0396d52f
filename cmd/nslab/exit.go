package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"nslab/netsetup"
	"nslab/netsetup/bug"
	"nslab/netsetup/netns"
	"nslab/netsetup/proc"
	"nslab/netsetup/proc/cgroup"
	"nslab/netsetup/proc/supervisor"
	"nslab/topology"
)

// The exit statuses. exec and shell end with the program's own, or with those
// that env(1) uses for programs it cannot run.
const (
	statusFailed      = 1
	statusUsage       = 2
	statusTopology    = 3
	statusHost        = 4
	statusKernel      = 5
	statusDifferent   = 6
	statusLocked      = 7
	statusExec        = proc.StatusFailed
	statusInterrupted = 130 // 128 + SIGINT, as shells give it
	statusUnread      = 141 // 128 + SIGPIPE
)

// statusError ends the program with a status, and says nothing: what there was
// to say has been said.
type statusError int

func (e statusError) Error() string { return "exit status " + strconv.Itoa(int(e)) }

// withStatus gives an error a status that its type does not tell.
type withStatus struct {
	status int
	error
}

func (e withStatus) Unwrap() error { return e.error }

// usageError is a wrong command line of the verb cmd.
type usageError struct {
	cmd *cobra.Command
	error
}

func (e usageError) Unwrap() error { return e.error }

func (e usageError) Error() string {
	text := e.error.Error()
	if !strings.Contains(text, "\nhint: ") {
		text += fmt.Sprintf("\nhint: `%s --help` shows what there is", e.cmd.CommandPath())
	}
	return text
}

// errInterrupted is why a context ended at a signal.
var errInterrupted = errors.New("interrupted")

// endedBy gives an error that came of the end of ctx the reason for that end.
func endedBy(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	cause := context.Cause(ctx)
	interrupted := errors.Is(cause, errInterrupted)
	var status statusError
	var rolled *netsetup.RolledBackError
	switch {
	case errors.As(err, &status):
		if interrupted {
			err = cause
		}
	case errors.As(err, &rolled) && errors.Is(rolled.Cause, ctx.Err()):
		rolled.Cause = cause
	case errors.Is(err, ctx.Err()) && onlySays(err, ctx.Err()):
		err = cause
	case !errors.Is(err, cause):
		err = fmt.Errorf("%w: %w", cause, err)
	}
	if interrupted {
		return withStatus{statusInterrupted, err}
	}
	return err
}

// onlySays reports whether err, which may be several joined, has no other text
// than that of other.
func onlySays(err, other error) bool {
	return strings.Trim(strings.ReplaceAll(err.Error(), other.Error(), ""), "\n") == ""
}

// exitStatus is the one place that says which error ends in which status.
func exitStatus(err error) int {
	var (
		status    statusError
		explicit  withStatus
		program   *proc.StartError
		usage     usageError
		topo      topology.Errors
		topoOne   *topology.Error
		locked    *netsetup.LockedError
		rolled    *netsetup.RolledBackError
		op        *netsetup.OpError
		notOurs   *netsetup.NotOursError
		missing   *netsetup.MissingInterfaceError
		left      *netsetup.LeftError
		unsettled *netsetup.UnsettledError
		process   *supervisor.Failure
		setup     *setupError
	)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	case unread(err):
		return statusUnread
	case errors.As(err, &program):
		return program.Status
	case errors.As(err, &explicit):
		return explicit.status
	case errors.As(err, &usage):
		return statusUsage
	case errors.As(err, &topo), errors.As(err, &topoOne), errors.As(err, &missing):
		return statusTopology
	case errors.As(err, &locked):
		return statusLocked
	case bug.In(err) != nil:
		return statusKernel
	case hostHint(err) != "":
		return statusHost
	case errors.As(err, &rolled), errors.As(err, &left), errors.As(err, &unsettled),
		errors.As(err, &op), errors.As(err, &notOurs), errors.As(err, &process), errors.As(err, &setup):
		return statusKernel
	}
	return statusHost
}

// errorText is what is printed of an error; "" where all was said before.
func errorText(err error) string {
	var status statusError
	if err == nil || errors.As(err, &status) || unread(err) {
		return ""
	}
	text := err.Error()
	if hint := hostHint(err); hint != "" && !strings.Contains(text, hint) {
		text += "\nhint: " + hint
	}
	if bug.In(err) != nil {
		text += "\nhint: " + bugHint
	}
	return text
}

// unread reports whether the reader of standard output went away, as head(1)
// does: programs end silently then.
func unread(err error) bool {
	path := new(fs.PathError)
	return errors.As(err, &path) && path.Path == os.Stdout.Name() && errors.Is(path, syscall.EPIPE)
}

// bugHint is what to do about a mistake of this program's own.
const bugHint = "please report it, with what -v prints; `nslab down LAB` removes what may be left"

// hostHint is what mends an error that comes of this host's limits, or of
// missing privilege; "" of any other error.
func hostHint(err error) string {
	var limit *netns.LimitError
	var privilege *netns.PrivilegeError
	var cgroups *cgroup.MissingError
	switch {
	case errors.As(err, &cgroups):
		return cgroups.Hint
	case errors.As(err, &limit):
		return limit.Hint
	case errors.As(err, &privilege):
		return privilege.Hint
	}
	return ""
}
