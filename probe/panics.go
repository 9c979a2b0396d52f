package probe

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
)

// panics keeps the first panic of Run's goroutines. There it would end the
// program, with the lab still up; Run panics with it where it was called.
type panics struct {
	first atomic.Pointer[string]
}

// keep is for `defer` in a goroutine.
func (p *panics) keep() {
	if v := recover(); v != nil {
		text := fmt.Sprintf("%v\n\n%s", v, debug.Stack())
		p.first.CompareAndSwap(nil, &text)
	}
}

func (p *panics) raise() {
	if text := p.first.Load(); text != nil {
		panic(*text)
	}
}
