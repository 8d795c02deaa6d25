/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One machine to start, with everything that a person can ask for resolved and checked: the only
 * input of the plan. Built by spec_resolve() from the settings; tests fill it by hand.
 * Paths are host paths unless the comment says "inside" (then normalized and absolute there).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "net/address.h"
#include "net/port.h"

struct settings;

/* What becomes of the parameters. Source: systemd-nspawn(1), --boot and --as-pid2. */
enum spec_start {
	SPEC_START_COMMAND, /* the command is PID 1 */
	SPEC_START_PID2,    /* a stub of ours is PID 1, the command PID 2 */
	SPEC_START_BOOT,    /* an init is looked for inside; parameters are its arguments */
};

enum spec_console {
	SPEC_CONSOLE_INTERACTIVE, /* own pty, forwarded both ways to the caller's terminal */
	SPEC_CONSOLE_READ_ONLY,	  /* own pty, output only */
	SPEC_CONSOLE_PASSIVE,	  /* own pty, nothing forwarded: log and `redd console` */
	SPEC_CONSOLE_PIPE,	  /* the caller's descriptors 0, 1, 2; no /dev/console */
};

/* What of the host's Nix store the machine sees. */
enum spec_store {
	SPEC_STORE_OWN, /* nothing: the tree has its own, or is no NixOS */
	SPEC_STORE_CLOSURE,
	SPEC_STORE_WHOLE,
	SPEC_STORE_DAEMON, /* whole, and the host's daemon */
};

enum spec_users {
	SPEC_USERS_NONE,     /* the host's user namespace */
	SPEC_USERS_PICK,     /* owner of the tree, else hash of the name, else free range */
	SPEC_USERS_OWNER,    /* "yes": the range the tree's owner tells */
	SPEC_USERS_IDENTITY, /* 0:0:65536, an own namespace without a shift */
	SPEC_USERS_FIXED,    /* uid_shift and uid_range as given */
};

enum spec_idmap {
	SPEC_IDMAP_NONE,  /* noidmap */
	SPEC_IDMAP_IDMAP, /* inside 0 is host 0 on disk, and so on */
	SPEC_IDMAP_ROOT,  /* rootidmap: inside root is the source's owner */
	SPEC_IDMAP_OWNER, /* owneridmap: the target's owner is the source's owner */
};

enum spec_mount_kind {
	SPEC_MOUNT_BIND,
	SPEC_MOUNT_TMPFS,
};

struct spec_mount {
	enum spec_mount_kind kind;
	char *source;	      /* bind: host path; NULL for tmpfs */
	bool source_in_image; /* bind "+PATH": the source is inside */
	char *target;	      /* inside */
	char *options;	      /* tmpfs mount options, or NULL */
	bool read_only;
	bool recursive;
	enum spec_idmap idmap;
};

/* A link besides host0. */
enum spec_link_kind {
	SPEC_LINK_VETH,	     /* `host` is made on the host, `guest` inside */
	SPEC_LINK_INTERFACE, /* `host` moves in, and back at the end */
	SPEC_LINK_MACVLAN,   /* of `host` */
	SPEC_LINK_IPVLAN,
};

struct spec_link {
	enum spec_link_kind kind;
	char *host;  /* may be an alternative name, but for SPEC_LINK_VETH */
	char *guest; /* inside; never NULL but for SPEC_LINK_INTERFACE: the name it has */
};

/* Source: systemd-nspawn(1), --resolv-conf=. */
enum spec_resolv_conf_how {
	SPEC_RESOLV_CONF_AUTO,
	SPEC_RESOLV_CONF_OFF,
	SPEC_RESOLV_CONF_COPY,	  /* written where there is none or a file, else left alone */
	SPEC_RESOLV_CONF_REPLACE, /* written, whatever is there */
	SPEC_RESOLV_CONF_BIND,
	SPEC_RESOLV_CONF_DELETE,
};

enum spec_resolv_conf_what {
	SPEC_RESOLV_CONF_HOST,	 /* the host's /etc/resolv.conf */
	SPEC_RESOLV_CONF_STATIC, /* the files of systemd-resolved */
	SPEC_RESOLV_CONF_UPLINK,
	SPEC_RESOLV_CONF_STUB,
};

struct spec_rlimit {
	bool is_set;
	struct rlimit value;
};

