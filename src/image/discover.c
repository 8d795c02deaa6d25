// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Finds images: one statx(2) for each, more only for links, mount points and subvolumes. Must never
 * read inside an image nor change anything. Caller's side of clone().
 */
#include "image/image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "image/btrfs.h"
#include "image/name.h"
#include "image/pool.h"
#include "kernel/sys.h"
#include "lib/fd.h"
#include "lib/macro.h"
#include "lib/path.h"
#include "lib/str.h"
#include "lib/time.h"
#include "log/log.h"

#define RAW_SUFFIX ".raw"
#define NSEC_PER_SEC UINT64_C(1000000000)
#define STATX_WANTED (STATX_BASIC_STATS | STATX_BTIME)

const struct image_pool image_pools[] = {
	{"/etc/machines", false},
	{"/run/machines", false},
	{IMAGE_POOL, false},
	{"/var/lib/container", false},
	{"/usr/local/lib/machines", true},
	{"/usr/lib/machines", true},
};

size_t image_pools_count(void)
{
	return ARRAY_SIZE(image_pools);
}

/* A pool that is being looked at. */
struct scan {
	const struct image_pool *pool;
	unsigned rank;
	int fd;
	struct statfs fs; /* of the pool itself */
};

static const char *const kind_names[] = {
	[IMAGE_DIRECTORY] = "directory",
	[IMAGE_SUBVOLUME] = "subvolume",
	[IMAGE_RAW] = "raw",
};

const char *image_kind_to_name(enum image_kind kind)
{
	return kind_names[kind];
}

void image_free(struct image *image)
{
	if (!image)
		return;
	free(image->name);
	free(image->path);
	free(image);
}

void image_list_done(struct image_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		image_free(list->items[i]);
	free(list->items);
	*list = (struct image_list){};
}

static bool is_btrfs(const struct statfs *fs)
{
	return (uint64_t)fs->f_type == BTRFS_SUPER_MAGIC;
}

/* -ENOENT for a pool that does not exist. */
static int scan_open(const struct image_pool *pool, unsigned rank, struct scan *ret)
{
	autoclose int fd = open(pool->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct scan s = {.pool = pool, .rank = rank};

	if (fd < 0 || fstatfs(fd, &s.fs) < 0)
		return -errno;
	s.fd = take_fd(&fd);
	*ret = s;
	return 0;
}

static void scan_close(struct scan *s)
{
	cleanup_close(&s->fd);
}

static uint64_t statx_time_ns(const struct statx_timestamp *t)
{
	return t->tv_sec < 0 ? 0 : (uint64_t)t->tv_sec * NSEC_PER_SEC + t->tv_nsec;
}

/* chattr +i, for file systems whose statx() does not tell. */
static bool has_immutable_flag(int fd)
{
	int flags = 0;

	return ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_IMMUTABLE_FL);
}

