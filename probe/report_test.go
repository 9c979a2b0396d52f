package probe

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"nslab/topology"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sampleReport() *Report {
	r := &Report{
		Lab: "campus", File: "lab.yaml", Started: time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC),
		Duration: 1234567 * time.Microsecond,
	}
	mesh := Case{
		Item: "ping all -> all", Verb: "ping", Family: "ipv4", Pos: topology.Pos{Line: 31, Col: 5}, Expect: "pass",
		Outcome: Pass, Duration: 210 * time.Microsecond, RTT: 83 * time.Microsecond, Attempts: 1,
	}
	for _, p := range [][3]string{{"h1", "h2", "10.0.0.2"}, {"h2", "h1", "10.0.0.1"}} {
		c := mesh
		c.Name, c.From, c.To, c.Address = c.Item+": "+p[0]+" -> "+p[1]+" ipv4", p[0], p[1], p[2]
		r.add(&c)
	}
	lost := mesh
	lost.Name, lost.From, lost.To, lost.Address = "ping all -> all: h1 -> h3 ipv4", "h1", "h3", "10.0.0.3"
	lost.Outcome, lost.RTT, lost.Duration = Fail, 0, time.Second
	lost.Message = "no answer within 1s"
	lost.Details = []string{
		"route in h1: 10.0.0.3/32 dev eth0 src 10.0.0.1",
		"neighbour in h1: 10.0.0.3 dev eth0 INCOMPLETE (nobody answers)",
	}
	r.add(&lost)
	r.add(&Case{
		Name: `guests <stay> outside & "alone" #1 ipv6`, Item: `guests <stay> outside & "alone" #1`, Round: 2, Verb: "tcp",
		From: "guest:eth0", To: "db:5432", Address: "fd00::5", Family: "ipv6", Pos: topology.Pos{Line: 40, Col: 5},
		Expect: "reject", Outcome: Error, Duration: 2 * time.Millisecond, Attempts: 3,
		Message: "serve [fd00::5]:5432 on db: the port is already in use; to test the server that is there, say listen: false",
	})
	for i := range maxShown + 2 {
		r.add(&Case{
			Name: "exec all: h" + string(rune('a'+i)), Item: "exec all", Verb: "exec", From: "h" + string(rune('a'+i)),
			Pos: topology.Pos{Line: 41, Col: 5}, Expect: "pass", Outcome: Fail, Attempts: 1, Duration: 5 * time.Millisecond,
			Message: "exit status 3, want 0", Details: []string{"stderr: a long line with many words that a narrow terminal does not hold"},
		})
	}
	r.add(&Case{
		Name: "route h1 -> 10.2.0.0/16", Item: "route h1 -> 10.2.0.0/16", Verb: "route", From: "h1", To: "10.2.0.0/16",
		Family: "ipv4", Pos: topology.Pos{Line: 42, Col: 5}, Expect: "pass", Outcome: Pass, Attempts: 1, Duration: 90 * time.Microsecond,
	})
	return r
}

