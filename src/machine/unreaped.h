/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Why a machine does not end although its PID 1 is on the way: the kernel waits there until every
 * process of the pid namespace is reaped, and one that has entered from outside is its own parent's
 * to reap, who may be stopped. Source: pid_namespaces(7), zap_pid_ns_processes() of the kernel.
 */
#pragma once

#include "machine/leader.h"

struct unreaped {
	pid_t pid;    /* ended, as the host numbers it */
	pid_t parent; /* outside, who has not waited for it */
	char parent_name[32];
};

/* 1 with one of those processes, 0 when PID 1 does not wait for any, or -errno. Quiet. */
int machine_find_unreaped(const struct leader *leader, struct unreaped *ret);
/* "process 12, which 11 (redd) has not reaped": a new string or NULL. */
char *machine_describe_unreaped(const struct unreaped *unreaped);
