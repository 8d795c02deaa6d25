/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Valid names of machines and images, and names derived from paths. */
#include "check.h"
#include "image/name.h"

#define X16 "abcdefghijklmnop"
#define X64 X16 X16 X16 X16

static void test_machine_names(void **state)
{
	static const char *const good[] = {"a", "web", "Web-1", "1", "a.b", "a-b.c-d", X64};
	static const char *const bad[] = {"",	 "-a",	"a-",	".",	    "..",	 ".host",
					  "a.",	 ".a",	"a..b", "a.-b",	    "a-.b",	 "a_b",
					  "a b", "a/b", "a\n",	"\303\244", "a\033[31m", X64 "a"};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(machine_name_is_valid(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(machine_name_is_valid(bad[i]));
}

static void test_image_names(void **state)
{
	static const char *const good[] = {
		"a", "a_b", "a b", "\303\244", "a..b", "-a", "\360\237\220\237", X64 X64 X64};
	static const char *const bad[] = {
		"",	 ".",	     "..",	     ".hidden",		 "a/b",
		"a\n",	 "a\033[0m", "a\177",	     "\302\233",	 "\377",
		"a\303", "\300\200", "\355\240\200", "\364\220\200\200", X64 X64 X64 X64,
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(image_name_is_valid(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(image_name_is_valid(bad[i]));
}

static void test_name_from_path(void **state)
{
	static const struct {
		const char *path, *name;
	} rows[] = {
		{"/srv/web", "web"},
		{"/srv/web/", "web"},
		{"web.tar.xz", "web"},
		{"./a/nixos-system-x86_64-linux.tar.xz", "nixos-system-x86-64-linux"},
		{"web.tgz", "web"},
		{"web.raw", "web"},
		{"web.raw.zst", "web"},
		{"debian-12.5.tar", "debian-12.5"},
		{"my system!.tar.gz", "my-system"},
		{"_x_._y_", "x.y"},
		{"a-..-b", "a.b"},
		{X64 "abc", X64},
		{"/", NULL},
		{".tar", NULL},
		{"---", NULL},
		{"\303\244", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autofree char *name = NULL;
		int r = machine_name_from_path(rows[i].path, &name);

		assert_int_equal(r, rows[i].name ? 0 : -EINVAL);
		if (rows[i].name)
			assert_string_equal(name, rows[i].name);
	}
}

/* Whatever the file's name, the suggestion is valid. */
static void test_any_path_suggests_a_valid_name(void **state)
{
	static const char bytes[] = "ab.-_ \377\n/";
	unsigned seed = 7;

	for (int i = 0; i < 20000; i++) {
		autofree char *name = NULL;
		char path[100] = {};
		size_t size = (size_t)rand_r(&seed) % (sizeof(path) - 1);

		for (size_t k = 0; k < size; k++)
			path[k] = bytes[(size_t)rand_r(&seed) % (sizeof(bytes) - 1)];
		if (machine_name_from_path(path, &name) == 0)
			assert_true(machine_name_is_valid(name));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_machine_names),
		cmocka_unit_test(test_image_names),
		cmocka_unit_test(test_name_from_path),
		cmocka_unit_test(test_any_path_suggests_a_valid_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
