package proc

import (
	"fmt"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/netns"
)

// Node is a node as programs get into it.
type Node struct {
	net     *netns.Handle
	machine *netsetup.Machine // nil: the network is all that it has of its own
	hosts   string            // the part of /etc/hosts that it shares
	keeper  *Keeper           // nil: it owns no other namespaces
}

// Bare is a namespace that is not a node's own, such as the host's: programs in
// it have its network and a /sys that shows it. The handle becomes the Node's.
func Bare(net *netns.Handle) *Node { return &Node{net: net} }

// Open gives a node of a running lab. Where the lab's directory is lost, it is
// found from the kernel what namespaces the node owns, and programs have a host
// name beside.
func Open(lab, node string) (*Node, error) {
	net, err := netns.Open(lab + "." + node)
	if err != nil {
		return nil, err
	}
	n, err := open(net, lab, node)
	if err != nil {
		net.Close()
		return nil, err
	}
	return n, nil
}

func open(net *netns.Handle, lab, node string) (*Node, error) {
	m, hosts, err := load(lab, node)
	if err != nil {
		return nil, err
	}
	n := &Node{net: net, machine: m, hosts: hosts}
	if m.Kept() || hosts == "" {
		if n.keeper, err = findKeeper(lab, node, net.Inode()); err != nil {
			return nil, err
		}
	}
	switch {
	case n.keeper != nil:
		made, err := n.keeper.Machine()
		if err != nil {
			n.Close()
			return nil, err
		}
		m.Isolation, m.RootFS = made.Isolation, made.RootFS
	case m.Kept():
		return nil, fmt.Errorf("the namespaces of node %s of lab %s are gone\nhint: `nslab up %s` makes them again", node, lab, lab)
	}
	return n, nil
}

// Close lets go of the node.
func (n *Node) Close() error {
	if n.keeper != nil {
		n.keeper.Close()
	}
	return n.net.Close()
}

// Net is the node's network namespace; it stays the Node's.
func (n *Node) Net() *netns.Handle { return n.net }

// isolation is what the node owns.
func (n *Node) isolation() netsetup.Isolation {
	if n.keeper == nil {
		return netsetup.Isolation{}
	}
	return n.machine.Isolation
}

// root is the directory that programs in the node have as /.
func (n *Node) root() string {
	if n.isolation().Mount {
		return fmt.Sprintf("/proc/%d/root", n.keeper.PID)
	}
	return "/"
}

// kinds are the namespaces of an Isolation, as setns(2) takes them.
func kinds(i netsetup.Isolation) int {
	flags := 0
	for _, k := range []struct {
		own  bool
		flag int
	}{
		{i.User, unix.CLONE_NEWUSER}, {i.Mount, unix.CLONE_NEWNS}, {i.UTS, unix.CLONE_NEWUTS}, {i.IPC, unix.CLONE_NEWIPC},
		{i.PID, unix.CLONE_NEWPID}, {i.Cgroup, unix.CLONE_NEWCGROUP}, {i.Time, unix.CLONE_NEWTIME},
	} {
		if k.own {
			flags |= k.flag
		}
	}
	return flags
}
