package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/netns"
	"nslab/netsetup/proc/cgroup"
)

// entry is the way of a program into its node, and what is to be closed when it
// is gone.
type entry struct {
	netns.Way
	open []int
}

func (e *entry) close() {
	for _, fd := range e.open {
		unix.Close(fd)
	}
}

// enter makes the way: into the namespaces that the node owns, then into new
// ones in the place of those that it does not, in which the program sees what is
// the node's.
func (c *Command) enter() (*entry, error) {
	e := &entry{}
	n, own := c.Node, c.Node.isolation()
	if err := e.join(n); err != nil {
		return nil, err
	}
	if n.keeper != nil {
		e.EnterAll(kinds(own)|unix.CLONE_NEWNET, n.keeper.pidfd)
	} else {
		e.Enter(unix.CLONE_NEWNET, n.net.FD())
	}
	if own.PID {
		e.Fork()
	}
	if m := n.machine; m != nil && !own.UTS && m.Hostname != "" {
		e.Unshare(unix.CLONE_NEWUTS)
		e.Call("set the host name", nil, unix.SYS_SETHOSTNAME, m.Hostname, len(m.Hostname))
	}
	if !own.Mount {
		e.Unshare(unix.CLONE_NEWNS)
		mountSys(e)
		if own.PID {
			mountProc(e)
		}
		if err := e.showEtc(n); err != nil {
			e.close()
			return nil, err
		}
	}
	if err := c.becomeUser(e); err != nil {
		e.close()
		return nil, err
	}
	c.chdir(e)
	if c.death != 0 {
		// After the change of user, which clears it.
		e.Call("end with nslab", nil, unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(c.death))
	}
	return e, nil
}

// join adds the way into the node's cgroup, if there is one.
func (e *entry) join(n *Node) error {
	m := n.machine
	if m == nil || m.Limits == (netsetup.Limits{}) && !m.Isolation.Cgroup && len(m.Processes)+len(m.Setup) == 0 {
		return nil
	}
	g, err := cgroup.Open(m.Lab, m.Node)
	if g == nil || err != nil {
		return err
	}
	e.joinGroup(g)
	return nil
}

func (e *entry) joinGroup(g *cgroup.Group) {
	for _, file := range g.Join() {
		e.Write("join the node's cgroup", file, "0")
	}
}

// caller makes system calls, or sees to it that they are made: a *netns.Way.
type caller interface {
	Call(what string, harmless []unix.Errno, nr uintptr, args ...any)
}

func mount(c caller, what string, harmless []unix.Errno, source, target, fstype string, flags int, data string) {
	c.Call(what, harmless, unix.SYS_MOUNT, source, target, fstype, flags, data)
}

// mountSys covers /sys, as ip-netns(8) does for exec: an instance of sysfs shows
// the network namespace that it was mounted in. A user namespace in a container
// may not mount one; the program then sees the old one.
func mountSys(c caller) {
	flags := unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	var sfs unix.Statfs_t
	if unix.Statfs("/sys", &sfs) == nil && sfs.Flags&unix.ST_RDONLY != 0 {
		flags |= unix.MS_RDONLY
	}
	mount(c, "mount the node's own /sys", []unix.Errno{unix.EPERM, unix.EACCES, unix.ENOENT, unix.ENODEV},
		"sysfs", "/sys", "sysfs", flags, "")
}

