/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether systemd-networkd of the host serves machines' links: it runs here, and the file that
 * tells it to is there and not masked. Asks nobody: to connect to one of its sockets could start
 * it. Quiet. Supervisor's side. Source: systemd.network(5); files 80-container-*.network.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "host/network/network.h"
#include "lib/io.h"
#include "lib/macro.h"
#include "lib/str.h"

#define RUN_DIR "/run/systemd/netif"
/* What the kernel keeps of "systemd-networkd". */
#define COMMAND "systemd-network\n"
#define SOCKETS_MAX (4 * 1024 * 1024)

/* The first that has a file of a name decides. */
static const char *const directories[] = {
	"/etc/systemd/network",	    "/run/systemd/network", "/usr/local/lib/systemd/network",
	"/usr/lib/systemd/network", "/lib/systemd/network",
};

static bool has_file(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		autofree char *path = str_printf("%s/%s", directories[i], name);
		struct stat st;

		if (!path || lstat(path, &st) < 0)
			continue;
		/* Masked: a link to /dev/null, or empty. */
		return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
	}
	return false;
}

static bool is_networkd(unsigned long pid)
{
	autofree char *command = NULL;
	char path[48];

	(void)snprintf(path, sizeof(path), "/proc/%lu/comm", pid);
	return io_read_file_at(AT_FDCWD, path, 64, &command, NULL) >= 0 && streq(command, COMMAND);
}

/* Of blank-separated ones; 0 where there is no number. */
static unsigned long third_field(const char *line)
{
	for (int i = 0; i < 2; i++) {
		line += strcspn(line, " ");
		line += strspn(line, " ");
	}
	return strtoul(line, NULL, 10);
}

/*
 * A netlink socket bears the number of the process that made it, and the list shows those of this
 * network namespace alone: a networkd elsewhere is none of ours. Its main socket may have been made
 * by its service manager; it has others.
 */
static bool has_socket(void)
{
	autofree char *text = NULL;
	unsigned long last = 0;

	if (io_read_file_at(AT_FDCWD, "/proc/net/netlink", SOCKETS_MAX, &text, NULL) < 0)
		return false;
	for (char *line = strchr(text, '\n'); line; line = strchr(line + 1, '\n')) {
		unsigned long pid = third_field(line + 1);

		if (pid <= 1 || pid == last)
			continue;
		if (is_networkd(pid))
			return true;
		last = pid;
	}
	return false;
}

bool network_is_managed(const char *file)
{
	return faccessat(AT_FDCWD, RUN_DIR, F_OK, 0) == 0 && has_file(file) && has_socket();
}
