package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// What the rules of measureRules are.
const (
	rules    = 5000
	elements = 10_000
)

// maxRules bounds up of a lab with many rules against nft -f of the same text.
const maxRules = 2.0

// measureRules compares the loading of many rules with nft.
func (b *bench) measureRules() error {
	text := manyRules()
	file, lab := filepath.Join(b.dir, "rules.nft"), filepath.Join(b.dir, "rules.yaml")
	yaml := "name: rules\nnodes:\n  a:\n    nftables: |\n      " + strings.ReplaceAll(text, "\n", "\n      ") + "\n"
	for name, text := range map[string]string{file: text, lab: yaml} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	var ofNft, up time.Duration
	for i := range b.pairs {
		// A namespace of its own for each, and both make it.
		base, err := run("unshare", "-n", "nft", "-f", file)
		if err != nil {
			return err
		}
		u, err := run(b.nslab, "up", "-q", lab)
		if err != nil {
			return err
		}
		if _, err := run(b.nslab, "down", "-q", "rules"); err != nil {
			return err
		}
		if err := freed(); err != nil {
			return err
		}
		progress("pair %d: nft -f %v, up %v", i+1, round(base.elapsed), round(u.elapsed))
		if i == 0 {
			ofNft, up = base.elapsed, u.elapsed
		}
		ofNft, up = min(ofNft, base.elapsed), min(up, u.elapsed)
	}
	b.ratio(fmt.Sprintf("%d rules, %d elements: up, the whole process", rules, elements), up, "nft -f of the same text", ofNft, maxRules)
	return nil
}

// manyRules is a text in nft's language.
func manyRules() string {
	var b strings.Builder
	b.WriteString("table inet bulk {\n\tset hosts {\n\t\ttype ipv4_addr\n\t\telements = {\n")
	for i := range elements {
		fmt.Fprintf(&b, "\t\t\t10.%d.%d.%d,\n", i>>16, i>>8&255, i&255)
	}
	b.WriteString("\t\t}\n\t}\n\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n")
	for i := range rules {
		fmt.Fprintf(&b, "\t\tip saddr 192.0.%d.%d tcp dport %d counter accept\n", i>>8&255, i&255, i+1)
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}
