/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Compares the CPU clock of the worker with its progress. Runs in the worker's parent. */
#include "transfer/import/cpu_limit.h"

#include <errno.h>
#include <time.h>

#define ALLOWED_BASE_US UINT64_C(10000000)
#define ALLOWED_PER_MIB_READ_US UINT64_C(10000000)
#define ALLOWED_PER_MIB_US UINT64_C(1000000)
#define ALLOWED_PER_ENTRY_US UINT64_C(5000)

uint64_t cpu_limit_allowed_us(uint64_t bytes_read, uint64_t bytes_decoded, uint64_t entries)
{
	return ALLOWED_BASE_US + (bytes_read >> 20) * ALLOWED_PER_MIB_READ_US +
	       (bytes_decoded >> 20) * ALLOWED_PER_MIB_US + entries * ALLOWED_PER_ENTRY_US;
}

int cpu_limit_check(pid_t pid, const struct transfer_stats *stats)
{
	uint64_t allowed_us = cpu_limit_allowed_us(
		atomic_load(&stats->bytes_read), atomic_load(&stats->bytes_decoded),
		atomic_load(&stats->entries) + atomic_load(&stats->parents));
	struct timespec used;
	clockid_t clock;

	/* A process that has ended has no clock; the caller notices the end through the pidfd. */
	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) < 0)
		return 0;
	if ((uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000 > allowed_us)
		return -ETIME;
	return 0;
}
