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

// Labs gives the names of the labs that are there, sorted: those with a marked
// namespace, or with a marked link or table in the namespace of this process.
func (k *Kernel) Labs(ctx context.Context) ([]string, error) {
	names, err := netns.Names("")
	if err != nil {
		return nil, fmt.Errorf("list network namespaces: %w", err)
	}
	// Those of other labs are let go of, as their own nslab may want to end them.
	var opened []string
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		for _, name := range opened {
			k.forget(name)
		}
	}()
	var spaces []*space
	for _, name := range append(names, "") {
		if name != "" && !strings.Contains(name, ".") {
			continue
		}
		if !k.isOpen(name) {
			opened = append(opened, name)
		}
		sp, err := k.current(name)
		if isAbsent(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		spaces = append(spaces, sp)
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
