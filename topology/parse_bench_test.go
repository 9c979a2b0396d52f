package topology

import (
	"testing"

	"gopkg.in/yaml.v3"
)

// ringText is the topology file of a ring.
func ringText(tb testing.TB, nodes int) []byte {
	tb.Helper()
	text, err := Generate("ring", GenerateOptions{Nodes: nodes})
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// BenchmarkRing compares reading a large lab with what the YAML library takes
// alone.
func BenchmarkRing(b *testing.B) {
	text := ringText(b, 10_000)
	run := func(name string, f func() error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("Unmarshal", func() error {
		var n yaml.Node
		return yaml.Unmarshal(text, &n)
	})
	run("Parse", func() error {
		_, err := Parse("ring.yaml", text)
		return err
	})
	run("Load", func() error {
		_, err := Load("ring.yaml", text)
		return err
	})
}
