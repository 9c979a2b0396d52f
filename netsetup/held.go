package netsetup

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// HeldError says that a namespace is not removed, as others hold it.
type HeldError struct {
	By []string // who does, and how
}

// maxHolds bounds how many of those who hold a namespace are named.
const maxHolds = 10

func (e *HeldError) Error() string {
	by := e.By
	if n := len(by) - maxHolds; n > 0 {
		by = append(slices.Clone(by[:maxHolds]), fmt.Sprintf("%d more", n))
	}
	return "it is held: " + strings.Join(by, "; ")
}

// heldIn gives the ops that failed with a HeldError.
func heldIn(err error) []*OpError {
	switch e := err.(type) {
	case *OpError:
		if errors.As(e.Err, new(*HeldError)) {
			return []*OpError{e}
		}
	case interface{ Unwrap() []error }:
		var all []*OpError
		for _, x := range e.Unwrap() {
			all = append(all, heldIn(x)...)
		}
		return all
	}
	return nil
}
