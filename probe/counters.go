package probe

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
)

// counters are numbers of the kernel about one namespace.
type counters struct {
	names []string
	value map[string]uint64
}

func (c *counters) add(name string, v uint64) {
	if _, again := c.value[name]; !again {
		c.names = append(c.names, name)
	}
	c.value[name] = v
}

// readCounters reads those that count packets which went no further: of the
// stack, and of the interfaces.
func readCounters(n *node) (*counters, error) {
	c := &counters{value: make(map[string]uint64)}
	err := n.inside(func() error {
		for _, file := range []string{"snmp", "netstat"} {
			b, err := os.ReadFile("/proc/thread-self/net/" + file)
			if err != nil {
				return err
			}
			c.readPairs(b)
		}
		b, err := os.ReadFile("/proc/thread-self/net/snmp6")
		if err == nil { // there is none without IPv6
			c.readList(b)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	h, err := n.netlink()
	if err != nil {
		return nil, err
	}
	defer h.Close()
	links, err := dump(h.LinkList)
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		s := l.Attrs().Statistics
		if s == nil {
			continue
		}
		name := l.Attrs().Name + " "
		c.add(name+"rx_dropped", s.RxDropped)
		c.add(name+"rx_errors", s.RxErrors)
		c.add(name+"tx_dropped", s.TxDropped)
		c.add(name+"tx_errors", s.TxErrors)
	}
	return c, nil
}

// readPairs reads snmp or netstat: pairs of lines "Ip: NAME …" and "Ip: NUMBER …".
func (c *counters) readPairs(b []byte) {
	var names [][]byte
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) != len(names) || len(f) == 0 || !bytes.Equal(f[0], names[0]) {
			names = f
			continue
		}
		for i := 1; i < len(f); i++ {
			c.addLoss(string(f[0][:len(f[0])-1])+" "+string(names[i]), f[i])
		}
		names = nil
	}
}

// readList reads snmp6: lines "NAME NUMBER".
func (c *counters) readList(b []byte) {
	for line := range bytes.Lines(b) {
		if f := bytes.Fields(line); len(f) == 2 {
			c.addLoss(string(f[0]), f[1])
		}
	}
}

// lossWords are parts of the names of counters of lost packets.
var lossWords = []string{"Error", "Err", "Discard", "NoRoute", "Fail", "Drop", "Unknown", "NoPort", "ReversePath", "Truncated", "TooBig", "ReasmTimeout", "Overflow"}

func (c *counters) addLoss(name string, number []byte) {
	if !slices.ContainsFunc(lossWords, func(w string) bool { return strings.Contains(name, w) }) {
		return
	}
	if v, err := strconv.ParseUint(string(number), 10, 64); err == nil {
		c.add(name, v)
	}
}

// since gives what grew since before.
func (c *counters) since(before *counters, node string) []Counter {
	var list []Counter
	for _, name := range c.names {
		if was, now := before.value[name], c.value[name]; now > was {
			list = append(list, Counter{node, name, now - was})
		}
	}
	return list
}
