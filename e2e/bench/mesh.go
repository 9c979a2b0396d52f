package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// The bounds of a ping of every host with every other one, on one switch.
var meshes = []struct {
	hosts int
	most  time.Duration
}{{100, time.Second}, {200, 3 * time.Second}}

const (
	// sampledPairs is how many pairs a ping(8) process each is begun for.
	sampledPairs = 200
	// maxOfPing is a pair of the largest mesh against a pair of ping(8).
	maxOfPing = 0.05
)

// meshLab is a lab of so many hosts on one switch, with a test of all pairs. The
// neighbours are fixed, so that it is no test of the kernel's table of them.
func meshLab(hosts int) string {
	return fmt.Sprintf(`name: mesh
addressing: {neighbors: static}
nodes:
  sw: {kind: switch, subnet: 10.0.0.0/16}
  "h[1-%[1]d]": {labels: {kind: host}}
links:
  - ["h[1-%[1]d]", sw]
tests:
  - ping: label:kind=host -> label:kind=host
`, hosts)
}

// measureMesh takes the time of the tests alone, as their report has it, of labs
// that are up.
func (b *bench) measureMesh() error {
	var ours, theirs time.Duration // of a pair
	for _, m := range meshes {
		file := filepath.Join(b.dir, "mesh.yaml")
		if err := os.WriteFile(file, []byte(meshLab(m.hosts)), 0o644); err != nil {
			return err
		}
		if err := freed(); err != nil {
			return err
		}
		if _, err := run(b.nslab, "up", "-q", file); err != nil {
			return err
		}
		pairs := m.hosts * (m.hosts - 1)
		var least time.Duration
		for i := range b.pairs {
			took, err := b.testMesh(file, pairs)
			if err != nil {
				return err
			}
			if i == 0 || took < least {
				least = took
			}
		}
		ours = least / time.Duration(pairs)
		progress("mesh of %d: %d pairs in %v, %v each", m.hosts, pairs, round(least), ours)
		b.results = append(b.results, result{
			what: fmt.Sprintf("ping of all %d pairs of %d hosts", pairs, m.hosts), measured: round(least).String(),
			bound: m.most.String(), broken: least > m.most,
		})
	}
	began := time.Now()
	for i := range sampledPairs {
		from, to := i%100+1, i%100+2
		if _, err := run("ip", "netns", "exec", fmt.Sprintf("mesh.h%d", from), "ping", "-q", "-n", "-c", "1", fmt.Sprintf("10.0.0.%d", to)); err != nil {
			return err
		}
	}
	theirs = time.Since(began) / sampledPairs
	if _, err := run(b.nslab, "down", "-q", "--all"); err != nil {
		return err
	}
	b.results = append(b.results, result{
		what: "one of these pairs", measured: ours.String(), against: fmt.Sprintf("%v one ping process, of %d", theirs.Round(time.Microsecond), sampledPairs),
		figure: fmt.Sprintf("%.3f", ours.Seconds()/theirs.Seconds()), bound: fmt.Sprintf("%.2f", maxOfPing),
		broken: ours.Seconds() > maxOfPing*theirs.Seconds(),
	})
	return nil
}

// testMesh gives the time of the tests, all of which have to pass at once.
func (b *bench) testMesh(file string, pairs int) (time.Duration, error) {
	done, err := run(b.nslab, "test", "-q", "-o", "json", file)
	if err != nil {
		return 0, err
	}
	var out struct {
		Passed  int
		Reports []struct {
			DurationMS float64 `json:"duration_ms"`
		}
	}
	if err := json.Unmarshal(done.stdout, &out); err != nil {
		return 0, err
	}
	if out.Passed != pairs || len(out.Reports) != 1 {
		return 0, fmt.Errorf("%d of %d pairs passed", out.Passed, pairs)
	}
	return time.Duration(out.Reports[0].DurationMS * float64(time.Millisecond)), nil
}
