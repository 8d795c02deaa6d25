/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * OOM scores: when memory runs out the kernel must kill a machine's processes before their
 * supervisor. In units of oom_score_adj, see proc_pid_oom_score_adj(5). Quiet.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#define OOM_SCORE_MIN (-1000) /* never killed */
#define OOM_SCORE_MAX 1000
#define OOM_SCORE_TEXT 8
/* A machine's score above that of a supervisor that could not be lowered: a tenth of memory. */
#define OOM_SCORE_AHEAD 100

/* The score of a process; 0 where it can't be read. */
int oom_score_of(pid_t pid);
/*
 * Lowers the caller's own score as far as allowed, and returns it. Going below the initial score
 * takes CAP_SYS_RESOURCE of the initial user namespace.
 */
int oom_score_lower_own(void);
/*
 * The score of all processes of a machine: 0, or more where 0 is not above the supervisor's score.
 * Written with CAP_SYS_RESOURCE, it is also the minimum that they can set themselves. Pure.
 */
int oom_score_of_machine(int supervisor);
/* "100", as the kernel reads it. */
void oom_score_format(int score, char ret[OOM_SCORE_TEXT]);
