/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the changes of ephemeral machines go: HOST_SCRATCH_DIR. Quiet. */
#pragma once

#include <stdint.h>

struct host;

/* Sets host->scratch_fd (its lock) and facts.scratch_name. Removes what crashes left first. */
int scratch_make(struct host *host);
/* 0, or -errno: what is left then is for scratch_clean(). */
int scratch_remove(struct host *host);
/* Removes the directories of dead supervisors; what can't be removed stays for the next. */
void scratch_clean(uint64_t deadline_us);
