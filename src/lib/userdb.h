/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Users of an image, from its /etc/passwd and /etc/group: read beneath the root, bounded, by a
 * parser of our own. No NSS: code or configuration of the image never runs (X10). Quiet.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/cleanup.h"

#define USERDB_FILE_MAX (1024 * 1024)
#define USERDB_GROUPS_MAX 1024

struct userdb_user {
	uint32_t uid, gid;
	char *name;
	char *home;    /* absolute */
	char *shell;   /* absolute */
	gid_t *groups; /* for setgroups(): gid first, then those that list the user */
	size_t group_count;
};

void userdb_user_done(struct userdb_user *user);
#define autouser autocall(userdb_user_done)

/*
 * `who` is a name, or a number: all digits are never a name. NULL is root, which exists also in an
 * image without a passwd file. -ESRCH when there is no such user, -EINVAL when `who` can't be one,
 * -ERANGE or -ENXIO for a number that is no uid; or the error of reading the files.
 */
int userdb_find(int root_fd, const char *who, struct userdb_user *ret);
