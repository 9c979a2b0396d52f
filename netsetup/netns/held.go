package netns

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// InodeEnv is set, in the environment of every program that is started in a
// namespace, to the namespace's inode number: what has it and runs in there was
// started by us, or by such a program.
const InodeEnv = "NSLAB_NETNS"

// Hold is what keeps a namespace alive beside its name under Dir.
type Hold struct {
	Inode   uint64 // of the namespace
	PID     int    // of the process; 0 of a mount where this process sees it
	Command string // the process's name
	How     string // such as "runs in it" or "has it open as descriptor 5"
	Ours    bool   // the process runs in it and carries InodeEnv
}

// String is such as "process 4711 (tcpdump) runs in it".
func (h Hold) String() string {
	if h.PID == 0 {
		return h.How
	}
	return fmt.Sprintf("process %d (%s) %s", h.PID, h.Command, h.How)
}

// Holds finds what keeps the namespaces with these inode numbers alive: the
// processes that run in them, that have one or a socket of one open, and mounts.
// It does not find what this program holds, in whatever process: that is for a
// moment. Nor can be found what other users' processes hold where this one may
// not look, and sockets that no process has any more.
func Holds(inodes []uint64) ([]Hold, error) {
	s := holdSearch{inodes: make(map[uint64]bool, len(inodes)), mounts: map[string]bool{}}
	for _, i := range inodes {
		s.inodes[i] = true
	}
	if err := unix.Stat("/proc/self/exe", &s.self); err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	var net unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &net); err != nil {
		return nil, fmt.Errorf("find the namespaces' file system: %w", err)
	}
	s.nsfs = net.Dev
	// Of one mount namespace's processes the first is named: our own first.
	s.mountsOf(0)
	pids, err := processIDs()
	if err != nil {
		return nil, err
	}
	for _, pid := range pids {
		s.process(pid)
	}
	return s.found, nil
}

// processIDs gives the numbers of all processes that can be seen, sorted.
func processIDs() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", Limit(err))
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

type holdSearch struct {
	inodes map[uint64]bool
	self   unix.Stat_t     // of this program
	nsfs   uint64          // the device of namespaces
	mounts map[string]bool // mount namespaces that were looked at
	found  []Hold
}

// process looks at one process. What cannot be read has ended, or is not ours to
// look at.
func (s *holdSearch) process(pid int) {
	dir := "/proc/" + strconv.Itoa(pid)
	if !s.isThisProgram(dir) {
		inside := s.threads(pid, dir)
		s.descriptors(pid, dir, inside)
	}
	s.mountsOf(pid)
}

func (s *holdSearch) isThisProgram(dir string) bool {
	var st unix.Stat_t
	return unix.Stat(dir+"/exe", &st) == nil && st.Dev == s.self.Dev && st.Ino == s.self.Ino
}

func (s *holdSearch) add(inode uint64, pid int, how string) {
	h := Hold{Inode: inode, PID: pid, How: how}
	if pid != 0 {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err != nil {
			return // it has ended
		}
		h.Command = strings.TrimSuffix(string(name), "\n")
		h.Ours = how == runsInIt && carriesMark(pid, inode)
	}
	s.found = append(s.found, h)
}

const runsInIt = "runs in it"

// threads finds the namespaces that a process runs in, and gives them: each
// thread can be in another.
func (s *holdSearch) threads(pid int, dir string) (inside []uint64) {
	tasks, err := os.ReadDir(dir + "/task")
	if err != nil {
		return nil
	}
	for _, t := range tasks {
		link, err := os.Readlink(dir + "/task/" + t.Name() + "/ns/net")
		if err != nil {
			continue
		}
		if inode := namespaceInode(link); s.inodes[inode] && !slices.Contains(inside, inode) {
			inside = append(inside, inode)
			s.add(inode, pid, runsInIt)
		}
	}
	return inside
}

// namespaceInode reads "net:[4026531840]"; 0 is another kind of file.
func namespaceInode(link string) uint64 {
	number, ok := strings.CutPrefix(link, "net:[")
	if !ok {
		return 0
	}
	inode, _ := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
	return inode
}

