package proc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/failpoint"
	"nslab/netsetup/netns"
)

// What is kept of a lab's nodes in its directory, so that a program can be run
// in one without the topology file: hosts, the part of /etc/hosts that all
// nodes share; nodes/NODE.json, the Machine of a node with any key of its own;
// nodes/NODE.keeper, the process that keeps its namespaces.
const (
	hostsFile    = "hosts"
	nodesDir     = "nodes"
	machineFile  = ".json"
	keeperRecord = ".keeper"
)

func labDir(lab string) string { return filepath.Join(netsetup.RunDir, lab) }

func nodeFile(lab, node, suffix string) string {
	return filepath.Join(labDir(lab), nodesDir, node+suffix)
}

// Save keeps what programs in a lab's nodes see: hosts is the part of /etc/hosts
// that the nodes share, machines are the nodes. Files that are right already stay
// untouched, those of other nodes go. Nodes whose namespaces are kept see what is
// new in /etc/hosts and /etc/resolv.conf at once, other programs when they are
// started next.
func Save(lab, hosts string, machines []netsetup.Machine) error {
	dir := filepath.Join(labDir(lab), nodesDir)
	if err := failpoint.Around("proc.save.dir", func() error { return os.MkdirAll(dir, 0o755) }); err != nil {
		return err
	}
	newHosts, err := replace(filepath.Join(labDir(lab), hostsFile), []byte(hosts))
	if err != nil {
		return err
	}
	wanted := make(map[string]bool, len(machines))
	for i := range machines {
		m := &machines[i]
		changed := newHosts
		if !plain(m) {
			data, err := json.Marshal(m)
			if err != nil {
				return err
			}
			wanted[m.Node] = true
			newMachine, err := replace(nodeFile(lab, m.Node, machineFile), data)
			if err != nil {
				return err
			}
			changed = changed || newMachine
		}
		if changed && m.Isolation.Mount {
			if err := refresh(m, hosts); err != nil {
				return err
			}
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		node := strings.TrimSuffix(strings.TrimSuffix(e.Name(), machineFile), keeperRecord)
		if !wanted[node] {
			path := filepath.Join(dir, e.Name())
			if err := failpoint.Around("proc.save.remove", func() error { return os.Remove(path) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// plain says whether a node has nothing that its name does not tell.
func plain(m *netsetup.Machine) bool {
	return m.Hostname == m.Node && m.Hosts == "" && m.ResolvConf == "" && len(m.Env) == 0 && !m.Kept() &&
		m.Limits == netsetup.Limits{} && len(m.Setup) == 0 && len(m.Processes) == 0
}

// replace makes a file have data, at once, and says whether it had other. After an
// error, or a panic, it is as it was.
func replace(path string, data []byte) (changed bool, err error) {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
		return false, nil
	}
	tmp := path + ".new"
	defer os.Remove(tmp) // which is there no more where all went well
	err = failpoint.Around("proc.save.write", func() error { return os.WriteFile(tmp, data, 0o644) })
	if err == nil {
		err = failpoint.Around("proc.save.rename", func() error { return os.Rename(tmp, path) })
	}
	return true, err
}

// load gives the Machine of a node and the shared part of its /etc/hosts. Where
// the files are lost, it has a host name alone.
func load(lab, node string) (m *netsetup.Machine, hosts string, err error) {
	data, err := os.ReadFile(filepath.Join(labDir(lab), hostsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, "", err
	}
	hosts = string(data)
	m = &netsetup.Machine{Lab: lab, Node: node, Hostname: node}
	data, err = os.ReadFile(nodeFile(lab, node, machineFile))
	if errors.Is(err, fs.ErrNotExist) {
		return m, hosts, nil
	}
	if err == nil {
		err = json.Unmarshal(data, m)
	}
	if err != nil {
		return nil, "", fmt.Errorf("what is kept of node %s of lab %s: %w", node, lab, err)
	}
	return m, hosts, nil
}

// refresh gives a node whose mounts are kept what it has in /etc by now.
func refresh(m *netsetup.Machine, hosts string) error {
	net, err := netns.Open(m.Lab + "." + m.Node)
	if err != nil {
		return err
	}
	defer net.Close()
	k, err := findKeeper(m.Lab, m.Node, net.Inode())
	if err != nil || k == nil {
		return err
	}
	defer k.Close()
	for name, text := range etcFiles(m, hosts) {
		if err := k.rewrite("etc/"+name, text); err != nil {
			return fmt.Errorf("write /etc/%s of %s: %w", name, k.Node, err)
		}
	}
	return nil
}

// rewrite writes a file of the node's own, in its place, for it is mounted by
// itself. One that is the host's stays as it is.
func (k *Keeper) rewrite(path, text string) error {
	root, err := unix.Open(fmt.Sprintf("/proc/%d/root", k.PID), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, path, &unix.OpenHow{Flags: unix.O_WRONLY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	its, err := f.Stat()
	if err != nil {
		return err
	}
	if ours, err := os.Stat("/" + path); err == nil && os.SameFile(its, ours) {
		return nil
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return err
}

// Kept reports whether there is what Save keeps of a lab.
func Kept(lab string) bool {
	_, err := os.Stat(filepath.Join(labDir(lab), hostsFile))
	return err == nil
}

// etcFiles are the files below /etc that every node has of its own.
func etcFiles(m *netsetup.Machine, hosts string) map[string]string {
	files := map[string]string{}
	if text := hosts + m.Hosts; text != "" {
		files["hosts"] = text
	}
	if m.ResolvConf != "" {
		files["resolv.conf"] = m.ResolvConf
	}
	return files
}
