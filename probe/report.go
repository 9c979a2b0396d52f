package probe

import (
	"encoding/json"
	"io"
	"math"
	"time"

	"nslab/topology"
)

// Outcome is what became of a case.
type Outcome string

const (
	Pass  Outcome = "pass"
	Fail  Outcome = "fail"  // carried out, and not as expected
	Error Outcome = "error" // could not be carried out
	Skip  Outcome = "skip"  // left out: an item with stop_on_fail before it did not pass
)

// Report is what Run found.
type Report struct {
	Lab      string // its name
	File     string // of its topology
	Started  time.Time
	Duration time.Duration
	Cases    []Case // in file order
	Passed   int    // how many cases of each outcome
	Failed   int
	Errors   int
	Skipped  int
}

func (r *Report) add(c *Case) {
	r.Cases = append(r.Cases, *c)
	switch c.Outcome {
	case Pass:
		r.Passed++
	case Fail:
		r.Failed++
	case Skip:
		r.Skipped++
	default:
		r.Errors++
	}
}

// Case is one pair of one item of `tests:` or `scenario:`, in one family, or one
// change of a scenario.
type Case struct {
	Name     string // of its own: that of the item, the pair, the family
	Item     string // name of the item
	Round    int    // which of Options.Repeat, from 1; 0: there is one round
	Verb     string
	From     string // node or node:interface; of a change what is changed
	To       string // node, node:interface, address or prefix, with its port; "" for exec
	Address  string // the address that was probed, where To is a node; "" where unknown
	Family   string // ipv4 or ipv6; "" where there is none
	Pos      topology.Pos
	Expect   string // pass, fail, reject or drop
	Outcome  Outcome
	Duration time.Duration // of all attempts and the pauses between them
	RTT      time.Duration // mean round-trip time of what was answered; 0: none
	Rate     float64       // bandwidth: bits of payload in a second; 0: not measured
	Attempts int           // tries; 0: none could begin
	Message  string        // why it did not pass, in a line
	Details  []string      // what was sent and what came back, a line each

	// Explanation is where a failed case was lost; nil where that was not looked
	// into. Details have it too.
	Explanation *Explanation
}

// report and case as JSON has them. The names are public: they are only added
// to.
type reportJSON struct {
	Lab        string      `json:"lab"`
	File       string      `json:"file"`
	Started    time.Time   `json:"started"`
	DurationMS float64     `json:"duration_ms"`
	Passed     int         `json:"passed"`
	Failed     int         `json:"failed"`
	Errors     int         `json:"errors"`
	Skipped    int         `json:"skipped"`
	Cases      []caseJSON  `json:"cases"`
	Flakes     []flakeJSON `json:"flakes,omitempty"`
}

type flakeJSON struct {
	Name   string `json:"name"`
	Line   int32  `json:"line"`
	Column int32  `json:"column"`
	Passed int    `json:"passed"`
	Rounds int    `json:"rounds"`
}

type caseJSON struct {
	Name       string   `json:"name"`
	Item       string   `json:"item"`
	Round      int      `json:"round,omitempty"`
	Verb       string   `json:"verb"`
	From       string   `json:"from"`
	To         string   `json:"to,omitempty"`
	Address    string   `json:"address,omitempty"`
	Family     string   `json:"family,omitempty"`
	Line       int32    `json:"line"`
	Column     int32    `json:"column"`
	Expect     string   `json:"expect"`
	Outcome    Outcome  `json:"outcome"`
	DurationMS float64  `json:"duration_ms"`
	RTTMS      float64  `json:"rtt_ms,omitempty"`
	Rate       float64  `json:"bits_per_second,omitempty"`
	Attempts   int      `json:"attempts"`
	Message    string   `json:"message,omitempty"`
	Details    []string `json:"details,omitempty"`

	Explanation *explanationJSON `json:"explanation,omitempty"`
}

// MarshalJSON gives one object:
//
//	lab, file           name of the lab and of its topology file
//	started             RFC 3339
//	duration_ms         milliseconds
//	passed, failed, errors, skipped   how many cases of each outcome
//	cases               in file order, each with
//	  name              of the case; with round unique in the report
//	  item              name of the item of `tests:` or `scenario:` that it comes from
//	  round             which of --repeat, from 1; absent without it
//	  verb              ping, tcp, udp, http, dns, path, mtu, bandwidth, route, exec; of
//	                    changes link, start, stop
//	  from, to          as in the file; an exec has no to; of a change from is what is changed
//	  address           that was probed
//	  family            ipv4, ipv6; absent for exec
//	  line, column      of the item in file
//	  expect            pass, fail, reject, drop
//	  outcome           pass, fail (not as expected), error (could not be carried out),
//	                    skip (an item with stop_on_fail before it did not pass)
//	  duration_ms       milliseconds, with all attempts
//	  rtt_ms            mean round-trip time in milliseconds; absent without an answer
//	  bits_per_second   of payload that arrived; of bandwidth alone
//	  attempts          how often it was tried
//	  message, details  why it did not pass; absent of a pass
//	  explanation       of the first failed cases of an item, what a second try showed;
//	                    what is not known is absent
//	    sent            what is sent, from where, to where
//	    second_try      why there was none or it says nothing, or that it passed
//	    second_try_passed  true
//	    way, back       where the request, and what came back for it, were seen, in order:
//	                    each node, interface, direction (in, out)
//	    last_seen       the last of these places: of the way, or of the answer if the
//	                    request arrived
//	    rules           that kept the packet there: node, family, table, chain, handle
//	                    (absent of the chain's policy), verdict, rule (its text), and
//	                    file, line, column where the file has it
//	    routes          the routes and neighbours used, a line each
//	    counters        of the kernel that grew where it was last seen: node, name, by
//	    notes           what else was noticed, a line each
//	flakes              cases that passed in some rounds of --repeat only; absent without
//	                    any: name, line, column, passed (how many rounds), rounds
func (r *Report) MarshalJSON() ([]byte, error) { return json.Marshal(r.wire()) }

func (r *Report) wire() reportJSON {
	out := reportJSON{
		Lab: r.Lab, File: r.File, Started: r.Started, DurationMS: milliseconds(r.Duration),
		Passed: r.Passed, Failed: r.Failed, Errors: r.Errors, Skipped: r.Skipped, Cases: make([]caseJSON, len(r.Cases)),
	}
	for i, c := range r.Cases {
		out.Cases[i] = caseJSON{
			Name: c.Name, Item: c.Item, Round: c.Round, Verb: c.Verb, From: c.From, To: c.To,
			Address: c.Address, Family: c.Family, Line: c.Pos.Line, Column: c.Pos.Col,
			Expect: c.Expect, Outcome: c.Outcome, DurationMS: milliseconds(c.Duration),
			RTTMS: milliseconds(c.RTT), Rate: math.Round(c.Rate), Attempts: c.Attempts, Message: c.Message, Details: c.Details,
			Explanation: c.Explanation.wire(),
		}
	}
	for _, f := range r.Flakes() {
		out.Flakes = append(out.Flakes, flakeJSON{Name: f.Name, Line: f.Pos.Line, Column: f.Pos.Col, Passed: f.Passed, Rounds: f.Rounds})
	}
	return out
}

// milliseconds are exact to the microsecond.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)/time.Microsecond) / 1000
}

// WriteJSON writes the report as MarshalJSON gives it, indented.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r.wire())
}
