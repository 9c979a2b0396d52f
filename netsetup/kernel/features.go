package kernel

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"nslab/netsetup"
	"nslab/netsetup/netns"
	"nslab/netsetup/nft"
)

// Feature is something that a kernel may lack, or not let this user have.
type Feature struct {
	Name   string // of an interface, its type in the topology file; else as Features has it
	Option string // of the kernel's configuration
	Module string // that has it; "" where it is no module
	Err    error  // why it does not work here; nil: it does
}

// Features tries what labs can be made of, by making it in a namespace that goes
// at once: the types of interfaces by their names in the topology file, and
// "nftables", "policy routing", "IPv6", "vlan_filtering" of bridges, the
// disciplines "netem" and "tbf", "mpls", "seg6"; and, which nothing is made for,
// the kinds of namespaces that isolate names, and "overlay".
func Features() ([]Feature, error) {
	var list []Feature
	in := make([]byte, answerSize)
	err := netns.Try(func() error {
		s, err := openSocket()
		if err != nil {
			return err
		}
		defer s.close()
		t := trial{s: s, in: in}
		for _, l := range linkFeatures {
			list = append(list, Feature{l.name, l.option, l.module, t.link(l)})
			if l.name == netsetup.KindVeth {
				if t.lower, err = indexOf(s, in, tryPrefix+l.name); err != nil {
					return err
				}
			}
		}
		list = append(list,
			Feature{"tun", "CONFIG_TUN", "tun", t.tun(unix.IFF_TUN)},
			Feature{"tap", "CONFIG_TUN", "tun", t.tun(unix.IFF_TAP)},
			Feature{"vlan_filtering", "CONFIG_BRIDGE_VLAN_FILTERING", "", t.vlanFiltering()},
			Feature{"netem", "CONFIG_NET_SCH_NETEM", "sch_netem", t.netem()},
			Feature{"tbf", "CONFIG_NET_SCH_TBF", "sch_tbf", t.qdisc("tbf", make([]byte, 36), 1)},
			Feature{"nftables", "CONFIG_NF_TABLES", "nf_tables", t.nftables()},
			Feature{"policy routing", "CONFIG_IP_MULTIPLE_TABLES", "", t.rule()},
			Feature{"IPv6", "CONFIG_IPV6", "ipv6", t.ipv6()},
			Feature{"mpls", "CONFIG_MPLS_ROUTING", "mpls_router", exists("/proc/sys/net/mpls")},
			Feature{"seg6", "CONFIG_IPV6_SEG6_LWTUNNEL", "", exists("/proc/sys/net/ipv6/conf/all/seg6_enabled")},
		)
		return nil
	})
	for _, n := range []struct{ name, file, option string }{
		{"uts", "uts", "CONFIG_UTS_NS"}, {"mount", "mnt", ""}, {"ipc", "ipc", "CONFIG_IPC_NS"}, {"pid", "pid", "CONFIG_PID_NS"},
		{"cgroup", "cgroup", "CONFIG_CGROUPS"}, {"time", "time", "CONFIG_TIME_NS"}, {"user", "user", "CONFIG_USER_NS"},
	} {
		list = append(list, Feature{n.name, n.option, "", exists("/proc/self/ns/" + n.file)})
	}
	return append(list, Feature{"overlay", "CONFIG_OVERLAY_FS", "overlay", overlay()}), err
}

// errLacking says that the kernel does not know what was asked for.
var errLacking = errors.New("the kernel lacks it, or its module is not loaded")

// answerOf reads what a kernel says to a trial: those who do not know a kind of
// thing say it by these errors (net/core/rtnetlink.c, net/sched/sch_api.c); a
// complaint about something else in the request shows that they know it.
func answerOf(err error) error {
	for _, errno := range []unix.Errno{unix.EOPNOTSUPP, unix.ENOENT, unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT, unix.ENODEV} {
		if errors.Is(err, errno) {
			return errLacking
		}
	}
	for _, errno := range []unix.Errno{unix.EINVAL, unix.EEXIST, unix.EBUSY} {
		if errors.Is(err, errno) {
			return nil
		}
	}
	return err
}

