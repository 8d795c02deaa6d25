// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Cleans up after a supervisor that died: ends the processes that outlived it, and removes its
 * cgroups, published name, files and directory. Works under the machine's own lock, so that a start
 * can claim the name at any time. Must never touch a live machine. Host side of clone().
 */
#include "machine/clean.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "kernel/sys.h"
#include "lib/fd.h"
#include "lib/fs.h"
#include "lib/lock.h"
#include "lib/machine_name.h"
#include "lib/macro.h"
#include "lib/path.h"
#include "lib/str.h"
#include "lib/time.h"
#include "machine/cgroups.h"
#include "machine/leader.h"
#include "machine/registry.h"
#include "net/names.h"

#define REMOVE_TRIES 10
/* Directories that are being made or removed. No machine can have such a name. */
#define HIDDEN_PREFIX ".#"

static const char *const left_behind[] = {"control", "state", "root"};

/* The state may be spoilt: accept only the forms that redd writes, "…/redd/NAME" and
 * "…/redd@NAME.service". */
static bool is_machine_cgroup(const char *path, const char *name)
{
	autofree char *own = cgroups_path_of(name, "");
	autofree char *service = str_printf("/redd@%s.service", name);

	return own && service && path_is_normalized(path) &&
	       (str_has_suffix(path, own) || str_has_suffix(path, service));
}

/*
 * A PID 1 may have cleared its parent death signal, and on a host without cgroups nothing else ends
 * it. All processes of its pid namespace end with it. 0, or -EBUSY: it doesn't end.
 */
static int end_leader(const struct machine_state *state, uint64_t timeout_us)
{
	autoleader struct leader leader = {};
	struct pollfd end;

	if (state->leader <= 1 || leader_open(state, &leader) < 0)
		return 0;
	(void)sys_pidfd_send_signal(leader.pidfd, SIGKILL);
	end = (struct pollfd){.fd = leader.pidfd, .events = POLLIN};
	return poll(&end, 1, (int)MIN(timeout_us / USEC_PER_MSEC, (uint64_t)INT_MAX)) > 0 ? 0
											  : -EBUSY;
}

static int end_machine(const struct machine_state *state, const char *name, uint64_t timeout_us)
{
	autofree char *cgroup = cgroups_path_of(name, "");
	int r = cgroup ? end_leader(state, timeout_us / 3) : -ENOMEM;
	int r2;

	if (r == -ENOMEM)
		return r;
	if (state->cgroup && !streq(state->cgroup, cgroup) &&
	    is_machine_cgroup(state->cgroup, name))
		(void)cgroups_remove(state->cgroup, timeout_us / 3);
	r2 = cgroups_remove(cgroup, timeout_us / 3);
	return r2 < 0 ? r2 : r;
}

int machine_clean_locked(int dir_fd, const char *name, uint64_t timeout_us)
{
	automachine struct machine_state state = {};
	int r = machine_state_read(dir_fd, &state);

	if (r == -ENOMEM)
		return r;
	r = end_machine(&state, name, timeout_us);
	if (r < 0)
		return r;
	net_names_clean(name);
	for (size_t i = 0; i < ARRAY_SIZE(left_behind); i++) {
		r = fs_remove_tree_at(dir_fd, left_behind[i]);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return 0;
}

char *machine_hidden_name(const char *name)
{
	static unsigned counter;

	return str_printf(HIDDEN_PREFIX "%s.%d.%u", name, getpid(), counter++);
}

/* Removes the usual files by name, with a third of the calls. 0, or -ENOTEMPTY: there are more. */
static int remove_usual(int registry_fd, const char *directory)
{
	static const char *const files[] = {"state", "control", "lock"};
	char path[NAME_MAX + sizeof("/control")];

	(void)snprintf(path, sizeof(path), "%s/root", directory);
	(void)unlinkat(registry_fd, path, AT_REMOVEDIR);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", directory, files[i]);
		(void)unlinkat(registry_fd, path, 0);
	}
	return (int)SYS_RESULT(unlinkat(registry_fd, directory, AT_REMOVEDIR));
}

int machine_remove_locked(int registry_fd, const char *name)
{
	autofree char *hidden = machine_hidden_name(name);
	int r;

	if (!hidden)
		return -ENOMEM;
	if (renameat(registry_fd, name, registry_fd, hidden) < 0)
		return -errno;
	r = remove_usual(registry_fd, hidden);
	/*
	 * The name is free now. A claim that opened the directory before may still create a lock
	 * there, once, and another cleaner may be removing the same files.
	 */
	for (int i = 0; i < REMOVE_TRIES && (r == -ENOTEMPTY || r == -ESTALE); i++)
		r = fs_remove_tree_at(registry_fd, hidden);
	return r == -ENOENT || r == -ENOTEMPTY || r == -ESTALE ? 0 : r;
}

/* 1 removed, 0 alive or gone by itself, -errno. */
static int clean_entry(int registry_fd, const char *entry, uint64_t timeout_us)
{
	bool removed = str_after_prefix(entry, HIDDEN_PREFIX) != NULL;
	autoclose int dir = -1, lock = -1;
	struct stat st;
	int r;

	if (!removed && !machine_name_is_valid(entry))
		return 0;
	dir = openat(registry_fd, entry, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	lock = lock_take_at(dir, "lock", false);
	if (lock < 0)
		return lock == -EBUSY || lock == -ENOENT ? 0 : lock;
	if (fstat(lock, &st) < 0 || st.st_nlink == 0)
		return 0; /* its supervisor released it while we waited for the lock */
	r = removed ? 0 : machine_clean_locked(dir, entry, timeout_us);
	if (r >= 0)
		r = removed ? fs_remove_tree_at(registry_fd, entry)
			    : machine_remove_locked(registry_fd, entry);
	return r < 0 && r != -ENOENT ? r : 1;
}

static int list_entries(int fd, char ***ret)
{
	DIR *dir = fdopendir(fcntl(fd, F_DUPFD_CLOEXEC, 3));
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return -errno;
	while (r >= 0 && (entry = readdir(dir)))
		if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
			r = strv_add(ret, entry->d_name);
	(void)closedir(dir);
	return r;
}

/* What is left of the time is shared by those who are left: none keeps it from the others. */
static uint64_t fair_share(uint64_t deadline_us, size_t entries)
{
	uint64_t now = time_monotonic_us();

	return now < deadline_us ? (deadline_us - now) / entries : 0;
}

void machine_leftovers_done(struct machine_leftovers *left)
{
	left->names = strv_free(left->names);
}

/* How many are removed: 1 or 0. */
static int clean_or_note(int fd, const char *entry, uint64_t timeout_us,
			 struct machine_leftovers *left)
{
	int r = clean_entry(fd, entry, timeout_us);

	if (r >= 0)
		return r;
	left->error = r;
	return strv_add(&left->names, entry);
}

int machine_clean_dead(uint64_t timeout_us, struct machine_leftovers *ret_left)
{
	autocall(machine_leftovers_done) struct machine_leftovers left = {};
	uint64_t deadline_us = time_monotonic_us() + timeout_us;
	autoclose int fd = open(MACHINE_RUN_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autostrv char **entries = NULL;
	int r, count = 0;
	size_t n;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = list_entries(fd, &entries);
	n = strv_length(entries);
	for (size_t i = 0; i < n && r >= 0; i++) {
		r = clean_or_note(fd, entries[i], fair_share(deadline_us, n - i), &left);
		count += r > 0;
	}
	if (r < 0)
		return r;
	if (ret_left) {
		*ret_left = left;
		left = (struct machine_leftovers){};
	}
	return count;
}
