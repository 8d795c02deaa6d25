/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The service on a machine's link: packets in and out, floods, DHCP and router advertisements. It
 * must never block on the machine, allocate because of it, or answer anybody else. Supervisor's
 * side.
 */
#include "serve/link.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "lib/macro.h"
#include "lib/time.h"
#include "log/log.h"
#include "serve/link_internal.h"

#define PACKETS_AT_ONCE 64
/* The kernel drops a flood, and charges the time to the machine. */
#define FLOOD_PACKETS 32
#define FLOOD_PAUSE_US (20 * USEC_PER_MSEC)
#define TTL 64
#define HOP_LIMIT_ON_LINK 255
#define MTU_MIN 576

bool link_bucket_take(struct link_bucket *bucket)
{
	uint64_t now_us = time_monotonic_us();
	uint64_t one_us = USEC_PER_SEC / bucket->per_s;
	uint64_t full_us = MAX(bucket->full_us, now_us) + one_us;

	if (full_us > now_us + USEC_PER_SEC)
		return false;
	bucket->full_us = full_us;
	return true;
}

size_t link_udp_room(const struct link_service *service, int family)
{
	return MIN((size_t)service->mtu, (size_t)LINK_FRAME_MAX) - (family == AF_INET ? 20u : 40u) -
	       8u;
}

