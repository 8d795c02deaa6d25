/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The packet socket of a machine's link. Its filter runs in the kernel and passes only packets that
 * the supervisor answers, so that other traffic never wakes it. Supervisor's side.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "log/log.h"
#include "net/wire.h"
#include "serve/link_internal.h"

/* Offsets from the frame's start; those of ports hold for headers without options. */
enum offset {
	AT_SOURCE_MAC = 6,
	AT_KIND = 12,
	AT_IP4 = 14,
	AT_IP4_FRAGMENT = 20,
	AT_IP4_PROTOCOL = 23,
	AT_IP4_DESTINATION = 30,
	AT_UDP_DESTINATION = 2,
	AT_IP6_NEXT = 20,
	AT_IP6_DESTINATION = 38,
	AT_IP6_PORT = 56,
	AT_ICMP6_TYPE = 54,
};

#define ROUTER_SOLICITATION 133
#define REJECT 0xff /* a jump to the end, until finish() knows how far it is */
#define FILTER_MAX 64

/* RFC 4795, 2.4 */
static const struct net_address llmnr_group4 = {.family = AF_INET, .bytes = {224, 0, 0, 252}};
static const struct net_address llmnr_group6 = {.family = AF_INET6,
						.bytes = {0xff, 2, [13] = 1, [15] = 3}};

struct filter {
	struct sock_filter ops[FILTER_MAX];
	size_t count;
};

static void add(struct filter *filter, struct sock_filter op)
{
	filter->ops[filter->count++] = op;
}

static void load(struct filter *filter, uint16_t size, uint32_t at)
{
	add(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_ABS | size, at));
}

static void want(struct filter *filter, uint32_t value)
{
	add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, REJECT));
}

static void accept_frame(struct filter *filter)
{
	add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX));
}

/* Unless the loaded value is this one, jumps to where mark_else() was called. */
static size_t begin_if(struct filter *filter, uint32_t value)
{
	want(filter, value);
	return filter->count - 1;
}

static void mark_else(struct filter *filter, size_t jump)
{
	filter->ops[jump].jf = (uint8_t)(filter->count - jump - 1);
}

static void want_address(struct filter *filter, uint32_t at, const struct net_address *address)
{
	for (size_t i = 0; i < net_address_size(address); i += 4) {
		load(filter, BPF_W, at + (uint32_t)i);
		want(filter, wire_get32(address->bytes + i));
	}
}

static void reject_frame(struct filter *filter)
{
	add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0));
}

/* LLMNR to its group. The port is loaded. */
static void accept_llmnr(struct filter *filter, uint32_t at, const struct net_address *group)
{
	size_t other = begin_if(filter, LLMNR_PORT);

	want_address(filter, at, group);
	accept_frame(filter);
	mark_else(filter, other);
}

/* DHCP, LLMNR, and DNS to the host's address. */
static void add_ip4(struct filter *filter, const struct net_lease *lease)
{
	size_t dhcp;

	load(filter, BPF_B, AT_IP4_PROTOCOL);
	want(filter, IPPROTO_UDP);
	load(filter, BPF_H, AT_IP4_FRAGMENT);
	add(filter, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x3fff));
	want(filter, 0);
	add(filter, (struct sock_filter)BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, AT_IP4));
	add(filter,
	    (struct sock_filter)BPF_STMT(BPF_LD | BPF_H | BPF_IND, AT_IP4 + AT_UDP_DESTINATION));
	dhcp = begin_if(filter, DHCP4_SERVER_PORT);
	accept_frame(filter);
	mark_else(filter, dhcp);
	accept_llmnr(filter, AT_IP4_DESTINATION, &llmnr_group4);
	want(filter, DNS_PORT);
	want_address(filter, AT_IP4_DESTINATION, &lease->host4);
	accept_frame(filter);
}

