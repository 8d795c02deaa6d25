/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Why a transfer failed, as the stages word it for the process that logs it. It lies in memory that
 * the worker shares with its parent, so it holds no pointer. Of several threads that fail the
 * first is kept: the others fail as a consequence of it.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "lib/macro.h"

struct failure {
	atomic_int claimed;
	uintptr_t thread; /* that failed: only it may add a hint */
	int error;	  /* negative errno */
	char what[640];	  /* what was tried, on what, why */
	char hint[320];	  /* the next step; may be empty */
};

/* Words the failure with strerror(error) at its end; returns `error`. Quiet. */
int failure_errno(struct failure *f, int error, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same where the text says all. */
int failure_set(struct failure *f, int error, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Adds the next step, if it was this thread that failed; returns the error. */
int failure_hint(struct failure *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