/* What needs the directory opened: another file system than the pool's, subvolumes, old kernels. */
static int look_inside(const struct scan *s, const char *entry, struct image *image)
{
	struct btrfs_subvolume subvolume;
	autoclose int fd = -1;
	struct statfs fs;

	fd = openat(s->fd, entry, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	image->read_only = image->read_only || (fs.f_flags & ST_RDONLY) || has_immutable_flag(fd);
	if (!is_btrfs(&fs) || image->ino != BTRFS_SUBVOLUME_INO ||
	    btrfs_read_subvolume(fd, &subvolume) < 0)
		return 0;
	image->kind = IMAGE_SUBVOLUME;
	image->read_only = image->read_only || subvolume.read_only;
	image->created_us = subvolume.created_us;
	image->usage_bytes = subvolume.usage_bytes;
	image->usage_exact = subvolume.usage_bytes != UINT64_MAX;
	return 0;
}

static int classify(const struct scan *s, const char *entry, const struct statx *st,
		    struct image *image)
{
	if (S_ISREG(st->stx_mode)) {
		image->kind = IMAGE_RAW;
		image->read_only = image->read_only || !(st->stx_mode & 0222);
		image->usage_bytes = st->stx_blocks * 512;
		image->usage_exact = true;
		return 0;
	}
	if (st->stx_attributes & STATX_ATTR_IMMUTABLE)
		image->read_only = true;
	if (image->link || (st->stx_attributes & STATX_ATTR_MOUNT_ROOT) ||
	    !(st->stx_attributes_mask & STATX_ATTR_IMMUTABLE) ||
	    (is_btrfs(&s->fs) && st->stx_ino == BTRFS_SUBVOLUME_INO))
		return look_inside(s, entry, image);
	return 0;
}

static int fill(const struct scan *s, const char *entry, const struct statx *st,
		struct image *image)
{
	bool raw = S_ISREG(st->stx_mode);
	size_t size = strlen(entry) - (raw ? strlen(RAW_SUFFIX) : 0);

	image->name = strndup(entry, size);
	image->path = str_printf("%s/%s", s->pool->path, entry);
	if (!image->name || !image->path)
		return -ENOMEM;
	image->dev = makedev(st->stx_dev_major, st->stx_dev_minor);
	image->ino = st->stx_ino;
	image->vendor = s->pool->vendor;
	image->rank = s->rank;
	image->read_only = (s->fs.f_flags & ST_RDONLY) || s->pool->vendor;
	if (st->stx_mask & STATX_BTIME)
		image->birth_ns = statx_time_ns(&st->stx_btime);
	image->created_us = image->birth_ns / 1000;
	image->modified_us = statx_time_ns(&st->stx_mtime) / 1000;
	image->usage_bytes = UINT64_MAX;
	return classify(s, entry, st, image);
}

/*
 * The image behind one entry of a pool. -ENOENT when it is none: no entry, a dangling link, a file
 * that is no disk.
 */
static int examine(const struct scan *s, const char *entry, struct image **ret)
{
	autoimage struct image *image = NULL;
	struct statx st;
	bool link;
	int r;

	r = sys_statx(s->fd, entry, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_WANTED, &st);
	if (r < 0)
		return r;
	link = S_ISLNK(st.stx_mode);
	if (link) {
		r = sys_statx(s->fd, entry, AT_NO_AUTOMOUNT, STATX_WANTED, &st);
		if (r < 0)
			return r == -ELOOP ? -ENOENT : r;
	}
	if (!S_ISDIR(st.stx_mode) && !(S_ISREG(st.stx_mode) && str_has_suffix(entry, RAW_SUFFIX)))
		return -ENOENT;
	image = calloc(1, sizeof(*image));
	if (!image)
		return -ENOMEM;
	image->link = link;
	r = fill(s, entry, &st, image);
	if (r < 0)
		return r;
	*ret = take_ptr(image);
	return 0;
}

int image_find_in(const struct image_pool *pools, size_t n_pools, const char *name,
		  struct image **ret)
{
	autofree char *raw = NULL;

	if (!image_name_is_valid(name))
		return -EINVAL;
	raw = str_printf("%s" RAW_SUFFIX, name);
	if (!raw)
		return -ENOMEM;
	for (size_t i = 0; i < n_pools; i++) {
		autocall(scan_close) struct scan s = {.fd = -1};
		int r = scan_open(&pools[i], (unsigned)i, &s);

		if (r >= 0)
			r = examine(&s, name, ret);
		if (r == -ENOENT && s.fd >= 0)
			r = examine(&s, raw, ret);
		if (r != -ENOENT && r != -ENOTDIR)
			return r;
	}
	return -ENOENT;
}

int image_find(const char *name, struct image **ret)
{
	return image_find_in(image_pools, ARRAY_SIZE(image_pools), name, ret);
}

int image_from_path(const char *path, struct image **ret)
{
	autofree char *real = realpath(path, NULL), *parent = NULL;
	autocall(scan_close) struct scan s = {.fd = -1};
	autoimage struct image *image = NULL;
	struct image_pool pool = {};
	const char *entry;
	int r;

	if (!real)
		return -errno;
	entry = real[1] ? path_last(real) : ".";
	parent = strndup(real, real[1] ? (size_t)(entry - real) : 1);
	if (!parent)
		return -ENOMEM;
	pool = (struct image_pool){parent, str_after_prefix(real, "/usr/") != NULL};
	r = scan_open(&pool, 0, &s);
	if (r >= 0)
		r = examine(&s, entry, &image);
	if (r < 0)
		return r;
	free(image->path);
	image->path = take_ptr(real);
	*ret = take_ptr(image);
	return 0;
}

/* Most files beside images are settings: they need no look. */
static bool may_be_image(const struct dirent *entry)
{
	if (entry->d_type == DT_REG && !str_has_suffix(entry->d_name, RAW_SUFFIX))
		return false;
	return image_name_is_valid(entry->d_name);
}

static int list_add(struct image_list *list, struct image *image)
{
	/* Grown at powers of two only, so that the size says whether it is full. */
	if ((list->n & (list->n - 1)) == 0) {
		size_t n = list->n > 0 ? 2 * list->n : 1;
		struct image **items = reallocarray(list->items, n, sizeof(*items));

		if (!items) {
			image_free(image);
			return -ENOMEM;
		}
		list->items = items;
	}
	list->items[list->n++] = image;
	return 0;
}

/* A stream of its own, so that `fd` stays with its owner. */
static DIR *opendir_at(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;

	if (!dir)
		cleanup_close(&copy);
	return dir;
}

static int scan_pool(const struct image_pool *pool, unsigned rank, struct image_list *list)
{
	autocall(scan_close) struct scan s = {.fd = -1};
	struct dirent *entry;
	DIR *dir;
	int r;

	r = scan_open(pool, rank, &s);
	if (r < 0)
		return r == -ENOENT || r == -ENOTDIR ? 0 : r;
	dir = opendir_at(s.fd);
	if (!dir)
		return -errno;
	while (r >= 0 && (entry = readdir(dir))) {
		struct image *image;

		/* Removed meanwhile, no image, or out of reach: the others are still listed. */
		if (may_be_image(entry) && examine(&s, entry->d_name, &image) >= 0)
			r = list_add(list, image);
	}
	(void)closedir(dir);
	return r;
}

static int compare(const void *a, const void *b)
{
	const struct image *x = *(struct image *const *)a, *y = *(struct image *const *)b;
	int r = strcmp(x->name, y->name);

	if (r == 0)
		r = (x->rank > y->rank) - (x->rank < y->rank);
	/* As image_find() prefers the tree to the disk of the same name. */
	return r != 0 ? r : (x->kind == IMAGE_RAW) - (y->kind == IMAGE_RAW);
}

static void drop_doubles(struct image_list *list)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->n; i++) {
		struct image *image = list->items[i];

		if (kept > 0 && streq(list->items[kept - 1]->name, image->name))
			image_free(image);
		else
			list->items[kept++] = image;
	}
	list->n = kept;
}

