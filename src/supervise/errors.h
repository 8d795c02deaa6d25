/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

#include "plan/plan.h"
#include "spec/spec.h"

/* The op of a boot that failed. */
struct boot_failure {
	const struct spec *spec;
	int image_fd;
	const struct plan_op *op;
	size_t item; /* of an op with a list: which entry */
	int error;   /* -errno */
};

/* Says once what failed, with a hint where there is one. Returns the error. */
int boot_log_failure(const struct boot_failure *failure);
