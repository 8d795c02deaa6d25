// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Users of an image. Must never fall back to root, to another user or to the host's database.
 * Parent side of clone(): the numbers go to the child.
 */
#include "lib/userdb.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/macro.h"
#include "lib/parse.h"
#include "lib/path.h"
#include "lib/str.h"

#define FIELDS_MAX 7

void userdb_user_done(struct userdb_user *user)
{
	free(user->name);
	free(user->home);
	free(user->shell);
	free(user->groups);
	*user = (struct userdb_user){};
}

/* Splits at every colon, in place, empty fields kept. The number of fields. */
static size_t split_fields(char *line, char *fields[FIELDS_MAX])
{
	size_t n = 0;

	while (n < FIELDS_MAX) {
		char *colon = strchr(line, ':');

		fields[n++] = line;
		if (!colon)
			break;
		*colon = '\0';
		line = colon + 1;
	}
	return n;
}

static bool is_digits(const char *s)
{
	return *s && s[strspn(s, "0123456789")] == '\0';
}

static char *absolute_or(const char *path, const char *otherwise)
{
	return strdup(path[0] == '/' ? path : otherwise);
}

/* name:password:uid:gid:gecos:home:shell. -ENOENT when the line is of somebody else, or broken. */
static int parse_passwd_line(char *line, const char *name, uint32_t uid, struct userdb_user *ret)
{
	autouser struct userdb_user user = {};
	char *fields[FIELDS_MAX];

	if (split_fields(line, fields) < FIELDS_MAX)
		return -ENOENT;
	if (parse_uid(fields[2], &user.uid) < 0 || parse_uid(fields[3], &user.gid) < 0)
		return -ENOENT;
	if (name ? !streq(fields[0], name) : user.uid != uid)
		return -ENOENT;
	user.name = strdup(fields[0]);
	user.home = absolute_or(fields[5], "/");
	user.shell = absolute_or(fields[6], "/bin/sh");
	if (!user.name || !user.home || !user.shell)
		return -ENOMEM;
	*ret = user;
	user = (struct userdb_user){};
	return 0;
}

static int find_passwd(int root_fd, const char *name, uint32_t uid, struct userdb_user *ret)
{
	autofree char *text = NULL;
	char *line, *saved = NULL;
	int r;

	r = path_read_in_root(root_fd, "/etc/passwd", USERDB_FILE_MAX, &text, NULL);
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	for (line = strtok_r(text, "\n", &saved); line; line = strtok_r(NULL, "\n", &saved)) {
		r = parse_passwd_line(line, name, uid, ret);
		if (r != -ENOENT)
			return r;
	}
	return -ESRCH;
}

static bool is_member(char *members, const char *name)
{
	char *member, *saved = NULL;

	for (member = strtok_r(members, ",", &saved); member;
	     member = strtok_r(NULL, ",", &saved)) {
		if (streq(member, name))
			return true;
	}
	return false;
}

static int add_group(struct userdb_user *user, uint32_t gid)
{
	gid_t *groups;

	for (size_t i = 0; i < user->group_count; i++) {
		if (user->groups[i] == gid)
			return 0;
	}
	if (user->group_count >= USERDB_GROUPS_MAX)
		return -E2BIG;
	groups = reallocarray(user->groups, user->group_count + 1, sizeof(*groups));
	if (!groups)
		return -ENOMEM;
	user->groups = groups;
	groups[user->group_count++] = gid;
	return 0;
}

/* name:password:gid:member,member */
static int find_groups(int root_fd, struct userdb_user *user)
{
	autofree char *text = NULL;
	char *line, *saved = NULL;
	int r;

	r = add_group(user, user->gid);
	if (r < 0)
		return r;
	r = path_read_in_root(root_fd, "/etc/group", USERDB_FILE_MAX, &text, NULL);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (line = strtok_r(text, "\n", &saved); line; line = strtok_r(NULL, "\n", &saved)) {
		char *fields[FIELDS_MAX];
		uint32_t gid;

		if (split_fields(line, fields) < 4 || parse_uid(fields[2], &gid) < 0)
			continue;
		if (!is_member(fields[3], user->name))
			continue;
		r = add_group(user, gid);
		if (r < 0)
			return r;
	}
	return 0;
}

static int set_root(struct userdb_user *user)
{
	user->name = strdup("root");
	user->home = strdup("/root");
	user->shell = strdup("/bin/sh");
	return user->name && user->home && user->shell ? 0 : -ENOMEM;
}

int userdb_find(int root_fd, const char *who, struct userdb_user *ret)
{
	autouser struct userdb_user user = {};
	bool number = who && is_digits(who);
	uint32_t uid = 0;
	int r;

	if (number) {
		r = parse_uid(who, &uid);
		if (r < 0)
			return r;
	} else if (who && (!*who || strpbrk(who, ":,\n/") || who[0] == '-' || who[0] == '+')) {
		return -EINVAL;
	}
	r = find_passwd(root_fd, number ? NULL : who ? who : "root", uid, &user);
	/* A static root without /etc has a root too: uid 0 needs no file to say what it is. */
	if (r == -ESRCH && (!who || streq(who, "root") || (number && uid == 0)))
		r = set_root(&user);
	if (r >= 0)
		r = find_groups(root_fd, &user);
	if (r < 0)
		return r;
	*ret = user;
	user = (struct userdb_user){};
	return 0;
}
