/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Small compile-time helpers. Both sides of clone(). */
#pragma once

#include <stddef.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_USE __attribute__((warn_unused_result))
#define UNUSED __attribute__((unused))
/*
 * For a function that runs on a stack given to clone(2): AddressSanitizer knows the stack of the
 * thread only, and warns about any other when a function is called that doesn't return.
 */
#define RUNS_ON_GIVEN_STACK __attribute__((no_sanitize_address))
#define MIN(a, b)                                                                                  \
	({                                                                                         \
		typeof(a) min_a_ = (a);                                                            \
		typeof(b) min_b_ = (b);                                                            \
		min_a_ < min_b_ ? min_a_ : min_b_;                                                 \
	})
#define MAX(a, b)                                                                                  \
	({                                                                                         \
		typeof(a) max_a_ = (a);                                                            \
		typeof(b) max_b_ = (b);                                                            \
		max_a_ > max_b_ ? max_a_ : max_b_;                                                 \
	})
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
