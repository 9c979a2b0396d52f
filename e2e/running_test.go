package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nslab/netsetup/netns"
)

// running is a lab that runs, as ip, bridge, tc, nft and sysctl see it.
type running struct {
	t   *testing.T
	lab string
}

// nslab runs the program, which must end with that status, and gives what it
// says.
func (r *running) nslab(status int, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("nslab", args...)
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != status {
		r.t.Errorf("%s: status %d, want %d\n%s", cmd, got, status, out)
	}
	return string(out)
}

func (r *running) output(name string, args ...string) string {
	r.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s %s: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// namespaces are those of the lab.
func (r *running) namespaces() []string {
	files, err := filepath.Glob("/run/netns/" + r.lab + ".*")
	if err != nil {
		r.t.Fatal(err)
	}
	return files
}

// identities are the cookies of nodes' networks, and with them the indexes of their
// interfaces, by NODE and NODE:INTERFACE. An inode's number may be given again.
func (r *running) identities() map[string]string {
	ids := map[string]string{}
	for _, file := range r.namespaces() {
		_, node, _ := strings.Cut(filepath.Base(file), ".")
		ids[node] = fmt.Sprint(r.cookie(filepath.Base(file)))
		for _, l := range strings.Split(r.output("ip", "-n", filepath.Base(file), "-o", "link"), "\n") {
			if index, rest, ok := strings.Cut(l, ": "); ok {
				name, _, _ := strings.Cut(rest, ":")
				name, _, _ = strings.Cut(name, "@")
				ids[node+":"+name] = ids[node] + ":" + index
			}
		}
	}
	return ids
}

// cookie is the number of a network namespace that no other has, socket(7).
func (r *running) cookie(namespace string) (cookie uint64) {
	h, err := netns.Open(namespace)
	if err != nil {
		r.t.Fatal(err)
	}
	defer h.Close()
	err = netns.Do(h, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return cookie
}

// showAll shows what there is in a namespace: addresses of one family and
// interface in their order, all else sorted.
const showAll = `
ip -d -o link
ip -o address | sed -E 's/^[0-9]+: //' | sort -s -k1,2
ip route show table all
ip -6 route show table all
ip rule
ip -6 rule
ip neigh show nud permanent
ip neigh show proxy
ip -6 neigh show proxy
bridge -d -o link
bridge fdb show | grep -E 'static|permanent'
tc qdisc show | grep -v noqueue | sed 's,^qdisc,tc,'
nft -s list ruleset | tr '\n' ' '
grep -rs . /proc/sys/net/ipv4 /proc/sys/net/ipv6 | sort`

// passing is what differs from one time to another and is none of nslab's:
// numbers, timers, carriers, and what the kernel does by itself.
var passing = regexp.MustCompile(`^[0-9]+: |@[^ :]*|NO-CARRIER,|,LOWER_UP|,M-DOWN|link-netns(id)? \S+|` +
	`qdisc \S+|state \S+|linkdown|dead |tentative|nodad|[a-z_]*timer +\S+|(root|designated)_\S+ \S+|` +
	`port_(id|no) \S+|topology_change(_detected|_ack)? \S+|config_pending \S+|promiscuity.*maxmtu \S+|tso_max_size \S+|` +
	`refcnt [0-9]+`)

// ageing is a time that the spanning tree changes for a while.
var ageing = regexp.MustCompile(`ageing_time \d+`)

// ownWay are lines of what the kernel does by itself, in its own time: IPv6
// addresses of the link, groups, and settings that count or are secret.
var ownWay = regexp.MustCompile(`fe80::|ff00::|ff02::|33:33:|01:00:5e|stable_secret|base_reachable|random|` +
	`anycast|^(local|broadcast) .* table local|/mtu:`)

// show is all there is in the lab's namespaces, each line with the namespace.
func (r *running) show() []string {
	r.t.Helper()
	var all []string
	for _, file := range r.namespaces() {
		ns := filepath.Base(file)
		var lines []string
		for _, l := range strings.Split(r.output("ip", "netns", "exec", ns, "sh", "-c", showAll), "\n") {
			if strings.Contains(l, "stp_state 1") {
				l = ageing.ReplaceAllString(l, "")
			}
			if !strings.HasPrefix(l, "/proc/") { // of which there are thousands
				l = strings.Join(strings.Fields(passing.ReplaceAllString(l, "")), " ")
			}
			if l != "" && !ownWay.MatchString(l) {
				lines = append(lines, ns+" "+l)
			}
		}
		for _, pid := range strings.Fields(r.output("ip", "netns", "pids", ns)) {
			if command, err := os.ReadFile("/proc/" + pid + "/cmdline"); err == nil {
				lines = append(lines, ns+" process "+strings.ReplaceAll(string(command), "\x00", " "))
			}
		}
		all = append(all, orderOf(lines)...)
	}
	return all
}

// orderOf sorts lines but for those of IPv4 addresses.
func orderOf(lines []string) []string {
	slices.SortStableFunc(lines, func(a, b string) int {
		return strings.Compare(beforeAddress(a), beforeAddress(b))
	})
	return lines
}

func beforeAddress(line string) string {
	if before, _, ok := strings.Cut(line, " inet "); ok {
		return before + " inet "
	}
	return line
}

// difference tells the lines that only one of the two has, and at least the
// first where the order differs.
func difference(a, b []string) string {
	var out strings.Builder
	for _, l := range a {
		if !slices.Contains(b, l) {
			fmt.Fprintf(&out, "- %s\n", l)
		}
	}
	for _, l := range b {
		if !slices.Contains(a, l) {
			fmt.Fprintf(&out, "+ %s\n", l)
		}
	}
	if out.Len() == 0 && !slices.Equal(a, b) {
		for i, l := range a {
			if i >= len(b) || b[i] != l {
				return "the order differs at " + l + "\n"
			}
		}
		return "some lines are there twice\n"
	}
	return out.String()
}
