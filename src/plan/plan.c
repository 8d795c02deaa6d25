/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Builds a plan: an array of ops, and the memory they point into. Must have no side effects.
 * Supervisor's side. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/str.h"
#include "plan/plan.h"

void plan_done(struct plan *plan)
{
	for (size_t i = 0; i < plan->owned_count; i++)
		free(plan->owned[i]);
	free(plan->owned);
	free(plan->ops);
	*plan = (struct plan){};
}

/* Takes `memory`; returns it, or NULL when it was NULL or can't be remembered. */
static void *plan_own(struct plan *plan, void *memory)
{
	void **grown;

	if (!memory) {
		plan->error = -ENOMEM;
		return NULL;
	}
	grown = realloc(plan->owned, (plan->owned_count + 1) * sizeof(*grown));
	if (!grown) {
		free(memory);
		plan->error = -ENOMEM;
		return NULL;
	}
	plan->owned = grown;
	plan->owned[plan->owned_count++] = memory;
	return memory;
}

/* Enough for most plans, so that the array needn't grow. */
#define OPS_USUAL 192

void plan_add(struct plan *plan, const struct plan_op *op)
{
	if (plan->count == plan->capacity) {
		size_t capacity = plan->capacity ? plan->capacity * 2 : OPS_USUAL;
		struct plan_op *grown = realloc(plan->ops, capacity * sizeof(*grown));

		if (!grown) {
			plan->error = -ENOMEM;
			return;
		}
		plan->ops = grown;
		plan->capacity = capacity;
	}
	plan->ops[plan->count++] = *op;
}

const char *plan_str(struct plan *plan, const char *s)
{
	return s ? plan_own(plan, strdup(s)) : NULL;
}

const char *plan_printf(struct plan *plan, const char *fmt, ...)
{
	va_list args;
	char *s;

	va_start(args, fmt);
	s = str_vprintf(fmt, args);
	va_end(args);
	return plan_own(plan, s);
}

void *plan_copy(struct plan *plan, const void *data, size_t size)
{
	void *copy = plan_own(plan, malloc(size ? size : 1));

	if (copy && size)
		memcpy(copy, data, size);
	return copy;
}

char *const *plan_strv(struct plan *plan, char *const *v)
{
	size_t n = strv_length(v);
	char **copy = plan_own(plan, calloc(n + 1, sizeof(*copy)));

	for (size_t i = 0; copy && i < n; i++)
		copy[i] = (char *)plan_str(plan, v[i]);
	return copy;
}

void plan_finish(struct plan *plan)
{
	struct plan_op *sorted = calloc(plan->count ? plan->count : 1, sizeof(*sorted));
	size_t n = 0;

	if (!sorted) {
		plan->error = -ENOMEM;
		return;
	}
	for (int stage = 0; stage < PLAN_STAGE_COUNT; stage++)
		for (size_t i = 0; i < plan->count; i++)
			if ((int)plan->ops[i].stage == stage)
				sorted[n++] = plan->ops[i];
	free(plan->ops);
	plan->ops = sorted;
	plan->capacity = plan->count;
}
