package kerneltest

import "testing"

func TestSuite(t *testing.T) {
	for seed := range uint64(4) {
		Suite(t, New(), "lab", seed, 30, 100)
	}
}
