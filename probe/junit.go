package probe

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// The elements of JUnit's XML, as CI systems read it; times are in seconds.
type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Errors    int         `xml:"errors,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr"`
	Cases     []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name      string        `xml:"name,attr"`
	ClassName string        `xml:"classname,attr"`
	Time      string        `xml:"time,attr"`
	File      string        `xml:"file,attr"`
	Line      int32         `xml:"line,attr"`
	Failure   *junitProblem `xml:"failure,omitempty"`
	Error     *junitProblem `xml:"error,omitempty"`
	Skipped   *junitProblem `xml:"skipped,omitempty"`
}

type junitProblem struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the report as JUnit XML, one testcase for each case.
func (r *Report) WriteJUnit(w io.Writer) error { return Reports{r}.WriteJUnit(w) }

// WriteJUnit writes the reports as JUnit XML, one testsuite for each lab.
func (rs Reports) WriteJUnit(w io.Writer) error {
	suites := junitSuites{Suites: make([]junitSuite, len(rs))}
	for i, r := range rs {
		suites.Suites[i] = r.junit()
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(suites); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (r *Report) junit() junitSuite {
	suite := junitSuite{
		Name: r.Lab, Tests: len(r.Cases), Failures: r.Failed, Errors: r.Errors, Skipped: r.Skipped,
		Time: seconds(r.Duration), Timestamp: r.Started.UTC().Format("2006-01-02T15:04:05"),
		Cases: make([]junitCase, len(r.Cases)),
	}
	for i, c := range r.Cases {
		out := junitCase{
			Name: c.roundName(), ClassName: r.Lab + "." + c.Verb, Time: seconds(c.Duration),
			File: r.File, Line: c.Pos.Line,
		}
		problem := &junitProblem{
			Message: c.Message, Type: c.Expect,
			Text: strings.Join(append([]string{fmt.Sprintf("%s:%d:%d: %s", r.File, c.Pos.Line, c.Pos.Col, c.Message)}, c.Details...), "\n"),
		}
		switch c.Outcome {
		case Fail:
			out.Failure = problem
		case Error:
			out.Error = problem
		case Skip:
			out.Skipped = problem
		}
		suite.Cases[i] = out
	}
	return suite
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }

// roundName is the name with the round, unique in a report.
func (c *Case) roundName() string {
	if c.Round == 0 {
		return c.Name
	}
	return fmt.Sprintf("%s (round %d)", c.Name, c.Round)
}