func exists(path string) error {
	if _, err := os.Stat(path); err != nil {
		return errLacking
	}
	return nil
}

// linkFeature is a kind of link, with what its creation needs.
type linkFeature struct {
	name, option, module string
	lower                bool   // it is on another link
	attr                 uint16 // of its data
	value                []byte
}

// linkFeatures begins with the one that others are on. The attributes are those of
// linux/if_link.h: IFLA_VLAN_ID, IFLA_VRF_TABLE, IFLA_VXLAN_ID, IFLA_GENEVE_ID;
// IFLA_XFRM_IF_ID of linux/if_link.h.
var linkFeatures = []linkFeature{
	{name: "veth", option: "CONFIG_VETH", module: "veth"},
	{name: "bridge", option: "CONFIG_BRIDGE", module: "bridge"},
	{name: "dummy", option: "CONFIG_DUMMY", module: "dummy"},
	{name: "vlan", option: "CONFIG_VLAN_8021Q", module: "8021q", lower: true, attr: 1, value: []byte{2, 0}},
	{name: "vrf", option: "CONFIG_NET_VRF", module: "vrf", attr: 1, value: four(77)},
	{name: "bond", option: "CONFIG_BONDING", module: "bonding"},
	{name: "macvlan", option: "CONFIG_MACVLAN", module: "macvlan", lower: true},
	{name: "macvtap", option: "CONFIG_MACVTAP", module: "macvtap", lower: true},
	{name: "ipvlan", option: "CONFIG_IPVLAN", module: "ipvlan", lower: true},
	{name: "vxlan", option: "CONFIG_VXLAN", module: "vxlan", attr: 1, value: four(7)},
	{name: "geneve", option: "CONFIG_GENEVE", module: "geneve", attr: 1, value: four(7)},
	{name: "gre", option: "CONFIG_NET_IPGRE", module: "ip_gre"},
	{name: "gretap", option: "CONFIG_NET_IPGRE", module: "ip_gre"},
	{name: "ip6gre", option: "CONFIG_IPV6_GRE", module: "ip6_gre"},
	{name: "ipip", option: "CONFIG_NET_IPIP", module: "ipip"},
	{name: "sit", option: "CONFIG_IPV6_SIT", module: "sit"},
	{name: "ip6tnl", option: "CONFIG_IPV6_TUNNEL", module: "ip6_tunnel"},
	{name: "wireguard", option: "CONFIG_WIREGUARD", module: "wireguard"},
	{name: "ifb", option: "CONFIG_IFB", module: "ifb"},
	{name: "xfrm", option: "CONFIG_XFRM_INTERFACE", module: "xfrm_interface", attr: 2, value: four(7)},
}

func four(n uint32) []byte { return native.AppendUint32(nil, n) }

// trial asks the kernel for things in the namespace of the calling thread.
type trial struct {
	s     *socket
	in    []byte
	lower uint32 // the index of a link
}

// do sends one message, begun with the flags of a creation.
func (t *trial) do(r *request) error {
	r.end()
	_, err := t.s.ask(r.b, t.in)
	return answerOf(err)
}

func (t *trial) begin(typ uint16, n int) (*request, []byte) {
	r := new(request)
	return r, r.begin(typ, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK, t.s.nextSeq(), n)
}

func (t *trial) link(l linkFeature) error {
	r, _ := t.begin(unix.RTM_NEWLINK, unix.SizeofIfInfomsg)
	r.str(unix.IFLA_IFNAME, tryPrefix+l.name)
	if l.lower {
		r.u32(unix.IFLA_LINK, t.lower)
	}
	info := r.nest(unix.IFLA_LINKINFO)
	r.str(unix.IFLA_INFO_KIND, l.name)
	if l.value != nil {
		data := r.nest(unix.IFLA_INFO_DATA)
		r.bytes(l.attr, l.value)
		r.unnest(data)
	}
	r.unnest(info)
	return t.do(r)
}

const tryPrefix = "try-"

