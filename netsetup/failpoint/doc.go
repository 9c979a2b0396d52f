// Package failpoint marks every change that the program makes to the kernel or to
// files, so that tests can let it fail there. It is empty in the program as it is
// shipped; with the build tag failpoint each change has a point before and one
// behind it, which two environment variables tell what to do.
//
// NSLAB_FAILPOINT is a list of NAME[#N][+]=FAULT, separated by commas: what
// happens when the process comes by the point NAME the N-th time (without N: the
// first), with + also every time thereafter. The faults:
//
//	error  the change is reported as failed: before, it was not made; behind, it was
//	panic  the code panics there
//	kill   the process kills itself with SIGKILL
//	int    the process sends itself SIGINT
//
// NSLAB_FAILPOINT_LOG is a file to which the name of each point is appended as
// it is passed, one on a line.
package failpoint
