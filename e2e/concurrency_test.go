package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// labsAtOnce come up, are tested and go down side by side.
const labsAtOnce = 10

// testConcurrency has many processes at work at the same time: each on a lab of
// its own, and all on one.
func testConcurrency(t *testing.T) {
	t.Run("ten labs", func(t *testing.T) {
		nothing := lookAtHost(t)
		file := filepath.Join(t.TempDir(), "lab.yaml")
		if err := os.WriteFile(file, []byte("name: many\nnodes: {a: {}, b: {}, sw: {kind: switch, subnet: 10.0.0.0/24}}\n"+
			"links: [[a, sw], [b, sw]]\ntests: [ping: a -> b]\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, verb := range []string{"up", "plan --check", "test", "down"} {
			atOnce(labsAtOnce, func(i int) {
				args := append(words(verb), "--name", fmt.Sprintf("many%d", i), file)
				if out, err := exec.Command("nslab", args...).CombinedOutput(); err != nil {
					t.Errorf("nslab %s: %v\n%s", strings.Join(args, " "), err, out)
				}
			})
		}
		if d := nothing.verySame(lookAtHost(t)); d != "" {
			t.Errorf("it is not as before:\n%s", d)
		}
	})
	t.Run("one lab", testOneLabByMany)
}

// testOneLabByMany lets processes bring one lab up and take it down against each
// other. Whichever is last, the lab is there as the file says, or it is not.
func testOneLabByMany(t *testing.T) {
	const processes = 8
	rounds := 10
	if *full {
		rounds = 100
	}
	nothing := lookAtHost(t)
	file := fixture("small")
	ups, downs := 0, 0
	for round := range rounds {
		rng := rand.New(rand.NewPCG(1, uint64(round)))
		verbs := make([]string, processes)
		for i := range verbs {
			verbs[i] = []string{"up", "down"}[rng.IntN(2)]
		}
		atOnce(processes, func(i int) {
			if out, err := exec.Command("nslab", verbs[i], file).CombinedOutput(); err != nil {
				t.Errorf("round %d: nslab %s: %v\n%s", round, verbs[i], err, out)
			}
		})
		if exec.Command("nslab", "plan", "-q", "--check", file).Run() == nil {
			ups++
			continue
		}
		downs++
		if d := nothing.same(lookAtHost(t)); d != "" {
			t.Errorf("round %d: the lab is neither up nor down:\n%s", round, d)
		}
	}
	if out, err := exec.Command("nslab", "down", file).CombinedOutput(); err != nil {
		t.Errorf("nslab down: %v\n%s", err, out)
	}
	if d := nothing.verySame(lookAtHost(t)); d != "" {
		t.Errorf("it is not as before:\n%s", d)
	}
	t.Logf("concurrency: %d rounds of %d processes on one lab: %d ended up, %d down, 0 between", rounds, processes, ups, downs)
}

// atOnce calls f for 0 to n-1 at the same time and waits for all.
func atOnce(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			f(i)
		}()
	}
	wg.Wait()
}
