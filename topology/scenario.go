package topology

import "time"

// What an Event does, where it is no test.
const (
	LinkDown     = "down"  // Link loses its carrier
	LinkUp       = "up"    // Link has it again
	StartProcess = "start" // Process
	StopProcess  = "stop"  // Process
)

// Event is one item of `scenario:`, what happens at a time while the tests run.
type Event struct {
	Pos  Pos
	At   time.Duration // since the scenario began
	Test *Test         // nil: a change

	Do      string   // of a change: one of those above
	Link    Endpoint // Resolve: with its interface
	Process Text     // NODE/PROCESS
}

// Title is the item's text, with its time.
func (e *Event) Title() string {
	title := e.At.String() + ": "
	switch e.Do {
	case LinkDown, LinkUp:
		return title + "link " + e.Link.Node + ":" + e.Link.Interface + " " + e.Do
	case StartProcess, StopProcess:
		return title + e.Do + " " + e.Process.Value
	}
	return title + e.Test.Name
}