// descriptors finds namespaces that a process has open, and those of its sockets
// and tun devices, but for the ones that it runs in.
func (s *holdSearch) descriptors(pid int, dir string, inside []uint64) {
	fds, err := os.ReadDir(dir + "/fd")
	if err != nil {
		return
	}
	seen := slices.Clone(inside)
	pidfd := -1
	for _, e := range fds {
		link, err := os.Readlink(dir + "/fd/" + e.Name())
		if err != nil {
			continue
		}
		inode, how := namespaceInode(link), "has it open as descriptor "+e.Name()
		switch {
		case strings.HasPrefix(link, "socket:") || link == "/dev/net/tun":
			if pidfd < 0 {
				if pidfd, err = unix.PidfdOpen(pid, 0); err != nil {
					return
				}
				defer unix.Close(pidfd)
			}
			fd, _ := strconv.Atoi(e.Name())
			inode, how = socketNamespace(pidfd, fd), "has a socket in it, descriptor "+e.Name()
		case strings.HasPrefix(link, "/"):
			inode = s.fileInode(dir + "/fd/" + e.Name())
		}
		if s.inodes[inode] && !slices.Contains(seen, inode) {
			seen = append(seen, inode)
			s.add(inode, pid, how)
		}
	}
}

// fileInode is the inode number of a namespace that was opened by a path; 0 of
// any other file. No file system is made to ask a server.
func (s *holdSearch) fileInode(path string) uint64 {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC, unix.STATX_INO, &st)
	if err != nil || unix.Mkdev(st.Dev_major, st.Dev_minor) != s.nsfs {
		return 0
	}
	return st.Ino
}

// socketNamespace asks the kernel for the namespace of another process's socket,
// or tun device, which knows the same request (drivers/net/tun.c,
// __tun_chr_ioctl); 0 where that is not permitted.
func socketNamespace(pidfd, fd int) uint64 {
	socket, err := unix.PidfdGetfd(pidfd, fd, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(socket)
	ns, err := unix.IoctlRetInt(socket, unix.SIOCGSKNS)
	if err != nil {
		return 0
	}
	defer unix.Close(ns)
	var st unix.Stat_t
	if unix.Fstat(ns, &st) != nil {
		return 0
	}
	return st.Ino
}

// carriesMark reports whether a process was started with InodeEnv of that
// namespace.
func carriesMark(pid int, inode uint64) bool {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	want := InodeEnv + "=" + strconv.FormatUint(inode, 10)
	return err == nil && slices.ContainsFunc(bytes.Split(env, []byte{0}), func(v []byte) bool { return string(v) == want })
}

// mountsOf finds mounts in the mount namespace of a process, 0 being this one:
// here all that are not names under Dir, elsewhere those that the end of a name
// here does not reach.
func (s *holdSearch) mountsOf(pid int) {
	dir := "/proc/self"
	if pid != 0 {
		dir = "/proc/" + strconv.Itoa(pid)
	}
	ns, err := os.Readlink(dir + "/ns/mnt")
	if err != nil || s.mounts[ns] {
		return
	}
	s.mounts[ns] = true
	info, err := os.ReadFile(dir + "/mountinfo")
	if err != nil || !bytes.Contains(info, []byte(" net:[")) {
		return
	}
	private := map[string]bool{} // mounts, by number, that get none of others' changes
	var held [][]string
	for line := range strings.Lines(string(info)) {
		// See proc_pid_mountinfo(5): number, parent, device, root, place, options,
		// and how it is shared, up to a dash.
		f := strings.Fields(line)
		if len(f) < 7 {
			continue
		}
		private[f[0]] = f[6] == "-"
		if inode := namespaceInode(f[3]); s.inodes[inode] {
			held = append(held, f)
		}
	}
	for _, f := range held {
		name, under := strings.CutPrefix(f[4], Dir+"/")
		isName := under && !strings.Contains(name, "/")
		switch {
		case pid == 0 && !isName:
			s.add(namespaceInode(f[3]), 0, "it is mounted on "+f[4])
		case pid != 0 && (!isName || private[f[1]]):
			s.add(namespaceInode(f[3]), pid, "has it mounted on "+f[4])
		}
	}
}
