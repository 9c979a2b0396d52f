package probe

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// neighborTable is the kernel's table of learned neighbours of one family: that
// of all namespaces together.
type neighborTable struct {
	entries uint32
	limit   uint32 // gc_thresh3
	fulls   uint64 // how often there was no room for an entry, since the host started
}

// neighborTables watches the tables of IPv4 and IPv6.
type neighborTables struct {
	read func() ([2]neighborTable, bool)

	mu  sync.Mutex
	at  time.Time
	now [2]neighborTable
}

// tablesFresh is how long what was read of the tables is good for.
const tablesFresh = 50 * time.Millisecond

// table gives that of a family.
func (t *neighborTables) table(v6 bool) neighborTable {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.at) > tablesFresh {
		if now, ok := t.read(); ok {
			t.now = now
		}
		t.at = time.Now()
	}
	if v6 {
		return t.now[1]
	}
	return t.now[0]
}

// text says what to do about a full table.
func (t neighborTable) text(family string) string {
	return fmt.Sprintf("the kernel's table of neighbours was full: %d entries of all namespaces of this host together, of which at most %d may be learned; raise net.%s.neigh.default.gc_thresh3 on the host, or write permanent entries (addressing: {neighbors: static})",
		t.entries, t.limit, family)
}

// noBuffer says what it means that a node's kernel had no buffer for a request:
// table is as it is now, before how often it was full before.
func noBuffer(node, family string, table neighborTable, before uint64) string {
	if table.fulls > before {
		return fmt.Sprintf("the kernel of %s could not send: %s", node, table.text(family))
	}
	return fmt.Sprintf("the kernel of %s could not send: %s: a queue was full, that of the interface or the host's (net.core.netdev_max_backlog)", node, errnoText(unix.ENOBUFS))
}

// Attributes of linux/neighbour.h, and places in the structs ndt_config and
// ndt_stats.
const (
	ndtaThresh3    = 4
	ndtaConfig     = 5
	ndtaStats      = 7
	ndtEntries     = 4
	ndtTableFulls  = 10 * 8
	sizeofNdtmsg   = 4
	sizeofNdtStats = 11 * 8
)

// ndtmsg is struct ndtmsg of a request: of all families.
type ndtmsg struct{}

func (ndtmsg) Len() int          { return sizeofNdtmsg }
func (ndtmsg) Serialize() []byte { return make([]byte, sizeofNdtmsg) }

// readNeighborTables asks the kernel, of whatever namespace; false: it does not
// tell.
func readNeighborTables() (t [2]neighborTable, ok bool) {
	request := nl.NewNetlinkRequest(unix.RTM_GETNEIGHTBL, unix.NLM_F_DUMP)
	request.AddData(ndtmsg{})
	messages, _ := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGHTBL)
	for _, m := range messages {
		if len(m) < sizeofNdtmsg {
			continue
		}
		attributes, err := nl.ParseRouteAttr(m[sizeofNdtmsg:])
		if err != nil {
			continue
		}
		x := &t[0]
		switch m[0] {
		case unix.AF_INET:
		case unix.AF_INET6:
			x = &t[1]
		default:
			continue
		}
		for _, a := range attributes {
			switch {
			case a.Attr.Type == ndtaThresh3 && len(a.Value) >= 4:
				x.limit = binary.NativeEndian.Uint32(a.Value)
			case a.Attr.Type == ndtaConfig && len(a.Value) >= ndtEntries+4:
				x.entries = binary.NativeEndian.Uint32(a.Value[ndtEntries:])
			case a.Attr.Type == ndtaStats && len(a.Value) >= sizeofNdtStats:
				x.fulls, ok = binary.NativeEndian.Uint64(a.Value[ndtTableFulls:]), true
			}
		}
	}
	return t, ok
}
