/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The resolver's property: whatever links an image holds, nothing outside its root is opened, made
 * or changed. Trees and paths are generated from fixed seeds; one test swaps directories for links
 * while paths are made.
 */
#include <dirent.h>
#include <linux/fs.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "check.h"
#include "kernel/sys.h"
#include "lib/path.h"
#include "lib/str.h"
#include "lib/time.h"

#define TREES 60
#define PATHS_PER_TREE 60
#define RACE_MS 300

struct image {
	struct scratch *s;
	int root;
	char *inside; /* the root's absolute path with a slash, from /proc */
	uint32_t random;
};

/* A generator of our own, so that a seed gives the same tree with every libc. */
static uint32_t draw(struct image *image, uint32_t below)
{
	image->random ^= image->random << 13;
	image->random ^= image->random >> 17;
	image->random ^= image->random << 5;
	return image->random % below;
}

static const char *const names[] = {"a", "b", "c", "d"};
static const char *const parts[] = {"a", "b", "c", "d", "..", ".", "", "..", "outside", "canary"};

/* A path of up to six parts, sometimes absolute. */
static char *draw_path(struct image *image)
{
	struct buf b = {};
	uint32_t n = 1 + draw(image, 6);
	char *path;

	if (draw(image, 2))
		buf_add_str(&b, "/");
	for (uint32_t i = 0; i < n; i++)
		buf_printf(&b, "%s%s", i ? "/" : "", parts[draw(image, ARRAY_SIZE(parts))]);
	assert_int_equal(buf_take(&b, &path), 0);
	return path;
}

/* Where a link may lead: known attacks, the true host path of the canary, or anything. */
static char *draw_target(struct image *image)
{
	static const char *const attacks[] = {
		"/",
		"..",
		"../../../../../../../..",
		"../outside",
		"/../outside",
		"../outside/canary",
		"/proc/self/root",
		"/proc/self/cwd",
		"/proc/1/root",
		".",
		"a",
		"b/c",
		"nowhere",
		"/dev/fd/0",
		"../outside/new",
	};
	uint32_t i = draw(image, ARRAY_SIZE(attacks) + 6);

	if (i < ARRAY_SIZE(attacks))
		return strdup(attacks[i]);
	if (i == ARRAY_SIZE(attacks))
		return str_printf("%s/outside", image->s->path);
	return draw_path(image);
}

static void grow_tree(struct image *image, int dir_fd, unsigned depth)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		autofree char *target = NULL;
		autoclose int child = -1;

		switch (draw(image, 4)) {
		case 0:
			break;
		case 1:
			write_file(dir_fd, names[i], "inside");
			break;
		case 2:
			target = draw_target(image);
			if (*target)
				assert_int_equal(symlinkat(target, dir_fd, names[i]), 0);
			break;
		default:
			assert_int_equal(mkdirat(dir_fd, names[i], 0755), 0);
			child = openat(dir_fd, names[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
			if (depth < 3)
				grow_tree(image, child, depth + 1);
		}
	}
}

