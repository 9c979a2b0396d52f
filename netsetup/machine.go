package netsetup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"
)

// Machine is what a node is beside its network: what programs in it see, the
// namespaces it owns, its limits and its processes. It is plain values, which
// are kept as JSON under /run/nslab/LAB, so that a program can be run in the
// node without reading the topology file.
type Machine struct {
	Lab      string `json:"lab"`
	Node     string `json:"node"`
	Hostname string `json:"hostname"`
	// Hosts are the lines of /etc/hosts that only this node has; before them come
	// those that all nodes of the lab share, HostsFile.
	Hosts      string    `json:"hosts,omitempty"`
	ResolvConf string    `json:"resolv_conf,omitempty"` // whole file; "": the host's
	Env        []string  `json:"env,omitempty"`         // NAME=VALUE
	Isolation  Isolation `json:"isolation,omitzero"`
	RootFS     string    `json:"rootfs,omitempty"` // absolute path of the lower layer; "": the host's
	Files      []File    `json:"files,omitempty"`
	Private    []string  `json:"private,omitempty"`
	Limits     Limits    `json:"limits,omitzero"`
	Sysctls    []Setting `json:"sysctls,omitempty"` // of its uts and ipc namespaces, in the order in which they are written

	Setup     [][]string `json:"setup,omitempty"` // argv of each
	Processes []Process  `json:"processes,omitempty"`
}

// Setting is a sysctl; Name is the path below /proc/sys.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`

	Pos string `json:"pos,omitempty"` // file:line:col, for messages
}

// Isolation is the namespaces that a node owns beside its network. The zero value is
// none.
type Isolation struct {
	UTS    bool `json:"uts,omitempty"`
	Mount  bool `json:"mount,omitempty"` // also where RootFS, Files or Private ask for it
	IPC    bool `json:"ipc,omitempty"`
	PID    bool `json:"pid,omitempty"`
	Cgroup bool `json:"cgroup,omitempty"`
	Time   bool `json:"time,omitempty"`
	User   bool `json:"user,omitempty"`

	Boottime  time.Duration `json:"boottime,omitempty"`
	Monotonic time.Duration `json:"monotonic,omitempty"`
	UIDs      []IDMap       `json:"uids,omitempty"`
	GIDs      []IDMap       `json:"gids,omitempty"`
}

// IDMap is one line of /proc/PID/uid_map or gid_map, user_namespaces(7).
type IDMap struct {
	Inside  uint32 `json:"inside"`
	Outside uint32 `json:"outside"`
	Count   uint32 `json:"count"`
}

// File is a file that only the node has.
type File struct {
	Path    string `json:"path"`
	Content []byte `json:"content"`
	Mode    uint32 `json:"mode"`
}

// Limits are those of a node's cgroup. 0 is none.
type Limits struct {
	CPU    float64 `json:"cpu,omitempty"`    // processors
	Memory int64   `json:"memory,omitempty"` // bytes
	PIDs   int64   `json:"pids,omitempty"`
}

// Process is a program that runs in a node as long as the lab does.
type Process struct {
	Name        string        `json:"name"`
	Argv        []string      `json:"argv"`
	Env         []string      `json:"env,omitempty"` // beside the node's
	User        string        `json:"user,omitempty"`
	Ready       *Ready        `json:"ready,omitempty"`   // nil: as soon as it runs
	Restart     string        `json:"restart,omitempty"` // "" (no), on-failure, always
	After       []string      `json:"after,omitempty"`   // NODE/PROCESS of the lab
	StopSignal  string        `json:"stop_signal"`       // such as TERM
	StopTimeout time.Duration `json:"stop_timeout"`      // then SIGKILL

	Pos string `json:"pos,omitempty"` // file:line:col, for messages
}

// Ready is when a process is ready: exactly one of TCP, File, Exec and Log.
type Ready struct {
	TCP    int           `json:"tcp,omitempty"`  // a port of the node that accepts
	File   string        `json:"file,omitempty"` // a path in the node that is there
	Exec   []string      `json:"exec,omitempty"` // a program in the node that ends with 0
	Log    string        `json:"log,omitempty"`  // regular expression that a line of the output matches
	Within time.Duration `json:"within"`
}

// Kept reports whether the node owns namespaces beside its network, which a
// process keeps as long as the lab runs.
func (m *Machine) Kept() bool {
	i := &m.Isolation
	return i.UTS || i.Mount || i.IPC || i.PID || i.Cgroup || i.Time || i.User
}

// Key tells whether the namespaces of two Machines are the same: it stands for
// all that they are made from, and cannot be changed in them.
func (m *Machine) Key() string {
	made := Machine{Isolation: m.Isolation, RootFS: m.RootFS, Files: m.Files, Private: m.Private, Sysctls: slices.Clone(m.Sysctls)}
	for i := range made.Sysctls {
		made.Sysctls[i].Pos = ""
	}
	if m.Isolation.UTS {
		made.Hostname = m.Hostname
	}
	if m.ResolvConf != "" {
		made.ResolvConf = "its own" // the text can be changed
	}
	data, err := json.Marshal(&made)
	if err != nil {
		panic(err) // plain values
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}
