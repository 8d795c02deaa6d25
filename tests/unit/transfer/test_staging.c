/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hidden folders: published completely, removed if their maker is dead, left alone while it lives
 * (A18). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "lib/fs.h"
#include "transfer/import/staging.h"
#include "transfer/import/top_folder.h"

static char folder[] = "/tmp/test-staging.XXXXXX";
static int pool = -1;

static int setup(void **state)
{
	if (geteuid() != 0)
		return 0;
	assert_non_null(mkdtemp(folder));
	pool = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return pool < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	if (pool < 0)
		return 0;
	(void)close(pool);
	return fs_remove_tree_at(AT_FDCWD, folder);
}

static void skip_unless_root(void)
{
	if (geteuid() != 0)
		skip();
}

static bool there(const char *name)
{
	struct stat st;

	return fstatat(pool, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_publish(void **state)
{
	struct staging s;
	struct stat st;

	skip_unless_root();
	assert_int_equal(staging_make(pool, "one", &s), 0);
	assert_int_equal(fstatat(pool, s.name, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(mkdirat(s.tree_fd, "etc", 0755), 0);
	assert_int_equal(staging_publish(&s, "one", false), 0);
	assert_int_equal(staging_discard(&s), 0);
	assert_true(there("one/etc"));
	assert_false(there(s.name));
}

/* security row: A18 */
static void test_publish_never_replaces_unasked(void **state)
{
	struct staging s;

	skip_unless_root();
	assert_int_equal(mkdirat(pool, "two", 0755), 0);
	assert_int_equal(mkdirat(pool, "two/old", 0755), 0);
	assert_int_equal(staging_make(pool, "two", &s), 0);
	assert_int_equal(staging_publish(&s, "two", false), -EEXIST);
	assert_true(there("two/old"));
	assert_int_equal(staging_publish(&s, "two", true), 0);
	assert_false(there("two/old"));
	assert_int_equal(staging_discard(&s), 0);
	assert_false(there(s.name));
}

static void test_cleaning(void **state)
{
	struct staging s;

	skip_unless_root();
	assert_int_equal(staging_make(pool, "three", &s), 0);
	assert_int_equal(mkdirat(s.tree_fd, "etc", 0755), 0);
	assert_int_equal(staging_clean_leftovers(pool, UINT64_MAX), 0);
	assert_true(there(s.name));
	/* As when its maker died: the lock is released with the last descriptor. */
	(void)close(s.tree_fd);
	(void)close(s.fd);
	assert_int_equal(staging_clean_leftovers(pool, UINT64_MAX), 1);
	assert_false(there(s.name));
}

static void test_lift(void **state)
{
	char *name = NULL;

	skip_unless_root();
	assert_int_equal(mkdirat(pool, "l", 0755), 0);
	assert_int_equal(mkdirat(pool, "l/sys-1", 0755), 0);
	assert_int_equal(mkdirat(pool, "l/sys-1/sys-1", 0755), 0);
	{
		autoclose int fd = openat(pool, "l", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		assert_int_equal(top_folder_find(fd, &name), 1);
		assert_string_equal(name, "sys-1");
		assert_int_equal(top_folder_strip(fd, name), 0);
		assert_true(there("l/sys-1"));
		assert_false(there("l/sys-1/sys-1"));
		assert_int_equal(unlinkat(fd, "sys-1", AT_REMOVEDIR), 0);
		assert_int_equal(mkdirat(fd, "usr", 0755), 0);
		assert_int_equal(top_folder_find(fd, &name), 0);
	}
	free(name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_publish),
		cmocka_unit_test(test_publish_never_replaces_unasked),
		cmocka_unit_test(test_cleaning),
		cmocka_unit_test(test_lift),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
