/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* To whom the host's files give ranges of users, including malformed files. */
#include "check.h"
#include "host/idranges.h"
#include "lib/io.h"

static void put(struct scratch *s, const char *name, const char *text)
{
	assert_int_equal(io_replace_file_at(s->fd, name, text, 0644, false), 0);
}

static void clear(struct scratch *s)
{
	static const char *const names[] = {"passwd", "group", "subuid", "subgid"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)unlinkat(s->fd, names[i], 0);
}

static int find(struct scratch *s, enum idranges_kind kind, uint32_t first, uint64_t count)
{
	return idranges_find(s->fd, kind, first, count, NULL);
}

static void nothing_is_taken_without_files(void **state)
{
	struct scratch *s = *state;

	clear(s);
	assert_int_equal(find(s, IDRANGES_ACCOUNTS, 524288, 65536), 0);
	assert_int_equal(find(s, IDRANGES_SUBORDINATES, 524288, 65536), 0);
}

/* security row: X13 */
static void ranges_overlap(void **state)
{
	static const struct {
		const char *line;
		bool is_taken; /* of 655360 to 720895 */
	} rows[] = {
		{"a:655360:65536", true},
		{"a:720895:1", true},
		{"a:720896:65536", false},
		{"a:600000:55360", false},
		{"a:600000:55361", true},
		{"a:100000:1000000000", true},
		{"a:700000:1", true},
		{"a:700000:0", false},
		{"1000:655360:65536", true},
		{"a:0xa0000:0x10000", true},
		{"a: 655360 : 65536 ", true},
		{"a:655360:65536\r", true},
		{"a:655360:65536:more", true},
		{"a:0:18446744073709551615", true},
		{"a:0:99999999999999999999999999", true},
		{"a:18446744073709551615:18446744073709551615", false},
		{"a:655360", false},
		{"a:655360:", false},
		{"a:655360:-1", false},
		{"a:x655360:65536", false},
		{"a:655360x:65536", false},
		{"", false},
		{"a", false},
		{":::", false},
		{"b:1:1\n\nnonsense\na:655360:65536", true},
	};
	struct scratch *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int file = 0; file < 2; file++) {
			clear(s);
			put(s, file ? "subgid" : "subuid", rows[i].line);
			if (find(s, IDRANGES_SUBORDINATES, 655360, 65536) != rows[i].is_taken)
				fail_msg("\"%s\" is wrong", rows[i].line);
		}
	}
}

static void accounts_are_single_numbers(void **state)
{
	struct scratch *s = *state;

	clear(s);
	put(s, "passwd", "root:x:0:0::/root:/bin/sh\nd:x:655361:100::/:/bin/sh\n");
	put(s, "group", "root:x:0:\nd:x:786432:a,b\n");
	assert_int_equal(find(s, IDRANGES_ACCOUNTS, 655360, 65536), 1);
	assert_int_equal(find(s, IDRANGES_ACCOUNTS, 655360, 1), 0);
	assert_int_equal(find(s, IDRANGES_ACCOUNTS, 655361, 1), 1);
	assert_int_equal(find(s, IDRANGES_ACCOUNTS, 720896, 65536), 0);
	assert_int_equal(find(s, IDRANGES_ACCOUNTS, 786432, 65536), 1);
	assert_int_equal(find(s, IDRANGES_SUBORDINATES, 655360, 65536), 0);
}

static void the_owner_is_named(void **state)
{
	struct scratch *s = *state;
	autofree char *who = NULL, *number = NULL;

	clear(s);
	put(s, "subuid", "other:1:1\nanna:655360:65536\n");
	put(s, "subgid", "1001:786432:65536\n");
	assert_int_equal(idranges_find(s->fd, IDRANGES_SUBORDINATES, 655360, 65536, &who), 1);
	assert_string_equal(who, "anna");
	assert_int_equal(idranges_find(s->fd, IDRANGES_SUBORDINATES, 786432, 1, &number), 1);
	assert_string_equal(number, "1001");
}

static void an_unreadable_file_is_no_answer(void **state)
{
	struct scratch *s = *state;
	int fd;

	clear(s);
	assert_int_equal(mkdirat(s->fd, "subgid", 0755), 0);
	assert_true(find(s, IDRANGES_SUBORDINATES, 655360, 65536) < 0);
	assert_int_equal(unlinkat(s->fd, "subgid", AT_REMOVEDIR), 0);

	fd = openat(s->fd, "subuid", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "a:1:1\n\0b:655360:65536\n", 22), 22);
	assert_int_equal(find(s, IDRANGES_SUBORDINATES, 655360, 65536), -EBADMSG);
	assert_int_equal(ftruncate(fd, 9 * 1024 * 1024), 0);
	assert_int_equal(find(s, IDRANGES_SUBORDINATES, 655360, 65536), -EFBIG);
	(void)close(fd);
	clear(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(nothing_is_taken_without_files),  scratch_test(ranges_overlap),
		scratch_test(accounts_are_single_numbers),     scratch_test(the_owner_is_named),
		scratch_test(an_unreadable_file_is_no_answer),
	};

	return cmocka_run_group_tests_name("idranges", tests, NULL, NULL);
}
