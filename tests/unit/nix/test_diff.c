// SPDX-License-Identifier: LGPL-2.1-or-later
/* Comparison of closures, and the text form of the database's records. */
#include "captured_log.h"
#include "nix/diff.h"
#include "nix/info.h"
#include "nix/names.h"

#define H(c) #c "0000000000000000000000000000000-"
#define NAR "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

struct path {
	const char *name;
	uint64_t bytes;
};

static struct nix_infos make(const struct path *paths, size_t count)
{
	struct nix_infos infos = {.items = calloc(count + 1, sizeof(*infos.items))};

	assert_non_null(infos.items);
	for (size_t i = 0; i < count; i++)
		infos.items[infos.count++] = (struct nix_info){
			.name = strdup(paths[i].name), .hash = NAR, .nar_bytes = paths[i].bytes};
	return infos;
}

static void check_diff(const struct nix_infos *from, const struct nix_infos *to,
		       const char *expected)
{
	autodifferences struct nix_differences d = {};
	autobuf struct buf text = {};

	assert_int_equal(nix_diff(from, to, &d), 0);
	buf_add_str(&text, "");
	for (size_t i = 0; i < d.count; i++) {
		autofree char *a = strv_join(d.items[i].from, ","),
			      *b = strv_join(d.items[i].to, ",");

		buf_printf(&text, "%s %s [%s] [%s] %lld\n", d.items[i].name,
			   nix_change_name(d.items[i].change), a ? a : "", b ? b : "",
			   (long long)d.items[i].bytes);
	}
	assert_string_equal(text.data, expected);
}

static void test_diff(void **state)
{
	static const struct path from[] = {
		{H(a) "same-1", 5},    {H(b) "nginx-1.22", 100}, {H(c) "gone-3", 7},
		{H(d) "rebuilt-2", 9}, {H(f) "etc", 1},		 {H(g) "two-1", 10},
	};
	static const struct path to[] = {
		{H(a) "same-1", 5},    {H(b) "nginx-1.24", 140}, {H(c) "new", 3},
		{H(d) "etc", 2},       {H(g) "two-1", 10},	 {H(h) "two-2", 11},
		{H(z) "rebuilt-2", 9},
	};
	autoinfos struct nix_infos a = make(from, ARRAY_SIZE(from)), b = make(to, ARRAY_SIZE(to));
	autoinfos struct nix_infos none = make(NULL, 0);

	check_diff(&a, &b,
		   "etc rebuilt [] [] 1\n"
		   "gone removed [3] [] -7\n"
		   "new added [] [] 3\n"
		   "nginx version [1.22] [1.24] 40\n"
		   "rebuilt rebuilt [2] [2] 0\n"
		   "two version [1] [1,2] 11\n");
	check_diff(&a, &a, "");
	check_diff(&none, &none, "");
}

/* Names of which one is a prefix of the other must not be confused. */
static void test_prefixes(void **state)
{
	static const struct path from[] = {{H(a) "git-1", 1}, {H(b) "gitg-1", 1}, {H(c) "gi-1", 1}};
	static const struct path to[] = {{H(d) "git-2", 1}, {H(b) "gitg-1", 1}, {H(c) "gi-1", 1}};
	autoinfos struct nix_infos a = make(from, ARRAY_SIZE(from)), b = make(to, ARRAY_SIZE(to));

	check_diff(&a, &b, "git version [1] [2] 0\n");
}

static void test_registration(void **state)
{
	static const struct path paths[] = {{H(a) "x", 120}, {H(b) "y", 1}};
	static const char expected[] =
		"/nix/store/" H(a) "x\n" NAR
				   "\n120\n\n1\n/nix/store/" H(b) "y\n"
								  "/nix/store/" H(b) "y\n" NAR
										     "\n1\n\n0\n";
	autoinfos struct nix_infos infos = make(paths, ARRAY_SIZE(paths)), again = {};
	autofree char *text = NULL, *second = NULL;

	assert_int_equal(strv_add(&infos.items[0].references, paths[1].name), 0);
	assert_int_equal(nix_registration_write(&infos, &text), 0);
	assert_string_equal(text, expected);
	assert_int_equal(nix_registration_parse(text, &again), 0);
	assert_int_equal(nix_registration_write(&again, &second), 0);
	assert_string_equal(second, expected);
	/* A path with a hash in another format can't be registered elsewhere. */
	infos.items[1].hash[0] = '\0';
	free(take_ptr(text));
	assert_int_equal(nix_registration_write(&infos, &text), -EBADMSG);
	assert_non_null(strstr(captured_text(), H(b) "y"));
}

static void test_registration_broken(void **state)
{
	static const char *const texts[] = {
		"x",
		"\n",
		"/nix/store/" H(a) "x\n",
		"/nix/store/" H(a) "x\n" NAR "\n120\n\n",
		"/nix/store/" H(a) "x\n" NAR "\n120\n\n1\n",
		"/nix/store/" H(a) "x\n" NAR "\n120\n\n1\n/etc/passwd\n",
		"/nix/store/../x\n" NAR "\n120\n\n0\n",
		"/nix/store/" H(a) "x\nsha256:zz\n120\n\n0\n",
		"/nix/store/" H(a) "x\n" NAR "\n-1\n\n0\n",
		"/nix/store/" H(a) "x\n" NAR "\n120\n\n4294967295\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		autoinfos struct nix_infos infos = {};

		assert_int_equal(nix_registration_parse(texts[i], &infos), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_prefixes),
		captured_test(test_registration),
		cmocka_unit_test(test_registration_broken),
	};

	return cmocka_run_group_tests_name("nix/diff", tests, NULL, NULL);
}
