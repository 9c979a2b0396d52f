package nft

import (
	"testing"
	"time"
)

// build makes the attributes of an expression.
func build(f func(a *attrs)) []byte {
	var a attrs
	f(&a)
	return a
}

// Forms of one expression that mean the same, and such that do not.
func TestCanonicalExpressions(t *testing.T) {
	verdict := func(chain string) []byte {
		return build(func(a *attrs) {
			a.u32(1, 0)
			a.nest(2, build(func(a *attrs) { a.nest(2, build(func(a *attrs) { a.u32(1, 0xfffffffd); a.str(2, chain) })) }))
		})
	}
	for _, c := range []struct {
		what string
		name string
		a, b []byte
		same bool
	}{
		{"a zero and nothing", "meta", build(func(a *attrs) { a.u32(1, 1); a.u32(2, 0) }), build(func(a *attrs) { a.u32(1, 1) }), true},
		{"another order", "meta", build(func(a *attrs) { a.u32(2, 3); a.u32(1, 1) }), build(func(a *attrs) { a.u32(1, 1); a.u32(2, 3) }), true},
		{"two names of a register", "meta", build(func(a *attrs) { a.u32(2, 3); a.u32(1, 1) }), build(func(a *attrs) { a.u32(2, 3); a.u32(1, 8) }), true},
		{"two names of the second", "meta", build(func(a *attrs) { a.u32(2, 3); a.u32(1, 2) }), build(func(a *attrs) { a.u32(2, 3); a.u32(1, 12) }), true},
		{"another register", "meta", build(func(a *attrs) { a.u32(2, 3); a.u32(1, 1) }), build(func(a *attrs) { a.u32(2, 3); a.u32(1, 9) }), false},
		{"what was counted", "counter", build(func(a *attrs) { a.u64(1, 5); a.u64(2, 6) }), nil, true},
		{"a used quota", "quota", build(func(a *attrs) { a.u64(1, 5); a.u32(2, 3); a.u64(4, 6) }), build(func(a *attrs) { a.u64(1, 5); a.u32(2, 1) }), true},
		{"another quota", "quota", build(func(a *attrs) { a.u64(1, 5) }), build(func(a *attrs) { a.u64(1, 6) }), false},
		{"shorter values", "cmp", build(func(a *attrs) { a.value(3, []byte("eth\x00")) }), build(func(a *attrs) { a.value(3, []byte("eth")) }), false},
		{"the same jump", "immediate", verdict("x"), verdict("x"), true},
		{"another jump", "immediate", verdict("x"), verdict("y"), false},
		{"a direction and none", "ct", build(func(a *attrs) { a.u32(2, 14); a.u8(3, 0) }), build(func(a *attrs) { a.u32(2, 14) }), false},
		{"the log's own level", "log", build(func(a *attrs) { a.u32(5, 4) }), nil, true},
		{"the level emerg", "log", build(func(a *attrs) { a.u32(5, 0) }), nil, false},
		{"a group and none", "log", build(func(a *attrs) { a.u16(1, 0) }), nil, false},
		{"a range of one", "nat", build(func(a *attrs) { a.u32(3, 1); a.u32(7, 1) }), build(func(a *attrs) { a.u32(3, 1); a.u32(4, 1) }), true},
		{"flags that were asked for", "nat", build(func(a *attrs) { a.u32(3, 1); a.u32(7, 1|4) }), build(func(a *attrs) { a.u32(3, 1) }), false},
		{"one queue", "queue", build(func(a *attrs) { a.u16(1, 3); a.u16(2, 1) }), build(func(a *attrs) { a.u16(1, 3) }), true},
		{"the end of a name", "objref", build(func(a *attrs) { a.bytes(2, []byte("x")) }), build(func(a *attrs) { a.str(2, "x") }), true},
	} {
		key := func(data []byte) string {
			return newCanon(&Table{}).rule(&Rule{Exprs: []Expression{{Name: c.name, Data: data}}})
		}
		if same := key(c.a) == key(c.b); same != c.same {
			t.Errorf("%s: the same is %v", c.what, same)
		}
	}
}

