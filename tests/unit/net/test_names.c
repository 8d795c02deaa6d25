/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Published names, in a /run of the test's own; and the texts that others ask for. */
#include <sched.h>
#include <sys/mount.h>

#include "check.h"
#include "lib/io.h"
#include "lib/str.h"
#include "net/names.h"

static bool is_private;

static int enter_private(void **state)
{
	is_private = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
		     mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		     mount("tmpfs", "/run", "tmpfs", 0, "mode=755") == 0;
	return 0;
}

static void need_private(void)
{
	if (!is_private)
		skip();
	(void)fs_remove_tree_at(AT_FDCWD, "/run/redd");
}

static struct net_address address(const char *text)
{
	struct net_address address;

	assert_int_equal(net_address_parse(text, &address), 0);
	return address;
}

static void publish(const char *name, const char *first, const char *second)
{
	struct net_address addresses[2] = {address(first)};

	if (second)
		addresses[1] = address(second);
	assert_int_equal(net_names_publish(name, addresses, 2), 0);
}

static void names_come_and_go(void **state)
{
	struct net_address found[NET_NAMES_ADDRESSES_MAX], want = address("10.0.0.2");
	struct stat st;
	char *name = NULL;

	need_private();
	assert_int_equal(net_names_find("web", found), -ENOENT);
	assert_int_equal(net_names_find_address(&want, &name), -ENOENT);
	publish("web", "10.0.0.2", "fd00::2");
	publish("Db.example", "10.0.0.18", NULL);
	assert_int_equal(stat("/run/redd/names/web", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(stat("/run/redd/names", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(net_names_find("web", found), 2);
	assert_true(net_address_equal(&found[0], &want));
	assert_int_equal(net_names_find("WEB", found), 2);
	assert_int_equal(net_names_find("dB.ExAmple", found), 1);
	want = address("fd00::2");
	assert_int_equal(net_names_find_address(&want, &name), 0);
	assert_string_equal(name, "web");
	free(name);
	publish("web", "10.0.0.3", NULL);
	assert_int_equal(net_names_find("web", found), 1);
	assert_int_equal(net_names_publish("web", NULL, 0), 0);
	assert_int_equal(net_names_find("web", found), -ENOENT);
	net_names_withdraw("web");
	net_names_withdraw("Db.example");
	assert_int_equal(net_names_find("db.example", found), -ENOENT);
}

static void all_names_in_order(void **state)
{
	autostrv char **names = NULL;
	autofree char *joined = NULL;

	need_private();
	assert_int_equal(net_names_list(&names), 0);
	assert_int_equal(strv_length(names), 0);
	publish("b", "10.0.0.2", NULL);
	publish("a", "10.0.0.18", NULL);
	assert_int_equal(io_replace_file_at(AT_FDCWD, "/run/redd/names/.a.1234.tmp", "10.0.0.9\n",
					    0644, false),
			 0);
	assert_int_equal(net_names_list(&names), 0);
	joined = strv_join(names, " ");
	assert_string_equal(joined, "a b");
}

static void at_most_so_many_addresses(void **state)
{
	struct net_address many[NET_NAMES_ADDRESSES_MAX + 4], found[NET_NAMES_ADDRESSES_MAX];

	need_private();
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		many[i] = address("2001:db8:1111:2222:3333:4444:5555:0");
		many[i].bytes[15] = (uint8_t)i;
	}
	assert_int_equal(net_names_publish("web", many, ARRAY_SIZE(many)), 0);
	assert_int_equal(net_names_find("web", found), NET_NAMES_ADDRESSES_MAX);
	assert_true(net_address_equal(&found[15], &many[15]));
}

/* security row: N16 */
static void hostile_names(void **state)
{
	static const char *const bad[] = {
		"",
		".",
		"..",
		"../names/web",
		"/etc/passwd",
		"web/",
		"./web",
		"names/../web",
		"web\n",
		" web",
		"web\t",
		"w*b",
		"web%00",
		"\xff",
		".hidden",
		".web.1234.tmp",
		"a:b",
		"web@host",
		"web\\",
		"_web",
		"01234567890123456789012345678901234567890123456789012345678901234"};
	struct net_address found[NET_NAMES_ADDRESSES_MAX], any = address("10.0.0.2");

	need_private();
	publish("web", "10.0.0.2", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(net_names_find(bad[i], found), -ENOENT);
		assert_int_equal(net_names_publish(bad[i], &any, 1), -EINVAL);
		net_names_withdraw(bad[i]);
	}
	assert_int_equal(net_names_find("web", found), 1);
	assert_int_equal(access("/etc/passwd", F_OK), 0);
}

/* security row: N16 */
static void strange_files(void **state)
{
	struct net_address found[NET_NAMES_ADDRESSES_MAX], any = address("10.0.0.2");
	char *name;

	need_private();
	publish("web", "10.0.0.2", NULL);
	assert_int_equal(mkdir("/run/redd/names/dir", 0755), 0);
	assert_int_equal(mkfifo("/run/redd/names/fifo", 0644), 0);
	assert_int_equal(io_replace_file_at(AT_FDCWD, "/run/redd/names/empty", "", 0644, false), 0);
	assert_int_equal(io_replace_file_at(AT_FDCWD, "/run/redd/names/text",
					    "hello\n10.0.0.256\n\n10.0.0.7 \nfd00::7\nfd00", 0644,
					    false),
			 0);
	assert_true(net_names_find("dir", found) < 0);
	assert_true(net_names_find("fifo", found) < 0);
	assert_int_equal(net_names_find("empty", found), -ENOENT);
	assert_int_equal(net_names_find("text", found), 1);
	assert_int_equal(net_names_find_address(&any, &name), 0);
	assert_string_equal(name, "web");
	free(name);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_come_and_go),
		cmocka_unit_test(all_names_in_order),
		cmocka_unit_test(at_most_so_many_addresses),
		cmocka_unit_test(hostile_names),
		cmocka_unit_test(strange_files),
	};

	return cmocka_run_group_tests_name("net/names", tests, enter_private, NULL);
}
