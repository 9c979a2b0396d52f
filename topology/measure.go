package topology

import (
	"math"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Measure is what a measured value has to be: in a range.
type Measure struct {
	Text     string // as in the file
	Min, Max float64
	MinOpen  bool // Min itself is too little
	MaxOpen  bool // Max itself is too much
}

// Holds reports whether a value is in the range.
func (m *Measure) Holds(v float64) bool {
	return (v > m.Min || v == m.Min && !m.MinOpen) && (v < m.Max || v == m.Max && !m.MaxOpen)
}

// unit is what a kind of measure is written in.
type unit struct {
	what    string
	example string
	alone   bool // a value without a comparison makes sense
	read    func(string) (float64, bool)
}

var (
	lossUnit = unit{"a share", "<= 1%", true, readShare}
	timeUnit = unit{"a time", "20ms..25ms", false, func(s string) (float64, bool) {
		d, err := time.ParseDuration(s)
		return float64(d), err == nil && d >= 0
	}}

	rateUnit = unit{"a rate", ">= 90mbit", false, readRate}

	measureSchema = pattern(`^(<=?|>=?)? *[0-9.]+[a-zµ%]+( *\.\. *[0-9.]+[a-zµ%]+)?$`)
)

// measure reads a range of values: `>= V`, `<= V`, `> V`, `< V`, `V..V`.
func (p *parser) measure(n *yaml.Node, u unit) *Measure {
	t, ok := p.text(n, "a range of "+u.what, u.example)
	if !ok {
		return nil
	}
	hint := "such as `" + strconv.Quote(u.example) + "`"
	read := func(s string) float64 {
		v, good := u.read(strings.TrimSpace(s))
		if !good && ok {
			ok = false
			p.errorf(n, hint, "%s: %s is not %s", quote(t.Value), quote(strings.TrimSpace(s)), u.what)
		}
		return v
	}
	m := &Measure{Text: strings.Join(strings.Fields(t.Value), " "), Max: math.Inf(1)}
	s := m.Text
	if low, high, is := strings.Cut(s, ".."); is {
		m.Min, m.Max = read(low), read(high)
		if ok && m.Min > m.Max {
			p.errorf(n, "write the lower value first", "%s: the range ends before it begins", quote(t.Value))
			return nil
		}
	} else if rest, is := strings.CutPrefix(s, ">="); is {
		m.Min = read(rest)
	} else if rest, is := strings.CutPrefix(s, "<="); is {
		m.Max = read(rest)
	} else if rest, is := strings.CutPrefix(s, ">"); is {
		m.Min, m.MinOpen = read(rest), true
	} else if rest, is := strings.CutPrefix(s, "<"); is {
		m.Max, m.MaxOpen = read(rest), true
	} else {
		m.Min = read(s)
		m.Max = m.Min
		if ok && !u.alone {
			p.errorf(n, "write `\"<= "+s+"\"`, `\">= "+s+"\"` or a range", "%s: a measured value is never exactly that", quote(t.Value))
			return nil
		}
	}
	if !ok {
		return nil
	}
	return m
}

// readShare gives percent.
func readShare(s string) (float64, bool) {
	number, is := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(number, 64)
	return v, is && err == nil && v >= 0 && v <= 100
}

// rateUnits are those of tc(8), in bits per second.
var rateUnits = map[string]float64{"bit": 1, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9, "tbit": 1e12}

// readRate gives bits per second.
func readRate(s string) (float64, bool) {
	at := strings.IndexFunc(s, func(r rune) bool { return r >= 'a' && r <= 'z' })
	if at < 0 {
		return 0, false
	}
	v, err := strconv.ParseFloat(s[:at], 64)
	bits := rateUnits[s[at:]]
	return v * bits, err == nil && bits != 0 && v >= 0 && !math.IsInf(v, 0)
}
