package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// randomLab is the topology file of a random lab. It is drawn from one plan of
// nodes and links, of which each draw leaves out some, moves some, and settles
// the rest anew: two of them have most in common, so that going from one to the
// other keeps, changes, adds and removes things of every kind.
//
// What a file no longer says the kernel keeps: therefore settings without a
// default of nslab's own are given in every draw.
type randomLab struct {
	text []byte // YAML, as JSON has it
	// things are the nodes, and their interfaces as NODE:INTERFACE, with what
	// makes them what they are: the type, or the other end.
	things map[string]string
}

type (
	object = map[string]any
	list   = []any
)

// wires are the links of the plan. Those to the switch are of one network, 9.
var wires = [][2]string{
	{"a:e0", "b:e0"}, {"b:e1", "c:e0"}, {"c:e1", "d:e0"}, {"a:e1", "d:e1"}, {"b:e2", "c:e2"},
	{"d:e2", "sw:p5"}, {"e:e0", "sw:p6"}, {"a:e3", "sw:p7"}, {"e:e1", "d:e3"},
}

const switchNet = 9

type labWriter struct {
	rng   *rand.Rand
	nodes map[string]*nodeWriter
	links list
}

type nodeWriter struct {
	kind       string
	interfaces map[string]object
	networks   map[string]int  // of the interfaces that have addresses
	ipv6       map[string]bool // those that have such
	lists      map[string]list // routes, rules, neighbors
	sysctls    object
	nftables   string
	run        list
}