// indexOf gives the index of a link; 0 where there is none.
func indexOf(s *socket, in []byte, name string) (index uint32, err error) {
	err = s.dump(linkRequest(), in, func() { index = 0 }, func(m message) error {
		if p, ok := parseLink(m); ok && p.link.Name == name {
			index = uint32(p.info.index)
		}
		return nil
	})
	return index, err
}

// vlanFiltering looks whether bridges say that they have it.
func (t *trial) vlanFiltering() error {
	const vlanFiltering = 7 // IFLA_BR_VLAN_FILTERING
	has := false
	err := t.s.dump(linkRequest(), t.in, func() {}, func(m message) error {
		for a := attributes(m.payload, unix.SizeofIfInfomsg); a.next(); {
			if a.typ != unix.IFLA_LINKINFO {
				continue
			}
			kind := ""
			for i := a.nested(); i.next(); {
				switch {
				case i.typ == unix.IFLA_INFO_KIND:
					kind = i.str()
				case i.typ == unix.IFLA_INFO_DATA && kind == netsetup.KindBridge:
					for d := i.nested(); d.next(); {
						has = has || d.typ == vlanFiltering
					}
				}
			}
		}
		return nil
	})
	if err == nil && !has {
		err = errLacking
	}
	return err
}

// netem is the discipline with the options of struct tc_netem_qopt, of which the
// second is the length of the queue.
func (t *trial) netem() error {
	options := make([]byte, 24)
	native.PutUint32(options[4:], 1000)
	return t.qdisc("netem", options, 0)
}

// qdisc asks for one on a link. With attr the options are in an attribute of that
// type.
func (t *trial) qdisc(kind string, options []byte, attr uint16) error {
	const sizeofTcmsg, tcaKind, tcaOptions, root = 20, 1, 2, 0xffffffff // linux/rtnetlink.h, linux/pkt_sched.h
	r, body := t.begin(unix.RTM_NEWQDISC, sizeofTcmsg)
	native.PutUint32(body[4:], t.lower)
	native.PutUint32(body[12:], root)
	r.str(tcaKind, kind)
	if attr == 0 {
		r.bytes(tcaOptions, options)
	} else {
		n := r.nest(tcaOptions)
		r.bytes(attr, options)
		r.unnest(n)
	}
	return t.do(r)
}

func (t *trial) rule() error {
	r, body := t.begin(unix.RTM_NEWRULE, sizeofFibRuleHdr)
	body[0], body[4], body[7] = unix.AF_INET, 99, unix.FR_ACT_TO_TBL
	r.u32(unix.FRA_PRIORITY, 99)
	return t.do(r)
}

func (t *trial) tun(flags uint16) error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT || err == unix.ENXIO {
		return errLacking
	}
	if err != nil {
		return fmt.Errorf("open /dev/net/tun: %w", err)
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("try-tun%d")
	if err != nil {
		return err
	}
	r.SetUint16(flags | unix.IFF_NO_PI)
	return unix.IoctlIfreq(fd, unix.TUNSETIFF, r)
}

func (t *trial) ipv6() error {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return answerOf(err)
	}
	return unix.Close(fd)
}

// nftables makes a table and takes it away.
func (t *trial) nftables() error {
	s, err := openNftSocket()
	if err != nil {
		return answerOf(errors.Unwrap(err))
	}
	defer s.close()
	var tr transaction
	tr.bracket(nfnlMsgBatchBegin)
	tr.remove(0, &netsetup.Table{Family: nft.FamilyInet, Name: "try", Content: &nft.Table{Name: "try"}})
	tr.bracket(nfnlMsgBatchEnd)
	var refused error
	err = tr.send(s, t.in, func(_ *part, err error) {
		// A kernel without it does not know the subsystem.
		if refused == nil {
			refused = err
		}
	})
	if errors.Is(refused, unix.EINVAL) {
		return errLacking
	}
	return errors.Join(err, answerOf(refused))
}

func overlay() error {
	fd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return answerOf(err)
	}
	return unix.Close(fd)
}
