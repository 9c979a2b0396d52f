package probe

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// maxAnnotated is how many cases of one item its annotation tells of.
const maxAnnotated = 3

// WriteAnnotations writes workflow commands of GitHub Actions, an error for each
// item that did not pass: GitHub shows it at the item's line. Root is the folder
// that the paths of files are made relative to, as GITHUB_WORKSPACE; "" leaves
// them.
func (rs Reports) WriteAnnotations(w io.Writer, root string) error {
	var b strings.Builder
	for _, r := range rs {
		file := relative(root, r.File)
		for _, cases := range r.unpassed() {
			c := cases[0]
			var lines []string
			for _, c := range cases[:min(maxAnnotated, len(cases))] {
				lines = append(append(lines, c.roundName()+": "+c.Message), c.Details...)
			}
			if more := len(cases) - maxAnnotated; more > 0 {
				lines = append(lines, fmt.Sprintf("and %d more", more))
			}
			fmt.Fprintf(&b, "::error file=%s,line=%d,col=%d,title=%s::%s\n", commandProperty.Replace(file), c.Pos.Line, c.Pos.Col,
				commandProperty.Replace(r.Lab+": "+c.Item), commandData.Replace(strings.Join(lines, "\n")))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// What a workflow command cannot hold as it is: escapeData and escapeProperty of
// actions/toolkit.
var (
	commandData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	commandProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// relative is a file's path from root, where it is below it.
func relative(root, file string) string {
	if root == "" {
		return file
	}
	path, err := filepath.Abs(file)
	if err == nil {
		path, err = filepath.Rel(root, path)
	}
	if err != nil || !filepath.IsLocal(path) {
		return file
	}
	return path
}

// unpassed are the cases of each item that failed or could not be carried out.
func (r *Report) unpassed() [][]*Case {
	var items [][]*Case
	at := make(map[string]int)
	for i := range r.Cases {
		c := &r.Cases[i]
		if c.Outcome == Pass || c.Outcome == Skip {
			continue
		}
		key := itemKey(*c)
		n, ok := at[key]
		if !ok {
			n = len(items)
			at[key] = n
			items = append(items, nil)
		}
		items[n] = append(items[n], c)
	}
	return items
}

// maxSummarized is how many cases WriteMarkdown tells of: GitHub refuses a
// summary of more than 1 MiB.
const maxSummarized = 100

// WriteMarkdown writes a summary: a table of the labs, and what did not pass.
func (rs Reports) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("### nslab\n\n| lab | passed | failed | errors | skipped | flaky | time |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, r := range rs {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %s |\n", markdown.Replace(r.Lab), r.Passed, r.Failed, r.Errors, r.Skipped, len(r.Flakes()), short(r.Duration))
	}
	shown, more := 0, 0
	for _, r := range rs {
		for _, cases := range r.unpassed() {
			for i, c := range cases {
				if i >= maxShown || shown >= maxSummarized {
					more++
					continue
				}
				shown++
				fmt.Fprintf(&b, "\n<details><summary>%s: %s</summary>\n\n", markdown.Replace(strings.ToUpper(string(c.Outcome))), markdown.Replace(r.Lab+": "+c.roundName()))
				lines := append([]string{fmt.Sprintf("%s:%d:%d: %s", r.File, c.Pos.Line, c.Pos.Col, c.Message)}, c.Details...)
				text := strings.Join(lines, "\n")
				fence := fenceFor(text)
				fmt.Fprintf(&b, "%s\n%s\n%s\n\n</details>\n", fence, text, fence)
			}
		}
		for _, f := range r.Flakes() {
			fmt.Fprintf(&b, "\nflaky: %s\n", markdown.Replace(r.Lab+": "+f.String()))
		}
	}
	if more > 0 {
		fmt.Fprintf(&b, "\n%s did not pass either\n", cases(more))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// markdown keeps a text what it is, in a cell of a table too.
var markdown = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "|", `\|`, "#", `\#`,
	"<", "&lt;", ">", "&gt;", "&", "&amp;", "\n", " ", "\r", " ")

// fenceFor is a fence that no line of a text ends, CommonMark 4.5.
func fenceFor(text string) string {
	longest := 0
	for line := range strings.Lines(text) {
		ticks := strings.TrimLeft(line, " ")
		longest = max(longest, len(ticks)-len(strings.TrimLeft(ticks, "`")))
	}
	return strings.Repeat("`", max(3, longest+1))
}
