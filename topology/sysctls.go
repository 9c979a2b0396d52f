package topology

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Settings below /proc/sys/net that each network namespace has for itself, as
// observed in a new one on Linux 6.18, and as ensure_safe_net_sysctl of
// net/sysctl_net.c has the kernel keep it.
var (
	ownSysctls = []string{
		"net/ipv4/", "net/ipv6/", "net/netfilter/", "net/mptcp/", "net/unix/", "net/bridge/", "net/mpls/",
		"net/sctp/", "net/smc/", "net/vsock/",
		"net/core/optmem_max", "net/core/rps_default_mask", "net/core/somaxconn", "net/core/tstamp_allow_data",
		"net/core/txrehash", "net/core/xfrm_",
	}
	// hostSysctls are the exceptions: they are the host's, or only to be read.
	hostSysctls = []string{
		"net/ipv4/cipso_", "net/ipv4/fib_sync_mem", "net/ipv4/inet_peer_", "net/ipv4/ipfrag_secret_interval",
		"net/ipv4/neigh/default/", "net/ipv4/route/error_", "net/ipv4/route/gc_", "net/ipv4/route/max_size",
		"net/ipv4/route/redirect_", "net/ipv4/tcp_allowed_congestion_control", "net/ipv4/tcp_available_",
		"net/ipv4/tcp_ehash_entries", "net/ipv4/tcp_low_latency", "net/ipv4/tcp_max_orphans", "net/ipv4/tcp_mem",
		"net/ipv4/udp_hash_entries", "net/ipv4/udp_mem",
		"net/ipv6/calipso_", "net/ipv6/ip6frag_secret_interval", "net/ipv6/mld_max_msf", "net/ipv6/mld_qrv",
		"net/ipv6/neigh/default/",
		"net/mptcp/available_",
		"net/netfilter/nf_conntrack_buckets", "net/netfilter/nf_conntrack_count", "net/netfilter/nf_conntrack_expect_max",
		"net/netfilter/nf_conntrack_max", "net/netfilter/nf_log",
	}
	// flushSysctls do something when they are written, and hold nothing.
	flushSysctls = []string{"net/ipv4/route/flush", "net/ipv6/route/flush"}
	// ipcSysctls and utsSysctls belong to namespaces of their kinds:
	// ipc_namespaces(7), uts_namespaces(7).
	ipcSysctls = []string{
		"kernel/msg", "kernel/sem", "kernel/shm", "kernel/auto_msgmni", "fs/mqueue/",
	}
	utsSysctls = []string{"kernel/hostname", "kernel/domainname"}
)

func hasAnyPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// sysctlPath gives the path below /proc/sys of a name as sysctl(8) takes it: of
// . and / the one that comes first separates, the other stands for a dot.
func sysctlPath(name string) string {
	first := strings.IndexAny(name, "./")
	if first < 0 || name[first] == '/' {
		return name
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, name)
}

// sysctls reads the settings of a node.
func (p *parser) sysctls(n *yaml.Node) []Sysctl {
	entries := p.mapping(n, "{net.ipv4.ip_forward: 1}")
	s := settings{parser: p}
	for i := 0; i < len(entries); i += 2 {
		k, v := entries[i], deref(entries[i+1])
		p.enter(k.Value)
		path := sysctlPath(k.Value)
		if p.sysctlAllowed(k, path) {
			s.add(k, v, path)
		}
		p.leave()
	}
	return s.list
}

// sysctlAllowed reports a setting that is not of a node's namespaces.
func (p *parser) sysctlAllowed(k *yaml.Node, path string) bool {
	name := quote(k.Value)
	switch {
	case !isSysctlPath(path):
		p.errorf(k, "such as `net.ipv4.ip_forward`, or `net/ipv4/conf/eth0.10/forwarding` where a name has a dot", "%s is not the name of a setting", name)
	case hasAnyPrefix(path, utsSysctls) || hasAnyPrefix(path, ipcSysctls):
		return true // checkMachine sees whether the node has the namespace
	case !strings.HasPrefix(path, "net/") && !sysctlRoots[path[:strings.IndexByte(path, '/')]]:
		p.errorf(k, "a name begins with `net.`", "%s is not the name of a setting", name)
	case !hasAnyPrefix(path, ownSysctls) || hasAnyPrefix(path, hostSysctls):
		p.errorf(k, "a node has settings of its own below net.ipv4, net.ipv6, net.netfilter, net.mptcp and net.unix",
			"%s is a setting of the whole host, not of a node", name)
	case slices.Contains(flushSysctls, path):
		p.errorf(k, "", "%s is an order to the kernel, not a setting that a node can have", name)
	default:
		return true
	}
	return false
}

// sysctlRoots are the folders of /proc/sys beside net.
var sysctlRoots = map[string]bool{"abi": true, "debug": true, "dev": true, "fs": true, "kernel": true, "user": true, "vm": true, "sunrpc": true, "crypto": true}

// isSysctlPath reports whether a path names a file and stays below /proc/sys.
func isSysctlPath(path string) bool {
	parts := strings.Split(path, "/")
	for _, part := range parts {
		if part == "" || part == "." || part == ".." || strings.ContainsAny(part, " \t\r\n\x00") {
			return false
		}
	}
	return len(parts) > 1
}

// settings is a list of settings while it is read.
type settings struct {
	*parser
	list  []Sysctl
	lines map[string]int // by path
}

// maxSetting bounds the value of a setting: proc_sys_call_handler of
// fs/proc/proc_sysctl.c takes less than a page.
const maxSetting = 4095

// add appends a setting whose name is right.
func (s *settings) add(k, v *yaml.Node, path string) {
	if line, again := s.lines[path]; again {
		s.errorf(k, "", "%s is there twice, first at line %d", quote(k.Value), line)
		return
	}
	if s.lines == nil {
		s.lines = map[string]int{}
	}
	s.lines[path] = k.Line
	if v.Kind == yaml.ScalarNode && classOf(v) == boolClass {
		hint := "write 1"
		if strings.EqualFold(v.Value, "false") {
			hint = "write 0"
		}
		s.errorf(v, hint, "%s; the kernel takes numbers", describe(v))
		return
	}
	var value string
	if !s.scope(func() { value = s.line(v, maxSetting, "the value of a setting") }) {
		s.list = append(s.list, Sysctl{posOf(k), path, value})
	}
}

// interfaceSysctls reads the settings of one interface: ipv4.forwarding is
// net/ipv4/conf/eth0/forwarding.
func (p *parser) interfaceSysctls(n *yaml.Node, dev string) []Sysctl {
	entries := p.mapping(n, "{ipv4.forwarding: 1}")
	s := settings{parser: p}
	for i := 0; i < len(entries); i += 2 {
		k, v := entries[i], deref(entries[i+1])
		p.enter(k.Value)
		family, setting, _ := strings.Cut(sysctlPath(k.Value), "/")
		path := "net/" + family + "/conf/" + dev + "/" + setting
		switch {
		case family != "ipv4" && family != "ipv6" || strings.Contains(setting, "/") || !isSysctlPath(path):
			p.errorf(k, "such as `ipv4.forwarding`, for net.ipv4.conf."+clip(dev, maxInterfaceName)+".forwarding", "%s is not a setting of an interface", quote(k.Value))
		default:
			s.add(k, v, path)
		}
		p.leave()
	}
	return s.list
}
