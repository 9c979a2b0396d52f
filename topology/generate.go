package topology

import (
	"bytes"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strings"
)

// Shapes are the names that Generate knows.
var Shapes = []string{"line", "ring", "star", "mesh", "tree", "grid", "fat-tree"}

// GenerateOptions say how large a generated lab is. Zero values stand for the
// default of the shape.
type GenerateOptions struct {
	Nodes  int          // how many nodes; of a star, how many hosts; a fat-tree has what K gives
	K      int          // children of a tree's node (2), length of a grid's row (as square as can be), ports of a fat-tree's switch (4)
	Subnet netip.Prefix // what addresses are cut from (10.0.0.0/8)
}

// Generate writes the topology file of a shape, with tests that pass.
func Generate(shape string, o GenerateOptions) ([]byte, error) {
	generators := map[string]func(*generator) error{
		"line": (*generator).line, "ring": (*generator).ring, "star": (*generator).star, "mesh": (*generator).mesh,
		"tree": (*generator).tree, "grid": (*generator).grid, "fat-tree": (*generator).fatTree,
	}
	generate := generators[shape]
	if generate == nil {
		hint := strings.Join(Shapes, ", ")
		if near := nearest(shape, Shapes); near != "" {
			hint = near + "?"
		}
		return nil, fmt.Errorf("there is no shape %q: %s", shape, hint)
	}
	g := &generator{GenerateOptions: o, shape: shape}
	if !g.Subnet.IsValid() {
		g.Subnet = defaultIPv4.Prefix
	}
	g.Subnet = g.Subnet.Masked()
	if err := generate(g); err != nil {
		return nil, fmt.Errorf("%s: %w", shape, err)
	}
	return g.text.Bytes(), nil
}

type generator struct {
	GenerateOptions
	shape string
	text  bytes.Buffer
}

func (g *generator) printf(format string, args ...any) { fmt.Fprintf(&g.text, format, args...) }

// nodes sets how many nodes there are.
func (g *generator) nodes(def, least, most int, why string) error {
	if g.Nodes == 0 {
		g.Nodes = def
	}
	if g.Nodes < least || g.Nodes > most {
		return fmt.Errorf("--nodes %d; it is %d to %d%s", g.Nodes, least, most, why)
	}
	return nil
}

func (g *generator) noK() error {
	if g.K != 0 {
		return fmt.Errorf("--k %d: a %s has no such number", g.K, g.shape)
	}
	return nil
}

// linkBits is the length of a link's prefix: one that leaves two addresses of
// IPv4, and the usual one of IPv6 unless the pool is too short for it.
func (g *generator) linkBits() int {
	switch {
	case g.Subnet.Addr().Is4():
		return 30
	case g.Subnet.Bits() <= 48:
		return 64
	}
	return 126
}

// head begins the file of a lab whose links have a subnet each.
func (g *generator) head(links int, comment string) error {
	n := g.linkBits() - g.Subnet.Bits()
	if n < 0 || n < bits.Len(uint(links-1)) {
		return fmt.Errorf("--subnet %v has no room for %d links of /%d each", g.Subnet, links, g.linkBits())
	}
	g.printf("# %s\nname: %s\n", strings.ReplaceAll(comment, "\n", "\n# "), g.shape)
	return nil
}

// autoHead begins the file of a routed lab, whose links' subnets are cut.
func (g *generator) autoHead(links int, comment string) error {
	if err := g.head(links, comment); err != nil {
		return err
	}
	family := "ipv4"
	if g.Subnet.Addr().Is6() {
		family = "ipv6"
	}
	g.printf("routing: shortest\naddressing:\n  %s: {pool: %q, prefix: %d}\ndefaults:\n  link: {subnet: auto}\n", family, g.Subnet, g.linkBits())
	return nil
}

// span is a range of node names, quoted where YAML asks for it.
func span(prefix string, from, to int) string {
	if from == to {
		return fmt.Sprintf("%s%d", prefix, from)
	}
	return fmt.Sprintf(`"%s[%d-%d]"`, prefix, from, to)
}

// line is a row of routers with a host at each end.
func (g *generator) line() error {
	if err := g.noK(); err != nil {
		return err
	}
	// Each router takes one from the packet's TTL of 64.
	if err := g.nodes(4, 2, 64, ": a packet passes 64 routers at most"); err != nil {
		return err
	}
	n := g.Nodes
	if err := g.autoHead(n-1, fmt.Sprintf("%d nodes in a line: a host at each end, routers between them.", n)); err != nil {
		return err
	}
	g.printf("nodes:\n  n1: {}\n")
	if n > 2 {
		g.printf("  %s: {kind: router}\n", span("n", 2, n-1))
	}
	g.printf("  n%d: {}\nlinks:\n  - [%s, %s]\n", n, span("n", 1, n-1), span("n", 2, n))
	g.printf("tests:\n  - ping: n1 -> n%d\n  - ping: n%d -> n1\n", n, n)
	return nil
}

