/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a start needs from the host. Each file handles one subject, and is a row of host_modules[].
 *
 *   begin    takes what the namespaces depend on, which are made in parallel to all that follows
 *   prepare  gathers facts, opens descriptors, takes what undo gives back (locks, cgroups)
 *   plan     adds ops; pure: reads only the spec and the facts
 *   attach   runs as an op of the plan (`host`)
 *   undo     gives back what prepare and attach took; called in reverse order, also after a failure
 *   done     frees the memory of the subject's facts
 *   clean    removes what killed supervisors could not give back
 *
 * The order of the rows is the order of the ops within each stage. Loud: a failing prepare or
 * attach has said why. Supervisor's side of clone().
 */
#pragma once

#include <linux/filter.h>
#include <net/if.h>
#include <netinet/if_ether.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "firewall/firewall.h"
#include "host/network/resolv.h"
#include "host/seccomp.h"
#include "image/os_release.h"
#include "net/lease.h"
#include "plan/plan.h"
#include "spec/spec.h"

/* Who gives host0 its addresses. */
enum host_network_server {
	HOST_NETWORK_NONE,     /* nobody: no host0, or Configure=no */
	HOST_NETWORK_REDD,     /* its own supervisor: before the init, by DHCP, and by RA */
	HOST_NETWORK_NETWORKD, /* systemd-networkd of the host, which manages ve-* and vz-* */
	HOST_NETWORK_BRIDGE,   /* whoever is on the bridge */
};

/*
 * The machine's host0 and the host's end of it. What Address= and Gateway= say stands in the lease
 * already: the first Address= of a family takes the place of guest and subnet of that family (more
 * of them are given to host0 only). The host's end of it is the first Gateway= of the family, else
 * the network's first address, which is not the machine's own; on somebody's bridge the host's end
 * is the Gateway= or none, and isn't given to anything of the host.
 */
struct host_network {
	char link[IFNAMSIZ];	      /* ve-NAME or vb-NAME; "": no host0 */
	char *link_alias;	      /* its full name where that was too long, or NULL */
	char bridge[IFNAMSIZ];	      /* what it is a port of: vz-ZONE, the spec's, or "" */
	uint8_t host_mac[ETH_ALEN];   /* of `link` */
	uint8_t guest_mac[ETH_ALEN];  /* of host0 */
	uint8_t router_mac[ETH_ALEN]; /* of the interface that has host4 and host6 */
	enum host_network_server server;
	struct net_lease lease; /* a family that is not there or not ours is none */
	/* What the default routes lead to. */
	struct net_address gateway4, gateway6;
	bool has_ipv6; /* of the host; without it, no IPv6 is given */
	bool is_masqueraded;
	struct firewall_others others; /* what other programs' filters do to its packets */
};

/* Everything besides the spec that the plan depends on. Golden tests fill it by hand. */
struct host_facts {
	bool has_user_namespace;
	uint32_t uid_shift; /* 0 without a user namespace */
	uint32_t uid_range;
	uint32_t users_maker; /* creates the user namespace, and is charged for its use of kernel
				 limits: uid_shift, or 0 for the host's root */

	char **init_candidates; /* inside: what exists of the places where an init can be */
	char *init;		/* the first of them with all links resolved, for people */
	bool init_notifies;	/* it is a systemd: it will send READY=1 */

	char *user_name; /* of the payload, inside */
	uint32_t user_uid;
	uint32_t user_gid;
	gid_t *user_groups;
	size_t user_group_count;
	char *user_home;
	char *user_shell;

	uint64_t caps; /* the spec's, cut down to what can be granted */
	struct seccomp_program *seccomp;
	bool is_scoped; /* kept from abstract unix sockets of the host */

	bool has_tun;
	bool has_fuse;
	bool has_cgroup;
	bool has_bpf_devices; /* the device filter is a program on the cgroup */
	bool has_v1_pids;     /* the v1 controller counts its processes: they must be put there */
	bool has_v1_devices;  /* the device filter is the v1 controller: the children must be put
				 there */
	bool has_terminal;    /* the caller's, for TERM */
	bool has_profile;     /* a NixOS profile, whose programs are on no usual PATH */
	char *term;
	char uuid[33];	       /* of the machine */
	char host_id[33];      /* of the host, "" when it has none */
	char *host_os_release; /* the file, or NULL */
	struct os_release host_os;
	bool *mount_is_file; /* per spec mount: the source is no directory */
	char *image_os;	     /* PRETTY_NAME of the image, or NULL */

	char *scratch_name; /* below HOST_SCRATCH_DIR: the changes of an ephemeral machine */

	char *store_system;	   /* store path of the NixOS system that boots, or NULL */
	unsigned store_generation; /* of the machine's profile; 0: it is none */
	struct plan_store_path *store_paths; /* its closure, for Store=closure */
	size_t store_path_count;
	bool store_by_binds;	     /* no overlay can show them: each is bound */
	unsigned store_daemon_binds; /* bits, see store.c */

	enum host_resolv_target resolv_target;
	char *resolv_run_path;	  /* of HOST_RESOLV_RUN, relative to /run */
	char *resolv_text;	  /* of the host's file, or NULL */
	bool resolv_has_source;	  /* the host's file is in its slot */
	bool resolv_is_read_only; /* nothing can be written to the tree */

	const char *sysctl_of_host; /* below /proc: not of a network namespace, or NULL; static */

	struct host_network network;
};

struct host {
	const struct spec *spec;
	bool only_looks; /* for --explain: prepare only gathers facts, makes and takes nothing */
	struct host_facts facts;
	int slots[PLAN_SLOT_COUNT];
	pid_t holder_pid; /* of the namespaces: in the plan until end-holder */
	pid_t leader_pid; /* PID 1: in the plan from clone-outer on */
	int notify_fd;	  /* the supervisor's end of NOTIFY_SOCKET */
	int scratch_fd;	  /* the lock of an ephemeral machine's directory */

