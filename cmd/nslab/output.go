package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// choice is a flag that takes one of a few words.
type choice struct {
	value string
	words []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.words, "|") }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.words, s) {
		return fmt.Errorf("want %s", strings.Join(c.words, " or "))
	}
	c.value = s
	return nil
}

// choiceFlag gives a verb a flag that takes one of words, the first of which is
// the default.
func choiceFlag(cmd *cobra.Command, name, short, usage string, words ...string) *choice {
	c := &choice{value: words[0], words: words}
	cmd.Flags().VarP(c, name, short, usage)
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// formatFlag gives a verb that reports its -o.
func formatFlag(cmd *cobra.Command) *choice {
	return choiceFlag(cmd, "output", "o", "form of the report", "table", "json")
}

func (c *choice) json() bool { return c.value == "json" }

// writeJSON writes v, indented, as all JSON of nslab is.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// table writes rows in columns, the first row being the heading.
func writeTable(w io.Writer, rows [][]string) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if cell == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// colors puts ANSI colours round text, or, where they are off, nothing.
type colors bool

const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (c colors) paint(color, s string) string {
	if !c {
		return s
	}
	return "\x1b[" + color + "m" + s + "\x1b[0m"
}

// colorsFor decides on colours for a stream: --color, then NO_COLOR
// (https://no-color.org), then whether it is a terminal.
func (a *app) colorsFor(w io.Writer) colors {
	switch a.color.value {
	case "always":
		return true
	case "never":
		return false
	}
	return colors(os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(w))
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// columns is how wide a terminal is; 0 where w is none.
func columns(w any) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			return width
		}
	}
	return 0
}

// plural gives "1 node" and "3 nodes".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
