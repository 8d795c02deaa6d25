/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A plan: the flat list of operations that make a machine, as data. Building one has no side
 * effects. Descriptors are named by slots, which host modules fill before the plan is carried out.
 * plan_print() shows it, plan_verify() proves the order in which privilege is lost.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "lib/cleanup.h"

enum plan_stage {
	PLAN_STAGE_BEGIN,  /* supervisor, as soon as the machine's users are known */
	PLAN_STAGE_HOLDER, /* holder of the namespaces, in parallel to the supervisor */
	PLAN_STAGE_OPEN,   /* supervisor, still in the caller's mount namespace */
	PLAN_STAGE_SETUP,  /* supervisor, in its own */
	PLAN_STAGE_OUTER,  /* outer child, while the supervisor waits */
	PLAN_STAGE_VIEWS,  /* a child in the machine's namespaces, while the supervisor waits */
	PLAN_STAGE_INNER,  /* PID 1 of the machine */
	PLAN_STAGE_COUNT,
};

enum plan_op_kind {
#define OP(id, name, stages, help) PLAN_OP_##id,
#include "plan/ops.def"
#undef OP
	PLAN_OP_COUNT,
};

/* Descriptors that ops share. Filled by prepare (P) or by an earlier op. */
#define PLAN_SLOTS(SLOT)                                                                           \
	SLOT(NONE, "-")                                                                            \
	SLOT(CWD, ".")                                                                             \
	SLOT(IMAGE, "image")		       /* P: the tree, held from check to use */           \
	SLOT(MACHINE_DIR, "machine-dir")       /* P: /run/redd/machines/NAME */                    \
	SLOT(CGROUP_PAYLOAD, "cgroup-payload") /* P: the guest's cgroup root */                    \
	SLOT(CGROUP_LEAF, "cgroup-leaf")       /* P: where PID 1 begins */                         \
	SLOT(PIDS, "pids")		       /* P: `tasks` of the v1 cgroup that counts */       \
	SLOT(USERNS, "userns")		       /* by clone-holder */                               \
	SLOT(HOLDER, "holder")		       /* its pidfd, by clone-holder */                    \
	SLOT(CGROUPNS, "cgroupns")	       /* by await */                                      \
	SLOT(LEADER, "leader")		       /* the pidfd of PID 1, by clone-outer */            \
	SLOT(HOLDER_SYNC, "holder-sync")       /* P: its end of its report socket */               \
	SLOT(NETNS, "netns")		       /* P: a network namespace to be joined */           \
	SLOT(NETNS_HOME, "netns-home")	       /* P: the supervisor's own */                       \
	SLOT(ROOT, "root")		       /* the tree's mount */                              \
	SLOT(MAPPED, "mapped")		       /* the image under an overlay */                    \
	SLOT(DEV, "dev")                                                                           \
	SLOT(RUN, "run")                                                                           \
	SLOT(RUN_HOST, "run-host")                                                                 \
	SLOT(BLANK, "blank")	     /* what hides other nodes */                                  \
	SLOT(BLANK_DIR, "blank-dir") /* and directories */                                         \
	SLOT(MOUNT, "mount")	     /* the mount at hand */                                       \
	SLOT(PROC, "proc")                                                                         \
	SLOT(SYS, "sys")                                                                           \
	SLOT(PTS, "pts")                                                                           \
	SLOT(PTY_MASTER, "pty-master")                                                             \
	SLOT(PTY_SLAVE, "pty-slave")                                                               \
	SLOT(STDIN, "stdin") /* P: the caller's descriptors for --pipe */                          \
	SLOT(STDOUT, "stdout")                                                                     \
	SLOT(STDERR, "stderr")                                                                     \
	SLOT(SYNC, "sync")	       /* the child's end of the report socket */                  \
	SLOT(RESOLV, "resolv")	       /* P: the host's file for --resolv-conf=bind-… */         \
	SLOT(STORE, "store")	       /* P: the host's /nix/store */                              \
	SLOT(STORE_TREE, "store-tree") /* what the guest has as /nix/store */                      \
	SLOT(NIX_DB, "nix-db")	       /* P: of the host, for Store=daemon */                      \
	SLOT(NIX_SOCKET, "nix-socket")                                                             \
	SLOT(NIX_PROFILES, "nix-profiles")                                                         \
	SLOT(NIX_ROOTS, "nix-roots")                                                               \
	SLOT(SOURCE, "source") /* first of the bind sources: SOURCE + n */

