package probe

import (
	"bytes"
	"os"
	"strconv"
)

// backlog watches the queues in which the kernel puts packets between a veth
// and the stack, one for each CPU of the host. A queue holds
// net.core.netdev_max_backlog packets (1000); what comes then is dropped without
// anybody being told.
type backlog struct {
	file *os.File // nil: this kernel does not tell
	buf  []byte

	dropped uint64 // packets since the host started
	queued  uint64 // packets now, of the longest queue
}

// openBacklog gives a backlog that was read once.
func openBacklog() *backlog {
	b := &backlog{buf: make([]byte, 64<<10)}
	b.file, _ = os.Open("/proc/net/softnet_stat")
	b.read()
	return b
}

func (b *backlog) close() {
	if b.file != nil {
		b.file.Close()
	}
}

// Fields of a line of softnet_stat; net/core/net-procfs.c, softnet_seq_show.
const (
	softnetDropped = 1
	softnetQueued  = 11
)

// read reads the queues again and says whether packets were dropped meanwhile.
func (b *backlog) read() (lost bool) {
	if b.file == nil {
		return false
	}
	n, _ := b.file.ReadAt(b.buf, 0) // reading less than asked for is io.EOF
	var dropped, queued uint64
	for line := range bytes.Lines(b.buf[:n]) {
		f := bytes.Fields(line)
		if len(f) <= softnetQueued {
			return false
		}
		d, _ := strconv.ParseUint(string(f[softnetDropped]), 16, 64)
		q, _ := strconv.ParseUint(string(f[softnetQueued]), 16, 64)
		dropped += d
		queued = max(queued, q)
	}
	lost = dropped > b.dropped
	b.dropped, b.queued = dropped, queued
	return lost
}
