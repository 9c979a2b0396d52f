//go:build failpoint

package failpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// signalTime is more than it takes a signal to be heard of.
const signalTime = 50 * time.Millisecond

// fault is one item of NSLAB_FAILPOINT.
type fault struct {
	point string
	n     int
	again bool
	kind  string
}

var points struct {
	sync.Mutex
	hits   map[string]int
	faults []fault
	log    *os.File
}

func init() {
	points.hits = make(map[string]int)
	if list := os.Getenv("NSLAB_FAILPOINT"); list != "" {
		for _, item := range strings.Split(list, ",") {
			points.faults = append(points.faults, parse(item))
		}
	}
	if name := os.Getenv("NSLAB_FAILPOINT_LOG"); name != "" {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND|unix.O_CLOEXEC, 0o666)
		if err != nil {
			panic(err)
		}
		points.log = f
	}
}

func parse(item string) fault {
	f := fault{n: 1}
	at, kind, ok := strings.Cut(item, "=")
	f.kind = kind
	at, f.again = strings.CutSuffix(at, "+")
	point, n, numbered := strings.Cut(at, "#")
	f.point = point
	if numbered {
		var err error
		if f.n, err = strconv.Atoi(n); err != nil {
			ok = false
		}
	}
	if !ok || point == "" {
		panic(fmt.Sprintf("NSLAB_FAILPOINT: %q is not NAME[#N][+]=FAULT", item))
	}
	return f
}

// Around makes a change, between its two points.
func Around(name string, change func() error) error {
	if err := pass(name + ".before"); err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	return pass(name + ".after")
}

// Env is what a process of ours is given that gets no environment else.
func Env() []string {
	env := []string{}
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "NSLAB_FAILPOINT") {
			env = append(env, v)
		}
	}
	return env
}

func pass(point string) error {
	points.Lock()
	points.hits[point]++
	n := points.hits[point]
	if points.log != nil {
		fmt.Fprintln(points.log, point)
	}
	points.Unlock()
	for _, f := range points.faults {
		if f.point == point && (n == f.n || f.again && n > f.n) {
			return f.happen()
		}
	}
	return nil
}

func (f *fault) happen() error {
	switch f.kind {
	case "error":
		return fmt.Errorf("failpoint %s", f.point)
	case "panic":
		panic("failpoint " + f.point)
	case "kill":
		unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	case "int":
		unix.Kill(os.Getpid(), unix.SIGINT)
		time.Sleep(signalTime)
		return nil
	}
	panic(fmt.Sprintf("NSLAB_FAILPOINT: there is no fault %q", f.kind))
}
