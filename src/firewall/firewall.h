/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's packet filter for one machine: tables `inet redd-NAME` and `netdev redd-NAME`, made
 * over netlink without nft. They belong to the socket that made them (NFT_TABLE_F_OWNER), so that
 * nobody else changes or flushes them. Each set is one transaction. Quiet. Supervisor's side.
 *
 * inet    nat, prerouting and output: forwarded ports, to any local address or the one bound
 *         nat, postrouting: masquerades what leaves for elsewhere, what comes from 127.0.0.0/8, and
 *         what a machine sends to itself or to a neighbour of its zone by a forwarded port
 * netdev  ingress of the link: drops other sources than the machine's (hardware, ARP, IPv4, IPv6),
 *         tagged frames, anything for 127.0.0.0/8, and what the supervisor answers itself (DHCP,
 *         DNS)
 *
 * However the supervisor ends, the kernel then removes the inet table: nobody is led to a machine
 * without a supervisor, and an existing table proves that the supervisor lives. The rules that
 * confine the machine outlive the supervisor, because the machine may: the netdev table persists
 * (Linux 6.9), or has a twin without an owner, `netdev redd-NAME/kept`. Both are marked by their
 * comment, "redd:NAME", and removed by firewall_clean().
 */
#pragma once

#include <netinet/if_ether.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/cleanup.h"
#include "net/address.h"
#include "net/port.h"

/* The chains of iptables-nft where an accept of ours can be needed. */
enum firewall_others_chain {
	FIREWALL_OTHERS_FORWARD4 = 1 << 0,
	FIREWALL_OTHERS_FORWARD6 = 1 << 1,
	FIREWALL_OTHERS_DOCKER4 = 1 << 2, /* DOCKER-USER, which Docker jumps to first */
	FIREWALL_OTHERS_DOCKER6 = 1 << 3,
};

/* Everything that the rules of a machine depend on. */
struct firewall_config {
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
	/* The interface that routes to the machine, ve-NAME or vz-ZONE, and the chains of others
	 * (bits) that must accept what is forwarded by it. Those rules are added, never replaced.
	 */
	const char *route_link;
	unsigned accept_in;
};

/* One line for each rule, and for each port without one. 0 or -ENOMEM. */
int firewall_print(const struct firewall_config *config, FILE *out);

/* A socket for one machine, or -errno: -EPROTONOSUPPORT, -EOPNOTSUPP where the kernel has no
 * nf_tables. */
int firewall_open(void);
/*
 * Replaces all rules that this socket had set in the machine's own tables, and adds those in
 * others' chains, in one transaction; connections live on. The link must exist (-ENODEV; since
 * Linux 6.16 the rules wait for it). -EPERM: tables of this name belong to another socket.
 * -EOPNOTSUPP: the kernel lacks translation for both families (CONFIG_NFT_NAT, NF_TABLES_INET),
 * addresses' kinds (NFT_FIB_INET), or chains on a link (NF_TABLES_NETDEV).
 */
int firewall_set(int firewall, const struct firewall_config *config);
/*
 * Removes what was set in the machine's own tables, whose link is gone, and closes the socket,
 * which waits for a grace period of the kernel, some 10 ms. 0, or -errno: firewall_clean() will
 * remove the rest.
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
 * What others' rules do to packets that the host forwards between the machine and the world.
 * Where iptables' FORWARD drops what the machine needs, two accepts of ours at its head (and at
 * that of Docker's DOCKER-USER) mend it; they let no more in than answers and forwarded ports.
 * Elsewhere the chain and a command are named.
 */
struct firewall_others {
	unsigned accept_in; /* chains that need our accepts, as firewall_config has it */
	char *what;	    /* something else that drops: "firewalld", "chain FORWARD of table ip
			       filter (policy drop)"; or NULL */
	char *mend;	    /* one command that fixes it */
};

void firewall_others_done(struct firewall_others *others);
/*
 * Reads the chains that the machine's packets pass, without our own accepts: a neighbour's in the
 * zone go with that neighbour. Those that a dead supervisor of `machine` left are removed; NULL:
 * nothing is. `has_ports`: also say when forwarded ports, and nothing else, would be dropped. 0,
 * also without nf_tables; or -errno.
 */
int firewall_look_at_others(const char *machine, const char *link, bool has_ports,
			    struct firewall_others *ret);
/* Removes the machine's accepts from others' chains. 0, or -errno. */
int firewall_close_others(const char *machine);
/* The same for all machines that don't run; is_alive tells. */
void firewall_clean_others(bool (*is_alive)(const char *machine));
