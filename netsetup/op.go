package netsetup

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"nslab/topology"
)

// Verb is what an Op does to its object.
type Verb uint8

const (
	Add Verb = iota
	Change
	Delete
)

// Phase orders the ops of a plan within each namespace.
type Phase uint8

const (
	// What must go.
	DeleteRules Phase = iota
	DeleteRoutes
	DeleteNeighbors
	DeleteFDB
	DeleteAddresses
	DeleteLinks
	// What is new or changed.
	Namespaces  // make, mark, publish
	Owns        // namespaces of other kinds that a node owns
	BaseSysctls // before any link exists
	Links       // make; change MAC, MTU, alias, settings; take down
	LinkSysctls // those of one interface
	Masters     // ports into bridges and out of them; port settings
	Addresses
	Neighbors
	FDBEntries
	Tables // of nf_tables: those that go as well, in one transaction
	LinksUp
	Routes
	Rules
	// Last, and only after the rest was verified.
	DeleteQdiscs
	Unpublish
)

// Stages are where all namespaces wait for each other: every op of a phase up
// to and including Stages[i] is done before one of a later phase begins. Within
// a stage namespaces do not depend on each other.
var Stages = []Phase{DeleteLinks, BaseSysctls, Links, Rules, Unpublish}

// Op is one change to the kernel: one request, or the few that belong to one
// object.
type Op struct {
	Phase     Phase
	Verb      Verb
	Namespace string // Namespace.Name
	// Object is what will be (Add, Change) or what goes (Delete): a *Namespace
	// (only Kind, Name, Owned and, of one that goes, Inode are looked at), *Owned,
	// *Link, *Address, *Route, *Rule, *Neighbor, *FDBEntry, *Qdisc, *Table or
	// *Sysctl.
	Object any
	// Was is, for Change, the object as it is now, of the same type.
	Was any
	// PeerLink is, for Add of a veth, the other end, made by the same request.
	PeerLink *Link
}

// Kernel is what netsetup needs of a kernel. The real one is in
// netsetup/kernel, one in memory in netsetup/kerneltest.
type Kernel interface {
	// Observe reads what there is of the lab want.Lab: every namespace marked
	// as its own, whether in want or not; the External and Root namespaces of
	// want; and the Root one even if want has none, as far as links and tables
	// there carry the lab's name. An External one of which nothing is wanted need
	// not be there. Of External and Root namespaces it gives only what can
	// collide with want or is marked as this lab's. Of sysctls (and offloads) it
	// reads those that want or want.Before names. A namespace of the lab's name without the
	// mark is an error (*NotOursError). The State is in the order that its types
	// promise (State.Sort).
	Observe(ctx context.Context, want *State) (*State, error)
	// Do carries out the ops of one stage of a plan (see Stages): those of one
	// namespace strictly in their order, whatever their kinds, in as few writes
	// as may be; between namespaces in any order, side by side. Tables that follow
	// each other are one transaction. Deleting what is
	// already gone succeeds. What has Origin Ours gets our marks; what has
	// another (a rollback puts a hand-made thing back) gets none, a route its
	// Protocol. On an error Do may have done any part of the ops; the error is
	// an *OpError where one op is to blame, several of them joined.
	Do(ctx context.Context, ops []Op) error
	// Settle waits until the links, all taken up, are good for use: a veth, up at
	// both ends, carries packets, and IPv6 addresses answer neighbours. It gives
	// those that are not when ctx ends.
	Settle(ctx context.Context, links []Endpoint) (left []Endpoint, err error)
}

// ErrNoAnswer is what an error of Do wraps where it is not known whether an op was
// done: one has to look.
var ErrNoAnswer = errors.New("the kernel does not answer")

// OpError is the kernel's refusal of one op.
type OpError struct {
	File string // of the topology; may be "": Apply fills it in
	Op   Op
	Err  error // errno, with the kernel's extended message where it gave one
}

func (e *OpError) Error() string {
	pos := e.Op.Pos()
	if part := new(PartError); errors.As(e.Err, &part) && !part.Pos.IsZero() {
		pos = part.Pos
	}
	return fmt.Sprintf("%s%s: %v", position(e.File, pos), e.Op.action(), e.Err)
}

func (e *OpError) Unwrap() error { return e.Err }

// PartError says which part of an op's object was refused.
type PartError struct {
	Pos  topology.Pos // in the topology file; may be zero
	Part string       // such as "rule of chain input: tcp dport 22 accept"
	Err  error
	Hint string // may be empty
}

func (e *PartError) Error() string {
	s := e.Part + ": " + e.Err.Error()
	if e.Hint != "" {
		s += "\nhint: " + e.Hint
	}
	return s
}

func (e *PartError) Unwrap() error { return e.Err }

// NotOursError is a thing of a wanted name that somebody else made.
type NotOursError struct {
	File      string       // of the topology; may be ""
	Pos       topology.Pos // of what asks for the name
	Namespace string
	Object    string // such as "link eth0"; "" is the namespace itself
}

func (e *NotOursError) Error() string {
	at := position(e.File, e.Pos)
	if e.Object == "" {
		return fmt.Sprintf("%snamespace %s exists and was not made by nslab\nhint: remove it with `ip netns delete %s`, or run the lab under another name with --name", at, e.Namespace, e.Namespace)
	}
	hint := "remove it, or use another name or metric in the file"
	if table, is := strings.CutPrefix(e.Object, "table "); is {
		hint = "remove it with `" + inside(e.Namespace, "nft delete table "+table) + "`, or use another name in the file"
	}
	return fmt.Sprintf("%s%s in %s exists and was not made by this lab\nhint: %s", at, e.Object, displayNamespace(e.Namespace), hint)
}

// NodeError is a change of a node that cannot be made.
type NodeError struct {
	File      string // of the topology; may be ""
	Pos       topology.Pos
	Namespace string
	Message   string
	Hint      string
}

func (e *NodeError) Error() string {
	return fmt.Sprintf("%s%s: %s\nhint: %s", position(e.File, e.Pos), displayNamespace(e.Namespace), e.Message, e.Hint)
}

// position begins a message that belongs to a place in a file.
func position(file string, pos topology.Pos) string {
	if file == "" || pos.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d: ", file, pos.Line, pos.Col)
}

// displayNamespace names a namespace in messages.
func displayNamespace(name string) string {
	if name == "" {
		return "the root namespace"
	}
	return name
}
