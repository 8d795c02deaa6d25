/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The process that reads, decompresses and unpacks a hostile archive. It shares one page with its
 * parent, for figures and for the words of its failure, and can reach only the tree.
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
	_Atomic int confinement; /* of landlock: 0, or -errno why there is none */
	atomic_bool unpacked;	 /* all was read, verified and written */
};

struct worker {
	pid_t pid;
	int pidfd;
	struct worker_shared *shared;
};

struct worker_input {
	int source_fd;
	int tree_fd;
	int lock_fd; /* kept open, so that a dead parent's worker is not cleaned up after while it
			ends */
	struct quota quota;
	bool quota_is_set; /* see unpack.h */
};

/* 0 or -errno. */
int worker_start(const struct worker_input *input, struct worker *ret);
/* After the pidfd became readable, or to stop it: kills it if it runs, and reaps it. */
void worker_stop(struct worker *w);
/* Reaps it. 0 when it did all, else its failure's error (worded in shared). */
int worker_finish(struct worker *w);
void worker_done(struct worker *w);
