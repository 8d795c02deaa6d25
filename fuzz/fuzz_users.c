/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* security row: X05, P10 */
/*
 * An image's /etc/passwd and /etc/group, as entering reads them and as the importer does. The first
 * line says who is looked for. Aborts when a number turns out to be somebody else's, or a name
 * that nobody has becomes root (X05).
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/parse.h"
#include "lib/str.h"
#include "lib/userdb.h"
#include "scratch.h"
#include "transfer/import/accounts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int scratch = -1;
static int passwd_fd, group_fd;

static void remove_files(void)
{
	(void)unlinkat(scratch, "etc/passwd", 0);
	(void)unlinkat(scratch, "etc/group", 0);
	(void)unlinkat(scratch, "etc", AT_REMOVEDIR);
}

static void make_files(void)
{
	if (scratch >= 0)
		return;
	scratch = scratch_folder("users");
	(void)atexit(remove_files);
	if (mkdirat(scratch, "etc", 0755) < 0)
		abort();
	passwd_fd = openat(scratch, "etc/passwd", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	group_fd = openat(scratch, "etc/group", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (passwd_fd < 0 || group_fd < 0)
		abort();
}

static void set_file(int fd, const uint8_t *data, size_t size)
{
	if (ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
}

static void check_user(const char *who)
{
	autouser struct userdb_user user = {};
	uint32_t number;

	if (userdb_find(scratch, who, &user) < 0)
		return;
	if (user.home[0] != '/' || user.shell[0] != '/' || user.group_count == 0 ||
	    user.group_count > USERDB_GROUPS_MAX || user.groups[0] != user.gid)
		abort();
	if (who[strspn(who, "0123456789")]) {
		if (!streq(user.name, who))
			abort();
	} else if (parse_uid(who, &number) < 0 || number != user.uid) {
		abort();
	}
}

static void check_names(const char *who)
{
	struct accounts names;
	uint32_t id;

	if (accounts_read(scratch, &names) < 0)
		return;
	(void)account_find(&names.users, who, &id);
	(void)account_find(&names.groups, who, &id);
	for (size_t i = 0; i < names.users.count; i++)
		if (account_find(&names.users, names.users.rows[i].name, &id) < 0)
			abort();
	accounts_done(&names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, '\n', size);
	char who[64] = "";
	size_t half;

	if (!end || (size_t)(end - data) >= sizeof(who))
		return 0;
	make_files();
	memcpy(who, data, (size_t)(end - data));
	size -= (size_t)(end + 1 - data);
	data = end + 1;
	/* A line of its own parts the two files. */
	end = memmem(data, size, "\n\n", 2);
	half = end ? (size_t)(end - data) + 1 : size;
	set_file(passwd_fd, data, half);
	set_file(group_fd, data + half, size - half);
	check_user(who);
	check_names(who);
	return 0;
}
