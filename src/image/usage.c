// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The cache of measured disk usage. Must never make a verb fail: it is a cache, and lines that it
 * does not understand are left out. Caller's side of clone().
 */
#include "image/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "kernel/sys.h"
#include "lib/fd.h"
#include "lib/fs.h"
#include "lib/io.h"
#include "lib/lock.h"
#include "lib/parse.h"
#include "lib/str.h"
#include "lib/time.h"

#define CACHE_DIR "/var/cache/redd"
#define CACHE_FILE "usage"
#define CACHE_LOCK "usage.lock"
#define CACHE_SIZE_MAX (IMAGE_USAGE_MAX * 84)

struct entry {
	uint64_t ino, birth_ns; /* the key */
	uint64_t bytes, measured_us;
};

struct cache {
	struct entry *entries; /* sorted by key */
	size_t n;
};

static void cache_done(struct cache *c)
{
	free(c->entries);
}

static int compare_keys(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return (x->birth_ns > y->birth_ns) - (x->birth_ns < y->birth_ns);
}

static int compare_ages(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return (x->measured_us < y->measured_us) - (x->measured_us > y->measured_us);
}

static void cache_sort(struct cache *c, int (*compare)(const void *, const void *))
{
	if (c->n > 1)
		qsort(c->entries, c->n, sizeof(*c->entries), compare);
}

static struct entry *cache_find(const struct cache *c, const struct entry *key)
{
	return c->n > 0 ? bsearch(key, c->entries, c->n, sizeof(*key), compare_keys) : NULL;
}

/* Anything but four numbers is no entry. */
static bool parse_entry(char *line, struct entry *ret)
{
	uint64_t *const numbers[] = {&ret->ino, &ret->birth_ns, &ret->bytes, &ret->measured_us};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		const char *word = strsep(&line, " ");

		if (!word || parse_u64(word, numbers[i]) < 0)
			return false;
	}
	return !line;
}

static int cache_read(int dir_fd, struct cache *ret)
{
	autofree char *text = NULL;
	struct cache c = {};
	char *rest, *line;
	size_t size, lines = 1;
	int r = io_read_file_at(dir_fd, CACHE_FILE, CACHE_SIZE_MAX, &text, &size);

	if (r < 0)
		return r;
	for (const char *p = text; (p = strchr(p, '\n')); p++)
		lines++;
	/* One more than there are, for the caller to add to. */
	c.entries = calloc(lines + 1, sizeof(*c.entries));
	if (!c.entries)
		return -ENOMEM;
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		if (parse_entry(line, &c.entries[c.n]))
			c.n++;
	}
	cache_sort(&c, compare_keys);
	*ret = c;
	return 0;
}

static int cache_write(int dir_fd, struct cache *c)
{
	autobuf struct buf b = {};

	if (c->n > IMAGE_USAGE_MAX) {
		cache_sort(c, compare_ages);
		c->n = IMAGE_USAGE_MAX;
	}
	for (size_t i = 0; i < c->n; i++) {
		const struct entry *e = &c->entries[i];

		buf_printf(&b, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", e->ino,
			   e->birth_ns, e->bytes, e->measured_us);
	}
	if (b.error < 0)
		return b.error;
	return io_replace_file_at(dir_fd, CACHE_FILE, b.data ? b.data : "", 0644, false);
}

static int read_key(int dirfd, const char *name, struct entry *ret)
{
	int flags = *name ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH;
	struct statx st;
	int r = sys_statx(dirfd, name, flags, STATX_INO | STATX_BTIME, &st);

	if (r < 0)
		return r;
	*ret = (struct entry){.ino = st.stx_ino};
	if (st.stx_mask & STATX_BTIME)
		ret->birth_ns = (uint64_t)st.stx_btime.tv_sec * 1000000000 + st.stx_btime.tv_nsec;
	return 0;
}

void image_usage_load(struct image **images, size_t n)
{
	autoclose int dir_fd = open(CACHE_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	autocall(cache_done) struct cache c = {};

	if (dir_fd < 0 || cache_read(dir_fd, &c) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		struct entry key = {.ino = images[i]->ino, .birth_ns = images[i]->birth_ns};
		const struct entry *found = cache_find(&c, &key);

		if (images[i]->usage_bytes == UINT64_MAX && found) {
			images[i]->usage_bytes = found->bytes;
			images[i]->usage_exact = images[i]->read_only;
		}
	}
}

int image_usage_record(int dirfd, const char *name, uint64_t bytes)
{
	autoclose int dir_fd = -1, lock_fd = -1;
	autocall(cache_done) struct cache c = {};
	struct entry key, *e;
	int r;

	r = read_key(dirfd, name, &key);
	if (r < 0)
		return r;
	dir_fd = fs_open_private_dir(CACHE_DIR, 0755);
	if (dir_fd < 0)
		return dir_fd;
	lock_fd = lock_wait_at(dir_fd, CACHE_LOCK, false);
	if (lock_fd < 0)
		return lock_fd;
	/* What can't be read is begun anew: it is a cache. */
	if (cache_read(dir_fd, &c) < 0)
		c.entries = calloc(1, sizeof(*c.entries));
	if (!c.entries)
		return -ENOMEM;
	e = cache_find(&c, &key);
	if (!e)
		e = &c.entries[c.n++];
	key.bytes = bytes;
	key.measured_us = time_realtime_us();
	*e = key;
	return cache_write(dir_fd, &c);
}

int image_usage_measure(struct image *image)
{
	autoclose int fd = -1;
	uint64_t bytes;
	int r;

	if (image->usage_exact && image->usage_bytes != UINT64_MAX)
		return 0;
	fd = image_open(image);
	if (fd < 0)
		return fd;
	r = fs_usage_at(fd, ".", &bytes);
	if (r < 0)
		return r;
	image->usage_bytes = bytes;
	image->usage_exact = true;
	(void)image_usage_record(fd, "", bytes);
	return 0;
}
