package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"nslab/netsetup/netns"
	"nslab/netsetup/proc"
	"nslab/topology"
)

// namespaceName is netsetup.Namespace.Name of a node.
func namespaceName(lab string, n *topology.Node) string {
	switch n.Kind {
	case topology.Root:
		return ""
	case topology.External:
		return n.Netns.Value
	}
	return lab + "." + n.Name
}

// nodeName is the node that a namespace of the lab's own is.
func nodeName(lab, namespace string) string { return strings.TrimPrefix(namespace, lab+".") }

// published gives the labs that have namespaces under netns.Dir, with their
// nodes, sorted, by the names alone.
func published() map[string][]string {
	names, err := netns.List("")
	if err != nil {
		return nil
	}
	return nodesByLab(names)
}

// nodesByLab takes names under netns.Dir apart.
func nodesByLab(names []string) map[string][]string {
	found := map[string][]string{}
	for _, name := range names {
		if lab, node, ok := strings.Cut(name, "."); ok {
			found[lab] = append(found[lab], node)
		}
	}
	return found
}

// saved is a running lab as the copy of its file has it; nil where the copy is
// lost.
func saved(lab string) *topology.Lab {
	file, data, err := savedFile(lab)
	if err != nil {
		return nil
	}
	l, err := topology.LoadAs(file, data, lab)
	if err != nil {
		return nil
	}
	return l
}

// joined are the External namespaces that the file of a running lab names.
func joined(lab string) []string {
	_, data, err := savedFile(lab)
	if err != nil || !bytes.Contains(data, []byte(topology.External)) {
		return nil // the usual case, without reading it all
	}
	var names []string
	if l := saved(lab); l != nil {
		for _, n := range l.Nodes {
			if n.Kind == topology.External {
				names = append(names, n.Netns.Value)
			}
		}
	}
	return names
}

// enterNode gives a node as programs get into it; l is as for openNode.
func enterNode(lab, node string, l *topology.Lab) (*proc.Node, error) {
	if l != nil {
		i := slices.IndexFunc(l.Nodes, func(n *topology.Node) bool { return n.Name == node })
		if i >= 0 && namespaceName(lab, l.Nodes[i]) != lab+"."+node {
			h, err := openNode(lab, node, l)
			if err != nil {
				return nil, err
			}
			return proc.Bare(h), nil
		}
	}
	return proc.Open(lab, node)
}

// openNode opens the namespace of a node. Where the file of the lab is lost, and
// l is nil, it finds those that are the lab's own.
func openNode(lab, node string, l *topology.Lab) (*netns.Handle, error) {
	name := lab + "." + node
	if l != nil {
		i := slices.IndexFunc(l.Nodes, func(n *topology.Node) bool { return n.Name == node })
		if i < 0 {
			return nil, fmt.Errorf("lab %s has no node %s", lab, node)
		}
		name = namespaceName(lab, l.Nodes[i])
	}
	if name == "" {
		return netns.Current()
	}
	return netns.Open(name)
}
