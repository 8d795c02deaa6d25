/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * os-release(5) of an image or of the host, read as what it is: a file of somebody else's. Never
 * blocks, never leaves the root, at most OS_RELEASE_MAX bytes. Values may hold any bytes but NUL:
 * escape them before showing. Quiet.
 */
#pragma once

#include "lib/str.h"

#define OS_RELEASE_MAX (64 * 1024)

struct os_release {
	char **pairs; /* "KEY=value", unquoted, in the file's order */
};

/*
 * Of /etc/os-release, else /usr/lib/os-release, below `root_fd`. -ENOENT when there is neither (no
 * reason to refuse an image: NixOS has it only once activated), -EFBIG, -EBADFD for no regular
 * file. Lines that are none are skipped.
 */
int os_release_read(int root_fd, struct os_release *ret);
/* The same from text, which is changed. */
int os_release_parse(char *text, struct os_release *ret);
/* The last value of that key, or NULL. */
const char *os_release_get(const struct os_release *os, const char *key);
/* PRETTY_NAME, else NAME, else ID, else NULL. */
const char *os_release_pretty(const struct os_release *os);
void os_release_done(struct os_release *os);
#define auto_os_release autocall(os_release_done)
