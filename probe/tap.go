package probe

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// WriteTAP writes the report in the Test Anything Protocol, version 14
// (https://testanything.org), which readers of version 13 understand. What did
// not pass has a YAML block, whose values are JSON strings.
func (r *Report) WriteTAP(w io.Writer) error { return Reports{r}.WriteTAP(w) }

// WriteTAP writes the reports as one, see Report.WriteTAP. The cases of several
// begin with the name of their lab.
func (rs Reports) WriteTAP(w io.Writer) error {
	var b strings.Builder
	count := 0
	for _, r := range rs {
		count += len(r.Cases)
	}
	fmt.Fprintf(&b, "TAP version 14\n1..%d\n", count)
	n := 0
	for _, r := range rs {
		prefix := ""
		if len(rs) > 1 {
			prefix = r.Lab + ": "
		}
		for _, c := range r.Cases {
			n++
			r.tap(&b, n, prefix, &c)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) tap(b *strings.Builder, n int, prefix string, c *Case) {
	status, directive := "ok", ""
	switch c.Outcome {
	case Skip:
		directive = " # SKIP " + tapEscape.Replace(c.Message)
	case Fail, Error:
		status = "not ok"
	}
	fmt.Fprintf(b, "%s %d - %s%s\n", status, n, tapEscape.Replace(prefix+c.roundName()), directive)
	if status == "ok" {
		return
	}
	b.WriteString("  ---\n")
	fmt.Fprintf(b, "  outcome: %s\n", quoted(string(c.Outcome)))
	fmt.Fprintf(b, "  message: %s\n", quoted(c.Message))
	fmt.Fprintf(b, "  at: %s\n", quoted(fmt.Sprintf("%s:%d:%d", r.File, c.Pos.Line, c.Pos.Col)))
	fmt.Fprintf(b, "  expect: %s\n", quoted(c.Expect))
	if len(c.Details) > 0 {
		b.WriteString("  details:\n")
		for _, d := range c.Details {
			fmt.Fprintf(b, "    - %s\n", quoted(d))
		}
	}
	b.WriteString("  ...\n")
}

// tapEscape keeps a name from being read as a directive, or as several lines.
var tapEscape = strings.NewReplacer(`\`, `\\`, `#`, `\#`, "\n", " ", "\r", " ")

// quoted is a YAML double-quoted scalar: JSON's strings are such.
func quoted(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err) // a string can always be encoded
	}
	return strings.TrimSuffix(b.String(), "\n")
}
