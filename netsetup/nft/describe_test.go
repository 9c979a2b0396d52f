package nft

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// describe asks nft for the type of an expression, its bits, and the names that
// values of the type have. The number is 0 where nft does not say.
func nftDescribe(t *testing.T, expr string) (typ string, width int, symbols map[string]string) {
	t.Helper()
	out, err := exec.Command("nft", append([]string{"describe"}, strings.Fields(expr)...)...).CombinedOutput()
	if err != nil {
		t.Errorf("nft describe %s: %v: %s", expr, err, out)
		return "", 0, nil
	}
	m := regexp.MustCompile(`datatype (\S+) .*?(?:, (\d+) (bits|characters?))?\n`).FindStringSubmatch(string(out) + "\n")
	if m == nil {
		t.Errorf("nft describe %s: %s", expr, out)
		return "", 0, nil
	}
	width, _ = strconv.Atoi(m[2])
	if strings.HasPrefix(m[3], "character") {
		width *= 8
	}
	symbols = map[string]string{}
	for _, line := range strings.Split(string(out), "\n") {
		if f := strings.Fields(line); strings.HasPrefix(line, "\t") && len(f) == 2 {
			symbols[f[0]] = f[1]
		}
	}
	return m[1], width, symbols
}

// TestDescribe compares the tables with what the real nft says about them.
func TestDescribe(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Fatal("nft is not installed: make tools")
	}
	check := func(expr string, typ *Type, width int) {
		t.Helper()
		wantType := "invalid"
		if typ != nil {
			wantType = typ.Name
		}
		gotType, gotWidth, _ := nftDescribe(t, expr)
		if gotType != wantType || gotWidth != width && typ != nil {
			t.Errorf("%s: %s of %d bits, nft says %s of %d", expr, wantType, width, gotType, gotWidth)
		}
	}
	for _, typ := range types {
		expr := typ.Name
		switch {
		case typ == typeECN:
			expr = "ip ecn" // the name of the type is a word of the grammar as well
		case typ == typeCtEvent:
			expr = "ct event"
		case typeByName(typ.Name) != typ || typ == typeVerdict || typ == typeTime:
			continue // `describe time` is `meta time`
		}
		_, _, symbols := nftDescribe(t, expr)
		for name, digits := range symbols {
			n, err := strconv.ParseUint(digits, 0, 64)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(digits, "0x") && typ.Order == BigEndian && typ.Bits == 16 {
				n = n>>8 | n<<8&0xff00 // as it lies in memory
			}
			b, err := typ.value(name, 64)
			if got := fmt.Sprintf("%016x", n); err != nil || fmt.Sprintf("%x", b) != got {
				t.Errorf("%s %s: %x, %v, nft says %s", typ.Name, name, b, err, got)
			}
		}
		if len(symbols) == 0 && len(typ.Symbols) > 0 && typ != typeInetService && typ != typeClassID && typ != typeDevGroup {
			t.Errorf("%s: nft has no names", typ.Name)
		}
	}
	for _, h := range headers {
		for _, f := range h.Field {
			check(h.Name+" "+f.Name, f.Type, f.Bits)
		}
	}
	for prefix, list := range map[string][]*OptionHeader{
		"": exthdrs, "ip option ": ipOptions, "tcp option ": tcpOptions, "sctp chunk ": sctpChunks,
	} {
		for _, h := range list {
			for _, f := range h.Field {
				check(prefix+h.Name+" "+f.Name, f.Type, f.Bits)
			}
		}
	}
	for _, k := range metaKeys {
		if k.Name != "broute" && k.Name != "ibrhwaddr" { // newer than nft 1.0.6
			check("meta "+k.Name, k.Type, k.Bits)
		}
	}
	for _, k := range ctKeys {
		dir := ""
		if k.NeedsDirection {
			dir = "original "
		}
		check("ct "+dir+k.Name, k.Type, k.Bits)
	}
	for prefix, list := range map[string][]Selector{
		"rt ": rtKeys, "fib saddr ": fibResults, "osf ": osfKeys, "ipsec in ": ipsecKeys,
	} {
		for _, s := range list {
			check(prefix+s.Name, s.Type, s.Bits)
		}
	}
	for _, s := range socketKeys {
		if s.Type == typeCgroupV2 {
			check("socket "+s.Name+" level 1", s.Type, s.Bits)
		} else {
			check("socket "+s.Name, s.Type, s.Bits)
		}
	}
}
