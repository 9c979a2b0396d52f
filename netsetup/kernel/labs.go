package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"nslab/netsetup"
	"nslab/netsetup/netns"
	"nslab/topology"
)

// isAbsent reports that no namespace has the name: nothing has, or what is there
// is no longer, or not yet, one.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, netns.ErrNotNetwork)
}

// IsMarked says whether a namespace under netns.Dir is a lab's.
func IsMarked(name string) (is bool, err error) {
	h, err := netns.Open(name)
	if isAbsent(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer h.Close()
	err = netns.Do(h, func() error {
		s, err := openSocket()
		if err != nil {
			return err
		}
		defer s.close()
		alias, group, err := s.loMark(noNetnsid, make([]byte, 1<<15))
		is = marked(name, alias, group)
		return err
	})
	return is, err
}

// Labs gives the names of the labs that are there, sorted: those with a marked
// namespace, or with a marked link or table in the namespace of this process.
func (k *Kernel) Labs(ctx context.Context) ([]string, error) {
	names, err := netns.Names("")
	if err != nil {
		return nil, fmt.Errorf("list network namespaces: %w", err)
	}
	spaces, letGo, err := k.present(slices.DeleteFunc(append(names, ""), func(name string) bool {
		return name != "" && !strings.Contains(name, ".")
	}))
	defer letGo()
	if err != nil {
		return nil, err
	}
	found := make(map[string]bool)
	var mu sync.Mutex
	add := func(lab string) {
		mu.Lock()
		defer mu.Unlock()
		if topology.CheckLabName(lab) == nil { // else it is no lab's mark, and would be part of paths
			found[lab] = true
		}
	}
	err = k.each(ctx, spaces, func(i int, in []byte) error {
		sp := spaces[i]
		if sp.name != "" {
			alias, group, err := sp.sock.loMark(noNetnsid, in)
			if lab, _, ok := strings.Cut(sp.name, "."); ok && marked(sp.name, alias, group) {
				add(lab)
			}
			return err
		}
		if err := sp.labsOfTables(in, add); err != nil {
			return err
		}
		return sp.sock.dump(linkRequest(), in, func() {}, func(m message) error {
			if p, ok := parseLink(m); ok {
				if lab, ok := strings.CutPrefix(p.link.Alias, netsetup.AliasPrefix); ok && lab != "" && !strings.Contains(lab, ".") {
					add(lab)
				}
			}
			return nil
		})
	})
	return slices.Sorted(maps.Keys(found)), err
}

// present opens those of the namespaces that are there. letGo closes those that
// were not open before: another nslab may want to end them.
func (k *Kernel) present(names []string) (spaces []*space, letGo func(), err error) {
	var opened []string
	letGo = func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		for _, name := range opened {
			k.forget(name)
		}
	}
	for _, name := range names {
		if !k.isOpen(name) {
			opened = append(opened, name)
		}
		sp, err := k.current(name)
		if isAbsent(err) {
			continue
		}
		if err != nil {
			return nil, letGo, err
		}
		spaces = append(spaces, sp)
	}
	return spaces, letGo, nil
}

// Joined looks for the External namespaces of a lab of which its file may not tell:
// those of another's name, or of a process, with a table that is marked as the
// lab's. All else that a lab has there hangs on a link, which goes with its other
// end. Those that are named by known, as netns.Open takes it, are left out.
func (k *Kernel) Joined(ctx context.Context, lab string, known []string) ([]string, error) {
	names, err := netns.Names("")
	if err != nil {
		return nil, fmt.Errorf("list network namespaces: %w", err)
	}
	named, letGo, err := k.present(slices.Concat([]string{""}, known, names))
	defer letGo()
	if err != nil {
		return nil, err
	}
	seen := make(map[uint64]bool)
	var spaces []*space
	for _, sp := range named {
		inode := sp.handle.Inode()
		if !seen[inode] && sp.name != "" && !slices.Contains(known, sp.name) && !strings.HasPrefix(sp.name, lab+".") {
			spaces = append(spaces, sp)
		}
		seen[inode] = true
	}
	nameless, err := netns.Nameless(seen)
	if err != nil {
		return nil, err
	}
	more, letGoMore, err := k.present(nameless)
	defer letGoMore()
	if err != nil {
		return nil, err
	}
	spaces = append(spaces, more...)
	has := make([]bool, len(spaces))
	err = k.each(ctx, spaces, func(i int, in []byte) error {
		return spaces[i].labsOfTables(in, func(l string) { has[i] = has[i] || l == lab })
	})
	var joined []string
	for i, sp := range spaces {
		if has[i] {
			joined = append(joined, sp.name)
		}
	}
	return joined, err
}
