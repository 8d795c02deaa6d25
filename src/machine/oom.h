/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whom the kernel ends when memory runs out: a machine's processes, never their supervisor, without
 * which the machine would not be served. In units of oom_score_adj, see proc_pid_oom_score_adj(5).
 * Quiet. Host side.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#define OOM_SCORE_MIN (-1000) /* never ended */
#define OOM_SCORE_MAX 1000
#define OOM_SCORE_TEXT 8
/* Of a machine, above a supervisor that could not be lowered: a tenth of all memory. */
#define OOM_SCORE_AHEAD 100

/* Of a process; 0 where it can't be read. */
int oom_score_of(pid_t pid);
/*
 * Lowers the caller's own as far as allowed, and returns what it is now. Below what it was started
 * with, that takes CAP_SYS_RESOURCE of the initial user namespace.
 */
int oom_score_lower_own(void);
/*
 * What a machine's processes get, whoever starts them: 0, or more where that is not above the
 * supervisor's. Whoever writes it with CAP_SYS_RESOURCE makes it the least that they can give
 * themselves. Pure.
 */
int oom_score_of_machine(int supervisor);
/* "100", for the kernel. */
void oom_score_format(int score, char ret[OOM_SCORE_TEXT]);