/* Two for each of a machine's mounts, as many as spec/spec.h allows: see host/mounts.c. */
#define PLAN_SLOT_SOURCES_MAX 128

enum plan_slot {
#define SLOT(id, name) PLAN_SLOT_##id,
	PLAN_SLOTS(SLOT)
#undef SLOT
		PLAN_SLOT_COUNT = PLAN_SLOT_SOURCE + PLAN_SLOT_SOURCES_MAX,
};

/* Within the tmpfs of store-view. */
#define PLAN_STORE_VIEW "s"

/* store-view, store-binds: one entry of a closure. */
struct plan_store_path {
	const char *name; /* "HASH-NAME" */
	const char *link; /* where it leads, for a store path that is a symbolic link, else NULL */
	bool is_file;
	uint32_t mode; /* of a file */
	uint64_t size_bytes;
};

struct plan_op {
	enum plan_op_kind kind;
	enum plan_stage stage;
	bool is_optional;   /* -ENOENT, and a file system the kernel lacks or forbids, are no errors
			     */
	bool may_fail;	    /* a failure is warned about and passed over; in the supervisor only */
	enum plan_slot in;  /* what is worked on */
	enum plan_slot at;  /* the directory or mount that `path` is resolved in */
	enum plan_slot out; /* receives a new descriptor */
	enum plan_slot ns;  /* user namespace of an id map; network namespace to be in */
	const char *path;   /* inside `at`, resolved as if that were "/" */
	const char *source; /* path or file system type */
	const char *data;   /* options, link target, content */
	uint64_t flags;	    /* of the system call */
	uint64_t number;    /* device, capability mask, resource, soft limit … */
	uint64_t number2;   /* hard limit, … */
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	char *const *argv;	 /* exec: the arguments */
	char *const *envp;	 /* exec: the environment */
	char *const *candidates; /* exec: the paths to try in order */
	const void *blob;	 /* seccomp: struct sock_filter[], setuser: gid_t[],
				 store-view, store-binds: struct plan_store_path[] */
	size_t blob_count;
};

struct plan {
	struct plan_op *ops;
	size_t count;
	size_t capacity;
	void **owned; /* strings and vectors that live as long as the plan */
	size_t owned_count;
	int error; /* sticky -ENOMEM */
};

void plan_done(struct plan *plan);
#define autoplan autocall(plan_done)

/* Appends a copy of op. A failed allocation is remembered in plan->error. */
void plan_add(struct plan *plan, const struct plan_op *op);
/* PLAN_ADD(plan, .kind = PLAN_OP_MKDIR, .stage = PLAN_STAGE_SETUP, .path = "/dev") */
#define PLAN_ADD(plan, ...) plan_add((plan), &(struct plan_op){__VA_ARGS__})
/* Strings for ops, owned by the plan; NULL (and the sticky error) when there is no memory. */
const char *plan_str(struct plan *plan, const char *s);
const char *plan_printf(struct plan *plan, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
char *const *plan_strv(struct plan *plan, char *const *v);
void *plan_copy(struct plan *plan, const void *data, size_t size);

/* Sorts by stage, keeping the order within each. Call once, after all modules have added. */
void plan_finish(struct plan *plan);

/*
 * Proves what must hold for every plan: ops are in stages they are made for, slots are filled
 * before use; there is exactly one exec, which is last; only loss of privilege and exec follow
 * seccomp; the bounding set is cut after the pivot and before exec; no mount follows the one pivot;
 * no exec without a filter; what covers parts of /proc is mounted before PID 1 copies, and so
 * locks, the mounts; the supervisor does nothing after it has told PID 1 to go on. 0, or -EINVAL
 * with a sentence in *ret_why (static).
 */
int plan_verify(const struct plan *plan, const char **ret_why);

/* One line per op, stage by stage; stable, for people, reviews and golden tests. */
void plan_print(const struct plan *plan, FILE *out);
/* The line of one op, without newline: also used to word the child's errors. */
void plan_print_op(const struct plan_op *op, FILE *out);

const char *plan_slot_name(enum plan_slot slot);
const char *plan_op_name(enum plan_op_kind kind);
