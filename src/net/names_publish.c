/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Publishing names. Supervisor's side; readers are in names.c. */
#include <errno.h>
#include <fcntl.h>

#include "lib/fs.h"
#include "lib/io.h"
#include "lib/machine_name.h"
#include "lib/str.h"
#include "net/names.h"

static int open_or_make_names(void)
{
	int fd = open(NET_NAMES_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd >= 0)
		return fd;
	if (errno != ENOENT)
		return -errno;
	r = fs_make_dirs(NET_NAMES_DIR, 0755);
	if (r < 0)
		return r;
	fd = open(NET_NAMES_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The file of the machine: of its bare name, or of the full one. */
static char *file_name(const char *machine, bool is_bare)
{
	return str_printf("%s%s", machine, is_bare ? "" : NET_NAMES_SUFFIX);
}

static void remove_file(const char *machine, bool is_bare)
{
	/* Needs no descriptor: it must work when there are none left. */
	autofree char *name = file_name(machine, is_bare);
	autofree char *path = name ? str_printf(NET_NAMES_DIR "/%s", name) : NULL;

	/* A machine "x.redd" has no bare name: the file that is called so is x's. */
	if (path && !(is_bare && str_has_suffix(machine, NET_NAMES_SUFFIX)))
		(void)unlink(path);
}

int net_names_publish(const char *machine, const struct net_address *addresses, size_t count)
{
	autobuf struct buf b = {};
	char text[NET_ADDRESS_TEXT];
	autofree char *file = NULL;
	autoclose int dir = -1;
	bool is_bare;

	if (!machine_name_is_valid(machine))
		return -EINVAL;
	for (size_t i = 0; i < count && i < NET_NAMES_ADDRESSES_MAX; i++)
		if (net_address_is_set(&addresses[i]))
			buf_printf(&b, "%s\n", net_address_format(&addresses[i], text));
	if (b.error < 0)
		return b.error;
	if (b.size == 0) {
		net_names_withdraw(machine);
		return 0;
	}
	is_bare = !net_name_conflict(machine, addresses, count);
	file = file_name(machine, is_bare);
	dir = file ? open_or_make_names() : -ENOMEM;
	if (dir < 0)
		return dir;
	/* Removes only the other one: a name that stays must never be missing. */
	remove_file(machine, !is_bare);
	return io_replace_file_at(dir, file, b.data, 0644, false);
}

void net_names_withdraw(const char *machine)
{
	if (!machine_name_is_valid(machine))
		return;
	remove_file(machine, true);
	remove_file(machine, false);
}

void net_names_clean(const char *machine)
{
	net_names_withdraw(machine);
	for (int is_bare = 0; is_bare <= 1 && machine_name_is_valid(machine); is_bare++) {
		autofree char *name = file_name(machine, is_bare);
		autofree char *path = name ? str_printf(NET_NAMES_DIR "/%s", name) : NULL;

		if (path)
			io_remove_temporaries_at(AT_FDCWD, path);
	}
}
