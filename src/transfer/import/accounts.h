/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The users and groups of an unpacked tree, by name, from its own files: never from this host's.
 * Runs in the worker. Quiet.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define ACCOUNTS_USERS "/etc/passwd"
#define ACCOUNTS_GROUPS "/etc/group"

struct account {
	const char *name;
	uint32_t id;
};

struct account_list {
	char *text; /* what the rows point into */
	struct account *rows;
	size_t count;
};

struct accounts {
	struct account_list users, groups;
};

/* A tree whose files are missing, or aren't files, or are too large has no names. 0 or -ENOMEM. */
int accounts_read(int root_fd, struct accounts *ret);
void accounts_done(struct accounts *names);
/* 0 or -ESRCH. root is 0 also where no file says so. */
int account_find(const struct account_list *names, const char *name, uint32_t *ret_id);
