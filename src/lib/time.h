/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clocks. Timeouts use the monotonic clock, what people read the real one. Quiet. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_INFINITY UINT64_MAX

uint64_t time_monotonic_us(void);
uint64_t time_realtime_us(void);
/* "Mon 2026-11-23 14:31:46 UTC", in local time, into buf of at least 40 bytes; returns buf. */
char *time_format(uint64_t realtime_us, char *buf, size_t size);
/* "2026-11-23T14:31:46.123456Z" */
char *time_format_iso(uint64_t realtime_us, char *buf, size_t size);
/* "1min 5s", "3h 2min", "2 days": two units at most. */
char *time_format_span(uint64_t span_us, char *buf, size_t size);
/* "1.5G", "12.0M", "812B", base 1024. */
char *size_format(uint64_t bytes, char *buf, size_t size);
