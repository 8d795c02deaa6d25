/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The link service alone, for tests/system/test_link_service.py: serves on an existing link until
 * its standard input is closed. Not installed.
 *
 *     link-service MACHINE LINK ADDRESS-LINK HOST-MAC GUEST-MAC
 *                  SUBNET4 HOST4 GUEST4 SUBNET6 HOST6 GUEST6 [no-filter] [NAME-SERVER...]
 *
 * "-" stands for no address. Prints "ready" when it serves.
 */
#include <netinet/ether.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/macro.h"
#include "lib/str.h"
#include "serve/link.h"

#define NAME_SERVERS_MAX 8

enum argument {
	MACHINE = 1,
	LINK,
	ADDRESS_LINK,
	HOST_MAC,
	GUEST_MAC,
	SUBNET4,
	HOST4,
	GUEST4,
	SUBNET6,
	HOST6,
	GUEST6,
	MORE,
};

static struct net_prefix prefix_of(const char *text)
{
	struct net_prefix prefix = {};

	if (!streq(text, "-") && net_prefix_parse(text, &prefix) < 0)
		exit(2);
	return prefix;
}

static int on_stdin(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	char buffer[256];

	if (read(fd, buffer, sizeof(buffer)) <= 0)
		event_exit(loop, 0);
	return 0;
}

static int serve(const struct link_service_options *options)
{
	struct event_loop *loop = NULL;
	struct link_service *service = NULL;
	int r;

	if (event_loop_new(&loop) < 0 || event_add_fd(loop, 0, EPOLLIN, on_stdin, NULL) < 0)
		return 1;
	r = link_service_new(loop, options, &service);
	if (r >= 0) {
		puts("ready");
		(void)fflush(stdout);
		r = event_run(loop);
	}
	link_service_free(service);
	event_loop_free(loop);
	return r < 0;
}

int main(int argc, char *argv[])
{
	struct net_address name_servers[NAME_SERVERS_MAX];
	struct link_service_options options = {};
	struct ether_addr host_mac, guest_mac;
	struct net_lease lease = {};

	if (argc < MORE || !ether_aton_r(argv[HOST_MAC], &host_mac) ||
	    !ether_aton_r(argv[GUEST_MAC], &guest_mac))
		return 2;
	lease.subnet4 = prefix_of(argv[SUBNET4]);
	lease.host4 = prefix_of(argv[HOST4]).address;
	lease.guest4 = prefix_of(argv[GUEST4]).address;
	lease.subnet6 = prefix_of(argv[SUBNET6]);
	lease.host6 = prefix_of(argv[HOST6]).address;
	lease.guest6 = prefix_of(argv[GUEST6]).address;
	options = (struct link_service_options){
		.machine = argv[MACHINE],
		.link = argv[LINK],
		.address_link = argv[ADDRESS_LINK],
		.host_mac = host_mac.ether_addr_octet,
		.guest_mac = guest_mac.ether_addr_octet,
		.lease = &lease,
	};
	for (int i = MORE; i < argc; i++) {
		if (streq(argv[i], "no-filter")) {
			options.has_no_filter = true;
		} else if (options.name_server_count < NAME_SERVERS_MAX) {
			name_servers[options.name_server_count++] = prefix_of(argv[i]).address;
			options.name_servers = name_servers;
		}
	}
	return serve(&options);
}
