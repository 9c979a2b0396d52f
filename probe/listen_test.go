package probe

import (
	"os/exec"
	"sync"
	"testing"
)

// TestListenAgain serves a port again and again while programs are started: a
// child has copies of all sockets until it becomes its program, and a port that
// was given up is in use for so long.
func TestListenAgain(t *testing.T) {
	l := pairLab(t)
	run := &runner{listeners: make(map[listenerKey]*listener)}
	b := &node{name: "b", topo: l.node("b"), open: l.open}
	defer b.close()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				select {
				case <-stop:
					return
				default:
					_ = exec.Command("true").Run()
				}
			}
		}()
	}
	defer wg.Wait()
	defer close(stop)
	for i := range 500 {
		for _, tcp := range []bool{true, false} {
			s, err := run.listen(listenerKey{node: b, addr: mustAddrPort("10.0.0.2:80"), tcp: tcp}, echoes)
			if err != nil {
				t.Fatalf("round %d: %v", i, err)
			}
			run.release(s)
		}
	}
}
