package topology

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Bounds of limits. The kernel gives processor time in steps of 1 ms of every
// 100 ms; PID_MAX_LIMIT of linux/threads.h is the most processes there can be.
const (
	minCPU    = 0.01
	maxCPU    = 8192 // NR_CPUS at most
	minMemory = 1 << 20
	maxMemory = 1 << 60
	maxPIDs   = 4 << 20
)

var limitsObject = newObject([]field[Limits]{
	{"cpu", "Processors, such as 0.5.", schema{"type": "number", "minimum": minCPU, "maximum": maxCPU}, func(p *parser, n *yaml.Node, l *Limits) {
		const want = "a number of processors (0.01 to 8192)"
		if n.Kind == yaml.ScalarNode && (classOf(n) == intClass || classOf(n) == floatClass) {
			if f, err := strconv.ParseFloat(n.Value, 64); err == nil && f >= minCPU && f <= maxCPU {
				l.CPU = f
				return
			}
			p.errorf(n, "such as `0.5`", "%s is not %s", clip(n.Value, maxShown), want)
			return
		}
		p.errorf(n, "such as `0.5`", "%s, where %s is expected", describe(n), want)
	}},
	{"memory", "Bytes, such as 256MiB.", anyOf(between(minMemory, maxMemory), pattern(`^[0-9.]+ ?([kKMGT]i?B|B)$`)), func(p *parser, n *yaml.Node, l *Limits) {
		l.Memory = p.memory(n)
	}},
	{"pids", "Processes and threads.", between(1, maxPIDs), func(p *parser, n *yaml.Node, l *Limits) {
		i, _ := p.integer(n, 1, maxPIDs, "a number of processes")
		l.PIDs = int64(i)
	}},
}...)

// Units of memory, of 1000 and of 1024.
var (
	memoryUnits = []string{"", "B", "kB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"}
	memorySizes = []float64{1, 1, 1e3, 1e6, 1e9, 1e12, 1 << 10, 1 << 20, 1 << 30, 1 << 40}
)

func (p *parser) memory(n *yaml.Node) int64 {
	t, ok := p.text(n, "a size of memory", "256MiB")
	if !ok {
		return 0
	}
	number := strings.TrimRight(t.Value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit := strings.TrimLeft(t.Value[len(number):], " ")
	size, err := strconv.ParseFloat(number, 64)
	if err != nil || size < 0 || math.IsInf(size, 0) || strings.Trim(number, "0123456789.") != "" {
		p.errorf(n, "such as `256MiB`", "%s is not a size of memory", quote(t.Value))
		return 0
	}
	at := slices.Index(memoryUnits, unit)
	if at < 0 {
		hint := "the units are kB, MB, GB, TB (of 1000) and KiB, MiB, GiB, TiB (of 1024)"
		if letter := strings.ToUpper(unit[:1]); strings.Contains("KMGT", letter) {
			hint = "write " + clip(number, maxShown) + letter + "iB, or " + clip(number, maxShown) + strings.Replace(letter, "K", "k", 1) + "B for units of 1000"
		}
		p.errorf(n, hint, "%s: %s is not a unit of memory", quote(t.Value), quote(unit))
		return 0
	}
	size = math.Round(size * memorySizes[at])
	if size < minMemory || size > maxMemory {
		p.errorf(n, "such as `256MiB`", "%s is not a size of memory from 1MiB to 1EiB", quote(t.Value))
		return 0
	}
	return int64(size)
}