static void send_packet(struct link_service *service, struct frame_packet *packet,
			const uint8_t destination_mac[ETH_ALEN])
{
	uint8_t frame[LINK_FRAME_MAX + FRAME_HEADERS_MAX];
	ssize_t size;

	memcpy(packet->source_mac, service->host_mac, ETH_ALEN);
	memcpy(packet->destination_mac, destination_mac, ETH_ALEN);
	size = frame_build(packet, frame, sizeof(frame));
	/* The link is down or its queue is full: the packet is lost, and the client asks again. */
	if (size > 0)
		(void)send(service->fd, frame, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void link_send_udp(struct link_service *service, const struct link_client *to, uint16_t from_port,
		   const uint8_t *data, size_t size)
{
	static const uint8_t everybody[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	bool is_broadcast =
		to->client.family == AF_INET && to->client.v4.s_addr == INADDR_BROADCAST;
	struct frame_packet packet = {
		.source = to->server,
		.destination = to->client,
		.protocol = IPPROTO_UDP,
		.hop_limit = TTL,
		.source_port = from_port,
		.destination_port = to->port,
		.payload = data,
		.size = size,
	};

	send_packet(service, &packet, is_broadcast ? everybody : service->guest_mac);
}

/* The kernel derives it from the hardware address by default. */
static struct net_address link_local_of(const uint8_t mac[ETH_ALEN])
{
	struct net_address address = {.family = AF_INET6, .bytes = {0xfe, 0x80}};

	memcpy(address.bytes + 8, mac, 3);
	address.bytes[8] ^= 2;
	address.bytes[11] = 0xff;
	address.bytes[12] = 0xfe;
	memcpy(address.bytes + 13, mac + 3, 3);
	return address;
}

/* The router's address, which must be one that the host answers to. */
struct net_address link_local_address(struct link_service *service)
{
	struct ifaddrs *all = NULL;

	if (net_address_is_set(&service->link_local))
		return service->link_local;
	if (getifaddrs(&all) < 0)
		return link_local_of(service->host_mac);
	for (struct ifaddrs *one = all; one; one = one->ifa_next) {
		const struct sockaddr_in6 *address = (const void *)one->ifa_addr;

		if (!address || address->sin6_family != AF_INET6 ||
		    strcmp(one->ifa_name, service->address_link) != 0 ||
		    !IN6_IS_ADDR_LINKLOCAL(&address->sin6_addr))
			continue;
		service->link_local.family = AF_INET6;
		service->link_local.v6 = address->sin6_addr;
		break;
	}
	freeifaddrs(all);
	return net_address_is_set(&service->link_local) ? service->link_local
							: link_local_of(service->host_mac);
}

static void send_advertisement(struct link_service *service, const struct net_address *to)
{
	static const uint8_t all_nodes_mac[ETH_ALEN] = {0x33, 0x33, 0, 0, 0, 1};
	static const struct net_address all_nodes = {.family = AF_INET6,
						     .bytes = {0xff, 0x02, [15] = 1}};
	struct ra_config config = {
		.prefix = service->lease.subnet6,
		.name_servers = service->name_servers,
		.name_server_count = service->name_server_count,
		.mtu = service->mtu,
	};
	uint8_t message[RA_MESSAGE_MAX];
	struct frame_packet packet = {
		.source = link_local_address(service),
		.destination = to ? *to : all_nodes,
		.protocol = IPPROTO_ICMPV6,
		.hop_limit = HOP_LIMIT_ON_LINK,
		.payload = message,
	};

	memcpy(config.router_mac, service->host_mac, ETH_ALEN);
	packet.size = ra_build(&config, message);
	send_packet(service, &packet, to ? service->guest_mac : all_nodes_mac);
}

static void on_dhcp(struct link_service *service, const struct frame_packet *packet)
{
	struct dhcp4_config config = {
		.server = service->lease.host4,
		.client = service->lease.guest4,
		.prefix_length = service->lease.subnet4.length,
		.name_server_count = service->name_server_count,
		.host_name = service->machine,
		.mtu = service->mtu,
	};
	struct link_client to = {.server = service->lease.host4, .port = DHCP4_CLIENT_PORT};
	uint8_t answer[DHCP4_MESSAGE_MAX];
	struct dhcp4_request request;
	size_t size;

	memcpy(config.client_mac, service->guest_mac, ETH_ALEN);
	memcpy(config.name_servers, service->name_servers, sizeof(config.name_servers));
	if (dhcp4_parse(packet->payload, packet->size, &request) < 0)
		return;
	size = dhcp4_answer(&config, &request, answer, &to.client);
	if (size == 0)
		return;
	/*
	 * systemd-networkd throws away both addresses that host0 has and asks for IPv4 at once, for
	 * IPv6 only after half a second to one and a half: the machine would be ready without it.
	 * First, so that both are there when the client says that it is done.
	 */
	if (net_address_is_set(&service->lease.host6))
		send_advertisement(service, NULL);
	link_send_udp(service, &to, DHCP4_SERVER_PORT, answer, size);
}

static void on_solicitation(struct link_service *service, const struct frame_packet *packet)
{
	if (ra_check_solicitation(packet) < 0)
		return;
	send_advertisement(service,
			   IN6_IS_ADDR_LINKLOCAL(&packet->source.v6) ? &packet->source : NULL);
}

static int on_advertise_timer(struct event_loop *loop, void *userdata)
{
	struct link_service *service = userdata;

	send_advertisement(service, NULL);
	event_arm_timer(loop, &service->advertise_timer, time_monotonic_us() + LINK_ADVERTISE_US);
	return 0;
}

/* False when the limit is exceeded. */
static bool handle_packet(struct link_service *service, const struct frame_packet *packet)
{
	const struct {
		uint8_t protocol;
		uint16_t port;
		struct link_bucket *bucket;
		void (*fn)(struct link_service *service, const struct frame_packet *packet);
	} kinds[] = {
		{IPPROTO_UDP, DNS_PORT, &service->dns, link_dns_on_packet},
		{IPPROTO_UDP, LLMNR_PORT, &service->dns, link_dns_on_llmnr},
		{IPPROTO_UDP, DHCP4_SERVER_PORT, &service->dhcp, on_dhcp},
		{IPPROTO_ICMPV6, 0, &service->solicitations, on_solicitation},
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].protocol != packet->protocol ||
		    kinds[i].port != packet->destination_port)
			continue;
		if (!link_bucket_take(kinds[i].bucket))
			return false;
		kinds[i].fn(service, packet);
	}
	return true;
}

static bool has_checksum(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
		if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA) {
			struct tpacket_auxdata aux;

			memcpy(&aux, CMSG_DATA(c), sizeof(aux));
			return !(aux.tp_status & TP_STATUS_CSUMNOTREADY);
		}
	return true;
}

/* 1, or 0 for one packet too many, or -errno when there is none. */
static int receive_packet(struct link_service *service)
{
	uint8_t frame[LINK_FRAME_MAX];
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	} control;
	struct iovec iov = {.iov_base = frame, .iov_len = sizeof(frame)};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	struct frame_packet packet;
	ssize_t size = recvmsg(service->fd, &message, MSG_DONTWAIT);

	if (size < 0)
		return -errno;
	if ((message.msg_flags & MSG_TRUNC) ||
	    frame_parse(frame, (size_t)size, has_checksum(&message), &packet) < 0 ||
	    memcmp(packet.source_mac, service->guest_mac, ETH_ALEN) != 0)
		return 0;
	return handle_packet(service, &packet);
}

static int on_resume_timer(struct event_loop *loop, void *userdata)
{
	struct link_service *service = userdata;

	return event_change_fd(loop, service->fd, EPOLLIN);
}

