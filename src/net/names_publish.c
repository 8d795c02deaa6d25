/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Publishing names. Supervisor's side; readers are in names.c. */
#include <errno.h>
#include <fcntl.h>

#include "lib/fs.h"
#include "lib/io.h"
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

int net_names_publish(const char *machine, const struct net_address *addresses, size_t count)
{
	autobuf struct buf b = {};
	char text[NET_ADDRESS_TEXT];
	autoclose int dir = -1;

	if (!net_name_is_valid(machine))
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
	dir = open_or_make_names();
	return dir < 0 ? dir : io_replace_file_at(dir, machine, b.data, 0644, false);
}

void net_names_withdraw(const char *machine)
{
	/* Without a descriptor: it must work when there are no more. */
	autofree char *path = str_printf(NET_NAMES_DIR "/%s", machine);

	if (path && net_name_is_valid(machine))
		(void)unlink(path);
}

void net_names_clean(const char *machine)
{
	autofree char *path = str_printf(NET_NAMES_DIR "/%s", machine);

	net_names_withdraw(machine);
	if (path && net_name_is_valid(machine))
		io_remove_temporaries_at(AT_FDCWD, path);
}
