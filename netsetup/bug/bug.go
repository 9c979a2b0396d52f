// Package bug turns panics into errors, so that a mistake in the program undoes
// what was begun, as any other error does.
package bug

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Error is a panic that was caught.
type Error struct {
	Value any    // what panic was given
	Stack []byte // of the goroutine that panicked
}

func (e *Error) Error() string { return fmt.Sprintf("this is a bug in nslab: %v", e.Value) }

// Catch, deferred, makes a panic of the function an *Error, joined to what *err
// was. What the runtime itself ends the program for, such as memory that is
// used up, cannot be caught.
func Catch(err *error) {
	if v := recover(); v != nil {
		*err = errors.Join(*err, &Error{v, debug.Stack()})
	}
}

// Guard calls f and gives its error, or its panic as an *Error.
func Guard(f func() error) (err error) {
	defer Catch(&err)
	return f()
}

// In reports the *Error that err is or wraps; nil where there is none.
func In(err error) *Error {
	var e *Error
	errors.As(err, &e)
	return e
}
