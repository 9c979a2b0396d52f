package topology

import (
	"strings"
)

// maxListed bounds the names that a hint lists.
const maxListed = 6

// nodeHint proposes a node for a name that none has.
func (r *resolver) nodeHint(name string) string {
	if len(r.errs) >= MaxErrors {
		return "" // looking is slow, and this error hardly ever one of those reported
	}
	names := make([]string, len(r.nodes))
	for i := range r.nodes {
		names[i] = r.nodes[i].Name
	}
	return hintFor(name, names, "the nodes are ")
}

// interfaceHint proposes an interface for a name that none of the node has.
func (r *resolver) interfaceHint(n *node, name string) string {
	if len(r.errs) >= MaxErrors {
		return ""
	}
	names := make([]string, len(n.ids))
	for i, id := range n.ids {
		names[i] = r.ifaces[id].Name
	}
	return hintFor(name, names, n.Name+" has ")
}

// hintFor proposes the nearest of names, or lists them where several are as near.
func hintFor(name string, names []string, list string) string {
	if best, alone := nearestOf(name, names); alone {
		return "did you mean `" + best + "`?"
	}
	if len(names) == 0 {
		return ""
	}
	return list + listed(names)
}

// listed joins the first few of names.
func listed(names []string) string {
	if len(names) > maxListed {
		return strings.Join(names[:maxListed], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

// nearest gives the name that a misspelt one most likely means, or "".
func nearest(name string, names []string) string {
	best, _ := nearestOf(name, names)
	return best
}

// nearestOf is nearest, and reports whether no other name is as near.
func nearestOf(name string, names []string) (best string, alone bool) {
	least := min(len(name)/3+1, len(name)-1) // not all of it
	for _, n := range names {
		switch d := distance(name, n, least); {
		case d > least:
		case best == "" || d < least:
			best, least, alone = n, d, true
		default:
			alone = false
		}
	}
	return best, alone
}

// maxName is the length from which on names are not compared.
const maxName = 64

// distance counts the letters to insert, delete, change or swap with the next
// one that make b of a; anything above limit where there are more.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit || len(b) >= maxName {
		return limit + 1
	}
	var rows [3][maxName]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
