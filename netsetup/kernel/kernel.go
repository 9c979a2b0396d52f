// Package kernel carries out netsetup's plans on the running kernel and reads
// back what is there: the real netsetup.Kernel.
//
// It knows rtnetlink(7), nf_tables, ethtool's ioctl and /proc/sys, and which of the things
// it finds are the lab's own, made by hand, or a daemon's. It must not know
// topology files, nor what a lab should look like. Namespaces are entered
// through package netns alone.
package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/netns"
)

// Options are how a Kernel works. The zero Options are good.
type Options struct {
	// Trace, where given, is called with each change as the command that does
	// the same (netsetup.Op.Command) before it is made. Calls do not overlap;
	// those of one namespace come in order.
	Trace func(command string)
	// Workers is how many namespaces are worked on side by side; 0 is 2.
	Workers int
}

// Kernel is the running one, as seen from the namespace of this process. Its
// methods may not be called at the same time.
type Kernel struct {
	workers int
	trace   func(string)
	traceMu sync.Mutex

	mu     sync.Mutex
	spaces map[string]*space // by Namespace.Name

	procs   procs
	buffers sync.Pool // of *[]byte, answerSize long
}

var _ netsetup.Kernel = (*Kernel)(nil)

// space is an open namespace.
type space struct {
	name    string
	handle  *netns.Handle
	sock    *socket
	nft     *socket // nil until it is needed
	sysctls sysctls

	// links are those that were there when they were last read; nil: to be
	// read.
	links []linkInfo

	// deletedRules are unmarked rules that were taken away, as the kernel
	// gave them, so that a rollback can put them back.
	deletedRules map[netsetup.Rule][]byte
}

// New makes a Kernel; nothing is opened yet.
func New(o Options) (*Kernel, error) {
	if o.Workers < 0 {
		return nil, fmt.Errorf("a kernel cannot have %d workers", o.Workers)
	}
	if o.Workers == 0 {
		o.Workers = 2
	}
	return &Kernel{
		workers: o.Workers,
		trace:   o.Trace,
		spaces:  make(map[string]*space),
		buffers: sync.Pool{New: func() any { b := make([]byte, answerSize); return &b }},
	}, nil
}

// Close lets go of every namespace. It is to be called before one waits for
// their end: an open one lives on.
func (k *Kernel) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name := range k.spaces {
		k.forget(name)
	}
	k.procs.close()
	return nil
}

// forget closes a space; k.mu is held.
func (k *Kernel) forget(name string) {
	sp := k.spaces[name]
	if sp == nil {
		return
	}
	if sp.sock != nil {
		sp.sock.close()
	}
	sp.closeNft()
	sp.sysctls.close()
	sp.handle.Close()
	delete(k.spaces, name)
}

// Handle gives a namespace by its netsetup.Namespace.Name: "" is the one of
// this process. It stays open until the Kernel is closed or the namespace
// deleted.
func (k *Kernel) Handle(ns string) (*netns.Handle, error) {
	sp, err := k.space(ns)
	if err != nil {
		return nil, err
	}
	return sp.handle, nil
}

// space gives an open space, without a socket where it was not open before.
func (k *Kernel) space(name string) (*space, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if sp := k.spaces[name]; sp != nil {
		return sp, nil
	}
	h, err := openNamespace(name)
	if err != nil {
		return nil, err
	}
	sp := &space{name: name, handle: h}
	k.spaces[name] = sp
	return sp, nil
}

func (k *Kernel) isOpen(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.spaces[name] != nil
}

func openNamespace(name string) (*netns.Handle, error) {
	if name == "" {
		return netns.Current()
	}
	return netns.Open(name)
}

// current gives the space of a namespace that may have been replaced by
// another of the same name since it was opened.
func (k *Kernel) current(name string) (*space, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	sp := k.spaces[name]
	if sp != nil && (name == "" || isStill(sp)) {
		return sp, nil
	}
	h, err := openNamespace(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			k.forget(name)
		}
		return nil, err
	}
	if sp != nil && sp.handle.Inode() == h.Inode() {
		h.Close()
		return sp, nil
	}
	k.forget(name)
	sp = &space{name: name, handle: h}
	k.spaces[name] = sp
	return sp, nil
}

// isStill reports whether a space is what its name under netns.Dir leads to. A
// handle keeps the inode number from being used again.
func isStill(sp *space) bool {
	var st unix.Stat_t
	return !strings.ContainsAny(sp.name, "/:") &&
		unix.Stat(netns.Dir+"/"+sp.name, &st) == nil && st.Ino == sp.handle.Inode()
}

// open opens the space's socket; the calling thread is inside.
func (sp *space) open() error {
	if sp.sock != nil {
		return nil
	}
	s, err := openSocket()
	sp.sock = s
	return err
}

// openNft opens the space's socket to nf_tables; the calling thread is inside.
func (sp *space) openNft() error {
	if sp.nft != nil {
		return nil
	}
	s, err := openNftSocket()
	if err == nil {
		sp.nft = s
	}
	return err
}

func (sp *space) closeNft() {
	if sp.nft != nil {
		sp.nft.close()
		sp.nft = nil
	}
}

// mark is the alias on lo that says whose a namespace is.
func mark(namespace string) string { return netsetup.AliasPrefix + namespace }

// marked reports whether lo says that a namespace is what it is called. The
// group, which a lab's lo has as all of its interfaces have, stands in for an
// alias that somebody wrote over, but for that of another namespace: a lab's
// namespace that was given one more name is not this.
func marked(namespace, alias string, group uint32) bool {
	return alias == mark(namespace) || group == netsetup.Group && !strings.HasPrefix(alias, netsetup.AliasPrefix)
}

// each runs f inside each space, on several threads, with a buffer for
// answers. It stops early where ctx ends.
func (k *Kernel) each(ctx context.Context, spaces []*space, f func(i int, in []byte) error) error {
	k.mu.Lock()
	frugal, _ := k.files(0)
	k.mu.Unlock()
	handles := make([]*netns.Handle, len(spaces))
	for i, sp := range spaces {
		handles[i] = sp.handle
	}
	err := netns.DoEach(handles, k.workers, func(i int) error {
		if ctx.Err() != nil {
			return nil
		}
		if err := spaces[i].open(); err != nil {
			return fmt.Errorf("namespace %s: %w", displayName(spaces[i].name), err)
		}
		in := k.buffers.Get().(*[]byte)
		defer k.buffers.Put(in)
		err := f(i, *in)
		if frugal {
			spaces[i].sysctls.close()
			spaces[i].closeNft()
		}
		return err
	})
	return errors.Join(ctx.Err(), err)
}

// files says whether as many files can be open as n further namespaces take, each
// a handle and a socket, and whether the rest of what may be kept open for a
// namespace has to be closed after each use. k.mu is held.
func (k *Kernel) files(n int) (frugal bool, err error) {
	total := uint64(len(k.spaces) + n)
	most, err := netns.MostFiles()
	if err != nil {
		return false, err
	}
	if need := FilesFor(total); most < need {
		return true, netns.Limit(fmt.Errorf("%d are needed: %w", need, unix.EMFILE))
	}
	return most < 5*total+total/procShare+ownFiles, nil
}

// FilesFor is how many open files a lab of that many namespaces takes at least.
func FilesFor(namespaces uint64) uint64 { return 2*namespaces + namespaces/procShare + ownFiles }

// ownFiles are those that the program has beside: 12 were measured, and 13 more
// for tests.
const ownFiles = 48

// displayName names a namespace in messages.
func displayName(name string) string {
	if name == "" {
		return "of this process"
	}
	return name
}
