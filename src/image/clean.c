// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Finishes what a killed removal began and takes away lock files of the dead. Must never touch what
 * a living process holds the lock of. Caller's side of clone().
 */
#include "image/remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "image/lock.h"
#include "image/pool.h"
#include "lib/fs.h"
#include "lib/lock.h"
#include "lib/str.h"
#include "lib/time.h"

static int clean_tree(int pool_fd, const char *name, uint64_t deadline_us)
{
	autoclose int fd = openat(pool_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	return fs_remove_tree_until(pool_fd, name, deadline_us);
}

/* Locking says whether the file still is the one of that name: nobody else's is unlinked. */
static int clean_lock(int dir_fd, const char *name)
{
	autoclose int fd = lock_take_at(dir_fd, name, false);

	if (fd < 0)
		return fd;
	return unlinkat(dir_fd, name, 0) < 0 ? -errno : 0;
}

static int clean_pool_entry(int pool_fd, const char *name, uint64_t deadline_us)
{
	if (str_after_prefix(name, POOL_REMOVE_PREFIX))
		return clean_tree(pool_fd, name, deadline_us);
	if (str_after_prefix(name, POOL_HIDDEN_PREFIX) && str_has_suffix(name, POOL_LOCK_SUFFIX))
		return clean_lock(pool_fd, name);
	return -ENOENT;
}

static int clean_inode_lock(int dir_fd, const char *name, uint64_t deadline_us)
{
	return str_after_prefix(name, "inode-") ? clean_lock(dir_fd, name) : -ENOENT;
}

/* Returns 0 for what it took away. */
typedef int (*clean_fn)(int dir_fd, const char *name, uint64_t deadline_us);

static int clean_directory(const char *path, clean_fn clean, uint64_t deadline_us)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int n = 0;

	if (!dir)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	while ((entry = readdir(dir)))
		n += clean(dirfd(dir), entry->d_name, deadline_us) == 0;
	(void)closedir(dir);
	return n;
}

int image_clean_leftovers(uint64_t budget_us)
{
	uint64_t deadline_us =
		budget_us == UINT64_MAX ? UINT64_MAX : time_monotonic_us() + budget_us;
	int n = clean_directory(IMAGE_LOCKS_DIR, clean_inode_lock, deadline_us);

	for (size_t i = 0; i < image_pools_count() && n >= 0; i++) {
		int r = image_pools[i].vendor ? 0
					      : clean_directory(image_pools[i].path,
								clean_pool_entry, deadline_us);

		n = r < 0 ? r : n + r;
	}
	return n;
}