static int on_packets(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct link_service *service = userdata;
	unsigned dropped = 0;

	for (unsigned i = 0; i < PACKETS_AT_ONCE; i++) {
		int r = receive_packet(service);

		/* ENETDOWN comes once and is over when the link is up again. */
		if (r < 0)
			break;
		dropped += r == 0;
	}
	if (dropped < FLOOD_PACKETS)
		return 0;
	event_arm_timer(loop, &service->resume_timer, time_monotonic_us() + FLOOD_PAUSE_US);
	return event_change_fd(loop, fd, 0);
}

/* The name servers that the machine is told. */
static void set_name_servers(struct link_service *service,
			     const struct link_service_options *options)
{
	const struct net_address own[] = {service->lease.host4, service->lease.host6};
	const struct net_address *from = options->name_servers;
	size_t count = from ? options->name_server_count : ARRAY_SIZE(own);

	if (!from)
		from = own;
	for (size_t i = 0; i < count && i < DHCP4_NAME_SERVERS_MAX; i++)
		if (net_address_is_set(&from[i]))
			service->name_servers[service->name_server_count++] = from[i];
}

static int read_mtu(struct link_service *service, const char *link)
{
	struct ifreq request = {};

	(void)strncpy(request.ifr_name, link, IFNAMSIZ - 1);
	if (ioctl(service->fd, SIOCGIFMTU, &request) < 0)
		return log_errno(-errno, "read the MTU of %s", link);
	/* RFC 791: every host accepts datagrams of this size. */
	service->mtu = (uint16_t)MAX(MIN(request.ifr_mtu, UINT16_MAX), MTU_MIN);
	return 0;
}

static int service_start(struct link_service *service, const char *link)
{
	int r = link_open_socket(service, link, &service->fd);

	if (r >= 0)
		r = read_mtu(service, link);
	if (r < 0)
		return r;
	r = event_add_fd(service->loop, service->fd, EPOLLIN, on_packets, service);
	if (r >= 0)
		r = link_tcp_start(service);
	if (r < 0)
		return log_errno(r, "serve machine %s on %s", service->machine, link);
	if (net_address_is_set(&service->lease.host6))
		event_arm_timer(service->loop, &service->advertise_timer, time_monotonic_us());
	return 0;
}

static void service_init(struct link_service *service, struct event_loop *loop,
			 const struct link_service_options *options)
{
	*service = (struct link_service){
		.loop = loop,
		.lease = *options->lease,
		.fd = -1,
		.sink_fds = {-1, -1},
		.acceptors = {{.fd = -1}, {.fd = -1}},
		.advertise_timer = {.due_us = USEC_INFINITY, .fn = on_advertise_timer},
		.resume_timer = {.due_us = USEC_INFINITY, .fn = on_resume_timer},
		.dhcp.per_s = LINK_DHCP_PER_S,
		.solicitations.per_s = LINK_SOLICITATIONS_PER_S,
		.dns.per_s = LINK_DNS_PER_S,
		.reverse.per_s = LINK_REVERSE_PER_S,
	};
	service->advertise_timer.userdata = service->resume_timer.userdata = service;
	(void)strncpy(service->machine, options->machine, sizeof(service->machine) - 1);
	(void)strncpy(service->address_link, options->address_link, IFNAMSIZ - 1);
	memcpy(service->host_mac, options->host_mac, ETH_ALEN);
	memcpy(service->guest_mac, options->guest_mac, ETH_ALEN);
	set_name_servers(service, options);
}

int link_service_new(struct event_loop *loop, const struct link_service_options *options,
		     struct link_service **ret)
{
	struct link_service *service = malloc(sizeof(*service));
	int r;

	if (!service)
		return log_oom();
	service_init(service, loop, options);
	r = service_start(service, options->link);
	if (r < 0) {
		link_service_free(service);
		return r;
	}
	if (options->has_no_filter)
		link_open_sinks(service);
	*ret = service;
	return 0;
}

void link_service_free(struct link_service *service)
{
	if (!service)
		return;
	event_disarm_timer(service->loop, &service->advertise_timer);
	event_disarm_timer(service->loop, &service->resume_timer);
	link_forward_done(service);
	link_tcp_done(service);
	if (service->fd >= 0) {
		event_remove_fd(service->loop, service->fd);
		(void)close(service->fd);
	}
	for (size_t i = 0; i < ARRAY_SIZE(service->sink_fds); i++)
		if (service->sink_fds[i] >= 0)
			(void)close(service->sink_fds[i]);
	free(service);
}
