/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the kernel's packet filter does for one machine: tables `inet redd-NAME` and `netdev
 * redd-NAME`, made over netlink without nft. They belong to the socket that made them
 * (NFT_TABLE_F_OWNER): nobody else changes them, nor flushes them. Each set is one transaction.
 * Quiet. Supervisor's side.
 *
 * inet    nat, prerouting and output: forwarded ports, to any local address or the one bound
 *         nat, postrouting: masquerades what leaves for elsewhere, what comes from 127.0.0.0/8, and
 *         what a machine sends to itself or to a neighbour of its zone by a forwarded port
 * netdev  ingress of the link: drops other sources than the machine's (hardware, ARP, IPv4, IPv6),
 *         tagged frames, anything for 127.0.0.0/8, and what the supervisor answers itself (DHCP,
 *         DNS)
 *
 * Whatever ends the supervisor, the kernel removes the inet table then: nobody is led to a machine
 * that isn't supervised, and that the table is there says that the supervisor lives. What confines
 * the machine outlives the supervisor, because the machine may: the netdev table persists
 * (Linux 6.9), or has a twin without an owner, `netdev redd-NAME/kept`. Both are marked by their
 * comment, "redd:NAME", and removed by firewall_clean().
 */
#pragma once

#include <netinet/if_ether.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cleanup.h"
#include "net/address.h"
#include "net/port.h"

struct firewall_rules {
	const char *machine;
	const char *link; /* ve-NAME or vb-NAME; NULL: none (macvlan, joined namespace) */
	bool masquerade;  /* of subnet4 and subnet6 */
	struct net_prefix subnet4, subnet6;
	/* The link is the machine's alone and has route_localnet: 127.0.0.0/8 is translated, too.
	 * Otherwise the listening proxy serves it, as it does ::1. */
	bool translates_loopback;
	bool check_source;
	bool vlans;  /* the link may carry frames with VLAN tags */
	bool serves; /* the supervisor answers DHCP, router solicitations and DNS on the link */
	uint8_t guest_mac[ETH_ALEN];
	struct net_address guest4, guest6; /* leased; none: unknown, not checked */
	struct net_address host4, host6;
	/* Where ports lead to; none: that family's are not forwarded. */
	struct net_address target4, target6;
	const struct net_port *ports;
	size_t port_count;
};

/* A socket for one machine, or -errno: -EPROTONOSUPPORT, -EOPNOTSUPP where the kernel has no
 * nf_tables. */
int firewall_open(void);
/*
 * Replaces what this socket had set by these rules, as a whole; connections live on. The link must
 * exist (-ENODEV; since Linux 6.16 the rules wait for it). -EPERM: tables of this name belong to
 * another socket. -EOPNOTSUPP: the kernel lacks translation for both families (CONFIG_NFT_NAT,
 * NF_TABLES_INET), addresses' kinds (NFT_FIB_INET), or chains on a link (NF_TABLES_NETDEV).
 */
int firewall_set(int firewall, const struct firewall_rules *rules);
/*
 * Removes what was set for the machine, whose link is gone, and closes the socket, which waits for
 * a grace period of the kernel, some 10 ms. 0, or -errno: firewall_clean() will remove the rest.
 */
int firewall_close(int firewall, const char *machine);
/*
 * Removes what outlived the supervisors of machines that are not alive. Their links must be gone,
 * or the host is open to them. 0, or -errno when something is left.
 */
int firewall_clean(bool (*is_alive)(const char *machine));

/*
 * A supervisor in this network namespace has set rules for the machine, and lives: also one whose
 * /run is another than ours.
 */
bool firewall_is_set(const char *machine);

/*
 * Others' rules that would drop what is forwarded between the machine and the world. What a rule of
 * ours in their tables can mend has been mended by firewall_open_others(): two at the head of
 * iptables' FORWARD (and Docker's DOCKER-USER) for the machine's link, removed by
 * firewall_close_others() and firewall_clean_others(). They are set only where that chain drops
 * what the machine needs, and let no more in than answers and forwarded ports.
 */
struct firewall_blocker {
	char *what; /* "firewalld", "chain FORWARD of table ip filter (policy drop)": for a sentence
		     */
	char *mend; /* one command that fixes it, or NULL */
};

void firewall_blocker_done(struct firewall_blocker *blocker);
/* `link` is the interface that routes to the machine: ve-NAME, or vz-ZONE. 0, or -errno. */
int firewall_open_others(const char *machine, const char *link);
int firewall_close_others(const char *machine);
/* Removes such rules of machines that don't run; is_alive tells. */
void firewall_clean_others(bool (*is_alive)(const char *machine));
/*
 * 1 and *ret when something still blocks, 0 when nothing is known to, -errno. Who has no ports
 * isn't told that they would not be reached.
 */
int firewall_find_blocker(const char *link, bool has_ports, struct firewall_blocker *ret);