	/* what undo gives back */
	int uid_lock_fd;
	int guest_rtnl_fd; /* rtnetlink in the machine's network namespace, which it keeps alive */
	int firewall_fd;   /* of firewall_open(); -1: no packet filter, no link */
	int home_mount_ns_fd; /* where the names of moved interfaces are kept */
	bool has_interface;   /* host0 stands */
	bool has_others;      /* others' chains have accepts of ours */
	size_t links_made;    /* of the spec's, from the first */
	int cgroup_fd;	      /* /redd/NAME of the cgroup2 tree */
	bool has_cgroup;      /* its directory was made, whether or not it could be opened */
	bool has_controllers; /* of the kind that limits are set with */
	bool has_v1_cgroup;   /* the same in the v1 devices hierarchy */
	int v1_pids_fd;	      /* root of the v1 pids hierarchy; -1: not used */

	bool has_store_root; /* prepare made the booted root */

	bool has_leftovers; /* undo failed in part: the next command must try again */
};

/*
 * Limits of a tmpfs that the guest can write to. The inodes are limited because each file takes
 * kernel memory. The same values as systemd's.
 */
#define HOST_TMPFS_SIZE "size=10%"
#define HOST_TMPFS_INODES "nr_inodes=400k"

/* Changes of ephemeral machines, on disk. The next start removes what a crash left. */
#define HOST_SCRATCH_DIR "/var/lib/redd/ephemeral"

/* In /run/host: a container inside the machine needs it, nobody may enter it. See apivfs.c. */
#define HOST_WHOLE_DIR "whole"

/*
 * Whether the host's root is a user of the machine, for whom the kernel's permission checks pass:
 * the machine has no users of its own, or a range that begins at 0. Pure.
 */
bool host_root_is_a_user(const struct host_facts *facts);
/*
 * Whether it is, in a user namespace of the machine's: then nothing that root may do in that user
 * namespace may reach the files of the host's root. Pure.
 */
bool host_root_is_administrator(const struct host_facts *facts);

/* Whether the holder makes the cgroup namespace, not the outer child: see root.c. Pure. */
bool host_holder_makes_cgroupns(const struct host_facts *facts);

/* Whether the network needs the host's part. Loopback alone is made by the holder. Pure. */
bool host_network_has_work(const struct spec *spec);

struct host_module {
	const char *name;
	int (*begin)(struct host *host);
	int (*prepare)(struct host *host);
	void (*plan)(const struct spec *spec, const struct host_facts *facts, struct plan *plan);
	int (*attach)(struct host *host);
	void (*undo)(struct host *host);
	void (*done)(struct host_facts *facts);
	/* Gives up at the deadline. */
	void (*clean)(uint64_t deadline_us);
};

extern const struct host_module *const host_modules[];
extern const size_t host_module_count;

extern const struct host_module host_module_image;
extern const struct host_module host_module_idmap;
extern const struct host_module host_module_cgroup;
extern const struct host_module host_module_network;
extern const struct host_module host_module_root;
extern const struct host_module host_module_store;
extern const struct host_module host_module_devices;
extern const struct host_module host_module_rundir;
extern const struct host_module host_module_resolv;
extern const struct host_module host_module_mounts;
extern const struct host_module host_module_apivfs;
extern const struct host_module host_module_terminal;
extern const struct host_module host_module_process;
extern const struct host_module host_module_payload;

/*
 * image_fd, machine_dir: held open by the caller, borrowed. Afterwards host_begin(), then
 * host_prepare() and host_plan(), and whatever happens host_undo().
 */
void host_init(struct host *host, const struct spec *spec, int image_fd, int machine_dir);
int host_begin(struct host *host);
/* The plan's first two stages, which can be carried out before the rest is known. Pure. */
void host_plan_namespaces(const struct spec *spec, const struct host_facts *facts,
			  struct plan *plan);
int host_prepare(struct host *host);
/* Builds, sorts and verifies the plan. Pure apart from the message on failure. */
int host_plan(const struct spec *spec, const struct host_facts *facts, struct plan *ret);
/* Runs one row's attach, for the op `host`. */
int host_attach(struct host *host, const char *module);
/* Closes the descriptors of mounts and namespaces, which are useless once PID 1 is on its way. */
void host_close_mounts(struct host *host);
void host_undo(struct host *host);
/* For undo: warns that `kind` `name` could not be given back; the next command tries again. */
void host_note_leftovers(struct host *host, int error, const char *kind, const char *name);
/*
 * Removes what has no owner any more, after a crash was found. What is not done at the deadline
 * (monotonic) is left, with a warning. Caller's side.
 */
void host_clean_leftovers(uint64_t deadline_us);
void host_facts_done(struct host_facts *facts);

void host_set_slot(struct host *host, enum plan_slot slot, int fd);

/*
 * What the machine's rules in the packet filter depend on, all but its ports and their targets,
 * which the supervisor knows. Points into spec and network. Pure.
 */
void host_firewall_config(const struct spec *spec, const struct host_network *network,
			  struct firewall_config *ret);
/* For --explain, behind the plan: all rules, with the spec's ports. Pure but for the output. */
int host_print_rules(const struct spec *spec, const struct host_facts *facts, FILE *out);
/* The interface of the host that has host4 and host6: the link itself, or its zone's bridge. */
const char *host_network_address_link(const struct host_network *network);

/* Reads host_id; called before all modules. */
void host_read_id(struct host_facts *facts);
/* For --explain: the facts that prepare would find. Makes and takes nothing. */
int host_look(const struct spec *spec, int image_fd, struct host_facts *ret);
