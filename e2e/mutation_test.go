package e2e

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nslab/e2e/sandbox"
	"nslab/labs"
	"nslab/topology"
)

var (
	mutantsAll  = flag.Bool("mutants.all", false, "break the labs in many places; with -mutants.lab in all that are known")
	mutantsSeed = flag.Uint64("mutants.seed", 1, "seed that chooses where the labs are broken; 0: the time")
	mutantsLab  = flag.String("mutants.lab", "", "break only this lab")
)

const (
	// mutantsOfLab is how often each lab is broken; allOfLab the same with
	// -mutants.all. With -mutants.lab it is everywhere.
	mutantsOfLab = 3
	allOfLab     = 25
	// labsBroken is how many labs are broken at once: they mostly wait.
	labsBroken = 8
	// A broken lab is tested with these times, so that it does not take long.
	// The lab that is not broken has to pass with them, too.
	mutantTimeout = 250 * time.Millisecond
	mutantWithin  = 3 * time.Second
	// triesOfWhole is how often it is tried, as those times may be too short on a
	// busy machine.
	triesOfWhole = 5
)

// testMutants breaks every lab in one place after the other, but for those that do
// something by themselves (a scenario, daemons). Its tests must find
// that, and what they say must name the place.
func testMutants(t *testing.T) {
	seed := *mutantsSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	before, err := sandbox.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var all score
	slots := make(chan struct{}, labsBroken)
	var wg sync.WaitGroup
	for _, lab := range labs.List() {
		if *mutantsLab != "" && lab.Name != *mutantsLab {
			continue
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			b := breaker{t: t, name: lab.Name, dir: dir, score: &all, rng: rand.New(rand.NewPCG(seed, 0))}
			b.run()
		}()
	}
	wg.Wait()
	t.Logf("caught %d of %d, named %d of %d; %d more are refused by validate, %d are equivalent; seed %d",
		all.caught, all.tested, all.named, all.tested, all.refused, all.equivalent, seed)
	if left := remaining(before); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
}

// score is what became of all mutants.
type score struct {
	mu                                         sync.Mutex
	tested, caught, named, refused, equivalent int
}

func (s *score) add(n *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*n++
}

// breaker breaks one lab.
type breaker struct {
	t     *testing.T
	name  string
	dir   string
	score *score
	rng   *rand.Rand
}

func (b *breaker) run() {
	whole := b.lab()
	if len(whole.Scenario) > 0 || slices.ContainsFunc(whole.Nodes, func(n *topology.Node) bool { return len(n.Run) > 0 }) {
		return // it takes its time, and what fails is looked into when the scene is another
	}
	for try := 1; ; try++ {
		found := b.test(whole)
		if found.status == 0 {
			break
		}
		if try == triesOfWhole {
			b.t.Errorf("%s does not pass before it is broken:\n%s", b.name, found.text)
			return
		}
	}
	most := mutantsOfLab
	switch {
	case *mutantsAll && *mutantsLab != "":
		most = math.MaxInt
	case *mutantsAll:
		most = allOfLab
	}
	taken := 0
	for _, m := range b.choose(mutants(b.lab())) {
		if taken == most {
			return
		}
		if listed(equivalents, b.name, m) {
			b.score.add(&b.score.equivalent)
			continue
		}
		lab := b.lab()
		m.change(lab)
		found := b.test(lab)
		switch found.status {
		case 0:
			b.score.add(&b.score.tested)
			b.t.Errorf("%s, %s: no test finds it", b.name, m)
		case 1:
			b.score.add(&b.score.tested)
			b.score.add(&b.score.caught)
			if slices.ContainsFunc(found.lines, m.names) || listed(unnamed, b.name, m) {
				b.score.add(&b.score.named)
			} else {
				b.t.Errorf("%s, %s: it is not named:\n%s", b.name, m, strings.Join(found.lines, "\n"))
			}
		case 3:
			b.score.add(&b.score.refused)
			continue
		default:
			b.t.Errorf("%s, %s: status %d\n%s", b.name, m, found.status, found.text)
		}
		if left, _ := filepath.Glob("/run/netns/" + b.name + ".*"); len(left) > 0 {
			b.t.Errorf("%s, %s: it is still up after its tests, status %d\n%s", b.name, m, found.status, found.text)
			return
		}
		taken++
	}
}

// choose puts the mutants in an order of chance in which every kind is there
// once before any is there twice.
func (b *breaker) choose(list []mutant) []mutant {
	b.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	seen := map[string]int{}
	turn := make(map[*mutant]int, len(list))
	order := make([]*mutant, len(list))
	for i := range list {
		order[i] = &list[i]
		turn[order[i]] = seen[list[i].kind]
		seen[list[i].kind]++
	}
	slices.SortStableFunc(order, func(x, y *mutant) int { return turn[x] - turn[y] })
	chosen := make([]mutant, len(list))
	for i, m := range order {
		chosen[i] = *m
	}
	return chosen
}

// lab reads the lab with everything written out that is given out or found else,
// so that nothing mends what is broken.
func (b *breaker) lab() *topology.Lab {
	text, err := labs.Read(b.name)
	if err != nil {
		b.t.Error(err)
	}
	lab := b.resolve(text)
	var out bytes.Buffer
	if err := lab.WriteYAML(&out); err != nil {
		b.t.Error(err)
	}
	lab = b.resolve(out.Bytes())
	lab.Routing, lab.Neighbors = "none", "learned"
	for _, n := range lab.Nodes {
		n.Subnet = nil
	}
	for _, k := range lab.Links {
		k.Subnet = nil
	}
	for _, x := range lab.Tests {
		if x.Verb != topology.Exec {
			x.Timeout = mutantTimeout
		}
		x.Within = min(x.Within, mutantWithin)
	}
	return lab
}

