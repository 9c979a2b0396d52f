/*
 * The floor of the benchmark: the least work that makes a ring of N named
 * network namespaces, in one thread, without libraries.
 *
 *   N namespaces, each bound to a name in a tmpfs
 *   N veth links, made in place: both ends in their namespaces, one request each
 *   2N IPv4 addresses, and lo and both ends up: one write of five requests each
 *
 * It reads nothing back, checks nothing beyond the acknowledgements, and marks
 * nothing: what a tool does over this is what its features cost.
 *
 * usage: floor N
 * Needs CAP_SYS_ADMIN and a mount namespace of its own. The line it prints
 * holds "up S s", the seconds that making took.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *const names = "/run/nslab-floor";

struct node {
	int ns;   /* its namespace */
	int sock; /* a netlink socket opened inside it */
};

static void fail(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A batch is a run of requests that go out in one write. */
static struct {
	_Alignas(NLMSG_ALIGNTO) char bytes[4096];
	size_t used;
	int requests;
	struct nlmsghdr *last;
} batch;

static void *grow(size_t n)
{
	void *p = batch.bytes + batch.used;

	if (batch.used + n > sizeof batch.bytes) {
		errno = ENOBUFS;
		fail("batch");
	}
	memset(p, 0, n);
	batch.used += n;
	return p;
}

static void request(int type, int flags, const void *header, size_t n)
{
	struct nlmsghdr *m = grow(NLMSG_SPACE(n));

	m->nlmsg_type = type;
	m->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	m->nlmsg_seq = ++batch.requests;
	m->nlmsg_len = NLMSG_SPACE(n);
	memcpy(NLMSG_DATA(m), header, n);
	batch.last = m;
}

/* attribute adds one to the last request; nest and unnest put others inside. */
static struct rtattr *attribute(int type, const void *data, size_t n)
{
	struct rtattr *a = grow(RTA_SPACE(n));

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(n);
	if (n > 0)
		memcpy(RTA_DATA(a), data, n);
	batch.last->nlmsg_len += RTA_SPACE(n);
	return a;
}

static struct rtattr *nest(int type)
{
	return attribute(type, NULL, 0);
}

static void unnest(struct rtattr *a)
{
	a->rta_len = batch.bytes + batch.used - (char *)a;
}

/* carry_out sends the batch and waits for every acknowledgement. */
static void carry_out(int sock)
{
	static _Alignas(NLMSG_ALIGNTO) char answer[16384];
	int missing = batch.requests;

	if (send(sock, batch.bytes, batch.used, 0) < 0)
		fail("send");
	while (missing > 0) {
		ssize_t n = recv(sock, answer, sizeof answer, 0);
		struct nlmsghdr *m = (struct nlmsghdr *)answer;

		if (n < 0)
			fail("recv");
		for (; NLMSG_OK(m, n); m = NLMSG_NEXT(m, n)) {
			struct nlmsgerr *e = NLMSG_DATA(m);

			if (m->nlmsg_type != NLMSG_ERROR)
				continue;
			if (e->error != 0) {
				errno = -e->error;
				fail("netlink");
			}
			missing--;
		}
	}
	batch.used = 0;
	batch.requests = 0;
}

static void make_namespace(struct node *node, int i)
{
	char name[64];
	int file;

	if (unshare(CLONE_NEWNET) < 0)
		fail("unshare");
	node->ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	node->sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (node->ns < 0 || node->sock < 0)
		fail("open namespace");
	snprintf(name, sizeof name, "%s/n%d", names, i);
	file = open(name, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0444);
	if (file < 0)
		fail(name);
	close(file);
	if (mount("/proc/self/ns/net", name, NULL, MS_BIND, NULL) < 0)
		fail(name);
}

/* make_link joins right of one node with left of the next. */
static void make_link(const struct node *node, const struct node *next)
{
	struct ifinfomsg link = { .ifi_family = AF_UNSPEC };
	struct rtattr *info, *data, *peer;

	request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof link);
	attribute(IFLA_IFNAME, "right", sizeof "right");
	info = nest(IFLA_LINKINFO);
	attribute(IFLA_INFO_KIND, "veth", sizeof "veth");
	data = nest(IFLA_INFO_DATA);
	peer = attribute(VETH_INFO_PEER, &link, sizeof link);
	attribute(IFLA_IFNAME, "left", sizeof "left");
	attribute(IFLA_NET_NS_FD, &next->ns, sizeof next->ns);
	unnest(peer);
	unnest(data);
	unnest(info);
	carry_out(node->sock);
}

static void set_up(const char *name)
{
	struct ifinfomsg link = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP };

	request(RTM_NEWLINK, 0, &link, sizeof link);
	attribute(IFLA_IFNAME, name, strlen(name) + 1);
}

static void add_address(int index, uint32_t address)
{
	struct ifaddrmsg a = { .ifa_family = AF_INET, .ifa_prefixlen = 30, .ifa_index = index };
	uint32_t wire = htonl(address);

	request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &a, sizeof a);
	attribute(IFA_LOCAL, &wire, sizeof wire);
	attribute(IFA_ADDRESS, &wire, sizeof wire);
}

int main(int argc, char **argv)
{
	int n = argc == 2 ? atoi(argv[1]) : 0;
	struct rlimit files;
	struct node *ring;
	double start, up, down;
	int home, i;

	if (n < 2) {
		fprintf(stderr, "usage: floor N\n");
		return 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		fail("getrlimit");
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		fail("setrlimit");
	ring = calloc(n, sizeof *ring);
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (ring == NULL || home < 0)
		fail("start");
	if (mkdir(names, 0755) < 0 && errno != EEXIST)
		fail(names);
	if (mount("tmpfs", names, "tmpfs", 0, NULL) < 0 || mount(NULL, names, NULL, MS_PRIVATE, NULL) < 0)
		fail(names);

	start = seconds();
	for (i = 0; i < n; i++)
		make_namespace(&ring[i], i);
	for (i = 0; i < n; i++)
		make_link(&ring[i], &ring[(i + 1) % n]);
	for (i = 0; i < n; i++) {
		/* In a new namespace lo is 1; of the two ends, which came first depends on i. */
		set_up("lo");
		set_up("left");
		set_up("right");
		add_address(2, 0x0a000000u + 4 * i + 1);
		add_address(3, 0x0b000000u + 4 * i + 2);
		carry_out(ring[i].sock);
	}
	up = seconds() - start;

	start = seconds();
	if (setns(home, CLONE_NEWNET) < 0)
		fail("setns");
	for (i = 0; i < n; i++) {
		close(ring[i].sock);
		close(ring[i].ns);
	}
	if (umount2(names, MNT_DETACH) < 0 || rmdir(names) < 0)
		fail(names);
	down = seconds() - start;

	printf("floor of %d: up %.3f s, down %.3f s\n", n, up, down);
	return 0;
}
