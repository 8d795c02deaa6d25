/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The process that reads, decompresses and unpacks a hostile archive. It shares memory with its
 * parent for its counters and for the text of its failure, and can reach only the tree.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "transfer/failure.h"
#include "transfer/import/quota.h"
#include "transfer/stats.h"

struct worker_shared {
	struct transfer_stats stats;
	struct failure failure;
	_Atomic int confinement; /* 0 if landlock confines it, else -errno */
	atomic_bool unpacked;	 /* everything was read, verified and written */
};

struct worker {
	pid_t pid;
	int pidfd;
	struct worker_shared *shared;
};

struct worker_input {
	int source_fd;
	int tree_fd;
	int lock_fd; /* kept open, so the folder stays locked until the worker has ended */
	struct quota quota;
	bool quota_is_set; /* see unpack.h */
};

/* Borrows the descriptors of `input`. 0 or -errno; on success the caller calls worker_done(). */
int worker_start(const struct worker_input *input, struct worker *ret);
/* Kills the worker if it still runs, and reaps it. */
void worker_stop(struct worker *w);
/*
 * Waits for the worker and reaps it. 0 if it unpacked everything, else the error of its failure,
 * worded in w->shared.
 */
int worker_finish(struct worker *w);
/* Stops the worker and frees everything. */
void worker_done(struct worker *w);
