// Package labs holds the topologies that nslab ships, embedded in the program.
//
// It knows their names, summaries and text. It must not know what is in them:
// package topology reads that.
//
// The first line of each file is `# NAME: SUMMARY`, NAME being the file's name
// without `.yaml` and the name of the lab.
package labs

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed *.yaml
var files embed.FS

// Lab is one shipped topology.
type Lab struct {
	Name    string `json:"name"`
	Summary string `json:"summary"` // one line, without a full stop
}

// List gives the shipped labs, sorted by name.
func List() []Lab {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // the program was built without them
	}
	list := make([]Lab, 0, len(entries))
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".yaml")
		text, err := files.ReadFile(e.Name())
		if err != nil {
			panic(err)
		}
		first, _, _ := strings.Cut(string(text), "\n")
		list = append(list, Lab{Name: name, Summary: strings.TrimPrefix(first, "# "+name+": ")})
	}
	// Of files, `bridge-filter.yaml` comes before `bridge.yaml`.
	slices.SortFunc(list, func(a, b Lab) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Read gives the text of a shipped lab. The error for a name that is not one
// ends in a line with a hint.
func Read(name string) ([]byte, error) {
	text, err := files.ReadFile(name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("no lab %q is shipped\nhint: %s", name, hint(name))
	}
	return text, nil
}

// hint names the lab that was probably meant, or all there are.
func hint(name string) string {
	best, bestDistance := "", 3 // more than two slips are another word
	var names []string
	for _, l := range List() {
		names = append(names, l.Name)
		if strings.HasPrefix(l.Name, name) && name != "" {
			return fmt.Sprintf("did you mean `%s`?", l.Name)
		}
		if d := distance(name, l.Name); d < bestDistance {
			best, bestDistance = l.Name, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean `%s`?", best)
	}
	return "there are " + strings.Join(names, ", ")
}

// distance is the Levenshtein distance of a and b in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
