/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Published names, in a private /run; and the names that others look up. */
#include <sched.h>
#include <sys/mount.h>

#include "check.h"
#include "lib/io.h"
#include "lib/machine_name.h"
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
	/* A name with a dot might be one of the DNS. */
	assert_int_equal(net_names_find("Db.example", found), -ENOENT);
	assert_int_equal(net_names_find("dB.ExAmple.REDD", found), 1);
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
	assert_int_equal(net_names_find("db.example.redd", found), -ENOENT);
}

/* Replaces /etc/hosts by `hosts`, in a private mount namespace. */
static void give_hosts(const char *hosts)
{
	assert_int_equal(io_replace_file_at(AT_FDCWD, "/run/hosts", hosts, 0644, false), 0);
	assert_int_equal(mount("/run/hosts", "/etc/hosts", NULL, MS_BIND, NULL), 0);
}

static bool finds(const char *name)
{
	struct net_address found[NET_NAMES_ADDRESSES_MAX];

	return net_names_find(name, found) > 0;
}

static void assert_only_in_full(const char *machine)
{
	autofree char *full = str_printf("%s.redd", machine);
	autofree char *as = NULL, *by = NULL;
	struct net_address any = address("10.0.0.2");

	publish(machine, "10.0.0.2", NULL);
	if (finds(machine) || !finds(full))
		fail_msg("%s is found, or %s is not", machine, full);
	as = net_names_published_as(machine);
	assert_string_equal(as, full);
	assert_int_equal(net_names_find_address(&any, &by), 0);
	assert_string_equal(by, full);
	assert_non_null(net_name_conflict(machine, &any, 1));
	net_names_withdraw(machine);
	assert_false(finds(full));
}

/* security row: N20 */
static void bare_names_are_nobody_elses(void **state)
{
	static const char *const unsafe[] = {
		"localhost",  "LocalHost",	"wpad",
		"WPAD",	      "isatap",		"gateway",
		"localhost4", "ip6-loopback",	"www.example.org",
		"a.redd",     "localhost.redd", "x.localhost",
		"1",	      "0x7f000001",	"017",
		"127",	      "1.2.3.4",	"redd",
		"test",	      "intranet",	"INTRANET",
		"mail",	      "broadcasthost",
	};
	char host[256] = "";

	need_private();
	give_hosts("127.0.0.1 localhost\n#10.0.0.7 web\n 192.0.2.7\tintranet.corp intranet # db\r\n"
		   "2001:db8::7 x mail\n");
	for (size_t i = 0; i < ARRAY_SIZE(unsafe); i++)
		assert_only_in_full(unsafe[i]);
	assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
	if (machine_name_is_valid(host))
		assert_only_in_full(host);
	host[strcspn(host, ".")] = '\0';
	if (machine_name_is_valid(host))
		assert_only_in_full(host);
	(void)umount("/etc/hosts");
}

static void safe_names_stay(void **state)
{
	static const char *const safe[] = {"web", "db", "nginx-test", "a1", "3com", "Web-2", "x"};
	struct net_address own = address("10.0.0.2");
	autofree char *as = NULL;

	need_private();
	/* x is the machine itself, in a line from `redd hosts`. */
	give_hosts("127.0.0.1 localhost\n#10.0.0.7 web\n10.0.0.2 x x.redd\n");
	for (size_t i = 0; i < ARRAY_SIZE(safe); i++) {
		autofree char *full = str_printf("%s.redd", safe[i]);

		assert_null(net_name_conflict(safe[i], &own, 1));
		publish(safe[i], "10.0.0.2", NULL);
		assert_true(finds(safe[i]) && finds(full));
		net_names_withdraw(safe[i]);
		assert_false(finds(safe[i]) || finds(full));
	}
	(void)umount("/etc/hosts");
	/* Later changes of the file remove the bare name, and restore it. */
	give_hosts("192.0.2.1 web\n");
	publish("web", "10.0.0.2", NULL);
	assert_false(finds("web"));
	(void)umount("/etc/hosts");
	give_hosts("192.0.2.1 other\n");
	publish("web", "10.0.0.2", NULL);
	assert_true(finds("web") && finds("web.redd"));
	as = net_names_published_as("web");
	assert_string_equal(as, "web");
	assert_int_equal(access("/run/redd/names/web.redd", F_OK), -1);
	(void)umount("/etc/hosts");
}

/* security row: N20 */
static void files_of_others_stand_for_nothing(void **state)
{
	static const char *const files[] = {"localhost", "wpad", "www.example.org", "1.2.3.4"};
	struct net_address any = address("10.0.0.9");
	autostrv char **names = NULL;
	char *name = NULL;

	need_private();
	publish("web", "10.0.0.2", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		autofree char *path = str_printf("/run/redd/names/%s", files[i]);

		assert_int_equal(io_replace_file_at(AT_FDCWD, path, "10.0.0.9\n", 0644, false), 0);
		assert_false(finds(files[i]));
	}
	assert_int_equal(net_names_find_address(&any, &name), -ENOENT);
	assert_int_equal(net_names_list(&names), 0);
	assert_int_equal(strv_length(names), 1);
}

/* "x.redd" is the full name of x, even if a machine has that name. */
static void full_names_are_nobody_elses(void **state)
{
	struct net_address found[NET_NAMES_ADDRESSES_MAX], x = address("10.0.0.2");

	need_private();
	publish("x.redd", "10.0.0.3", NULL);
	assert_false(finds("x.redd"));
	publish("x", "10.0.0.2", NULL);
	assert_int_equal(net_names_find("x.redd", found), 1);
	assert_true(net_address_equal(&found[0], &x));
	assert_true(finds("x.redd.redd"));
	net_names_clean("x.redd");
	assert_true(finds("x") && finds("x.redd") && !finds("x.redd.redd"));
	/* The longest name that a machine may have. */
	assert_only_in_full("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
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
		cmocka_unit_test(bare_names_are_nobody_elses),
		cmocka_unit_test(safe_names_stay),
		cmocka_unit_test(files_of_others_stand_for_nothing),
		cmocka_unit_test(full_names_are_nobody_elses),
		cmocka_unit_test(all_names_in_order),
		cmocka_unit_test(at_most_so_many_addresses),
		cmocka_unit_test(hostile_names),
		cmocka_unit_test(strange_files),
	};

	return cmocka_run_group_tests_name("net/names", tests, enter_private, NULL);
}
