package topology

import "fmt"

// CheckLabName says why a lab cannot have a name that comes from elsewhere than
// a file; nil if it can.
func CheckLabName(name string) error {
	if problem := labNameProblem(name); problem != "" {
		return fmt.Errorf("%q cannot be the name of a lab: %s", name, problem)
	}
	return nil
}
