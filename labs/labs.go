// Package labs holds the topologies that nslab ships, embedded in the program.
//
// It knows their names, summaries and text. It must not know what is in them:
// package topology reads that.
//
// The first line of each file is `# NAME: SUMMARY`, NAME being the file's name
// without its folder and `.yaml`, and the name of the lab.
package labs

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:embed *.yaml namespaces/*.yaml
var files embed.FS

// folders are where the files are; no name is in two of them.
var folders = []string{".", "namespaces"}

// Lab is one shipped topology.
type Lab struct {
	Name    string `json:"name"`
	Summary string `json:"summary"` // one line, without a full stop
}

// List gives the shipped labs, sorted by name.
func List() []Lab {
	var list []Lab
	for _, folder := range folders {
		paths, err := fs.Glob(files, path.Join(folder, "*.yaml"))
		if err != nil {
			panic(err) // the pattern is ours
		}
		for _, p := range paths {
			text, err := files.ReadFile(p)
			if err != nil {
				panic(err) // the program was built without it
			}
			name := strings.TrimSuffix(path.Base(p), ".yaml")
			first, _, _ := strings.Cut(string(text), "\n")
			list = append(list, Lab{Name: name, Summary: strings.TrimPrefix(first, "# "+name+": ")})
		}
	}
	// Of files, `bridge-filter.yaml` comes before `bridge.yaml`.
	slices.SortFunc(list, func(a, b Lab) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Read gives the text of a shipped lab. The error for a name that is not one
// ends in a line with a hint.
func Read(name string) ([]byte, error) {
	for _, folder := range folders {
		if text, err := files.ReadFile(path.Join(folder, name+".yaml")); err == nil && !strings.Contains(name, "/") {
			return text, nil
		}
	}
	return nil, fmt.Errorf("no lab %q is shipped\nhint: %s", name, hint(name))
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
