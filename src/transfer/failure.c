/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes the text of a failure into shared memory. Must never print: the parent does so, once. Runs
 * in the worker.
 */
#include "transfer/failure.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool failure_claim(struct failure *f)
{
	int unclaimed = 0;

	if (!atomic_compare_exchange_strong(&f->claimed, &unclaimed, 1))
		return false;
	f->thread = (uintptr_t)pthread_self();
	return true;
}

int failure_errno(struct failure *f, int error, const char *fmt, ...)
{
	size_t used;
	va_list args;

	if (!failure_claim(f))
		return error;
	va_start(args, fmt);
	(void)vsnprintf(f->what, sizeof(f->what), fmt, args);
	va_end(args);
	used = strlen(f->what);
	errno = -error;
	(void)snprintf(f->what + used, sizeof(f->what) - used, ": %m");
	f->error = error;
	return error;
}

int failure_set(struct failure *f, int error, const char *fmt, ...)
{
	va_list args;

	if (!failure_claim(f))
		return error;
	va_start(args, fmt);
	(void)vsnprintf(f->what, sizeof(f->what), fmt, args);
	va_end(args);
	f->error = error;
	return error;
}

int failure_hint(struct failure *f, const char *fmt, ...)
{
	va_list args;

	if (f->hint[0] || f->thread != (uintptr_t)pthread_self())
		return f->error;
	va_start(args, fmt);
	(void)vsnprintf(f->hint, sizeof(f->hint), fmt, args);
	va_end(args);
	return f->error;
}
