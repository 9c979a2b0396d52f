package probe

import (
	"encoding/json"
	"fmt"
	"io"
)

// Reports are those of several labs that were tested together.
type Reports []*Report

// Count gives how many cases of each outcome there are in all.
func (rs Reports) Count() (passed, failed, errors int) {
	for _, r := range rs {
		passed += r.Passed
		failed += r.Failed
		errors += r.Errors
	}
	return passed, failed, errors
}

// WriteJSON writes an object with passed, failed and errors of all, and the
// reports, each as Report.MarshalJSON gives it.
func (rs Reports) WriteJSON(w io.Writer) error {
	out := struct {
		Passed  int          `json:"passed"`
		Failed  int          `json:"failed"`
		Errors  int          `json:"errors"`
		Reports []reportJSON `json:"reports"`
	}{Reports: make([]reportJSON, len(rs))}
	out.Passed, out.Failed, out.Errors = rs.Count()
	for i, r := range rs {
		out.Reports[i] = r.wire()
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}

// WriteTable writes each report as Report.WriteTable does and, of several, a
// summary.
func (rs Reports) WriteTable(w io.Writer, color bool, width int) error {
	for i, r := range rs {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if err := r.WriteTable(w, color, width); err != nil {
			return err
		}
	}
	if len(rs) < 2 {
		return nil
	}
	passed, failed, errors := rs.Count()
	_, err := fmt.Fprintf(w, "\n%d labs: %s\n", len(rs), (&table{color: color}).counts(passed, failed, errors))
	return err
}
