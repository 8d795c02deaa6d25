/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Maps the names of users and groups to ids, by the files of an unpacked tree: never by those of
 * this host. Runs in the worker. Quiet.
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
	char *text; /* owns the names in `rows` */
	struct account *rows;
	size_t count;
};

struct accounts {
	struct account_list users, groups;
};

/*
 * A file that is missing, too large or not a regular file gives no names. The caller frees *ret
 * with accounts_done(). 0 or -ENOMEM.
 */
int accounts_read(int root_fd, struct accounts *ret);
void accounts_done(struct accounts *names);
/* 0 or -ESRCH. "root" is 0 even if no file lists it. */
int account_find(const struct account_list *names, const char *name, uint32_t *ret_id);