// ringTests is how many neighbours of a ring ping each other.
const ringTests = 10

// ring writes every node and link in a line of its own, with its addresses, so
// that each can be changed alone.
func (g *generator) ring() error {
	if err := g.noK(); err != nil {
		return err
	}
	if err := g.nodes(4, 3, 20000, ""); err != nil {
		return err
	}
	n := g.Nodes
	comment := fmt.Sprintf("%d hosts in a ring; each pair of neighbours shares a link with a /%d.\n"+
		"Only neighbours reach each other: there are no routes.", n, g.linkBits())
	if err := g.head(n, comment); err != nil {
		return err
	}
	g.printf("nodes:\n")
	for i := range n {
		g.printf("  n%d: {}\n", i+1)
	}
	g.printf("links:\n")
	c := cutter{pool: Pool{Prefix: g.Subnet, Bits: g.linkBits()}}
	for i := range n {
		p, _ := c.cut()
		g.printf("  - {endpoints: [n%d:eth1, n%d:eth0], subnet: %q}\n", i+1, (i+1)%n+1, p)
	}
	g.printf("tests:\n")
	for i := range min(n, ringTests) {
		// By interface: the first address of a node is on one side alone.
		g.printf("  - ping: n%d -> n%d:eth0\n", i+1, (i+1)%n+1)
	}
	return nil
}

// star is a switch with hosts.
func (g *generator) star() error {
	if err := g.noK(); err != nil {
		return err
	}
	if err := g.nodes(4, 2, maxPorts, ": a bridge takes so many ports"); err != nil {
		return err
	}
	n := g.Nodes
	p := netip.PrefixFrom(g.Subnet.Addr(), max(g.Subnet.Bits(), min(24, 32-bits.Len(uint(n+1)))))
	if g.Subnet.Addr().Is6() {
		p = netip.PrefixFrom(g.Subnet.Addr(), max(g.Subnet.Bits(), 64))
	}
	if room := p.Addr().BitLen() - p.Bits(); room < bits.Len(uint(n+1)) {
		return fmt.Errorf("--subnet %v has no room for %d hosts", g.Subnet, n)
	}
	g.printf("# A switch with %d hosts.\nname: star\nnodes:\n  sw: {kind: switch, subnet: %q}\n  %s: {}\n", n, p, span("h", 1, n))
	g.printf("links:\n  - [%s, sw]\ntests:\n", span("h", 1, n))
	if n <= 8 {
		g.printf("  - ping: all -> all\n")
	} else {
		g.printf("  - {ping: \"h[2-8] -> h1\"}\n  - ping: h1 -> h%d\n", n)
	}
	return nil
}

// mesh links every router with every other.
func (g *generator) mesh() error {
	if err := g.noK(); err != nil {
		return err
	}
	if err := g.nodes(4, 2, 64, ": each has a link to every other"); err != nil {
		return err
	}
	n := g.Nodes
	links := n * (n - 1) / 2
	if err := g.autoHead(links, fmt.Sprintf("%d routers, each linked to every other by one of %d links.", n, links)); err != nil {
		return err
	}
	g.printf("nodes:\n  %s: {kind: router}\nlinks:\n", span("n", 1, n))
	for i := 1; i < n; i++ {
		g.printf("  - [n%d, %s]\n", i, span("n", i+1, n))
	}
	g.printf("tests:\n")
	if n <= 8 {
		g.printf("  - ping: all -> all\n")
	} else {
		g.printf("  - ping: n1 -> n%d\n  - ping: n%d -> n1\n", n, n)
	}
	return nil
}

// tree numbers nodes by levels: the children of n1 are n2 to n(k+1).
func (g *generator) tree() error {
	if g.K == 0 {
		g.K = 2
	}
	if g.K < 2 || g.K > 1000 {
		return fmt.Errorf("--k %d; a node of a tree has 2 to 1000 children", g.K)
	}
	if err := g.nodes(7, 2, 1000, ""); err != nil {
		return err
	}
	n, k := g.Nodes, g.K
	inner := (n-2)/k + 1
	comment := fmt.Sprintf("A tree of %d nodes: %d routers, each with up to %d nodes below it; the leaves are hosts.", n, inner, k)
	if err := g.autoHead(n-1, comment); err != nil {
		return err
	}
	g.printf("nodes:\n  %s: {kind: router}\n  %s: {}\nlinks:\n", span("n", 1, inner), span("n", inner+1, n))
	for i := 1; i <= inner; i++ {
		g.printf("  - [n%d, %s]\n", i, span("n", k*(i-1)+2, min(k*i+1, n)))
	}
	g.printf("tests:\n  - ping: n%d -> n1\n", n)
	if inner+1 < n {
		g.printf("  - ping: n%d -> n%d\n  - ping: n%d -> n%d\n", inner+1, n, n, inner+1)
	}
	return nil
}

