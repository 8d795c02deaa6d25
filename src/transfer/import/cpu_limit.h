/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Limits the worker's processor time in proportion to its progress: in a hostile archive,
 * libarchive may need very long to read the headers. Quiet.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "transfer/stats.h"

/* How often to check. */
#define CPU_LIMIT_INTERVAL_MS 1000

/*
 * The processor time that this much progress may take, in microseconds. Generous even for the
 * slowest machine. Decoders run ahead of the unpacker, so compressed bytes count as well.
 */
uint64_t cpu_limit_allowed_us(uint64_t bytes_read, uint64_t bytes_decoded, uint64_t entries);
/* 0, or -ETIME if the process has used more. */
int cpu_limit_check(pid_t pid, const struct transfer_stats *stats);