// mountProc covers /proc with one that shows the PID namespace.
func mountProc(c caller) {
	mount(c, "mount the node's own /proc", nil, "proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
}

// showEtc shows the node's files in /etc. They are in a file system of the
// program's own, so that what it writes to them is seen nowhere else.
func (e *entry) showEtc(n *Node) error {
	if n.machine == nil {
		return nil
	}
	files := etcFiles(n.machine, n.hosts)
	if len(files) == 0 {
		return nil
	}
	fd, err := memoryFS()
	if err != nil {
		return err
	}
	e.open = append(e.open, fd)
	what := "show the node's own "
	e.Call(what+"/etc", nil, unix.SYS_MOVE_MOUNT, fd, "", unix.AT_FDCWD, netns.Dir, unix.MOVE_MOUNT_F_EMPTY_PATH)
	var missing []string
	for _, name := range []string{"hosts", "resolv.conf"} {
		text, has := files[name]
		if !has {
			continue
		}
		path := "/etc/" + name
		dir := ""
		if _, err := os.Stat(path); err != nil {
			missing = append(missing, name)
			dir = "upper/"
		}
		if err := writeAt(fd, dir+name, []byte(text), 0o644); err != nil {
			return fmt.Errorf("%s%s: %w", what, path, err)
		}
	}
	if len(missing) > 0 {
		// What is not there has nothing to be mounted on: a layer over /etc has it.
		mount(e, what+"/etc", nil, "overlay", "/etc", "overlay", 0,
			"lowerdir=/etc,upperdir="+netns.Dir+"/upper,workdir="+netns.Dir+"/work")
	}
	for _, name := range []string{"hosts", "resolv.conf"} {
		if _, has := files[name]; has && !slices.Contains(missing, name) {
			mount(e, what+"/etc/"+name, nil, netns.Dir+"/"+name, "/etc/"+name, "", unix.MS_BIND, "")
		}
	}
	e.Call(what+"/etc", nil, unix.SYS_UMOUNT2, netns.Dir, unix.MNT_DETACH)
	return nil
}

// memoryFS makes a tmpfs that is mounted nowhere, with the directories upper and
// work.
func memoryFS() (fd int, err error) {
	what := func(err error) error { return fmt.Errorf("make a file system in memory: %w", err) }
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, what(err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetString(fs, "mode", "0755"); err != nil {
		return -1, what(err)
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, what(err)
	}
	fd, err = unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return -1, what(err)
	}
	for _, dir := range []string{"upper", "work"} {
		if err := unix.Mkdirat(fd, dir, 0o755); err != nil {
			unix.Close(fd)
			return -1, what(err)
		}
	}
	return fd, nil
}

func writeAt(dir int, name string, data []byte, mode uint32) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, mode)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(os.FileMode(mode))
	}
	if err2 := f.Close(); err == nil {
		err = err2
	}
	return err
}

// becomeUser adds the change to the command's user. In a user namespace of the
// node's that is its root, unless another is asked for: outside of it there is
// nobody of the same number.
func (c *Command) becomeUser(e *entry) error {
	own := c.Node.isolation()
	if c.User == "" && own.User {
		identity{}.become(&e.Way, "root of the node", true)
		return nil
	}
	if c.User == "" {
		return nil
	}
	id, err := accounts{c.Node.root()}.lookUp(c.User)
	if err != nil {
		return err
	}
	if !own.User && int(id.uid) == unix.Geteuid() && int(id.gid) == unix.Getegid() {
		return nil
	}
	id.become(&e.Way, c.User, false)
	return nil
}

// chdir adds the change to the command's directory. Where none is asked for it is
// the current one, if the node has it, else /.
func (c *Command) chdir(e *entry) {
	own := c.Node.isolation()
	switch {
	case c.Dir != "":
		e.Call("change to directory "+c.Dir, nil, unix.SYS_CHDIR, c.Dir)
	case own.Mount && c.Node.machine.RootFS == "":
		// Entering a mount namespace leads to its root.
		if here, err := os.Getwd(); err == nil {
			e.Call("change to directory "+here, []unix.Errno{netns.Harmless}, unix.SYS_CHDIR, here)
		}
	}
}

// paths are where the program may be: with PATH of its own environment, as a
// shell looks for it.
func (c *Command) paths(env []string) []string {
	name := c.Argv[0]
	if strings.Contains(name, "/") {
		return []string{name}
	}
	if name == "" {
		return nil
	}
	path := "/bin:/usr/bin" // without a PATH, what execvp(3) has
	for _, v := range env {
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			path = value
		}
	}
	var list []string
	for _, dir := range filepath.SplitList(path) {
		path := filepath.Join(dir, name)
		if !filepath.IsAbs(path) {
			path = "./" + path
		}
		list = append(list, path)
	}
	return list
}

// env is the program's environment: Base, over it the node's, over it
// the command's.
func (c *Command) env() []string {
	var of []string
	if c.Node.machine != nil {
		of = c.Node.machine.Env
	}
	mark := fmt.Sprintf("%s=%d", netns.InodeEnv, c.Node.net.Inode()) // which tells whose it is
	base := c.Base
	if base == nil {
		base = os.Environ()
	}
	all := slices.Concat(base, of, c.Env, []string{mark})
	last := make(map[string]int, len(all))
	for i, v := range all {
		name, _, _ := strings.Cut(v, "=")
		last[name] = i
	}
	env := make([]string, 0, len(last))
	for i, v := range all {
		if name, _, _ := strings.Cut(v, "="); last[name] == i {
			env = append(env, v)
		}
	}
	return env
}
