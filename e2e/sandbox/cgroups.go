package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// MountCgroups mounts the cgroups of the host, which the sandbox's /sys hides, in
// both versions where version 1 has the controllers. undo takes them away. An
// ordinary user may not, which is unix.EPERM.
func MountCgroups() (undo func() error, err error) {
	const at = "/sys/fs/cgroup"
	if err := unix.Mount("none", at, "cgroup2", 0, ""); err != nil {
		return nil, err
	}
	undo = func() error { return unix.Unmount(at, unix.MNT_DETACH) }
	offered, err := os.ReadFile(at + "/cgroup.controllers")
	if err != nil || strings.Contains(string(offered), "memory") {
		return undo, err
	}
	if err := undo(); err != nil {
		return nil, err
	}
	if err := unix.Mount("none", at, "tmpfs", 0, ""); err != nil {
		return nil, err
	}
	for name, kind := range map[string]string{"cpu": "cgroup", "memory": "cgroup", "pids": "cgroup", "unified": "cgroup2"} {
		dir, options := filepath.Join(at, name), name
		if kind == "cgroup2" {
			options = ""
		}
		err = errors.Join(err, os.Mkdir(dir, 0o755), unix.Mount("none", dir, kind, 0, options))
	}
	return undo, err
}