int image_find_all_in(const struct image_pool *pools, size_t n_pools, struct image_list *ret)
{
	autoimages struct image_list list = {};

	for (size_t i = 0; i < n_pools; i++) {
		int r = scan_pool(&pools[i], (unsigned)i, &list);

		if (r < 0)
			return r;
	}
	if (list.n > 1)
		qsort(list.items, list.n, sizeof(*list.items), compare);
	drop_doubles(&list);
	*ret = list;
	list = (struct image_list){};
	return 0;
}

int image_find_all(struct image_list *ret)
{
	return image_find_all_in(image_pools, ARRAY_SIZE(image_pools), ret);
}

/* What -ENOENT deserves: the name that was probably meant. */
static void hint_nearest(const char *name)
{
	autoimages struct image_list list = {};
	autofree const char **names = NULL;
	const char *nearest;

	if (image_find_all(&list) < 0)
		return;
	names = calloc(list.n + 1, sizeof(*names));
	if (!names)
		return;
	for (size_t i = 0; i < list.n; i++)
		names[i] = list.items[i]->name;
	nearest = str_nearest(name, names);
	if (nearest)
		log_hint("did you mean '%s'?", nearest);
	else
		log_hint("'redd list-images' shows what there is.");
}

int image_require(const char *name, struct image **ret)
{
	int r = image_find(name, ret);

	if (r == -EINVAL)
		return log_error(r, "'%s' can't be the name of an image", name);
	if (r == -ENOENT) {
		(void)log_error(r, "there is no image '%s'", name);
		hint_nearest(name);
		return r;
	}
	return log_errno(r, "look at image '%s'", name);
}

int image_open(const struct image *image)
{
	int kind = image->kind == IMAGE_RAW ? O_NONBLOCK : O_DIRECTORY;
	autoclose int fd = open(image->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | kind);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != image->dev || st.st_ino != image->ino)
		return -ESTALE;
	return take_fd(&fd);
}
