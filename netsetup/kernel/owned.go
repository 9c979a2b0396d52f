package kernel

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"nslab/netsetup"
	"nslab/netsetup/bug"
	"nslab/netsetup/netns"
	"nslab/netsetup/proc"
)

// owner says whose the network of d.added[i] is to be.
func (d *doing) owner(i int) *netns.IDMaps {
	owned := d.ops[d.added[i]].Object.(*netsetup.Namespace).Owned
	if owned == nil || !owned.Machine.Isolation.User {
		return nil
	}
	iso := &owned.Machine.Isolation
	return &netns.IDMaps{UIDs: mapText(iso.UIDs), GIDs: mapText(iso.GIDs)}
}

func mapText(maps []netsetup.IDMap) string {
	var b strings.Builder
	for _, m := range maps {
		fmt.Fprintf(&b, "%d %d %d\n", m.Inside, m.Outside, m.Count)
	}
	return b.String()
}

// makeOwned makes and ends the namespaces that nodes own beside their networks.
func (d *doing) makeOwned() {
	if len(d.owned) == 0 {
		return
	}
	keepers := map[string][]*proc.Keeper{}
	lab := d.ops[d.owned[0]].Object.(*netsetup.Owned).Machine.Lab
	all, err := proc.Keepers(lab)
	defer proc.CloseAll(all)
	if err != nil {
		d.fail(d.owned[0], err)
		return
	}
	for _, k := range all {
		keepers[k.Node] = append(keepers[k.Node], k)
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, d.k.workers)
	for _, i := range d.owned {
		d.traceOp(i)
		slots <- struct{}{}
		wg.Add(1)
		go func() {
			defer wg.Done()
			d.errs[i] = bug.Guard(func() error { return d.changeOwned(&d.ops[i], keepers[d.ops[i].Namespace]) })
			<-slots
		}()
	}
	wg.Wait()
}

// changeOwned carries out one op. Those that keep what the node had end first.
func (d *doing) changeOwned(op *netsetup.Op, old []*proc.Keeper) error {
	var errs []error
	for _, k := range old {
		errs = append(errs, k.End())
	}
	if err := errors.Join(errs...); err != nil || op.Verb == netsetup.Delete {
		return err
	}
	h, err := d.k.Handle(op.Namespace)
	if err != nil {
		return err
	}
	k, err := proc.Keep(h, op.Object.(*netsetup.Owned).Machine)
	if err != nil {
		return err
	}
	return k.Close()
}

// readOwned gives the namespaces that the lab's nodes own beside their networks.
func readOwned(lab string, list []*observer) error {
	all, err := proc.Keepers(lab)
	if err != nil {
		return err
	}
	defer proc.CloseAll(all)
	byNode := make(map[string]*proc.Keeper, len(all))
	for _, k := range all {
		byNode[k.Node] = k
	}
	for _, o := range list {
		k := byNode[o.ns.Name]
		if k == nil || o.ns.Kind != netsetup.Own {
			continue
		}
		m, err := k.Machine()
		if err != nil || k.Network() != o.ns.Inode {
			m = &netsetup.Machine{Lab: lab} // whatever it keeps is not the node's any more
		}
		o.ns.Owned = &netsetup.Owned{Machine: m}
	}
	return nil
}
