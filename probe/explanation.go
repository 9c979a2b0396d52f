package probe

import (
	"fmt"
	"strings"

	"nslab/topology"
)

// Explanation is what was found out about a failed case: by a second try, with a
// packet socket in every node and, in a third, the rules traced where the second
// one ended. What is not known is left zero.
type Explanation struct {
	Sent      string    // what is sent, from where, to where
	SecondTry string    // what became of the second try, or why there was none
	Passed    bool      // the second try
	Way       []Place   // where the request was seen, in order
	Back      []Place   // where its answer, or an error about it, was seen
	LastSeen  *Place    // of the request; of the answer, if the request arrived
	Rules     []Hit     // by which nf_tables kept it
	Routes    []string  // the routes and neighbours used, a line each
	Counters  []Counter // what changed, in the node where it was last seen
	Notes     []string  // what else was noticed, a line each
}

// Place is an interface by which a packet came or went.
type Place struct {
	Node      string
	Interface string
	Out       bool // it left by it
}

func (p Place) String() string { return p.Node + ":" + p.Interface }

// Hit is a rule, or the policy of a chain, that kept a packet.
type Hit struct {
	Node    string
	Family  string
	Table   string
	Chain   string
	Handle  uint64 // as nft -a has it; 0: it is the policy
	Verdict string // drop, queue, stolen
	Rule    string // its text; "" for the policy
	File    string // of the rule; "" where it is not the file's own
	Pos     topology.Pos
}

func (h Hit) String() string {
	where := fmt.Sprintf("table %s %s chain %s", h.Family, h.Table, h.Chain)
	if h.Handle == 0 {
		return fmt.Sprintf("%s: policy %s of %s%s", h.Node, h.Verdict, where, h.at())
	}
	return fmt.Sprintf("%s: rule %s handle %d / %s%s", h.Node, where, h.Handle, h.Rule, h.at())
}

func (h Hit) at() string {
	if h.File == "" {
		return ""
	}
	return fmt.Sprintf(" (%s:%d:%d)", h.File, h.Pos.Line, h.Pos.Col)
}

// Counter is a number of the kernel that grew.
type Counter struct {
	Node string
	Name string // as /proc/net/snmp, netstat and snmp6 have it, or INTERFACE rx_dropped and so on
	By   uint64
}

// maxPlaces is how many places a line of a report names.
const maxPlaces = 12

// lines are the explanation for people.
func (e *Explanation) lines() []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if e.Sent != "" {
		add("sent: %s", e.Sent)
	}
	if e.SecondTry != "" {
		add("second try: %s", e.SecondTry)
	}
	if len(e.Way) > 0 {
		add("seen: %s", placesText(e.Way))
	}
	if len(e.Back) > 0 {
		add("what came back: %s", placesText(e.Back))
	}
	if p := e.LastSeen; p != nil {
		did := "coming in by"
		if p.Out {
			did = "leaving by"
		}
		add("last seen: %s %s", did, p)
	}
	for _, h := range e.Rules {
		add("kept by %s", h)
	}
	for i := 0; i < len(e.Counters); {
		n := e.Counters[i].Node
		var list []string
		for ; i < len(e.Counters) && e.Counters[i].Node == n; i++ {
			list = append(list, fmt.Sprintf("%s +%d", e.Counters[i].Name, e.Counters[i].By))
		}
		add("counters in %s: %s", n, strings.Join(list, ", "))
	}
	return append(append(lines, e.Routes...), e.Notes...)
}

func placesText(places []Place) string {
	words := make([]string, 0, maxPlaces+1)
	for i, p := range places {
		if i == maxPlaces-1 && len(places) > maxPlaces {
			words = append(words, "…", places[len(places)-1].String())
			break
		}
		words = append(words, p.String())
	}
	return strings.Join(words, " > ")
}

// explanationJSON is an Explanation as Report.MarshalJSON describes it.
type explanationJSON struct {
	Sent     string        `json:"sent,omitempty"`
	Second   string        `json:"second_try,omitempty"`
	Passed   bool          `json:"second_try_passed,omitempty"`
	Way      []placeJSON   `json:"way,omitempty"`
	Back     []placeJSON   `json:"back,omitempty"`
	LastSeen *placeJSON    `json:"last_seen,omitempty"`
	Rules    []hitJSON     `json:"rules,omitempty"`
	Routes   []string      `json:"routes,omitempty"`
	Counters []counterJSON `json:"counters,omitempty"`
	Notes    []string      `json:"notes,omitempty"`
}

type placeJSON struct {
	Node      string `json:"node"`
	Interface string `json:"interface"`
	Direction string `json:"direction"`
}

type hitJSON struct {
	Node    string `json:"node"`
	Family  string `json:"family"`
	Table   string `json:"table"`
	Chain   string `json:"chain"`
	Handle  uint64 `json:"handle,omitempty"`
	Verdict string `json:"verdict"`
	Rule    string `json:"rule,omitempty"`
	File    string `json:"file,omitempty"`
	Line    int32  `json:"line,omitempty"`
	Column  int32  `json:"column,omitempty"`
}

type counterJSON struct {
	Node string `json:"node"`
	Name string `json:"name"`
	By   uint64 `json:"by"`
}

func (p Place) wire() placeJSON {
	direction := "in"
	if p.Out {
		direction = "out"
	}
	return placeJSON{p.Node, p.Interface, direction}
}

func (e *Explanation) wire() *explanationJSON {
	if e == nil {
		return nil
	}
	out := &explanationJSON{Sent: e.Sent, Second: e.SecondTry, Passed: e.Passed, Routes: e.Routes, Notes: e.Notes}
	for _, p := range e.Way {
		out.Way = append(out.Way, p.wire())
	}
	for _, p := range e.Back {
		out.Back = append(out.Back, p.wire())
	}
	if e.LastSeen != nil {
		p := e.LastSeen.wire()
		out.LastSeen = &p
	}
	for _, h := range e.Rules {
		out.Rules = append(out.Rules, hitJSON{h.Node, h.Family, h.Table, h.Chain, h.Handle, h.Verdict, h.Rule, h.File, h.Pos.Line, h.Pos.Col})
	}
	for _, c := range e.Counters {
		out.Counters = append(out.Counters, counterJSON(c))
	}
	return out
}
