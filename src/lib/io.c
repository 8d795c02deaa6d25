/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whole reads and writes. Must never block on a fifo, read without a bound, or leave a half
 * written file under the wanted name. Parent side of clone() only.
 */
#include "lib/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/macro.h"
#include "lib/str.h"

#define READ_FIRST 4096

ssize_t io_read_all(int fd, void *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, (char *)data + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int io_write_all(int fd, const void *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = write(fd, (const char *)data + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* Reads to the end in growing pieces: the size that stat tells is 0 in /proc and stale elsewhere.
 */
static int read_growing(int fd, size_t first, size_t max, char **ret, size_t *ret_size)
{
	autofree char *data = NULL;
	size_t size = 0, capacity = first;

	for (;;) {
		char *grown = realloc(data, capacity + 1);
		ssize_t n;

		if (!grown)
			return -ENOMEM;
		data = grown;
		n = io_read_all(fd, data + size, capacity - size);
		if (n < 0)
			return (int)n;
		size += (size_t)n;
		if (size > max)
			return -EFBIG;
		if (size < capacity)
			break;
		capacity = capacity > max / 2 ? max + 1 : 2 * capacity;
	}
	data[size] = '\0';
	if (ret_size)
		*ret_size = size;
	*ret = take_ptr(data);
	return 0;
}

int io_read_fd(int fd, size_t max, char **ret, size_t *ret_size)
{
	struct stat st;
	size_t first = READ_FIRST;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADFD;
	if (lseek(fd, 0, SEEK_SET) < 0 && errno != ESPIPE)
		return -errno;
	max = MIN(max, (size_t)SSIZE_MAX - 2);
	if (st.st_size > 0 && (uint64_t)st.st_size > max)
		return -EFBIG;
	if (st.st_size >= READ_FIRST)
		first = (size_t)st.st_size + 1;
	/* One byte over the limit is how a file that grew, or has no size, is seen to be too big.
	 */
	return read_growing(fd, MIN(first, max + 1), max, ret, ret_size);
}

int io_read_file_at(int dirfd, const char *path, size_t max, char **ret, size_t *ret_size)
{
	autoclose int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return -errno;
	return io_read_fd(fd, max, ret, ret_size);
}

int io_write_file_at(int dirfd, const char *path, const char *data)
{
	autoclose int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	size_t size = strlen(data);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do
		n = write(fd, data, size);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EIO;
}

/* "dir/name" → "dir/.name.XXXXXXXX.tmp", in the same directory so that rename(2) is atomic. */
static int make_temporary_name(const char *path, char **ret)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	uint32_t random;

	if (!*name)
		return -EISDIR;
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = (uint32_t)getpid();
	*ret = str_printf("%.*s.%s.%08x.tmp", (int)(name - path), path, name, random);
	return *ret ? 0 : -ENOMEM;
}

/* ".name.XXXXXXXX.tmp" of that name? */
static bool is_temporary_of(const char *entry, const char *name)
{
	const char *rest = *entry == '.' ? str_after_prefix(entry + 1, name) : NULL;

	return rest && *rest == '.' && strspn(rest + 1, "0123456789abcdef") == 8 &&
	       streq(rest + 9, ".tmp");
}

void io_remove_temporaries_at(int dirfd, const char *path)
{
	const char *slash = strrchr(path, '/');
	autofree char *parent = slash ? strndup(path, (size_t)(slash - path + 1)) : strdup(".");
	int fd = parent ? openat(dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (is_temporary_of(entry->d_name, slash ? slash + 1 : path))
			(void)unlinkat(fd, entry->d_name, 0);
	if (dir)
		(void)closedir(dir);
	else if (fd >= 0)
		(void)close(fd);
}

static int write_new_file(int dirfd, const char *path, const char *data, unsigned mode,
			  bool durable)
{
	autoclose int fd = openat(
		dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = io_write_all(fd, data, strlen(data));
	if (r == 0 && (fchmod(fd, (mode_t)mode) < 0 || (durable && fsync(fd) < 0)))
		r = -errno;
	if (r < 0)
		(void)unlinkat(dirfd, path, 0);
	return r;
}

static int sync_parent(int dirfd, const char *path)
{
	const char *slash = strrchr(path, '/');
	autofree char *parent = slash ? strndup(path, (size_t)(slash - path + 1)) : strdup(".");
	autoclose int fd = -1;

	if (!parent)
		return -ENOMEM;
	fd = openat(dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

int io_replace_file_at(int dirfd, const char *path, const char *data, unsigned mode, bool durable)
{
	autofree char *temporary = NULL;
	int r = make_temporary_name(path, &temporary);

	if (r < 0)
		return r;
	r = write_new_file(dirfd, temporary, data, mode, durable);
	if (r < 0)
		return r;
	if (renameat(dirfd, temporary, dirfd, path) < 0) {
		r = -errno;
		(void)unlinkat(dirfd, temporary, 0);
		return r;
	}
	return durable ? sync_parent(dirfd, path) : 0;
}
