package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"nslab/netsetup"
	"nslab/netsetup/proc/supervisor"
	"nslab/topology"
)

// scenario carries out what a lab's scenario changes, and undoes it.
type scenario struct {
	app *app
	k   netsetup.Kernel
	bar *progress
	src *source
	ctx context.Context // of the tests; the undoing outlives it
	err error           // of the undoing
}

func (s *scenario) change(ctx context.Context, e *topology.Event) error {
	switch e.Do {
	case topology.LinkDown:
		return netsetup.LinkDown(ctx, s.k, s.src.want, s.end(e.Link), false)
	case topology.LinkUp:
		return netsetup.LinkUp(ctx, s.k, s.src.want, s.end(e.Link))
	}
	return supervisor.Control(ctx, s.src.lab.Name, e.Do, []string{e.Process.Value})
}

// end is a link's end as the kernel knows it.
func (s *scenario) end(e topology.Endpoint) netsetup.Endpoint {
	return endpoint(s.src.lab, e)
}

// endpoint is an end of a link of a lab as the kernel knows it.
func endpoint(lab *topology.Lab, e topology.Endpoint) netsetup.Endpoint {
	i := slices.IndexFunc(lab.Nodes, func(n *topology.Node) bool { return n.Name == e.Node })
	return netsetup.Endpoint{Namespace: namespaceName(lab.Name, lab.Nodes[i]), Link: e.Interface}
}

// undo makes the lab be what its file says.
func (s *scenario) undo() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), teardownTime)
	defer cancel()
	if _, err := s.app.up(ctx, s.k, s.src, netsetup.Options{}, s.bar); err != nil {
		s.err = errors.Join(s.err, fmt.Errorf("undo the scenario of %s: %w", s.src.lab.Name, err))
	}
}
