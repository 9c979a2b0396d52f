package nft

import (
	"fmt"
	"strings"
	"testing"
)

// largeText is 5000 rules, and a set of 10 000 elements.
func largeText() string {
	var b strings.Builder
	b.WriteString("table inet t {\n\tset s {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t\telements = { ")
	for i := range 10000 {
		if i > 0 {
			b.WriteString(",\n\t\t\t")
		}
		fmt.Fprintf(&b, "10.%d.%d.0/24", i/250, i%250)
	}
	b.WriteString(" }\n\t}\n\tchain c {\n\t\ttype filter hook input priority filter; policy accept;\n")
	for i := range 5000 {
		fmt.Fprintf(&b, "\t\tip saddr 10.1.%d.%d tcp dport { %d, 22, 80-90 } ct state new counter packets 0 bytes 0 accept comment \"rule %d\"\n", i/250, i%250, 1000+i, i)
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

func BenchmarkParse(b *testing.B) {
	text := largeText()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, errs := Parse(text); len(errs) > 0 {
			b.Fatal(errs)
		}
	}
}
