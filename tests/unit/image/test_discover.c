/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finding images in pools: which entries are images, which of a name wins, and what is known of
 * them. */
#include "check.h"
#include "image/image.h"
#include "lib/str.h"
#include "lib/time.h"

/* Three pools in the scratch directory: the administrator's, the standard one, the vendor's. */
static struct image_pool pools[3];
static char paths[3][96];

static void make_pools(const struct scratch *s)
{
	static const char *const names[] = {"etc", "var", "usr"};

	for (size_t i = 0; i < ARRAY_SIZE(pools); i++) {
		assert_int_equal(mkdirat(s->fd, names[i], 0755), 0);
		(void)snprintf(paths[i], sizeof(paths[i]), "%s/%s", s->path, names[i]);
		pools[i] = (struct image_pool){paths[i], i == 2};
	}
}

static void make_dir(const struct scratch *s, const char *path)
{
	assert_int_equal(mkdirat(s->fd, path, 0755), 0);
}

static char *list_names(void)
{
	autoimages struct image_list list = {};
	autobuf struct buf b = {};
	char *names;

	assert_int_equal(image_find_all_in(pools, ARRAY_SIZE(pools), &list), 0);
	for (size_t i = 0; i < list.n; i++)
		buf_printf(&b, "%s%s", i > 0 ? " " : "", list.items[i]->name);
	assert_int_equal(buf_take(&b, &names), 0);
	return names;
}

static void test_no_pools(void **state)
{
	static const struct image_pool none[] = {{"/nonexistent/a", false},
						 {"/proc/version", false}};
	autoimages struct image_list list = {};
	struct image *image;

	assert_int_equal(image_find_all_in(none, ARRAY_SIZE(none), &list), 0);
	assert_int_equal(list.n, 0);
	assert_int_equal(image_find_in(none, ARRAY_SIZE(none), "x", &image), -ENOENT);
	assert_int_equal(image_find_in(none, ARRAY_SIZE(none), ".x", &image), -EINVAL);
	assert_int_equal(image_find_in(none, ARRAY_SIZE(none), "../x", &image), -EINVAL);
}

static void test_what_is_an_image(void **state)
{
	struct scratch *s = *state;
	autofree char *names = NULL;

	make_pools(s);
	make_dir(s, "var/web");
	make_dir(s, "var/.#import-x");
	make_dir(s, "var/a\033[31m");
	write_file(s->fd, "var/web.nspawn", "");
	write_file(s->fd, "var/disk.raw", "x");
	write_file(s->fd, "var/.raw", "x");
	write_file(s->fd, "var/.#web.lck", "");
	assert_int_equal(mkfifoat(s->fd, "var/fifo.raw", 0600), 0);
	assert_int_equal(symlinkat("../var/web", s->fd, "etc/link"), 0);
	assert_int_equal(symlinkat("nowhere", s->fd, "etc/dangling"), 0);
	assert_int_equal(symlinkat("loop", s->fd, "etc/loop"), 0);
	names = list_names();
	assert_string_equal(names, "disk link web");
}

static void test_first_pool_wins(void **state)
{
	struct scratch *s = *state;
	autoimage struct image *one = NULL, *two = NULL;
	autofree char *names = NULL;

	make_pools(s);
	make_dir(s, "var/a");
	make_dir(s, "usr/a");
	make_dir(s, "usr/b");
	write_file(s->fd, "var/a.raw", "");
	write_file(s->fd, "var/b.raw", "");
	names = list_names();
	assert_string_equal(names, "a b");
	assert_int_equal(image_find_in(pools, ARRAY_SIZE(pools), "a", &one), 0);
	assert_true(str_has_suffix(one->path, "/var/a") && one->kind == IMAGE_DIRECTORY);
	assert_int_equal(image_find_in(pools, ARRAY_SIZE(pools), "b", &two), 0);
	assert_true(str_has_suffix(two->path, "/var/b.raw") && two->kind == IMAGE_RAW);
}

static void test_what_is_known(void **state)
{
	struct scratch *s = *state;
	autoimage struct image *dir = NULL, *raw = NULL, *vendor = NULL;
	uint64_t now = time_realtime_us();

	make_pools(s);
	make_dir(s, "var/dir");
	make_dir(s, "usr/vendor");
	write_file(s->fd, "var/raw.raw", "some bytes");
	assert_int_equal(fchmodat(s->fd, "var/raw.raw", 0444, 0), 0);
	assert_int_equal(image_find_in(pools, ARRAY_SIZE(pools), "dir", &dir), 0);
	assert_int_equal(image_find_in(pools, ARRAY_SIZE(pools), "raw", &raw), 0);
	assert_int_equal(image_find_in(pools, ARRAY_SIZE(pools), "vendor", &vendor), 0);
	assert_false(dir->read_only || dir->vendor || dir->link);
	assert_true(dir->modified_us > now - 60 * USEC_PER_SEC &&
		    dir->modified_us < now + 60 * USEC_PER_SEC);
	assert_true(raw->read_only && raw->usage_exact);
	assert_true(vendor->read_only && vendor->vendor);
}

static void test_open_holds_what_was_checked(void **state)
{
	struct scratch *s = *state;
	autoimage struct image *image = NULL;
	int fd;

	make_pools(s);
	make_dir(s, "var/a");
	assert_int_equal(image_find_in(pools, ARRAY_SIZE(pools), "a", &image), 0);
	fd = image_open(image);
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(renameat(s->fd, "var/a", s->fd, "var/b"), 0);
	assert_int_equal(image_open(image), -ENOENT);
	make_dir(s, "var/a");
	assert_int_equal(image_open(image), -ESTALE);
}

static void test_from_path(void **state)
{
	struct scratch *s = *state;
	autoimage struct image *a = NULL, *root = NULL;
	autofree char *path = str_printf("%s/link/", s->path);
	struct image *none;
	struct stat st;

	make_dir(s, ".odd name");
	assert_int_equal(symlinkat(".odd name", s->fd, "link"), 0);
	assert_int_equal(image_from_path(path, &a), 0);
	assert_true(str_has_suffix(a->path, "/.odd name"));
	assert_string_equal(a->name, ".odd name");
	assert_int_equal(image_from_path("/", &root), 0);
	assert_string_equal(root->path, "/");
	assert_int_equal(stat("/", &st), 0);
	assert_int_equal(root->ino, st.st_ino);
	assert_int_equal(image_from_path("/proc/version", &none), -ENOENT);
	assert_int_equal(image_from_path("/nonexistent", &none), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_no_pools),
		scratch_test(test_what_is_an_image),
		scratch_test(test_first_pool_wins),
		scratch_test(test_what_is_known),
		scratch_test(test_open_holds_what_was_checked),
		scratch_test(test_from_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
