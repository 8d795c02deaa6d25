/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text to values, strictly: no leading blanks, no sign where none belongs, no trailing bytes, no
 * silent overflow. All return 0, -EINVAL (not of the form) or -ERANGE (of the form, too large).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

int parse_u64(const char *s, uint64_t *ret);
int parse_u32(const char *s, uint32_t *ret);
int parse_i32(const char *s, int32_t *ret);
/* 1 yes y true t on / 0 no n false f off, any case. */
int parse_bool(const char *s, bool *ret);
/* Strict decimal; 65535 and 4294967295 are -ENXIO (the kernel keeps them for "no such id"). */
int parse_uid(const char *s, uint32_t *ret);
/* "512", "4K", "1.5G" (base 1024, K M G T P E), in bytes. */
int parse_size(const char *s, uint64_t *ret);
/* "5", "90s", "2min", "500ms", "1h 30min", "infinity" (UINT64_MAX); a bare number is seconds. */
int parse_duration_us(const char *s, uint64_t *ret);
/* "15", "TERM", "SIGTERM", "RTMIN+3", "SIGRTMIN+3". */
int parse_signal(const char *s, int *ret);
/* The name without SIG ("TERM", "RTMIN+3"), in a static buffer for the real-time ones. */
const char *signal_to_name(int signal);
/* 32 hex digits, with or without dashes as a UUID has them. */
int parse_id128(const char *s, uint8_t ret[16]);
