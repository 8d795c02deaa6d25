// SPDX-License-Identifier: LGPL-2.1-or-later
/* Names in the store: hostile names in a database, and how names are split. */
#include "check.h"
#include "lib/str.h"
#include "nix/names.h"

#define HASH "0p99knbyjd3iayc8wwv59vkl6amlfj3j"

static void test_valid(void **state)
{
	assert_true(nix_name_is_valid(HASH "-x"));
	assert_true(nix_name_is_valid(HASH "-nginx-1.24.0_a+b?c=d"));
	assert_true(nix_name_is_valid(HASH "-.."));
}

static void test_invalid(void **state)
{
	static const char *const names[] = {
		"",
		"..",
		".",
		HASH,
		HASH "-",
		HASH "/x",
		HASH "-a/b",
		HASH "-../../etc",
		HASH "-a b",
		HASH "-a\nb",
		HASH "-\xc3\xa4",
		HASH "-a'b",
		"-" HASH "-x",
		/* Nix has no digits e, o, t and u, and no capitals; 31 digits */
		"ep99knbyjd3iayc8wwv59vkl6amlfj3j-x",
		"0P99knbyjd3iayc8wwv59vkl6amlfj3j-x",
		"p99knbyjd3iayc8wwv59vkl6amlfj3j-x",
	};
	char longest[NIX_NAME_MAX + 2];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_false(nix_name_is_valid(names[i]));
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, HASH "-", NIX_HASH_LENGTH + 1);
	longest[NIX_NAME_MAX] = '\0';
	assert_true(nix_name_is_valid(longest));
	longest[NIX_NAME_MAX] = 'a';
	longest[NIX_NAME_MAX + 1] = '\0';
	assert_false(nix_name_is_valid(longest));
}

static void test_of_path(void **state)
{
	assert_string_equal(nix_name_of_path("/nix/store/" HASH "-x"), HASH "-x");
	assert_null(nix_name_of_path("/nix/store/" HASH "-x/"));
	assert_null(nix_name_of_path("/nix/store/" HASH "-x/bin"));
	assert_null(nix_name_of_path("/nix/store//" HASH "-x"));
	assert_null(nix_name_of_path("/nix/store/../" HASH "-x"));
	assert_null(nix_name_of_path(HASH "-x"));
}

/* Like builtins.parseDrvName. */
static void test_split(void **state)
{
	static const struct {
		const char *name, *package, *version;
	} rows[] = {
		{HASH "-nginx-1.24.0", "nginx", "1.24.0"},
		{HASH "-nixos-system-web-23.11", "nixos-system-web", "23.11"},
		{HASH "-glibc-2.38-44-bin", "glibc", "2.38-44-bin"},
		{HASH "-etc", "etc", ""},
		{HASH "-a-b-c", "a-b-c", ""},
		{HASH "-libnl-3", "libnl", "3"},
		{HASH "-x-", "x-", ""},
		{HASH "-x-_1", "x", "_1"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *version;
		size_t length;
		const char *package = nix_name_split(rows[i].name, &length, &version);

		assert_int_equal(length, strlen(rows[i].package));
		assert_memory_equal(package, rows[i].package, length);
		assert_string_equal(version, rows[i].version);
	}
}

static void test_generations(void **state)
{
	static const char *const bad[] = {
		"system",
		"system-",
		"system--link",
		"system-0-link",
		"system-01-link",
		"system-1-link2",
		"system-1",
		"system-1-link.tmp",
		"system-x-link",
		"other-1-link",
		"system-4294967296-link",
		"system-99999999999999999999-link",
		"system-+1-link",
	};
	unsigned n = 0;

	assert_true(nix_generation_of_link("system-1-link", &n));
	assert_int_equal(n, 1);
	assert_true(nix_generation_of_link("system-4294967295-link", &n));
	assert_true(n == 4294967295U);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(nix_generation_of_link(bad[i], &n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),	    cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_of_path),	    cmocka_unit_test(test_split),
		cmocka_unit_test(test_generations),
	};

	return cmocka_run_group_tests_name("nix/names", tests, NULL, NULL);
}