func (b *breaker) resolve(text []byte) *topology.Lab {
	file, err := topology.Parse(b.name+".yaml", text)
	if err == nil {
		var lab *topology.Lab
		if lab, err = topology.Resolve(file); err == nil {
			return lab
		}
	}
	b.t.Errorf("%s: %v", b.name, err)
	return &topology.Lab{}
}

// finding is what `nslab test` said of a lab.
type finding struct {
	status int
	text   string   // all that it wrote
	lines  []string // what it says of the tests that did not pass
}

// test runs the tests of a lab.
func (b *breaker) test(lab *topology.Lab) finding {
	file := filepath.Join(b.dir, b.name+".yaml")
	var text bytes.Buffer
	if err := lab.WriteYAML(&text); err != nil {
		b.t.Error(err)
	}
	if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
		b.t.Error(err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("nslab", "test", "-q", "-o", "json", file)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Run()
	found := finding{status: cmd.ProcessState.ExitCode(), text: stdout.String() + stderr.String()}
	var report struct {
		Reports []struct {
			Cases []struct {
				Verb, From, Outcome, Message string
				Details                      []string
			}
		}
	}
	if found.status > 1 {
		return found
	}
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		b.t.Errorf("%s: %v", b.name, err)
	}
	for _, r := range report.Reports {
		for _, c := range r.Cases {
			if c.Outcome == "fail" || c.Outcome == "error" {
				if c.Verb == topology.RouteTo || c.Verb == topology.Exec {
					c.Message = c.From + ": " + c.Message // which looks at that node alone
				}
				found.lines = append(append(found.lines, c.Message), c.Details...)
			}
		}
	}
	return found
}

// equivalents are mutants that no test can find, and why: matched against the kind
// and place.
var equivalents = []exception{
	{"bastion", `: stranger: unicast (10\.0\.0\.0/24|0\.0\.0\.0/0)`, "both of its routes go the same way"},
	{"bastion", `: (brute|db): unicast 0\.0\.0\.0/0`, "it talks to nobody beyond its segment"},
	{"bastion", `fib saddr|tcp flags|ct state invalid`, "no socket sends such packets"},
	{"bastion", `removed: bastion: chain ssh: ip saddr @admins`, "admin calls too seldom to be limited"},
	{"bastion", `swapped: bastion: chain ssh: update @callers`, "the ban begins all the same"},
	{"bastion", `(iif|oif) lo accept`, "nobody talks to the bastion from itself"},
	{"bastion", `policy swapped: bastion: chain output`, "the last rule refuses all that the policy is for"},
	{"bastion", `destination-unreachable, time-exceeded`, "errors are related to what they are about, and pass before"},
	{"bridge", `: guest1:eth0 (10\.0\.0\.200|fd00::3)|: guest2:eth0 (10\.0\.0\.2|fd00::2)`, "guests do not reach each other anyway"},
	{"bridge-filter", `liar|copy`, "all that they send is dropped anyway"},
	{"bridge-filter", `removed: switch: chain (answers: drop|guests: counter drop)`, "the policy of the chain they come from drops, too"},
	{"bridge-filter", `fd00::|IPv6`, "IPv6 passes no port anyway"},
	{"bridge-filter", `ether saddr & 01`, "no socket sends such frames"},
	{"dns-and-http", `: (names|web|public): unicast 0\.0\.0\.0/0`, "gw hides the home behind an address of their own segment"},
	{"dns-and-http", `MTU lowered: (guest:eth0|gw:guests)`, "guests may send nothing large"},
	{"dns-and-http", `policy swapped: gw: chain postrouting`, "nothing begins there that is not masqueraded"},
	{"fat-tree", `: (c|agg|edge)[1-8]: unicast (10\.0\.0\.(6[4-9]|[7-9][0-9]|[0-9]{3})/30|fd00:0:0:[0-9a-f]{2}::/64)`, "no test is of the links between routers"},
	{"home-router", `chain input: iif lo accept`, "nobody talks to the router from itself"},
	{"home-router", `removed: router: chain input: ct state vmap`, "the router asks for nothing, so nothing of a known connection comes to it"},
	{"load-balancer", `chain forward: ip daddr @addresses`, "nobody answers for what it would let pass, and the policy drops, too"},
	{"load-balancer", `policy swapped: balancer: chain output`, "the balancer itself asks for nothing"},
	{"reachability-matrix", `policy swapped: fw: chain forward`, "the last rule refuses all that the policy is for"},
	{"transparent-proxy", `socket transparent`, "tproxy finds the same socket"},
	{"transparent-proxy", `fib daddr type local`, "only while the proxy runs, and nobody asks the router itself then"},
}

// unnamed are mutants of which it cannot be told where they are, and why.
var unnamed = []exception{
	{"host-uplink", `link down: gw:lan`, "gw sends what it cannot deliver to the machine; the way shows the turn"},
	{"policy-routing", `(link down|wrong prefix length): gw:(office|lab|guest)`, "gw sends what it cannot deliver by an uplink; the way shows the turn"},
	{"load-balancer", `neighbour's MAC wrong: balancer:in`, "which server is asked is a matter of chance, and the one of the second try may answer"},
}

type exception struct{ lab, match, why string }

// listed reports whether a mutant is one of the exceptions.
func listed(list []exception, lab string, m mutant) bool {
	for _, e := range list {
		if e.lab == lab && regexp.MustCompile(e.match).MatchString(m.String()) {
			return true
		}
	}
	return false
}
