// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Looking into a running machine from outside. Must never run anything in it, follow its links out
 * of its root, or print its bytes unescaped. Caller's side.
 */
#include "cli/guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "image/os_release.h"
#include "lib/fd.h"
#include "lib/io.h"
#include "lib/str.h"
#include "machine/cgroups.h"
#include "machine/leader.h"
#include "machine/registry.h"

#define COMMAND_MAX_BYTES 4096
#define INDENT 18
#define DEPTH_MAX 32
/* What a person can still read; machinectl shows all and is then of no use. */
#define LINES_MAX 2000

int guest_read_os_release(const struct machine_state *machine, struct os_release *ret)
{
	autoleader struct leader leader = {};
	autoclose int root = -1;
	int r = leader_open(machine, &leader);

	if (r < 0)
		return r;
	root = leader_open_root(&leader);
	return root < 0 ? root : os_release_read(root, ret);
}

char *guest_leader_name(const struct machine_state *machine)
{
	autoleader struct leader leader = {};
	autofree char *name = NULL;

	if (leader_open(machine, &leader) < 0 ||
	    io_read_file_at(leader.proc_fd, "comm", 64, &name, NULL) < 0)
		return NULL;
	name[strcspn(name, "\n")] = '\0';
	return take_ptr(name);
}

struct tree {
	FILE *out;
	unsigned lines;
};

/* The command line, or the name in brackets of what has none. */
static char *command_of(pid_t pid)
{
	autofree char *path = str_printf("/proc/%d/cmdline", pid), *text = NULL, *name = NULL;
	autoclose int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	char data[COMMAND_MAX_BYTES + 1];
	ssize_t n = fd < 0 ? 0 : io_read_all(fd, data, sizeof(data) - 1);

	if (n > 0) {
		while (n > 0 && data[n - 1] == '\0')
			n--;
		data[n] = '\0';
		for (ssize_t i = 0; i < n; i++)
			data[i] = data[i] ? data[i] : ' ';
		return strdup(data);
	}
	free(path);
	path = str_printf("/proc/%d/comm", pid);
	if (!path || io_read_file_at(AT_FDCWD, path, 64, &name, NULL) < 0)
		return NULL;
	name[strcspn(name, "\n")] = '\0';
	text = str_printf("[%s]", name);
	return take_ptr(text);
}

static void print_line(struct tree *tree, const char *prefix, bool last, const char *text)
{
	autofree char *escaped = str_escape(text);

	if (++tree->lines <= LINES_MAX && escaped)
		(void)fprintf(tree->out, "%*s%s%s%s\n", INDENT, "", prefix, last ? "└─" : "├─",
			      escaped);
}

static int read_children(int cgroup_fd, char ***ret)
{
	struct dirent *entry;
	DIR *dir = fdopendir(fcntl(cgroup_fd, F_DUPFD_CLOEXEC, 3));
	int r = 0;

	if (!dir)
		return -errno;
	while (r >= 0 && (entry = readdir(dir))) {
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			r = strv_add(ret, entry->d_name);
	}
	(void)closedir(dir);
	return r;
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void print_pid(struct tree *tree, const char *prefix, bool last, pid_t pid)
{
	autofree char *command = command_of(pid);
	autofree char *text = str_printf("%d %s", pid, command ? command : "?");

	if (text)
		print_line(tree, prefix, last, text);
}

static void print_pids(struct tree *tree, int cgroup_fd, const char *prefix, bool more)
{
	autofree pid_t *pids = NULL;
	size_t count;

	if (cgroups_read_pids(cgroup_fd, &pids, &count) < 0)
		return;
	for (size_t i = 0; i < count; i++) {
		/* Count the rest without reading it: /proc is slow with thousands of processes. */
		if (tree->lines >= LINES_MAX)
			tree->lines++;
		else
			print_pid(tree, prefix, !more && i + 1 == count, pids[i]);
	}
}

static void print_cgroup(struct tree *tree, int cgroup_fd, const char *prefix, unsigned depth)
{
	autostrv char **children = NULL;
	size_t n;

	if (depth > DEPTH_MAX || tree->lines > LINES_MAX || read_children(cgroup_fd, &children) < 0)
		return;
	n = strv_length(children);
	print_pids(tree, cgroup_fd, prefix, n > 0);
	if (n > 0)
		qsort(children, n, sizeof(*children), compare_strings);
	for (size_t i = 0; i < n; i++) {
		autofree char *below = str_printf("%s%s", prefix, i + 1 == n ? "  " : "│ ");
		autoclose int child = openat(cgroup_fd, children[i],
					     O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

		print_line(tree, prefix, i + 1 == n, children[i]);
		if (child >= 0 && below)
			print_cgroup(tree, child, below, depth + 1);
	}
}

void guest_print_processes(FILE *out, const struct machine_state *machine)
{
	struct tree tree = {.out = out};
	autoclose int fd = machine->cgroup ? cgroups_open(machine->cgroup) : -1;

	if (fd >= 0)
		print_cgroup(&tree, fd, "", 0);
	if (tree.lines > LINES_MAX)
		(void)fprintf(out, "%*s… %u more\n", INDENT, "", tree.lines - LINES_MAX);
}