struct spec {
	char *machine;	/* valid machine name */
	char *hostname; /* NULL: the machine's name */
	bool uuid_set;
	uint8_t uuid[16];

	char *directory; /* the tree, absolute host path */
	bool read_only;
	bool ephemeral;

	enum spec_store store;
	char *nix_system; /* host path: a profile or a store path; NULL with SPEC_STORE_OWN */
	bool nix_rollback;

	enum spec_start start;
	char **parameters;  /* argv, or arguments of init; NULL: a shell, or none */
	char **environment; /* NAME=VALUE, what the person asked for */
	char *user;	    /* name or number inside, NULL for root */
	char *chdir;	    /* inside, or NULL */
	int kill_signal;    /* 0: by kind of payload */
	int notify_ready;   /* 1 wait for READY=1, 0 do not, -1 by kind of init */

	enum spec_console console;
	bool quiet;
	bool managed; /* `start`: detached, logged, restarted when it reboots */

	enum spec_users users;
	uint32_t uid_shift; /* meaning depends on `users` */
	uint32_t uid_range; /* 65536 unless given */

	bool private_network; /* also with a netns_path */
	bool veth;	      /* host0; with a bridge or a zone as a port of that */
	char *bridge;	      /* of the host, exists already; or NULL */
	char *zone;	      /* bridge vz-ZONE, made with the first machine; or NULL */
	char *netns_path;     /* joined instead of made; or NULL */
	struct spec_link *links;
	size_t link_count;
	struct net_port *ports; /* each has its origin in port_origins */
	char **port_origins;	/* NULL-terminated, port_count long */
	size_t port_count;
	/* Of host0. Empty: redd's own choice. */
	struct net_prefix *addresses;
	size_t address_count;
	struct net_address *gateways;
	size_t gateway_count;
	struct net_address *name_servers;
	size_t name_server_count;
	bool configure_network; /* host0 gets addresses, routes and names from us */
	bool vsock;		/* AF_VSOCK, which is no part of a network namespace */
	bool abstract_sockets;	/* of the host's network, where the machine shares that */
	bool check_source;	/* what host0 sends under other addresses is dropped */
	bool vlans;		/* host0 may send frames with VLAN tags */
	enum spec_resolv_conf_how resolv_conf_how;
	enum spec_resolv_conf_what resolv_conf_what;

	uint64_t caps_bounding; /* bit per capability, defaults and --capability/--drop resolved */
	struct spec_rlimit rlimits[RLIM_NLIMITS];

	struct spec_mount *mounts;
	size_t mount_count;

	uint64_t stop_timeout_us;  /* clean stop, then SIGKILL */
	uint64_t ready_timeout_us; /* `start` waits so long for READY=1 */
};

/* The defaults of `redd run`: all zero but what needs a value. */
void spec_init(struct spec *spec);
void spec_done(struct spec *spec);
#define autospec autocall(spec_done)

/* More binds and tmpfs than that are refused: -E2BIG. */
#define SPEC_MOUNTS_MAX 64

/* Appends; takes the strings, on success only. 0, -ENOMEM or -E2BIG. */
int spec_add_mount(struct spec *spec, const struct spec_mount *mount);

#define SPEC_LINKS_MAX 32
#define SPEC_PORTS_MAX 256 /* forwards, each of a port or a range */
#define SPEC_ADDRESSES_MAX 16

/* What the settings alone don't tell. */
struct spec_context {
	bool managed;	       /* `redd start` */
	bool stdio_is_tty;     /* standard input and output are terminals */
	const char *machine;   /* the name without --machine: from the image, see image/name.h */
	const char *directory; /* the tree without --directory: the image that was found */
};

/* `start` and `run` wait so long when nobody says otherwise. */
#define SPEC_STOP_TIMEOUT_US (90 * UINT64_C(1000000))
#define SPEC_READY_TIMEOUT_US (120 * UINT64_C(1000000))

/*
 * Fills `spec` from merged settings and checks every "A needs B" rule. Loud: each error says who
 * asked (file:line or option). 0, -EINVAL (usage), -ENOMEM.
 * Not resolved here, since it needs the image: the uid range of PICK and OWNER, the user, the init.
 */
int spec_resolve(const struct settings *settings, const struct spec_context *context,
		 struct spec *ret);
