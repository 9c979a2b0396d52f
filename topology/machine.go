package topology

import "time"

// Isolate says which namespaces a node owns beside its network. The zero value
// is none.
type Isolate struct {
	Pos Pos

	UTS, Mount, IPC, PID, Cgroup, Time, User bool

	Boottime, Monotonic time.Duration // Time: what the node's clocks are ahead of the host's
	UIDs, GIDs          []IDMap       // User; none: all IDs that the owner of the lab has, as they are
}

// IDMap is one line of /proc/PID/uid_map or gid_map, user_namespaces(7).
type IDMap struct {
	Pos                    Pos
	Inside, Outside, Count uint32
}

// Resolver is what a node's /etc/resolv.conf has, resolv.conf(5).
type Resolver struct {
	Pos     Pos
	Servers []Text // addresses, or nodes; Resolve: addresses alone
	Search  []string
	Options []string
}

// HostLine is a further line of a node's /etc/hosts.
type HostLine struct {
	Pos     Pos
	Address string
	Names   []string
}

// Limits are those of a node's cgroup. 0 is none.
type Limits struct {
	Pos    Pos
	CPU    float64 // processors
	Memory int64   // bytes
	PIDs   int64   // processes and threads
}

// NodeFile is a file that only the node has.
type NodeFile struct {
	Pos     Pos
	Path    string // absolute, clean
	Content string
	Source  Text   // a file of the host, instead of Content; Resolve: absolute
	Mode    uint32 // permission bits; 0: not given (Resolve: 0644, or, with Source, 0: as that has)
}

// Variable is one of a node's environment.
type Variable struct {
	Pos         Pos
	Name, Value string
}

// CommandLine is a program with its arguments; a shell string became
// /bin/sh -c.
type CommandLine struct {
	Pos  Pos
	Argv []string
}

// Process is a program that runs in a node as long as the lab does.
type Process struct {
	Pos         Pos
	Name        string // Resolve: never ""; the base name of the program where not given
	Command     CommandLine
	Env         []Variable
	User        string        // name or number, with :GROUP if wanted; "": the lab's owner
	Ready       *Ready        // nil: as soon as it runs
	Restart     string        // no (the default), on-failure, always
	After       []Text        // NODE/PROCESS, or PROCESS of the same node; Resolve: always NODE/PROCESS
	StopSignal  string        // Resolve: never "", such as TERM
	StopTimeout time.Duration // until SIGKILL; Resolve: never 0 (10s)
}

// Ready is when a process is ready: exactly one of TCP, File, Exec and Log.
type Ready struct {
	Pos    Pos
	TCP    int           // a port of the node that accepts
	File   string        // a path in the node that is there
	Exec   *CommandLine  // a program in the node that ends with 0
	Log    string        // regular expression that a line of the output matches
	Within time.Duration // Resolve: never 0 (30s)
}
