// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The directories of live machines, and their locks. Must never trust a pid without its start time
 * and boot id, nor remove a directory whose lock it does not hold. Host side of clone().
 */
#include "machine/registry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "kernel/sys.h"
#include "lib/fd.h"
#include "lib/fs.h"
#include "lib/io.h"
#include "lib/lock.h"
#include "lib/machine_name.h"
#include "lib/macro.h"
#include "lib/path.h"
#include "lib/str.h"
#include "machine/clean.h"
#include "machine/process.h"

#define CLAIM_TRIES 100
/* How long a start waits for the remains of an earlier machine of its name. */
#define CLAIM_TIMEOUT_US (10 * USEC_PER_SEC)
#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"

static int open_registry(void)
{
	int fd = open(MACHINE_RUN_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int open_machine(int registry_fd, const char *name)
{
	int fd;

	if (!machine_name_is_valid(name))
		return -EINVAL;
	fd = openat(registry_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Is `name` still the directory that was opened, or has it been removed or replaced since? */
static bool is_current(int registry_fd, const char *name, int dir_fd)
{
	struct stat now, opened;

	return fstatat(registry_fd, name, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstat(dir_fd, &opened) == 0 && now.st_ino == opened.st_ino &&
	       now.st_dev == opened.st_dev;
}

/*
 * The directory gets its name with its lock held, so that no cleaner takes it for that of a crashed
 * supervisor. 0, -EEXIST: the name is taken, -EAGAIN: a cleaner has removed the directory.
 */
static int claim_new(int registry_fd, const char *name, int *ret_dir_fd, int *ret_lock_fd)
{
	autofree char *hidden = machine_hidden_name(name);
	autoclose int dir = -1, lock = -1;
	int r;

	if (!hidden)
		return -ENOMEM;
	if (mkdirat(registry_fd, hidden, 0700) < 0)
		return errno == EEXIST ? -EAGAIN : -errno;
	dir = openat(registry_fd, hidden, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	lock = dir < 0 ? -errno : lock_take_at(dir, "lock", false);
	if (lock == -ENOENT || lock == -EBUSY)
		return -EAGAIN;
	r = lock < 0 ? lock
		     : sys_renameat2(registry_fd, hidden, registry_fd, name, RENAME_NOREPLACE);
	if (r == -ENOENT)
		r = -EAGAIN;
	if (r < 0) {
		(void)fs_remove_tree_at(registry_fd, hidden);
		return r;
	}
	*ret_dir_fd = take_fd(&dir);
	*ret_lock_fd = take_fd(&lock);
	return 0;
}

static int claim_old(int registry_fd, const char *name, int *ret_dir_fd, int *ret_lock_fd)
{
	autoclose int dir = -1, lock = -1;

	dir = open_machine(registry_fd, name);
	if (dir < 0)
		return dir == -ENOENT ? -EAGAIN : dir;
	lock = lock_take_at(dir, "lock", false);
	/* The directory may have been replaced: then the lock says nothing. */
	if (!is_current(registry_fd, name, dir)) {
		if (lock >= 0)
			(void)unlinkat(dir, "lock", 0);
		return -EAGAIN;
	}
	if (lock < 0)
		return lock == -EBUSY ? -EEXIST : lock;
	*ret_dir_fd = take_fd(&dir);
	*ret_lock_fd = take_fd(&lock);
	return 0;
}

/*
 * Removes what a crashed supervisor left under the name, and elsewhere. Never reuses the directory:
 * a process that has it open means the dead machine. -EAGAIN: the name is free.
 */
static int remove_old(int registry_fd, const char *name)
{
	autoclose int dir = -1, lock = -1;
	int r = claim_old(registry_fd, name, &dir, &lock);

	if (r >= 0)
		r = machine_clean_locked(dir, name, CLAIM_TIMEOUT_US);
	if (r >= 0)
		r = machine_remove_locked(registry_fd, name);
	return r < 0 ? r : -EAGAIN;
}

/* -EAGAIN: it was replaced meanwhile, or has become free. */
static int try_claim(int registry_fd, const char *name, int *ret_dir_fd, int *ret_lock_fd)
{
	struct stat st;
	int r = -EEXIST;

	if (fstatat(registry_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = claim_new(registry_fd, name, ret_dir_fd, ret_lock_fd);
	return r == -EEXIST ? remove_old(registry_fd, name) : r;
}

int machine_claim(const char *name, int *ret_lock_fd)
{
	autoclose int registry = -1, dir = -1, lock = -1;
	int r;

	if (!machine_name_is_valid(name))
		return -EINVAL;
	r = fs_make_dirs(MACHINE_RUN_DIR, 0755);
	if (r < 0)
		return r;
	registry = open_registry();
	if (registry < 0)
		return registry;
	r = -EAGAIN;
	for (int i = 0; i < CLAIM_TRIES && r == -EAGAIN; i++)
		r = try_claim(registry, name, &dir, &lock);
	if (r < 0)
		return r == -EAGAIN ? -EBUSY : r;
	*ret_lock_fd = take_fd(&lock);
	return take_fd(&dir);
}

int machine_release(const char *name, int dir_fd)
{
	autoclose int registry = open_registry();

	if (registry < 0)
		return registry;
	if (!is_current(registry, name, dir_fd))
		return -ENOENT;
	return machine_remove_locked(registry, name);
}

int machine_read_boot_id(char **ret)
{
	autofree char *id = NULL;
	int r = io_read_file_at(AT_FDCWD, BOOT_ID_PATH, 128, &id, NULL);

	if (r < 0)
		return r;
	return str_replace(ret, str_strip(id));
}

static bool is_of_this_boot(const struct machine_state *state)
{
	autofree char *id = NULL;

	return state->boot_id && machine_read_boot_id(&id) >= 0 && streq(id, state->boot_id);
}

bool machine_is_alive(int dir_fd)
{
	return lock_is_held_at(dir_fd, "lock") > 0;
}

int machine_open(const char *name, struct machine_state *ret)
{
	autoclose int registry = open_registry(), dir = -1;
	automachine struct machine_state state = {};
	int r;

	if (registry < 0)
		return registry == -ENOENT ? -ESRCH : registry;
	dir = open_machine(registry, name);
	if (dir < 0)
		return dir == -ENOENT || dir == -EINVAL ? -ESRCH : dir;
	r = lock_is_held_at(dir, "lock");
	if (r <= 0)
		return r == 0 || r == -ENOENT ? -ESRCH : r;
	r = machine_state_read(dir, &state);
	/* The state is not written yet, or damaged: the machine lives, and can be asked. */
	if (r < 0 && r != -ENOMEM)
		r = str_replace(&state.name, name);
	if (r < 0)
		return r;
	*ret = state;
	state = (struct machine_state){};
	return take_fd(&dir);
}

int machine_find(const char *name, struct machine_state *ret)
{
	int dir = machine_open(name, ret);

	if (dir >= 0)
		(void)close(dir);
	return MIN(dir, 0);
}

static int append(struct machine_state **list, size_t *count, struct machine_state *state)
{
	struct machine_state *grown = reallocarray(*list, *count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	*list = grown;
	grown[(*count)++] = *state;
	*state = (struct machine_state){};
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct machine_state *)a)->name,
		      ((const struct machine_state *)b)->name);
}

int machine_list(struct machine_state **ret, size_t *ret_count)
{
	struct machine_state *list = NULL;
	struct dirent *entry;
	size_t count = 0;
	int r = 0;
	DIR *dir = opendir(MACHINE_RUN_DIR);

	if (!dir && errno != ENOENT)
		return -errno;
	while (dir && r != -ENOMEM && (entry = readdir(dir))) {
		automachine struct machine_state state = {};

		if (entry->d_name[0] == '.')
			continue;
		/* Skip machines that start or end meanwhile, or can't be read. */
		r = machine_find(entry->d_name, &state);
		if (r >= 0)
			r = append(&list, &count, &state);
		if (r == -EACCES)
			break;
	}
	if (dir)
		(void)closedir(dir);
	if (r == -ENOMEM || r == -EACCES) {
		machine_list_free(list, count);
		return r;
	}
	if (count > 0)
		qsort(list, count, sizeof(*list), compare_names);
	*ret = list;
	*ret_count = count;
	return 0;
}

void machine_list_free(struct machine_state *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		machine_state_done(&list[i]);
	free(list);
}

int machine_wait_end(int dir_fd)
{
	struct flock whole = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	autoclose int lock = openat(dir_fd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (lock < 0)
		return errno == ENOENT ? 0 : -errno;
	while (fcntl(lock, F_OFD_SETLKW, &whole) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

int machine_read_starttime(pid_t pid, uint64_t *ret)
{
	struct process_stat process;
	char path[32];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	r = process_read_stat(AT_FDCWD, path, &process);
	if (r < 0)
		return r;
	*ret = process.starttime;
	return 0;
}

int machine_open_leader(const struct machine_state *state)
{
	autoclose int pidfd = -1;
	uint64_t starttime;

	if (state->leader <= 0 || !is_of_this_boot(state))
		return -ESRCH;
	pidfd = sys_pidfd_open(state->leader, 0);
	if (pidfd < 0)
		return pidfd == -EINVAL ? -ESRCH : pidfd;
	/* Compared after the open: an equal start time proves that the pidfd is of that process. */
	if (machine_read_starttime(state->leader, &starttime) < 0 ||
	    starttime != state->leader_starttime)
		return -ESRCH;
	return take_fd(&pidfd);
}
