/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* os-release files, well-formed and hostile (P10): what is read, and that nothing blocks or leaks.
 */
#include "check.h"
#include "image/os_release.h"

static struct os_release parse(const char *text)
{
	autofree char *copy = strdup(text);
	struct os_release os = {};

	assert_non_null(copy);
	assert_int_equal(os_release_parse(copy, &os), 0);
	return os;
}

static void test_values(void **state)
{
	static const struct {
		const char *line, *value;
	} rows[] = {
		{"K=plain", "plain"},
		{"K=\"double quoted\"", "double quoted"},
		{"K='single quoted'", "single quoted"},
		{"K='a\\b'", "a\\b"},
		{"K=\"a\\\"b\\$c\\`d\\\\e\"", "a\"b$c`d\\e"},
		{"K=\"a\\nb\"", "a\\nb"},
		{"K=a\\ b", "a b"},
		{"  K=x  ", "x"},
		{"K=x\r", "x"},
		{"K=", ""},
		{"K=a b", "a"},
		{"K=$(reboot)", "$(reboot)"},
		{"K=a\"b\"'c'", "abc"},
		{"K=1\nK=2", "2"},
		{"# K=x", NULL},
		{"K", NULL},
		{"K=\"open", NULL},
		{"=x", NULL},
		{"K-1=x", NULL},
		{"", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_os_release struct os_release os = parse(rows[i].line);
		const char *value = os_release_get(&os, "K");

		if (rows[i].value)
			assert_string_equal(value, rows[i].value);
		else
			assert_null(value);
	}
}

static void test_pretty(void **state)
{
	auto_os_release struct os_release all =
		parse("ID=debian\nNAME=Debian\nPRETTY_NAME=\"Debian 12\"\n");
	auto_os_release struct os_release id = parse("ID=debian\nNAME=\n");
	auto_os_release struct os_release none = parse("");

	assert_string_equal(os_release_pretty(&all), "Debian 12");
	assert_string_equal(os_release_pretty(&id), "debian");
	assert_null(os_release_pretty(&none));
}

static int read_id(const struct scratch *s, const char *expected)
{
	auto_os_release struct os_release os = {};
	int r = os_release_read(s->fd, &os);

	if (expected) {
		assert_int_equal(r, 0);
		assert_string_equal(os_release_get(&os, "ID"), expected);
	}
	return r;
}

static void make_dirs(const struct scratch *s)
{
	static const char *const dirs[] = {"etc", "usr", "usr/lib", "nix", "nix/store"};

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		assert_int_equal(mkdirat(s->fd, dirs[i], 0755), 0);
}

static void test_places(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(read_id(s, NULL), -ENOENT);
	make_dirs(s);
	assert_int_equal(read_id(s, NULL), -ENOENT);
	write_file(s->fd, "usr/lib/os-release", "ID=vendor\n");
	(void)read_id(s, "vendor");
	/* NixOS: absolute links into the store, through another link. */
	write_file(s->fd, "nix/store/os-release", "ID=nixos\n");
	assert_int_equal(symlinkat("/nix/store", s->fd, "etc/static"), 0);
	assert_int_equal(symlinkat("/etc/static/os-release", s->fd, "etc/os-release"), 0);
	(void)read_id(s, "nixos");
	/* Before activation the link leads nowhere. */
	assert_int_equal(unlinkat(s->fd, "nix/store/os-release", 0), 0);
	(void)read_id(s, "vendor");
}

/* security row: P10 */
static void test_hostile_files(void **state)
{
	struct scratch *s = *state;
	autoclose int big = -1;

	make_dirs(s);
	/* If the resolver left the root, this would be the host's. */
	assert_int_equal(symlinkat("../../../../../../etc/passwd", s->fd, "etc/os-release"), 0);
	assert_int_equal(read_id(s, NULL), -ENOENT);
	assert_int_equal(unlinkat(s->fd, "etc/os-release", 0), 0);

	assert_int_equal(mkfifoat(s->fd, "etc/os-release", 0644), 0);
	assert_int_equal(read_id(s, NULL), -EBADFD);
	assert_int_equal(unlinkat(s->fd, "etc/os-release", 0), 0);

	assert_int_equal(mkdirat(s->fd, "etc/os-release", 0755), 0);
	assert_true(read_id(s, NULL) < 0);
	assert_int_equal(unlinkat(s->fd, "etc/os-release", AT_REMOVEDIR), 0);

	assert_int_equal(symlinkat("os-release", s->fd, "etc/os-release"), 0);
	assert_int_equal(read_id(s, NULL), -ELOOP);
	assert_int_equal(unlinkat(s->fd, "etc/os-release", 0), 0);

	assert_int_equal(symlinkat("/proc/self/fd/0", s->fd, "etc/os-release"), 0);
	assert_int_equal(read_id(s, NULL), -ENOENT);
	assert_int_equal(unlinkat(s->fd, "etc/os-release", 0), 0);

	big = openat(s->fd, "etc/os-release", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(big >= 0);
	assert_int_equal(ftruncate(big, INT64_C(4) << 30), 0);
	assert_int_equal(read_id(s, NULL), -EFBIG);
	assert_int_equal(ftruncate(big, OS_RELEASE_MAX), 0);
	assert_int_equal(read_id(s, NULL), 0);
}

static void test_nul_bytes_end_the_text(void **state)
{
	struct scratch *s = *state;
	static const char text[] = "ID=x\0ID=y\n";
	int fd;

	make_dirs(s);
	fd = openat(s->fd, "etc/os-release", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	assert_int_equal(close(fd), 0);
	(void)read_id(s, "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_pretty),
		scratch_test(test_places),
		scratch_test(test_hostile_files),
		scratch_test(test_nul_bytes_end_the_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
