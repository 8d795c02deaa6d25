/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processor time of the unpacking process, bounded by what it has to show for it: some headers cost
 * far more to read than to write, and the library that reads them has its own ideas. Quiet.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "transfer/stats.h"

/* How often to look. */
#define CPU_LIMIT_INTERVAL_MS 1000

/*
 * Microseconds that so much may take at most, on the slowest machine: many times what it takes.
 * Decoders run ahead of the unpacker, so the bytes that were read count as well as those it was
 * given.
 */
uint64_t cpu_limit_allowed_us(uint64_t bytes_read, uint64_t bytes_decoded, uint64_t entries);
/* 0, or -ETIME when the process has used more than that. */
int cpu_limit_check(pid_t pid, const struct transfer_stats *stats);