/* Router solicitations, LLMNR, and DNS to the host's address. */
static void add_ip6(struct filter *filter, const struct net_lease *lease)
{
	size_t icmp6;

	load(filter, BPF_B, AT_IP6_NEXT);
	icmp6 = begin_if(filter, IPPROTO_ICMPV6);
	load(filter, BPF_B, AT_ICMP6_TYPE);
	want(filter, ROUTER_SOLICITATION);
	accept_frame(filter);
	mark_else(filter, icmp6);
	want(filter, IPPROTO_UDP);
	load(filter, BPF_H, AT_IP6_PORT);
	accept_llmnr(filter, AT_IP6_DESTINATION, &llmnr_group6);
	want(filter, DNS_PORT);
	want_address(filter, AT_IP6_DESTINATION, &lease->host6);
	accept_frame(filter);
}

static void add_family(struct filter *filter, uint16_t kind, const struct net_address *host,
		       void (*fn)(struct filter *filter, const struct net_lease *lease),
		       const struct net_lease *lease)
{
	size_t other;

	if (!net_address_is_set(host))
		return;
	load(filter, BPF_H, AT_KIND);
	other = begin_if(filter, kind);
	fn(filter, lease);
	reject_frame(filter);
	mark_else(filter, other);
}

static void finish(struct filter *filter)
{
	reject_frame(filter);
	for (size_t i = 0; i < filter->count; i++)
		if (BPF_CLASS(filter->ops[i].code) == BPF_JMP && filter->ops[i].jf == REJECT)
			filter->ops[i].jf = (uint8_t)(filter->count - i - 2);
}

static void make_filter(const struct link_service *service, struct filter *ret)
{
	*ret = (struct filter){};
	/* A VLAN inside the link is another network; the kernel keeps its tag apart. */
	load(ret, BPF_B, (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT));
	want(ret, 0);
	load(ret, BPF_W, AT_SOURCE_MAC);
	want(ret, wire_get32(service->guest_mac));
	load(ret, BPF_H, AT_SOURCE_MAC + 4);
	want(ret, wire_get16(service->guest_mac + 4));
	add_family(ret, ETH_P_IP, &service->lease.host4, add_ip4, &service->lease);
	add_family(ret, ETH_P_IPV6, &service->lease.host6, add_ip6, &service->lease);
	finish(ret);
}

/*
 * Set before bind(), when the socket has no protocol and thus gets no packets yet. Bypasses the
 * link's queues: they drop everything for up to a second after the link came up, and a client whose
 * request is lost repeats it only after several seconds.
 */
static int set_up_socket(int fd, const struct link_service *service, unsigned index)
{
	struct filter filter;
	struct sock_fprog program = {.filter = filter.ops};
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
				      .sll_protocol = htons(ETH_P_ALL),
				      .sll_ifindex = (int)index};
	int on = 1;

	make_filter(service, &filter);
	program.len = (unsigned short)filter.count;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return 0;
}

int link_open_socket(const struct link_service *service, const char *link, int *ret_fd)
{
	unsigned index = if_nametoindex(link);
	autoclose int fd = -1;
	int r;

	if (index == 0)
		return log_errno(-errno, "find link %s to serve machine %s on it", link,
				 service->machine);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = fd < 0 ? -errno : set_up_socket(fd, service, index);
	if (r < 0)
		return log_errno(r, "open a packet socket on %s to serve machine %s", link,
				 service->machine);
	*ret_fd = take_fd(&fd);
	return 0;
}

static int open_sink(const struct link_service *service, const struct net_address *host)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = {.len = 1, .filter = &nothing};
	struct sockaddr_in6 address;
	socklen_t size = link_socket_address(host, DNS_PORT, &address);
	autoclose int fd = socket(host->family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;

	/* The address may still be tentative (duplicate address detection). */
	if (fd < 0 || setsockopt(fd, SOL_IP, IP_FREEBIND, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, service->address_link,
		       (socklen_t)strlen(service->address_link)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, size) < 0)
		return -1;
	return take_fd(&fd);
}

void link_open_sinks(struct link_service *service)
{
	if (net_address_is_set(&service->lease.host4))
		service->sink_fds[0] = open_sink(service, &service->lease.host4);
	if (net_address_is_set(&service->lease.host6))
		service->sink_fds[1] = open_sink(service, &service->lease.host6);
}