func compiledTable(t *testing.T, text string) *Table {
	t.Helper()
	f, errs := Parse(text)
	if len(errs) == 0 {
		var r *Ruleset
		if r, errs = Compile(f, nil); len(errs) == 0 {
			return r.Tables[0]
		}
	}
	t.Fatal(errs)
	return nil
}

// What is in an anonymous set belongs to the rule, and in a named one has no
// order.
func TestCompareSets(t *testing.T) {
	const head = "table inet t {\n set s { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.2 }; }\n chain c {\n"
	a := compiledTable(t, head+" tcp dport { 1, 2 } accept\n tcp dport vmap { 1 : jump d }\n }\n chain d { }\n}")
	for text, same := range map[string]bool{
		head + " tcp dport { 2, 1 } accept\n tcp dport vmap { 1 : jump d }\n }\n chain d { }\n}":               true,
		head + " tcp dport { 1, 3 } accept\n tcp dport vmap { 1 : jump d }\n }\n chain d { }\n}":               false,
		head + " tcp dport { 1, 2 } accept\n tcp dport vmap { 1 : goto d }\n }\n chain d { }\n}":               false,
		head + " tcp dport { 1, 2 } accept\n tcp dport vmap { 1 : jump d }\n }\n chain e { }\n chain d { }\n}": false,
	} {
		if got := Same(compiledTable(t, text), a); got != same {
			t.Errorf("the same is %v:\n%s", got, text)
		}
	}
	b := compiledTable(t, head+" tcp dport { 1, 2 } accept\n tcp dport vmap { 1 : jump d }\n }\n chain d { }\n}")
	e := b.Sets[0].Elements
	e[0], e[1] = e[1], e[0]
	if !Same(b, a) {
		t.Error("the order of elements makes a difference")
	}
}

// What comes and goes in a set by itself makes no difference.
func TestCompareAtRunTime(t *testing.T) {
	const head, tail = "table inet t {\n set s { type ipv4_addr; ", " }\n}"
	want := compiledTable(t, head+"flags dynamic, timeout; timeout 1h; elements = { 10.0.0.1, 10.0.0.2 timeout 5m }"+tail)
	have := compiledTable(t, head+"flags dynamic, timeout; timeout 1h; elements = { 10.0.0.2 timeout 5m expires 3m, 10.0.0.3 }"+tail)
	if list := Compare(have, want); len(list) > 0 {
		t.Errorf("differ: %v", list)
	}
	fixed := compiledTable(t, head+"elements = { 10.0.0.1 }"+tail)
	for _, x := range []struct{ text, added string }{{"", "element inet t s { 0x0a000001 }"}, {"elements = { 10.0.0.1, 10.0.0.2 }", ""}} {
		list := Compare(compiledTable(t, head+x.text+tail), fixed)
		if len(list) != 1 || list[0].Added != (x.added != "") {
			t.Errorf("differ: %v", list)
		}
	}
}

func TestTicks(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{0: 0, time.Millisecond: 1, time.Second: 50, 999 * time.Millisecond: 49} {
		if got := ticks(d); got != want {
			t.Errorf("%v is %d", d, got)
		}
	}
}

func TestLongestCommon(t *testing.T) {
	have := compiledTable(t, "table ip t {\n chain c {\n accept\n drop\n return\n counter\n accept\n }\n}")
	want := compiledTable(t, "table ip t {\n chain c {\n accept\n return\n continue\n counter\n accept\n }\n}")
	var got string
	for _, d := range Compare(have, want) {
		got += map[bool]string{true: "+", false: "-"}[d.Added] + d.Command + "\n"
	}
	if got != "-rule ip t c drop\n+rule ip t c continue\n" {
		t.Errorf("got\n%s", got)
	}
	pairs := Pair(have, have.Chains[0], want)
	if len(pairs) != 5 || pairs[1] != nil || pairs[2] != want.Chains[0].Rules[1] {
		t.Errorf("pairs %v", pairs)
	}
}
