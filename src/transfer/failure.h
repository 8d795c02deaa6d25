/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The failure of a transfer, worded by the stage that fails and logged by the worker's parent. It
 * lies in memory that both processes share, so it holds no pointers. If several threads fail, only
 * the first failure is kept: the others are its consequences.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "lib/macro.h"

struct failure {
	atomic_int claimed;
	uintptr_t thread; /* the one that failed: only it may add a hint */
	int error;	  /* negative errno */
	char what[640];	  /* the action, its object and the cause */
	char hint[320];	  /* what to do about it; may be empty */
};

/* Words the failure and appends strerror(error). Returns `error`. Quiet. */
int failure_errno(struct failure *f, int error, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same without strerror(), for a text that already gives the cause. */
int failure_set(struct failure *f, int error, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Adds a hint if this thread failed and has given none yet. Returns the error that was kept. */
int failure_hint(struct failure *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
