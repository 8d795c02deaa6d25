/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The users and groups of an unpacked tree, by name, from its own files: never from this host's.
 * Runs in the worker. Quiet.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define NAMES_USERS "/etc/passwd"
#define NAMES_GROUPS "/etc/group"

struct names_row {
	const char *name;
	uint32_t id;
};

struct names {
	char *text; /* what the rows point into */
	struct names_row *rows;
	size_t count;
};

struct names_pair {
	struct names users, groups;
};

/* A tree whose files are missing, or aren't files, or are too large has no names. 0 or -ENOMEM. */
int names_read(int root_fd, struct names_pair *ret);
void names_done(struct names_pair *names);
/* 0 or -ESRCH. root is 0 also where no file says so. */
int names_find(const struct names *names, const char *name, uint32_t *ret_id);