static void image_new(struct image *image, struct scratch *s, uint32_t seed)
{
	char self[32], path[4096] = {};

	*image = (struct image){.s = s, .random = seed * 2654435761u + 1};
	assert_int_equal(mkdirat(s->fd, "root", 0755), 0);
	image->root = openat(s->fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(image->root >= 0);
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", image->root);
	assert_true(readlink(self, path, sizeof(path) - 1) > 0);
	image->inside = str_printf("%s/", path);
}

static void image_done(struct image *image)
{
	(void)close(image->root);
	free(image->inside);
	assert_int_equal(fs_remove_tree_at(image->s->fd, "root"), 0);
}

static void check_inside(const struct image *image, int fd, const char *how, const char *path)
{
	char self[32], found[4096] = {};

	if (fd < 0)
		return;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	assert_true(readlink(self, found, sizeof(found) - 2) > 0);
	strcat(found, "/");
	if (!str_after_prefix(found, image->inside))
		fail_msg("%s(%s) led to %s", how, path, found);
	(void)close(fd);
}

/* Changes nothing: a broken resolver must be found here, before it can harm the host. */
static void look_at_path(struct image *image, const char *path)
{
	char *text = NULL;
	int root = image->root;

	check_inside(image, path_open_in_root(root, path, O_PATH), "open", path);
	check_inside(image, path_open_in_root(root, path, O_PATH | O_NOFOLLOW), "open", path);
	check_inside(image, path_open_in_root(root, path, O_RDONLY | O_NONBLOCK), "open", path);
	check_inside(image, path_open_beneath(root, path, O_PATH), "open beneath", path);
	if (path_read_in_root(root, path, 100, &text, NULL) == 0)
		assert_true(streq(text, "inside") || streq(text, ""));
	free(text);
}

static void make_at_path(struct image *image, const char *path)
{
	struct path_making me = {geteuid(), getegid()};
	char *name = NULL;
	int root = image->root;

	check_inside(image, path_open_in_root(root, path, O_WRONLY | O_CREAT), "creat", path);
	check_inside(image, path_make_file_in_root(root, path, me), "make file", path);
	check_inside(image, path_make_dir_in_root(root, path, me), "make dir", path);
	check_inside(image, path_open_parent_in_root(root, path, true, me, &name), "parent", path);
	look_at_path(image, path);
}

/* Names, contents, and the time of the last change: all must be unchanged. */
static char *describe_outside(struct scratch *s)
{
	autoclose int fd = openat(s->fd, "outside", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat dir, file;
	DIR *listing = fdopendir(dup(fd));
	unsigned entries = 0;

	assert_non_null(listing);
	while (readdir(listing))
		entries++;
	(void)closedir(listing);
	assert_int_equal(fstat(fd, &dir), 0);
	assert_int_equal(fstatat(fd, "canary", &file, AT_SYMLINK_NOFOLLOW), 0);
	return str_printf("%u %lld.%09ld %lld.%09ld %lld %o %o", entries,
			  (long long)dir.st_ctim.tv_sec, dir.st_ctim.tv_nsec,
			  (long long)file.st_ctim.tv_sec, file.st_ctim.tv_nsec,
			  (long long)file.st_size, dir.st_mode, file.st_mode);
}

static void make_outside(struct scratch *s)
{
	assert_int_equal(mkdirat(s->fd, "outside", 0755), 0);
	write_file(s->fd, "outside/canary", "secret");
}

static void try_trees(struct scratch *s, const char *before,
		      void (*try)(struct image *image, const char *path))
{
	for (uint32_t seed = 1; seed <= TREES; seed++) {
		struct image image;
		autofree char *after = NULL;

		image_new(&image, s, seed);
		grow_tree(&image, image.root, 0);
		for (int i = 0; i < PATHS_PER_TREE; i++) {
			autofree char *path = draw_path(&image);

			try(&image, path);
		}
		image_done(&image);
		after = describe_outside(s);
		assert_string_equal(after, before);
	}
}

/* security row: P01, P08 */
static void test_generated_trees(void **state)
{
	struct scratch *s = *state;
	autofree char *before = NULL;

	make_outside(s);
	before = describe_outside(s);
	try_trees(s, before, look_at_path);
	try_trees(s, before, make_at_path);
}

/* In the image, "flip" is a directory and "flop" a link to the outside; they are exchanged as fast
 * as possible. */
static pid_t start_swapping(int root)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	/* A failed assertion leaves the test: don't go on for ever then. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		(void)sys_renameat2(root, "flip", root, "flop", RENAME_EXCHANGE);
}

/* security row: P02 */
static void test_swapped_parents(void **state)
{
	static const char *const paths[] = {"flip/x/y", "flip/../flip/x", "flip/new",
					    "flop/../z/flip"};
	struct scratch *s = *state;
	autofree char *before = NULL, *after = NULL;
	struct image image;
	uint64_t end_us;
	pid_t pid;

	make_outside(s);
	before = describe_outside(s);
	image_new(&image, s, 1);
	assert_int_equal(mkdirat(image.root, "flip", 0755), 0);
	assert_int_equal(symlinkat("../outside", image.root, "flop"), 0);
	pid = start_swapping(image.root);
	end_us = time_monotonic_us() + RACE_MS * USEC_PER_MSEC;
	while (time_monotonic_us() < end_us)
		for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
			make_at_path(&image, paths[i]);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	image_done(&image);
	after = describe_outside(s);
	assert_string_equal(after, before);
}

static void make_below(struct image *image)
{
	struct path_making me = {geteuid(), getegid()};

	check_inside(image, path_make_dir_in_root(image->root, "flip/below/x", me), "make dir",
		     "flip/below/x");
}

/* security row: S12 */
/* A removal during these exchanges removes only files inside, if any. */
static void test_removal_with_swapped_parents(void **state)
{
	struct scratch *s = *state;
	autofree char *before = NULL, *after = NULL;
	struct image image;
	uint64_t end_us = time_monotonic_us() + RACE_MS * USEC_PER_MSEC;
	pid_t pid;

	make_outside(s);
	before = describe_outside(s);
	image_new(&image, s, 1);
	assert_int_equal(symlinkat("../outside", image.root, "flop"), 0);
	pid = start_swapping(image.root);
	while (time_monotonic_us() < end_us) {
		(void)mkdirat(image.root, "flip", 0755);
		make_below(&image);
		(void)!symlinkat("../outside", image.root, "flop");
		(void)fs_remove_tree_at(image.root, "flip");
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	image_done(&image);
	after = describe_outside(s);
	assert_string_equal(after, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_generated_trees),
		scratch_test(test_swapped_parents),
		scratch_test(test_removal_with_swapped_parents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
