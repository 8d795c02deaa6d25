/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The link service's own state, shared by link*.c of this folder only.
 *
 *   link.c           packets in and out, floods, DHCP, router advertisements
 *   link_socket.c    the packet socket and its filter, the sinks
 *   link_dns.c       what is answered here, and what is asked of others
 *   link_forward.c   questions under way over UDP
 *   link_tcp.c       DNS over TCP
 *   link_resolvers.c whom the host asks
 */
#pragma once

#include <netinet/in.h>

#include "lib/acceptor.h"
#include "net/dhcp4.h"
#include "net/dns.h"
#include "net/frame.h"
#include "net/ra.h"
#include "serve/link.h"

#define LINK_FRAME_MAX 4096
#define LLMNR_PORT 5355

/* Answers a second, and as many at once; what is more is dropped. */
#define LINK_DHCP_PER_S 20
#define LINK_SOLICITATIONS_PER_S 10
#define LINK_DNS_PER_S 500
#define LINK_REVERSE_PER_S 50 /* each reads all files of names */

#define LINK_QUESTIONS_MAX 64
#define LINK_CONNECTIONS_MAX 8
#define LINK_TRIES_MAX 3
#define LINK_TRY_US (2 * USEC_PER_SEC)
#define LINK_IDLE_US (10 * USEC_PER_SEC)
#define LINK_ADVERTISE_US (30 * 60 * USEC_PER_SEC)
#define LINK_TTL_S 5

#define LINK_RESOLVERS_MAX 3 /* resolv.conf(5) */
#define LINK_RESOLVER_FILES 5
#define LINK_RESOLVERS_LOOK_US USEC_PER_SEC

/* A token bucket that holds a second's worth. */
struct link_bucket {
	uint32_t per_s;
	uint64_t full_us; /* monotonic: when it is full again */
};

bool link_bucket_take(struct link_bucket *bucket);

/* What a file looked like when it was read; all zero: not there. */
#define LINK_MARK_WORDS 7
struct link_file_mark {
	uint64_t words[LINK_MARK_WORDS];
};

struct link_resolvers {
	struct sockaddr_in6 servers[LINK_RESOLVERS_MAX]; /* or sockaddr_in: as their family says */
	size_t count;
	uint64_t look_us; /* monotonic: not before */
	struct link_file_mark marks[LINK_RESOLVER_FILES];
};

/* Whom a question came from, to answer it. */
struct link_client {
	struct net_address client, server;
	uint16_t port;
};

struct link_question;
struct link_connection;

struct link_service {
	struct event_loop *loop;
	struct net_lease lease;
	char machine[65];
	char address_link[IFNAMSIZ];
	uint8_t host_mac[ETH_ALEN], guest_mac[ETH_ALEN];
	struct net_address name_servers[DHCP4_NAME_SERVERS_MAX];
	size_t name_server_count;
	uint16_t mtu;
	struct net_address link_local; /* of address_link; none: not known yet */

	int fd; /* the packet socket */
	int sink_fds[2];
	struct event_timer advertise_timer;
	struct event_timer resume_timer;
	struct link_bucket dhcp, solicitations, dns, reverse;

	struct link_resolvers resolvers;
	struct link_question *questions[LINK_QUESTIONS_MAX];
	struct acceptor acceptors[2];
	struct link_connection *connections[LINK_CONNECTIONS_MAX];
};

/* link_resolvers.c: into *ret, of either family; its size. */
socklen_t link_socket_address(const struct net_address *address, uint16_t port,
			      struct sockaddr_in6 *ret);

/* link_socket.c: loud. */
int link_open_socket(const struct link_service *service, const char *link, int *ret_fd);
/* So that the host's own stack does not say "no such port" to what is answered here. Quiet. */
void link_open_sinks(struct link_service *service);

/* link.c: one UDP packet to the machine; dropped when it can't be sent now. */
void link_send_udp(struct link_service *service, const struct link_client *to, uint16_t from_port,
		   const uint8_t *data, size_t size);
/* The host's address on the link, which advertisements come from. */
struct net_address link_local_address(struct link_service *service);
/* What one packet to the machine can carry of UDP. */
size_t link_udp_room(const struct link_service *service, int family);

/* link_dns.c */
enum link_verdict {
	LINK_ANSWERED, /* *ret_size bytes of ret; 0: silence */
	LINK_FORWARD,  /* *ret_query is set */
};
/* `max` is what ret holds and the client takes at most, by UDP less where the query says so. */
enum link_verdict link_dns_decide(struct link_service *service, const uint8_t *data, size_t size,
				  bool is_udp, struct dns_query *ret_query, uint8_t *ret,
				  size_t max, size_t *ret_size);
void link_dns_on_packet(struct link_service *service, const struct frame_packet *packet);
/* RFC 4795, for systemd-resolved: it asks nobody else for names of one label. */
void link_dns_on_llmnr(struct link_service *service, const struct frame_packet *packet);
/* An answer of no content. Its size; ret has room for DNS_UDP_MIN. */
size_t link_dns_fail(const struct dns_query *query, const uint8_t *message, enum dns_rcode rcode,
		     uint8_t *ret);

/* link_forward.c: asks on; the answer comes later or never. */
void link_forward_ask(struct link_service *service, const struct link_client *client,
		      const struct dns_query *query, const uint8_t *data, size_t size);
void link_forward_done(struct link_service *service);

/* link_tcp.c: a port that somebody has is no error. */
int link_tcp_start(struct link_service *service);
void link_tcp_done(struct link_service *service);

/* link_resolvers.c: reads again what has changed. Their number. Quiet. */
size_t link_resolvers_look(struct link_service *service);
/* A socket connected to the server whose turn it is, or -errno. -EINPROGRESS is not an error. */
int link_resolvers_connect(struct link_service *service, unsigned attempt, int type);
/* A server that can't or won't: another one may. `tries` have been made. */
bool link_resolvers_try_another(const struct link_service *service, unsigned tries, int rcode);
/* A random number for a question. 0 or -errno. */
int link_random_id(uint16_t *ret);
