/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The directory on disk for the changes of an ephemeral machine. Its supervisor holds a lock
 * (flock) on it, so a directory without a lock was left by a crash, and the next start removes it.
 * Must never remove what is locked. Supervisor's and caller's side.
 */
#include "host/scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "host/host.h"
#include "lib/fd.h"
#include "lib/fs.h"
#include "lib/str.h"
#include "lib/time.h"
#include "log/log.h"

/* A cleaner may lock the new directory before we do; then we make another. */
#define MAKE_TRIES 100
/* A start doesn't wait longer than this for what another machine left. */
#define CLEAN_TIMEOUT_US (250 * USEC_PER_MSEC)

static int open_scratch_dir(void)
{
	int fd = open(HOST_SCRATCH_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* A locked descriptor. -EAGAIN: somebody else has the directory or has removed it. */
static int lock_scratch(int dir, const char *name)
{
	autoclose int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? -EAGAIN : -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || st.st_nlink == 0)
		return -EAGAIN;
	return take_fd(&fd);
}

static int make_locked(struct host *host, int dir)
{
	uint64_t random;
	autofree char *name = NULL;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	name = str_printf("%s.%016llx", host->spec->machine, (unsigned long long)random);
	if (!name)
		return -ENOMEM;
	if (mkdirat(dir, name, 0700) < 0)
		return errno == EEXIST ? -EAGAIN : -errno;
	host->scratch_fd = lock_scratch(dir, name);
	if (host->scratch_fd < 0) {
		if (host->scratch_fd != -EAGAIN)
			(void)unlinkat(dir, name, AT_REMOVEDIR);
		return host->scratch_fd;
	}
	host->facts.scratch_name = take_ptr(name);
	return 0;
}

/* The guest's root must own "upper": the overlay shows it as "/". */
int scratch_make(struct host *host)
{
	uint32_t shift = host->facts.uid_shift;
	autoclose int dir = -1;
	int r = fs_make_dirs(HOST_SCRATCH_DIR, 0700);

	if (r < 0)
		return r;
	scratch_clean(time_monotonic_us() + CLEAN_TIMEOUT_US);
	dir = open_scratch_dir();
	if (dir < 0)
		return dir;
	r = -EAGAIN;
	for (int i = 0; i < MAKE_TRIES && r == -EAGAIN; i++)
		r = make_locked(host, dir);
	if (r < 0)
		return r;
	if (mkdirat(host->scratch_fd, "upper", 0755) < 0 ||
	    mkdirat(host->scratch_fd, "work", 0700) < 0 ||
	    fchownat(host->scratch_fd, "upper", shift, shift, 0) < 0 ||
	    fchmodat(host->scratch_fd, "upper", 0755, 0) < 0)
		return -errno;
	return 0;
}

int scratch_remove(struct host *host)
{
	autoclose int dir = open_scratch_dir();
	int r = dir < 0 ? dir : fs_remove_tree_at(dir, host->facts.scratch_name);

	if (host->scratch_fd >= 0)
		(void)close(take_fd(&host->scratch_fd));
	free(take_ptr(host->facts.scratch_name));
	return r;
}

void scratch_clean(uint64_t deadline_us)
{
	DIR *dir = opendir(HOST_SCRATCH_DIR);
	struct dirent *entry;
	bool is_late = false;

	while (dir && (entry = readdir(dir))) {
		autoclose int lock = -1;

		if (entry->d_name[0] == '.')
			continue;
		lock = lock_scratch(dirfd(dir), entry->d_name);
		if (lock >= 0 &&
		    fs_remove_tree_until(dirfd(dir), entry->d_name, deadline_us) == -ETIME)
			is_late = true;
	}
	if (is_late)
		log_warning("the changes of a machine that was killed take long to remove: what is "
			    "left of them in " HOST_SCRATCH_DIR " is for `redd clean`");
	if (dir)
		(void)closedir(dir);
}
