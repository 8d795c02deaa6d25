/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interpreter of plans, and the four children it runs in.
 *
 * The supervisor interprets BEGIN, OPEN and SETUP itself. BEGIN makes the holder, which
 * interprets HOLDER as soon as its users are mapped, in parallel to what the supervisor prepares,
 * and stays until PID 1 exists. clone-outer in SETUP makes the outer child, which interprets OUTER
 * in the memory of the supervisor that waits for it: it joins what the holder holds, makes PID 1 as
 * a child of the supervisor (CLONE_PARENT) and ends. clone-views makes another such child, which
 * interprets VIEWS: in the supervisor's mount namespace, but in PID 1's others, it mounts what
 * shows those. PID 1 interprets INNER, which ends with exec.
 *
 * Code that runs in a child makes system calls only: no allocation, no stdio, no look-ups.
 * tests/child_symbols.py holds it to that.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/memory.h"
#include "lib/path.h"
#include "plan/plan.h"

/*
 * What a child tells the supervisor over its report socket (SOCK_SEQPACKET), one per message. End
 * of file from PID 1 is its exec, or its death.
 */
enum child_report_type {
	CHILD_REPORT_FAILED,	 /* `op` failed with `error` */
	CHILD_REPORT_NAMESPACES, /* the holder has made its namespaces */
	CHILD_REPORT_PTY,	 /* carries the console's master */
};

struct child_report {
	uint32_t type; /* enum child_report_type */
	uint32_t op;   /* index in the plan */
	int32_t error; /* negative errno */
};

struct child_context {
	const struct plan *plan;
	int *slots;	     /* PLAN_SLOT_COUNT descriptors or -1, the host's */
	int supervisor_sync; /* the supervisor's end of the report socket */
	int holder_sync;     /* the supervisor's end of the holder's */
	size_t current_op;   /* also tells which op failed */
	size_t current_item; /* of an op with a list: which of it failed */
	uint32_t fs_uid;     /* whose files are made at the moment, see setfsuid(2) */
	uint32_t fs_gid;
	pid_t holder_pid; /* set by clone-holder */
	pid_t outer_pid;  /* set by clone-outer: ended, to be reaped */
	pid_t inner_pid;  /* set by clone-inner: of PID 1, as the host numbers it */
	/* The supervisor's own memory, command line and environment: what STUB forgets. */
	struct memory_map memory;
	/* Supervisor only: writes the maps of the holder and fills the USERNS slot. */
	int (*prepare_holder)(struct child_context *context, pid_t holder);
	/* Supervisor only: the ops `await` and `end-holder`. */
	int (*await_holder)(struct child_context *context, enum plan_slot cgroupns);
	int (*end_holder)(struct child_context *context);
	/* Supervisor only: PID 1 exists, and waits until the mounts are complete. */
	int (*watch_inner)(struct child_context *context, pid_t inner);
	/* Supervisor only: the op `host`. */
	int (*run_host)(struct child_context *context, const char *module);
	/* Supervisor only: warns that an op with may_fail has failed. */
	void (*warn_failed)(struct child_context *context, const struct plan_op *op, int error);
	void *userdata;
};

/* One op, as the owner of what it makes: until the next one, or the end of its stage. */
int child_run_op(struct child_context *context, const struct plan_op *op);
/* Interprets one stage. 0, or -errno with context->current_op at the op that failed. */
int child_run_stage(struct child_context *context, enum plan_stage stage);

/* The stub for --as-pid2: PID 1, reaps, ends with PID 2's status. Never returns. */
void child_stub_run(pid_t payload) __attribute__((noreturn));

/* One op. The handlers, by kind, are in ops_mount.c, ops_files.c, ops_process.c. */
typedef int (*child_op_fn)(struct child_context *context, const struct plan_op *op);
#define OP(id, name, stages, help)                                                                 \
	int child_op_##id(struct child_context *context, const struct plan_op *op);
#include "plan/ops.def"
#undef OP

/* Makes what `op` asks for; 0 or -errno. */
typedef int (*child_make_fn)(struct child_context *context, const struct plan_op *op,
			     struct path_making how);
/* Supervisor only: has it made with the rights of the guest's root alone, on any mount. */
int child_make_as_guest(struct child_context *context, const struct plan_op *op, child_make_fn fn);
/* For good: becomes root of the namespace in the USERNS slot, with no right beyond it. */
int child_become_guest(struct child_context *context);

/* Stores fd in the op's out slot; whatever was there is closed. */
void child_set_slot(struct child_context *context, enum plan_slot slot, int fd);
/* Opens op->path inside the at slot; a descriptor or -errno. */
int child_open_in_root(struct child_context *context, const struct plan_op *op, int flags);
int child_send_report(int socket, const struct child_report *report, int fd);
