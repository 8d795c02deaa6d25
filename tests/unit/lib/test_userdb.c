// SPDX-License-Identifier: LGPL-2.1-or-later
/* Users of an image: strict numbers (X05), supplementary groups (X06), hostile files (P10). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fs.h"
#include "lib/io.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "lib/userdb.h"

static char folder[] = "/tmp/redd-userdb-XXXXXX";
static int root_fd = -1;

static const char passwd[] = "root:x:0:0:root:/root:/bin/bash\n"
			     "alice:x:1000:1000::/home/alice:\n"
			     "1234:x:2000:2000:a number as a name:/home/n:/bin/sh\n"
			     "short:x:5\n"
			     "minus:x:-1:0::/:/bin/sh\n"
			     "big:x:4294967296:0::/:/bin/sh\n"
			     "none:x:4294967295:0::/:/bin/sh\n"
			     "badgid:x:7:x::/:/bin/sh\n"
			     "relative:x:8:8::home:sh\n"
			     "alice:x:0:0:a second one:/root:/bin/sh\n";
static const char group[] = "root:x:0:\n"
			    "wheel:x:10:root,alice\n"
			    "alice:x:1000:alice\n"
			    "alicex:x:11:alicex,xalice\n"
			    "bad:x:-5:alice\n"
			    "short\n"
			    "audio:x:29:alice\n";

static int make_root(void **unused)
{
	assert_non_null(mkdtemp(folder));
	root_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(root_fd, "etc", 0755), 0);
	assert_int_equal(io_replace_file_at(root_fd, "etc/passwd", passwd, 0644, false), 0);
	assert_int_equal(io_replace_file_at(root_fd, "etc/group", group, 0644, false), 0);
	return 0;
}

static int remove_root(void **unused)
{
	(void)close(root_fd);
	return fs_remove_tree_at(AT_FDCWD, folder);
}

static void test_names(void **unused)
{
	autouser struct userdb_user user = {};

	assert_int_equal(userdb_find(root_fd, "alice", &user), 0);
	assert_int_equal(user.uid, 1000);
	assert_int_equal(user.gid, 1000);
	assert_string_equal(user.home, "/home/alice");
	assert_string_equal(user.shell, "/bin/sh");
	assert_int_equal(user.group_count, 3);
	assert_int_equal(user.groups[0], 1000);
	assert_int_equal(user.groups[1], 10);
	assert_int_equal(user.groups[2], 29);
	userdb_user_done(&user);
	assert_int_equal(userdb_find(root_fd, NULL, &user), 0);
	assert_string_equal(user.shell, "/bin/bash");
	userdb_user_done(&user);
	assert_int_equal(userdb_find(root_fd, "relative", &user), 0);
	assert_string_equal(user.home, "/");
	assert_string_equal(user.shell, "/bin/sh");
}

/* security row: X05 */
static void test_numbers_are_never_names(void **unused)
{
	autouser struct userdb_user user = {};

	assert_int_equal(userdb_find(root_fd, "2000", &user), 0);
	assert_string_equal(user.name, "1234");
	userdb_user_done(&user);
	assert_int_equal(userdb_find(root_fd, "1234", &user), -ESRCH);
}

/* security row: X05 */
/* X05: none of these may become root. */
static void test_refused(void **unused)
{
	static const char *const bad[] = {
		"",
		" ",
		"-1",
		"+0",
		"-0",
		"0x0",
		"00x",
		"1000 ",
		" 1000",
		"1000a",
		"1e3",
		"1.0",
		"4294967295",
		"4294967296",
		"65535",
		"18446744073709551616",
		"99999999999999999999999",
		"nobody",
		"ROOT",
		"Root",
		"root ",
		" root",
		"root:x",
		"root,alice",
		"root\n",
		"ro",
		"rootx",
		"alice\nroot",
		"/",
		"../root",
		"./root",
		"-root",
		"+root",
		"+",
		"-",
		"short",
		"minus",
		"big",
		"none",
		"badgid",
		"x",
		"1001",
		"2147483648",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct userdb_user user = {};
		int r = userdb_find(root_fd, bad[i], &user);

		if (r >= 0)
			fail_msg("'%s' is uid %u", bad[i], user.uid);
		assert_null(user.name);
	}
}

static void test_image_without_files(void **unused)
{
	autouser struct userdb_user user = {};
	int empty;

	assert_int_equal(mkdirat(root_fd, "empty", 0755), 0);
	empty = openat(root_fd, "empty", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(userdb_find(empty, NULL, &user), 0);
	assert_int_equal(user.uid, 0);
	assert_string_equal(user.home, "/root");
	assert_int_equal(user.group_count, 1);
	userdb_user_done(&user);
	assert_int_equal(userdb_find(empty, "0", &user), 0);
	userdb_user_done(&user);
	assert_int_equal(userdb_find(empty, "alice", &user), -ESRCH);
	assert_int_equal(userdb_find(empty, "1000", &user), -ESRCH);
	(void)close(empty);
}

/* security row: P10 */
/* P10: links stay inside, a fifo does not block, a huge file is refused. */
static void test_hostile_files(void **unused)
{
	struct userdb_user user = {};
	int odd, file;

	assert_int_equal(mkdirat(root_fd, "odd", 0755), 0);
	odd = openat(root_fd, "odd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(odd, "etc", 0755), 0);
	/* The file exists outside the root, but not inside. */
	assert_int_equal(symlinkat("/../../../../etc/hostname", odd, "etc/passwd"), 0);
	assert_int_equal(userdb_find(odd, "daemon", &user), -ESRCH);
	assert_int_equal(unlinkat(odd, "etc/passwd", 0), 0);
	/* Without "..": with it, 40 rounds would fail if anything on the system is renamed
	 * meanwhile. */
	assert_int_equal(symlinkat("/etc/passwd", odd, "etc/passwd"), 0);
	assert_int_equal(userdb_find(odd, "daemon", &user), -ELOOP);
	assert_int_equal(unlinkat(odd, "etc/passwd", 0), 0);
	assert_int_equal(mkfifoat(odd, "etc/passwd", 0644), 0);
	assert_int_equal(userdb_find(odd, "root", &user), -EBADFD);
	assert_int_equal(unlinkat(odd, "etc/passwd", 0), 0);
	file = openat(odd, "etc/passwd", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_int_equal(ftruncate(file, UINT32_MAX), 0);
	(void)close(file);
	assert_int_equal(userdb_find(odd, "root", &user), -EFBIG);
	assert_null(user.name);
	(void)close(odd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_numbers_are_never_names),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_image_without_files),
		cmocka_unit_test(test_hostile_files),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
