package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/failpoint"
	"nslab/netsetup/netns"
)

// sysctls is the open folders of one namespace's settings. Those below net are
// of the namespace of the thread that looks the folder up
// (net/sysctl_net.c:net_ctl_root); what is in it is found by any thread.
type sysctls struct {
	root    int // see procs.root
	folders []sysctlFolder
}

type sysctlFolder struct {
	path string // below /proc/sys, such as net/ipv4/
	fd   int
}

// open opens a setting; the calling thread is inside the namespace.
func (s *sysctls) open(p *procs, name string, flags int) (int, error) {
	f, err := s.folder(p, folderOf(name))
	if err != nil {
		return -1, err
	}
	return unix.Openat(f.fd, name[len(f.path):], flags|unix.O_CLOEXEC, 0)
}

func (s *sysctls) folder(p *procs, path string) (sysctlFolder, error) {
	for _, f := range s.folders {
		if f.path == path {
			return f, nil
		}
	}
	if len(s.folders) == 0 {
		s.root = p.root()
	}
	name := "sys/" + path
	if s.root < 0 {
		name = "/proc/" + name
	}
	fd, err := unix.Openat(s.root, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return sysctlFolder{}, netns.Limit(err)
	}
	f := sysctlFolder{path, fd}
	s.folders = append(s.folders, f)
	return f, nil
}

// folderOf is the part of a setting's name that is looked up once: net/FAMILY/,
// or nothing.
func folderOf(name string) string {
	rest, ok := strings.CutPrefix(name, "net/")
	if !ok {
		return ""
	}
	family, _, ok := strings.Cut(rest, "/")
	if !ok {
		return ""
	}
	return name[:len("net/")+len(family)+1]
}

func (s *sysctls) close() {
	for _, f := range s.folders {
		unix.Close(f.fd)
	}
	s.folders = nil
}

// read reads a setting through buf; the calling thread is inside. Where it is
// the expected one, that very string is returned.
func (s *sysctls) read(p *procs, name, expected string, buf []byte) (string, error) {
	fd, err := s.open(p, name, unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	n, err := unix.Read(fd, buf)
	unix.Close(fd)
	if err != nil {
		return "", err
	}
	value := bytes.TrimSpace(buf[:n])
	if string(value) == expected {
		return expected, nil
	}
	return string(bytes.Join(bytes.Fields(value), []byte(" "))), nil
}

// write writes a setting; the calling thread is inside.
func (s *sysctls) write(p *procs, set *netsetup.Sysctl) error {
	fd, err := s.open(p, set.Name, unix.O_WRONLY)
	if err != nil {
		return err
	}
	err = failpoint.Around("kernel.sysctl", func() error {
		_, err := unix.Write(fd, append([]byte(set.Value), '\n'))
		return err
	})
	return errors.Join(err, unix.Close(fd))
}

// sysctls reads the settings that are wanted, or were. One that is not there is
// left out: the interface it belongs to may be missing too. So is one that has no
// value yet, as addrconf_sysctl_stable_secret of net/ipv6/addrconf.c says by EIO.
func (o *observer) sysctls() error {
	names := o.settings()
	list := make([]netsetup.Sysctl, 0, len(names))
	for _, s := range names {
		if value, known, there := o.links.setting(s.Name, s.Value); known {
			if there {
				list = append(list, netsetup.Sysctl{Name: s.Name, Value: value})
			}
			continue
		}
		value, err := o.sp.sysctls.read(o.procs, s.Name, s.Value, o.in)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EIO) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read sysctl %s: %w", s.Name, err)
		}
		list = append(list, netsetup.Sysctl{Name: s.Name, Value: value})
	}
	o.ns.Sysctls = list
	return nil
}

// settings are those to be read, with the values that are expected.
func (o *observer) settings() []netsetup.Sysctl {
	var list []netsetup.Sysctl
	if o.want != nil {
		list = o.want.Sysctls
	}
	if o.was == nil {
		return list
	}
	named := make(map[string]bool, len(list))
	for i := range list {
		named[list[i].Name] = true
	}
	list = slices.Clone(list)
	for _, s := range o.was.Sysctls {
		if !named[s.Name] {
			list = append(list, s)
		}
	}
	return list
}
