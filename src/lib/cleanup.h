/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ownership by attribute: variables that free, close or undo themselves at the end of their scope.
 * Every cleanup keeps errno, so that an error path may read it afterwards. Both sides of clone().
 */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Declares autocall(fn##p) for a function that takes a pointer and does nothing for NULL. */
#define DEFINE_POINTER_CLEANUP(type, fn)                                                           \
	static inline void fn##p(type *p)                                                          \
	{                                                                                          \
		if (*p)                                                                            \
			fn(*p);                                                                    \
	}

#define autocall(fn) __attribute__((cleanup(fn)))
#define autofree autocall(cleanup_free)
#define autoclose autocall(cleanup_close)

static inline void cleanup_free(void *p)
{
	int saved = errno;

	free(*(void **)p);
	errno = saved;
}

static inline void cleanup_close(const int *fd)
{
	int saved = errno;

	/* Linux frees the number even when close() says EINTR: it must not be called again. */
	if (*fd >= 0)
		(void)close(*fd);
	errno = saved;
}

/* Hand the value to somebody else: the variable forgets it and its cleanup does nothing. */
#define take_ptr(p)                                                                                \
	({                                                                                         \
		typeof(p) *taken_from_ = &(p);                                                     \
		typeof(p) taken_ = *taken_from_;                                                   \
		*taken_from_ = NULL;                                                               \
		taken_;                                                                            \
	})

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}
