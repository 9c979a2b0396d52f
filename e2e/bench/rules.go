package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"nslab/netsetup"
	"nslab/netsetup/kernel"
	"nslab/netsetup/nft"
	"nslab/topology"
)

// How many rules, and elements of one set, are loaded in bulk.
const (
	bulkRules    = 5000
	bulkElements = 10_000
)

// bulkText is a ruleset in nft's language, with rules of several shapes.
func bulkText() string {
	var b strings.Builder
	b.WriteString("table inet bulk {\n\tset hosts {\n\t\ttype ipv4_addr\n\t\telements = {")
	for i := range bulkElements {
		if i > 0 {
			b.WriteString(",")
		}
		if i%8 == 0 {
			b.WriteString("\n\t\t\t")
		}
		fmt.Fprintf(&b, " 10.%d.%d.%d", i>>16, i>>8&255, i&255)
	}
	b.WriteString("\n\t\t}\n\t}\n\n\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n\t\tip saddr @hosts accept\n")
	for i := 1; i < bulkRules; i++ {
		port, host := i%60_000+1, fmt.Sprintf("192.0.%d.%d", i>>8&255, i&255)
		switch i % 4 {
		case 0:
			fmt.Fprintf(&b, "\t\tip saddr %s tcp dport %d counter accept\n", host, port)
		case 1:
			fmt.Fprintf(&b, "\t\tip daddr %s/32 udp sport %d-%d drop\n", host, port, port+5)
		case 2:
			fmt.Fprintf(&b, "\t\tip saddr %s tcp dport { %d, %d } ct state new accept\n", host, port, port+1)
		case 3:
			fmt.Fprintf(&b, "\t\tiifname \"eth%d\" ip6 saddr fd00::%x limit rate %d/second accept\n", i%100, i, i)
		}
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

// bulkLab is a lab of one node; with a text, that is the node's rules.
func bulkLab(text string) string {
	lab := "name: bulk\nnodes:\n  n:\n    interfaces: {lo: 192.0.2.1/32}\n"
	if text != "" {
		lab += "    nftables: |\n"
		for line := range strings.Lines(text) {
			if line != "\n" {
				line = "      " + line
			}
			lab += line
		}
	}
	return lab
}

const bulkNamespace = "bulk.n"

// measureRules loads a ruleset in bulk: with nft, with an up of a lab that runs
// and whose file gains the rules, and with what up does for the rules alone, from
// the text to the kernel's answer.
func (b *bench) measureRules() error {
	text := bulkText()
	bare, full, script := filepath.Join(b.dir, "bare.yaml"), filepath.Join(b.dir, "full.yaml"), filepath.Join(b.dir, "bulk.nft")
	for file, content := range map[string]string{bare: bulkLab(""), full: bulkLab(text), script: text} {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return err
		}
	}
	if _, err := run(b.nslab, "up", "-q", bare); err != nil {
		return err
	}
	var ofNft, whole, alone time.Duration
	for i := range b.pairs {
		loaded, err := run("ip", "netns", "exec", bulkNamespace, "nft", "-f", script)
		if err != nil {
			return err
		}
		if _, err := run("ip", "netns", "exec", bulkNamespace, "nft", "flush", "ruleset"); err != nil {
			return err
		}
		up, err := run(b.nslab, "up", "-q", full)
		if err != nil {
			return err
		}
		if _, err := run(b.nslab, "up", "-q", bare); err != nil {
			return err
		}
		load, err := loadAlone(text)
		if err != nil {
			return err
		}
		if _, err := run(b.nslab, "up", "-q", bare); err != nil {
			return err
		}
		progress("pair %d: nft -f %v, up %v, load alone %v", i+1, round(loaded.elapsed), round(up.elapsed), round(load))
		if i == 0 {
			ofNft, whole, alone = loaded.elapsed, up.elapsed, load
		}
		ofNft, whole, alone = min(ofNft, loaded.elapsed), min(whole, up.elapsed), min(alone, load)
	}
	if _, err := run(b.nslab, "down", "-q", "--all"); err != nil {
		return err
	}
	n := fmt.Sprintf("%d rules and %d elements: ", bulkRules, bulkElements)
	b.ratio(n+"up, the whole process", whole, "nft -f of the same text", ofNft, maxRules)
	b.ratio(n+"compiling and loading alone", alone, "nft -f of the same text", ofNft, maxRules)
	return nil
}

// loadAlone compiles the text and has the kernel take it.
func loadAlone(text string) (time.Duration, error) {
	k, err := kernel.New(kernel.Options{})
	if err != nil {
		return 0, err
	}
	defer k.Close()
	start := time.Now()
	file, errs := nft.Parse(text)
	if len(errs) > 0 {
		return 0, errs
	}
	rules, errs := nft.Compile(file, nil)
	if len(errs) > 0 {
		return 0, errs
	}
	source := &topology.Nftables{Text: text, File: file, Ruleset: rules}
	var ops []netsetup.Op
	for _, t := range rules.Tables {
		ops = append(ops, netsetup.Op{Phase: netsetup.Tables, Verb: netsetup.Add, Namespace: bulkNamespace,
			Object: &netsetup.Table{Lab: "bulk", Family: t.Family, Name: t.Name, Content: t, Source: source}})
	}
	if len(ops) == 0 {
		return 0, errors.New("the text has no table")
	}
	err = k.Do(context.Background(), ops)
	return time.Since(start), err
}
