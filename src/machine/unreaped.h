/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Why a machine does not end although its PID 1 has exited: the kernel waits until every process of
 * the pid namespace is reaped. A process that entered from outside has its parent outside, who must
 * reap it and may be stopped. Source: pid_namespaces(7), zap_pid_ns_processes() of the kernel.
 */
#pragma once

#include "machine/leader.h"

struct unreaped {
	pid_t pid;    /* of the zombie, as the host numbers it */
	pid_t parent; /* outside, has not waited for it */
	char parent_name[32];
};

/* 1 and one such process, 0 when PID 1 does not wait for any, or -errno. Quiet. */
int machine_find_unreaped(const struct leader *leader, struct unreaped *ret);
/* "process 12, which 11 (redd) has not reaped": a new string or NULL. */
char *machine_describe_unreaped(const struct unreaped *unreaped);
