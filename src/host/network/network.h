/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For the files of this folder only: the host's links, and the steps of making a machine's network.
 * Quiet unless it says "loud". Supervisor's side.
 */
#pragma once

#include "host/host.h"
#include "kernel/rtnl.h"

/* Records that outlive a supervisor; empty when no machine runs. */
#define NETWORK_DIR "/run/redd/network"

/* IFLA_IFALIAS of what we make: "redd:MACHINE", and "redd-zone:ZONE" for its bridge. */
#define NETWORK_ALIAS_MACHINE "redd:"
#define NETWORK_ALIAS_ZONE "redd-zone:"
#define NETWORK_ALIAS_MAX 80

struct network_link {
	int index;
	char name[IFNAMSIZ];
	char kind[16];		       /* "veth", "bridge" …; "" for hardware */
	char alias[NETWORK_ALIAS_MAX]; /* IFLA_IFALIAS, cut */
	unsigned flags;		       /* IFF_… */
	int bridge;		       /* index of what it is a port of, or 0 */
	uint32_t mtu;
	uint8_t mac[ETH_ALEN];
	int forwards4; /* 0, 1, -1 not known */
};

struct network_address {
	int link;
	struct net_prefix prefix;
};

/* network_look.c: questions */

/* By name or alternative name. 0, -ENODEV, -errno. */
int network_find_link(int rtnl, const char *name, struct network_link *ret);
/* All; the caller frees. 0 or -errno. */
int network_list_links(int rtnl, struct network_link **ret, size_t *ret_count);
int network_list_addresses(int rtnl, struct network_address **ret, size_t *ret_count);
/* Made by redd, for a machine or a zone. */
bool network_link_is_ours(const struct network_link *link);
/* Whether the interface with that index belongs to the host, loopback not counted; in doubt it
 * does. */
bool network_is_of_host(unsigned index);
/* Routes and addresses of the host, without default routes and without our own links'. */
int network_list_in_use(int rtnl, struct net_prefix **ret, size_t *ret_count);
/* "eth0, wlan0", bounded; a new string or NULL. */
char *network_describe_links(int rtnl);

/* network_state.c: files below NETWORK_DIR */

/* Opens NETWORK_DIR (made), with its one lock held in *ret_lock. Descriptor or -errno. */
int network_lock(int *ret_lock);
/* Does a supervisor of that name live? */
bool network_is_alive(const char *machine);
/* Enters the network namespace for the time of one call: a netlink socket of it. Descriptor or
 * -errno. */
int network_open_socket_in(int netns, int protocol);
/* The same for a file of /proc/sys/net. 0 or -errno. */
int network_write_in(int netns, const char *path, const char *text);
/* The namespace of a process. Descriptor or -errno. */
int network_open_netns_of(pid_t pid);

/* network_networkd.c */

/* systemd-networkd runs in this network namespace and has the .network file of that name. */
bool network_is_managed(const char *file);

/* network_facts.c */

/* Opens the network namespace that the spec names, into its slot, and our own. Loud. */
int network_open_given(struct host *host);
/* Loud. Everything in facts.network. */
int network_find_facts(struct host *host);
/* The spec's static addresses over the lease. Pure. */
void network_apply_static(const struct spec *spec, bool is_ours, struct host_network *network);
/* One line for people. Pure. */
const char *network_describe(const struct spec *spec, const struct host_facts *facts,
			     struct plan *plan);

/* network_link.c: changes of links */

/* The link of that name when it was made for `machine`. */
bool network_remove_own(int rtnl, const char *machine, const char *name);
int network_make_host0(int rtnl, const struct host *host, const struct network_link *bridge);
int network_make_veth(int rtnl, const struct host *host, const struct spec_link *link,
		      uint64_t number);
/* macvlan or ipvlan: stands in the machine at once. */
int network_make_vlan(int rtnl, const struct host *host, const struct spec_link *link,
		      uint64_t number);
int network_set_alias(int rtnl, int index, const char *prefix, const char *name);
int network_remove_link(int rtnl, int index);
int network_set_up(int rtnl, int index);
/* IPv4 setting IPV4_DEVCONF_… of an interface: over netlink, also where /proc/sys is read-only. */
int network_set_conf4(int rtnl, int index, uint16_t which, uint32_t value);

/* network_zone.c */

/* Makes the bridge of the zone where it is missing. To be called with the lock held. Loud. */
int network_make_zone(int rtnl, const struct host *host, struct network_link *ret);
/* Removes the bridge when we made it and it has no port any more. Takes the lock. Quiet. */
int network_leave_zone(int rtnl, const char *bridge);

/* network_address.c */

int network_add_address(int rtnl, int link, const struct net_address *address, uint8_t length);
/* host0: addresses and routes. Loud. */
int network_configure_guest(const struct host *host);
/* The host's end of it. Loud. */
int network_configure_host(int rtnl, const struct host *host);

/* network_forward.c */

/* Lets the host forward for the machine; loud where something does not work. Never fails. */
void network_forward_begin(int rtnl, const char *machine, bool has_ipv6);
/* `machine` needs it no more; the last gives the host's settings back. Quiet. */
int network_forward_end(const char *machine);
/* Of the machines that don't live. */
void network_forward_clean(void);
/* What a link to a guest must and must not do, of IPv6: no advertisements are taken from it. */
int network_forward_link6(const char *link, bool forwards);

/* network_moved.c: interfaces that are lent to a machine */

/* Moves all of the spec's; remembers where they came from. Loud. */
int network_lend_links(int rtnl, struct host *host);
/* Gives back what was lent to `machine`; what can't be is said, and stays on record. */
int network_return_links(const char *machine);
/* Of the machines that don't live. */
void network_return_clean(void);

/* network_wifi.c */

/* The radio that an interface (number `index` in namespace `netns`, -1: here) belongs to, with all
 * its interfaces. -EINVAL when it belongs to none. */
int network_move_radio(int netns, int index, int to);