func newRandomLab(t *testing.T, rng *rand.Rand) randomLab {
	w := &labWriter{rng: rng, nodes: map[string]*nodeWriter{}}
	things := map[string]string{}
	for i, wire := range wires {
		if !w.oneIn(5) {
			a, b := w.wire(i, wire[0], wire[1])
			things[a], things[b] = b, a
		}
	}
	nodes := object{}
	for _, name := range sortedKeys(w.nodes) {
		n := w.nodes[name]
		if n.kind != "switch" {
			w.fill(n)
		}
		nodes[name], things[name] = n.object(), "node"
		for i, x := range n.interfaces {
			if x["type"] == "bridge" {
				things[name+":"+i] = "bridge"
			}
		}
	}
	if w.oneIn(3) {
		nodes["f"], things["f"] = object{}, "node"
	}
	lab := object{"name": "walk", "nodes": nodes, "links": w.links}
	if w.oneIn(6) {
		lab["addressing"] = object{"neighbors": "static"}
	}
	if w.oneIn(6) {
		lab["routing"] = "shortest"
	}
	text, err := json.MarshalIndent(lab, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return randomLab{text, things}
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (w *labWriter) oneIn(n int) bool { return w.rng.IntN(n) == 0 }

func pick[T any](w *labWriter, of ...T) T { return of[w.rng.IntN(len(of))] }

func (w *labWriter) node(name string) *nodeWriter {
	n := w.nodes[name]
	if n != nil {
		return n
	}
	n = &nodeWriter{
		kind: pick(w, "host", "host", "router"), interfaces: map[string]object{}, networks: map[string]int{},
		ipv6: map[string]bool{}, lists: map[string]list{},
		sysctls: object{"net.ipv4.conf.all.log_martians": w.rng.IntN(2), "net.ipv4.ip_default_ttl": 60 + w.rng.IntN(2)},
	}
	if name == "sw" {
		n.kind = "switch"
		n.interfaces["br0"] = w.bridge()
		n.interfaces["br0"]["addresses"] = w.addresses(switchNet, 200, false)
	}
	w.nodes[name] = n
	return n
}

// wire makes a link of the plan, with both its ends; it may end in another node.
func (w *labWriter) wire(i int, a, b string) (string, string) {
	if to := pick(w, "a", "b", "c", "d", "e"); w.oneIn(8) && to != a[:1] && !strings.HasPrefix(b, "sw") {
		b = fmt.Sprintf("%s:m%d", to, i)
	}
	mtu, ipv6 := pick(w, 1500, 1500, 1400, 9000), !w.oneIn(4)
	if !ipv6 && w.oneIn(3) {
		mtu = 1200
	}
	w.links = append(w.links, object{"endpoints": list{a, b}, "mtu": mtu, "up": !w.oneIn(8)})
	for side, end := range []string{a, b} {
		node, name, _ := strings.Cut(end, ":")
		n, x := w.node(node), w.veth(mtu)
		n.interfaces[name] = x
		if n.kind == "switch" {
			x["port"] = w.port()
			if w.oneIn(3) {
				// Of nobody: the kernel moves an entry to where its MAC is heard.
				mac := fmt.Sprintf("02:00:00:00:0f:%02x", w.rng.IntN(3))
				n.interfaces["br0"]["fdb"] = list{object{"mac": mac, "port": name}}
			}
			continue
		}
		network, first := i, 100*side
		if strings.HasPrefix(b, "sw") {
			network, first = switchNet, 10*i
		}
		n.networks[name], n.ipv6[name] = network, ipv6
		x["addresses"] = w.addresses(network, first, ipv6)
	}
	return a, b
}

func (w *labWriter) mac() string { return fmt.Sprintf("02:00:00:00:00:%02x", w.rng.IntN(4)) }

func (w *labWriter) veth(mtu int) object {
	x := object{"txqueuelen": pick(w, 1000, 1000, 100)}
	sysctls := object{"ipv4.forwarding": w.rng.IntN(2), "ipv4.rp_filter": w.rng.IntN(3)}
	if mtu >= 1280 {
		sysctls["ipv6.accept_ra"] = w.rng.IntN(2)
	}
	x["sysctls"] = sysctls
	if w.oneIn(6) {
		x["mac"] = w.mac()
	}
	if w.oneIn(8) {
		x["up"] = false
	}
	if w.oneIn(6) {
		x["alias"] = pick(w, "an alias", "another")
	}
	return x
}

func (w *labWriter) port() object {
	return object{
		"isolated": w.oneIn(3), "learning": w.oneIn(2), "hairpin": w.oneIn(3),
		"cost": pick(w, 10, 20), "priority": pick(w, 8, 16),
	}
}

func (w *labWriter) bridge() object {
	b := object{
		"type": "bridge", "stp": w.oneIn(4), "mcast_snooping": w.oneIn(3), "ageing_time": pick(w, "30s", "300s"),
		"hello_time": "1s", "forward_delay": "4s", "max_age": pick(w, "6s", "5s"), "priority": pick(w, 4096, 8192),
	}
	if w.oneIn(6) {
		b["mac"] = w.mac()
	}
	return b
}

// addresses are up to three, in any order.
func (w *labWriter) addresses(network, first int, ipv6 bool) list {
	var all list
	for _, i := range w.rng.Perm(4)[:1+w.rng.IntN(3)] {
		host := first + 1 + i
		all = append(all, fmt.Sprintf("10.0.%d.%d/%d", network, host, pick(w, 24, 24, 25)))
		if w.oneIn(8) {
			all = append(all, object{"address": fmt.Sprintf("10.7.%d.%d/32", network, host), "peer": fmt.Sprintf("10.8.%d.0/24", network)})
		}
		if ipv6 {
			all = append(all, fmt.Sprintf("fd00:0:0:%d::%d/64", network, host))
		}
	}
	return all
}

// fill adds a bridge now and then, and what needs addresses.
func (w *labWriter) fill(n *nodeWriter) {
	if w.oneIn(3) {
		n.interfaces["lo"] = object{"addresses": list{"192.0.2.1/32", "2001:db8::1/128"}[:1+w.rng.IntN(2)]}
	}
	if w.oneIn(4) {
		w.bridgeOf(n)
	}
	if w.oneIn(3) {
		n.nftables = w.ruleset()
	}
	if w.oneIn(4) {
		for i := range 1 + w.rng.IntN(2) {
			n.run = append(n.run, object{"name": fmt.Sprintf("p%d", i), "command": fmt.Sprintf("exec sleep %d", 1000+w.rng.IntN(3))})
		}
	}
	var up []string
	for _, name := range sortedKeys(n.networks) {
		if n.interfaces[name]["up"] != false {
			up = append(up, name)
		}
	}
	for _, name := range up {
		if w.oneIn(2) {
			n.add("neighbors", object{"dev": name, "ip": fmt.Sprintf("10.0.%d.77", n.networks[name]), "mac": w.mac()})
		}
		for i := range w.rng.IntN(3) {
			n.add("routes", w.route(n, up, name, i))
		}
	}
	for i := range w.rng.IntN(3) {
		n.add("rules", w.rule(up, i))
	}
}

func (n *nodeWriter) add(to string, x object) { n.lists[to] = append(n.lists[to], x) }

// bridgeOf puts some interfaces of a node into a bridge.
func (w *labWriter) bridgeOf(n *nodeWriter) {
	b := w.bridge()
	var ports []string
	for _, name := range sortedKeys(n.networks) {
		if w.oneIn(2) {
			ports = append(ports, name)
			delete(n.interfaces[name], "addresses")
			delete(n.networks, name)
			n.interfaces[name]["port"] = w.port()
		}
	}
	if ports != nil {
		b["ports"] = ports
	}
	b["addresses"] = w.addresses(60, 0, false)
	n.interfaces["br1"] = b
}

func (w *labWriter) route(n *nodeWriter, up []string, dev string, i int) object {
	ipv6 := n.ipv6[dev] && w.oneIn(2)
	r := object{"metric": pick(w, 10, 10, 20), "table": pick(w, 254, 254, 100)}
	r["to"] = fmt.Sprintf("10.9.%d.0/24", 10*n.networks[dev]+i)
	if ipv6 {
		r["to"] = fmt.Sprintf("fd09:0:0:%d::/64", 10*n.networks[dev]+i)
	}
	if w.oneIn(4) {
		r["type"] = pick(w, "blackhole", "unreachable", "prohibit")
		return r
	}
	hops := list{w.nexthop(n, dev, ipv6, 120)}
	if other := pick(w, up...); w.oneIn(2) && (!ipv6 || n.ipv6[other]) {
		hops = append(hops, w.nexthop(n, other, ipv6, 121))
	}
	if w.oneIn(2) {
		slices.Reverse(hops)
	}
	r["nexthops"] = hops
	if w.oneIn(4) {
		r["mtu"] = 1300
	}
	return r
}

func (w *labWriter) nexthop(n *nodeWriter, dev string, ipv6 bool, host int) object {
	via := fmt.Sprintf("10.0.%d.%d", n.networks[dev], host)
	if ipv6 {
		via = fmt.Sprintf("fd00:0:0:%d::%d", n.networks[dev], host)
	}
	return object{"via": via, "dev": dev, "weight": 1 + w.rng.IntN(2)}
}

func (w *labWriter) rule(up []string, i int) object {
	r := object{"table": pick(w, 100, 200)}
	if w.oneIn(2) {
		r["priority"] = 100 + 10*i + w.rng.IntN(2)
	}
	switch k := w.rng.IntN(5); {
	case k == 0:
		r["from"] = fmt.Sprintf("10.%d.0.0/16", w.rng.IntN(3))
	case k == 1:
		r["to"] = fmt.Sprintf("fd0%d::/16", w.rng.IntN(3))
	case k == 2 || len(up) == 0:
		r["fwmark"] = pick(w, "1", "0x10/0xf0")
	default:
		r[pick(w, "iif", "oif")] = pick(w, up...)
	}
	return r
}

func (w *labWriter) ruleset() string {
	return fmt.Sprintf(`table inet walk {
	set s { type ipv4_addr; flags interval; elements = { 10.%d.0.0/16, 172.16.0.0/12 } }
	chain in { type filter hook input priority %d; policy accept; ip saddr @s tcp dport %d counter drop; iifname "e%d" accept; }
	chain out { type filter hook output priority 0; policy accept; ip daddr 192.0.2.0/24 reject; }
}`, 100+w.rng.IntN(3), w.rng.IntN(2), 7000+w.rng.IntN(2), w.rng.IntN(2))
}

func (n *nodeWriter) object() object {
	o := object{"kind": n.kind, "interfaces": n.interfaces, "sysctls": n.sysctls}
	if n.kind != "switch" {
		o["gateway"] = "none"
	}
	for k, l := range n.lists {
		o[k] = l
	}
	if n.nftables != "" {
		o["nftables"] = n.nftables
	}
	if n.run != nil {
		o["run"], o["keep"] = n.run, list{}
	}
	return o
}