// grid names a node by row and column.
func (g *generator) grid() error {
	if g.Nodes == 0 && g.K > 0 {
		g.Nodes = g.K * g.K
	}
	if err := g.nodes(9, 4, 1024, ""); err != nil {
		return err
	}
	n := g.Nodes
	if g.K == 0 {
		for rows := 2; rows*rows <= n; rows++ {
			if n%rows == 0 {
				g.K = n / rows
			}
		}
		if g.K == 0 {
			return fmt.Errorf("--nodes %d does not fill rows of equal length; %d does", n, n+1)
		}
	}
	if g.K < 2 || n%g.K != 0 || n/g.K < 2 {
		return fmt.Errorf("--k %d: %d nodes do not fill two or more rows of %d", g.K, n, g.K)
	}
	rows, columns := n/g.K, g.K
	if rows+columns > 64 {
		return fmt.Errorf("%d rows of %d: a packet passes 64 routers at most", rows, columns)
	}
	links := rows*(columns-1) + columns*(rows-1)
	comment := fmt.Sprintf("A grid of routers, %d rows of %d: n2-3 is the third of the second row.\nEqual ways are used together.", rows, columns)
	if err := g.autoHead(links, comment); err != nil {
		return err
	}
	g.printf("nodes:\n")
	row := func(i int) string { return fmt.Sprintf("n%d-", i) }
	for i := range rows {
		g.printf("  %s: {kind: router}\n", span(row(i+1), 1, columns))
	}
	g.printf("links:\n")
	for i := range rows {
		g.printf("  - [%s, %s]\n", span(row(i+1), 1, columns-1), span(row(i+1), 2, columns))
		if i+1 < rows {
			g.printf("  - [%s, %s]\n", span(row(i+1), 1, columns), span(row(i+2), 1, columns))
		}
	}
	g.printf("tests:\n  - ping: n1-1 -> n%d-%d\n  - ping: n%d-1 -> n1-%d\n", rows, columns, rows, columns)
	return nil
}

// fatTree is the three-level Clos network of Al-Fares, Loukissas and Vahdat, "A
// Scalable, Commodity Data Center Network Architecture" (SIGCOMM 2008), with
// routers for its switches.
func (g *generator) fatTree() error {
	if g.Nodes != 0 {
		return fmt.Errorf("--nodes %d: the number of nodes follows from --k", g.Nodes)
	}
	if g.K == 0 {
		g.K = 4
	}
	if sizes := []int{2, 4, 6, 8, 10, 12}; !slices.Contains(sizes, g.K) {
		return fmt.Errorf("--k %d; it is an even number from 2 to 12: the ports of each switch", g.K)
	}
	k, half := g.K, g.K/2
	comment := fmt.Sprintf("A fat tree of %d-port switches, which are routers here: %d core routers, %d pods of %d aggregation\n"+
		"and %d edge routers, and %d hosts. h2-1-3 is the third host of the first edge router of pod 2.",
		k, half*half, k, half, half, k*half*half)
	if err := g.autoHead(3*k*half*half, comment); err != nil {
		return err
	}
	g.printf("nodes:\n  %s: {kind: router}\n", span("core", 1, half*half))
	for p := 1; p <= k; p++ {
		g.printf("  %s: {kind: router}\n", span(fmt.Sprintf("agg%d-", p), 1, half))
		g.printf("  %s: {kind: router}\n", span(fmt.Sprintf("edge%d-", p), 1, half))
		for e := 1; e <= half; e++ {
			g.printf("  %s: {labels: {role: host}}\n", span(fmt.Sprintf("h%d-%d-", p, e), 1, half))
		}
	}
	g.printf("links:\n")
	for p := 1; p <= k; p++ {
		for i := 1; i <= half; i++ {
			g.printf("  - [agg%d-%d, %s]\n", p, i, span("core", half*(i-1)+1, half*i))
			g.printf("  - [agg%d-%d, %s]\n", p, i, span(fmt.Sprintf("edge%d-", p), 1, half))
			g.printf("  - [edge%d-%d, %s]\n", p, i, span(fmt.Sprintf("h%d-%d-", p, i), 1, half))
		}
	}
	g.printf("tests:\n")
	if k <= 4 {
		g.printf("  - ping: label:role=host -> label:role=host\n")
	} else {
		g.printf("  - ping: h1-1-1 -> h%d-%d-%d\n  - ping: h%d-1-1 -> h1-%d-%d\n", k, half, half, k, half, half)
	}
	return nil
}
