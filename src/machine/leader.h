/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine's PID 1, as the host sees it. The directory /proc/PID is opened once and verified: all
 * reads through it concern that very process, or fail. Quiet.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "lib/cleanup.h"

struct machine_state;

struct leader {
	pid_t pid;
	int pidfd;
	int proc_fd; /* /proc/PID */
};

int leader_open(const struct machine_state *state, struct leader *ret);
void leader_close(struct leader *leader);
#define autoleader autocall(leader_close)

/* The machine's root directory, O_PATH: for path_…_in_root(), never for a joined string. */
int leader_open_root(const struct leader *leader);
/* The namespaces (CLONE_NEW…) in which it differs from the caller. */
int leader_namespaces(const struct leader *leader, int *ret_flags);

struct leader_confinement {
	uint64_t caps_bounding;
	bool no_new_privileges;
	unsigned long personality;
};

int leader_read_confinement(const struct leader *leader, struct leader_confinement *ret);
/* Its resource limits, by number. Needs no CAP_SYS_RESOURCE, unlike prlimit(2). */
int leader_read_limits(const struct leader *leader, struct rlimit ret[RLIM_NLIMITS]);
/*
 * 0: sent. 1: sent, but maybe dropped by the kernel, as for the init of a pid namespace that has
 * neither a handler nor blocks the signal; one that waits in sigtimedwait() looks the same.
 * Source: pid_namespaces(7), "The namespace init process".
 */
int leader_send_signal(const struct leader *leader, int signal);
/* A variable of its initial environment; a new string or NULL. */
char *leader_getenv(const struct leader *leader, const char *name);
