package probe

import (
	"fmt"
	"strings"
	"time"

	"nslab/topology"
)

// seen is what became of the requests of one try; of several requests all that
// occurred.
type seen uint8

const (
	answered seen = 1 << iota // and the answer is as it should be
	arrived                   // at the target; without a (right) answer
	refused                   // by an answer, or at once by the sender's kernel
	lost                      // nothing came back, or the sender's kernel dropped it
	usurped                   // answered by a node that is not the target
	failed                    // exec, route: not as it should be
	unable                    // could not be carried out
)

// result is what one try found.
type result struct {
	seen    seen
	what    string // one line: what came back; of answered, may be empty
	details []string
	rtt     time.Duration
	rate    float64 // bits per second; 0: not measured
	began   time.Time
	ended   time.Time
	silent  bool // lost, and not because the sender's kernel said so
	busy    bool // unable, because the sender's kernel had no buffer
	alone   bool // lost, because nobody answered for a neighbour of the sender
	mute    bool // arrived, and the sender's stack got no answer
}

// broken is the result of a try that could not be carried out.
func broken(format string, args ...any) result {
	now := time.Now()
	return result{seen: unable, what: fmt.Sprintf(format, args...), began: now, ended: now}
}

// fullTable brings in that the table of neighbours was full while a request met
// silence: somebody on the way may have known no neighbour to send it on to. A
// failure is told of with that; that it was filtered is not known any more.
func (res result) fullTable(t *topology.Test, family string, table neighborTable) result {
	res.what += "; meanwhile " + table.text(family)
	if t.Expect != expectPass && t.Expect != "" {
		res.seen, res.silent = unable, false
	}
	return res
}

type verdict struct {
	outcome Outcome
	message string
}

// judge holds what was seen against what was expected.
func judge(expect string, res result) verdict {
	if res.seen&unable != 0 {
		return verdict{Error, res.what}
	}
	reached := res.seen&(answered|arrived) != 0
	var pass bool
	switch expect {
	case "", expectPass:
		pass = res.seen == answered
		if !pass {
			return verdict{Fail, res.what}
		}
	case expectFail:
		pass = !reached
	case expectReject:
		pass = res.seen == refused
	case expectDrop:
		pass = res.seen == lost
	default:
		return verdict{Error, fmt.Sprintf("expect: %q is not supported yet", expect)}
	}
	if pass {
		return verdict{outcome: Pass}
	}
	what := res.what
	if res.seen == answered {
		what = strings.TrimSpace("it was answered " + what)
	}
	return verdict{Fail, fmt.Sprintf("%s, but %s", wish[expect], what)}
}

// What a test can expect.
const (
	expectPass   = "pass"
	expectFail   = "fail"
	expectReject = "reject"
	expectDrop   = "drop"
)

var wish = map[string]string{
	expectFail:   "it should not reach the target",
	expectReject: "it should be refused",
	expectDrop:   "it should vanish in silence",
}

// job is one case with what carrying it out needs.
type job struct {
	c        *Case
	test     *topology.Test
	from, to side
	ipv6     bool
	known    bool    // whether ipv6 is: a pair whose addresses the file does not give has no family at first
	owners   []*node // the nodes of the lab that have the target's address

	bad   error     // why it can never be tried
	began time.Time // the first try
	holds time.Time // since when it passes; zero: it does not
	held  time.Time // since when it passed, the last time that it did

	watched bool    // its requests are written down in flows
	flows   []*flow // of one try

	doubted   bool // see refusals.doubt
	doubtedAt int
}

// usurpedText says that it was not the target that answered.
func (j *job) usurpedText() string {
	return fmt.Sprintf("an answer came, but the request did not reach %s: another node answers for %s", j.to.node.name, j.to.addr)
}

func (j *job) attempted(res result) {
	j.c.Attempts++
	if j.began.IsZero() {
		j.began = res.began
	}
}

// settled notes whether a try passed, and says whether the job has passed for as
// long as its test wants.
func (j *job) settled(passed bool) bool {
	switch {
	case !passed:
		j.holds = time.Time{}
	case j.holds.IsZero():
		j.holds = time.Now()
		j.held = j.holds
	}
	return passed && time.Since(j.holds) >= j.test.Stable
}
