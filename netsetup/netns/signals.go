package netns

import (
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// Signals holds the signals that this process is sent, and passes them on to a
// child that stands for it. What a terminal sends reaches the child by itself,
// which is of the same process group.
type Signals struct {
	got  chan os.Signal
	done chan struct{}
	stop sync.Once
}

// PassSignals begins to hold signals, until Stop.
func PassSignals() *Signals {
	s := &Signals{got: make(chan os.Signal, 16), done: make(chan struct{})}
	signal.Notify(s.got, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2)
	return s
}

// To passes on what was sent, and what will be. The child may be reaped only after Stop,
// lest another gets it.
func (s *Signals) To(pid int) {
	child, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // it was reaped already
	}
	go func() {
		defer unix.Close(child)
		for {
			select {
			case got := <-s.got:
				if !fromTerminal(got) {
					// An error means that it has ended.
					unix.PidfdSendSignal(child, got.(unix.Signal), nil, 0)
				}
			case <-s.done:
				return
			}
		}
	}()
}

// Stop ends it. It may be called twice.
func (s *Signals) Stop() {
	s.stop.Do(func() {
		signal.Stop(s.got)
		close(s.done)
	})
}

// fromTerminal says whether a terminal sent s, as far as can be told: then our
// process group is in its foreground, and the child has got it too.
func fromTerminal(s os.Signal) bool {
	if s != unix.SIGINT && s != unix.SIGQUIT {
		return false
	}
	tty, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(tty)
	group, err := unix.IoctlGetInt(tty, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
