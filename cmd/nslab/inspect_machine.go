package main

import (
	"fmt"
	"io"
	"strings"

	"nslab/netsetup/proc"
)

// look adds what a node is beside its network.
func (r *namespaceReport) look(lab, node string) error {
	v, err := proc.Look(lab, node, r.Inode)
	if err != nil {
		return err
	}
	r.UIDs, r.GIDs, r.Cgroups, r.Mounts = v.UIDs, v.GIDs, v.Cgroups, v.Mounts
	for _, ns := range v.Namespaces {
		k := kindReport{Kind: ns.Kind, Inode: ns.Inode}
		if !ns.Own {
			k.SharedWith = []string{"host"}
		}
		r.Kinds = append(r.Kinds, k)
	}
	return nil
}

// shareKinds names the nodes that are in one namespace that is not the host's.
func shareKinds(list []namespaceReport) {
	nodes := map[uint64][]string{}
	for _, r := range list {
		for _, k := range r.Kinds {
			nodes[k.Inode] = append(nodes[k.Inode], r.Node)
		}
	}
	for _, r := range list {
		for i := range r.Kinds {
			k := &r.Kinds[i]
			if k.SharedWith != nil {
				continue
			}
			for _, node := range nodes[k.Inode] {
				if node != r.Node {
					k.SharedWith = append(k.SharedWith, node)
				}
			}
		}
	}
}

// writeMachine writes it for people.
func (r *namespaceReport) writeMachine(w io.Writer) {
	for _, k := range r.Kinds {
		of := "of its own"
		if k.SharedWith != nil {
			of = "shared with " + strings.Join(k.SharedWith, ", ")
		}
		fmt.Fprintf(w, "  namespace %s %d %s\n", k.Kind, k.Inode, of)
	}
	for _, list := range []struct {
		noun  string
		lines []string
	}{{"uid_map", r.UIDs}, {"gid_map", r.GIDs}, {"cgroup", r.Cgroups}, {"mount", r.Mounts}} {
		for _, line := range list.lines {
			fmt.Fprintf(w, "  %s %s\n", list.noun, line)
		}
	}
}

// processText gives "4711 nginx", or "4711 (1 inside) nginx".
func processText(p process) string {
	if p.Inside != p.PID && p.Inside != 0 {
		return fmt.Sprintf("%d (%d inside) %s", p.PID, p.Inside, p.Command)
	}
	return fmt.Sprintf("%d %s", p.PID, p.Command)
}