// TestWriters compares with testdata/report.txtar; -update writes it.
func TestWriters(t *testing.T) {
	r := sampleReport()
	small := &Report{Lab: "small", File: "small.yaml", Started: r.Started, Duration: time.Second}
	small.add(&r.Cases[0])
	small.add(&r.Cases[2])
	both := Reports{small, small}
	flaky := &Report{Lab: "flaky", File: "flaky.yaml", Started: r.Started, Duration: time.Second}
	for round, i := range []int{0, 2, 0} {
		c := r.Cases[i]
		c.Name, c.Round = "ping h1 -> h2, 100%", round+1
		if c.Outcome == Fail {
			c.Details = append(c.Details, "``` | <b>", "of two\nlines")
		}
		flaky.add(&c)
	}
	got := &txtar.Archive{Comment: []byte("The report of report_test.go in every form.\n")}
	for _, f := range []struct {
		name  string
		write func(*bytes.Buffer) error
	}{
		{"table", func(b *bytes.Buffer) error { return r.WriteTable(b, false, 0) }},
		{"table of 60 columns, in colour", func(b *bytes.Buffer) error { return r.WriteTable(b, true, 60) }},
		{"json", func(b *bytes.Buffer) error { return r.WriteJSON(b) }},
		{"junit", func(b *bytes.Buffer) error { return r.WriteJUnit(b) }},
		{"tap", func(b *bytes.Buffer) error { return r.WriteTAP(b) }},
		{"table of two labs", func(b *bytes.Buffer) error { return both.WriteTable(b, false, 0) }},
		{"json of two labs", func(b *bytes.Buffer) error { return both.WriteJSON(b) }},
		{"junit of two labs", func(b *bytes.Buffer) error { return both.WriteJUnit(b) }},
		{"tap of two labs", func(b *bytes.Buffer) error { return both.WriteTAP(b) }},
		{"table with a flake", func(b *bytes.Buffer) error { return flaky.WriteTable(b, false, 0) }},
		{"json with a flake", func(b *bytes.Buffer) error { return flaky.WriteJSON(b) }},
		{"annotations", func(b *bytes.Buffer) error { return Reports{r, flaky}.WriteAnnotations(b, "") }},
		{"markdown", func(b *bytes.Buffer) error { return Reports{r, flaky}.WriteMarkdown(b) }},
	} {
		var b bytes.Buffer
		if err := f.write(&b); err != nil {
			t.Fatal(err)
		}
		got.Files = append(got.Files, txtar.File{Name: f.name, Data: b.Bytes()})
	}
	const golden = "testdata/report.txtar"
	if *update {
		if err := os.WriteFile(golden, txtar.Format(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := txtar.ParseFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Files) != len(got.Files) {
		t.Fatalf("%s has %d files, want %d", golden, len(want.Files), len(got.Files))
	}
	for i, f := range got.Files {
		if w := want.Files[i]; w.Name != f.Name || !bytes.Equal(w.Data, f.Data) {
			t.Errorf("%s: got\n%s\nwant\n%s", f.Name, f.Data, w.Data)
		}
	}
}

func TestWritersAreWellFormed(t *testing.T) {
	r := sampleReport()
	r.Cases[0].Message, r.Cases[0].Outcome = "control \x01, \xff and\nlines", Fail
	var b bytes.Buffer
	if err := r.WriteJUnit(&b); err != nil {
		t.Fatal(err)
	}
	var suites junitSuites
	if err := xml.Unmarshal(b.Bytes(), &suites); err != nil {
		t.Error(err)
	}
	if n := len(suites.Suites[0].Cases); n != len(r.Cases) {
		t.Errorf("%d cases in XML, want %d", n, len(r.Cases))
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back reportJSON
	if err := json.Unmarshal(data, &back); err != nil || len(back.Cases) != len(r.Cases) || back.DurationMS != 1234.567 {
		t.Errorf("%v: %d cases, %v ms", err, len(back.Cases), back.DurationMS)
	}
}

// TestEmptyReport is of a run that selected nothing.
func TestEmptyReport(t *testing.T) {
	var b bytes.Buffer
	r := &Report{Lab: "campus"}
	if err := r.WriteTable(&b, false, 80); err != nil || b.String() != "campus: 0 passed, 0 failed in 0s\n" {
		t.Errorf("%v %q", err, b.String())
	}
	b.Reset()
	if err := r.WriteTAP(&b); err != nil || b.String() != "TAP version 14\n1..0\n" {
		t.Errorf("%v %q", err, b.String())
	}
	b.Reset()
	if err := r.WriteJSON(&b); err != nil || !bytes.Contains(b.Bytes(), []byte(`"cases": []`)) {
		t.Errorf("%v %q", err, b.String())
	}
}

func TestRelative(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ root, file, want string }{
		{"", "a/lab.yaml", "a/lab.yaml"},
		{here, "a/lab.yaml", "a/lab.yaml"},
		{filepath.Dir(here), "lab.yaml", filepath.Base(here) + "/lab.yaml"},
		{here, here + "/lab.yaml", "lab.yaml"},
		{here, "/elsewhere/lab.yaml", "/elsewhere/lab.yaml"},
	} {
		if got := relative(c.root, c.file); got != c.want {
			t.Errorf("%s from %q: %s, want %s", c.file, c.root, got, c.want)
		}
	}
}
