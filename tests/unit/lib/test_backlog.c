/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bounded queue of bytes: order, bounds, and what it costs. */
#include "check.h"
#include "lib/backlog.h"

static void test_order(void **unused)
{
	struct backlog b = {};

	assert_int_equal(backlog_size(&b), 0);
	assert_int_equal(backlog_add(&b, "", 0, 10), 0);
	assert_null(b.data);
	assert_int_equal(backlog_add(&b, "abc", 3, 10), 0);
	backlog_drop(&b, 1);
	assert_int_equal(backlog_add(&b, "defgh", 5, 10), 0);
	assert_int_equal(backlog_size(&b), 7);
	assert_memory_equal(backlog_data(&b), "bcdefgh", 7);
	backlog_drop(&b, 100);
	assert_int_equal(backlog_size(&b), 0);
	assert_null(b.data);
}

static void test_all_or_nothing(void **unused)
{
	struct backlog b = {};

	assert_int_equal(backlog_add(&b, "12345678", 8, 10), 0);
	assert_int_equal(backlog_add(&b, "abc", 3, 10), -ENOBUFS);
	assert_int_equal(backlog_add(&b, "abc", SIZE_MAX, 10), -ENOBUFS);
	assert_int_equal(backlog_add(&b, "ab", 2, 10), 0);
	assert_memory_equal(backlog_data(&b), "12345678ab", 10);
	backlog_done(&b);
}

/* A reader that always lags by one byte. */
static void test_costs_what_waits(void **unused)
{
	enum { MAX_BYTES = 4096, PIECE = 100 };
	struct backlog b = {};
	unsigned char piece[PIECE];
	unsigned written = 0, read = 0;

	assert_int_equal(backlog_add(&b, &(unsigned char){0}, 1, MAX_BYTES), 0);
	written = 1;
	for (int i = 0; i < 20000; i++) {
		for (size_t k = 0; k < PIECE; k++)
			piece[k] = (unsigned char)written++;
		assert_int_equal(backlog_add(&b, piece, PIECE, MAX_BYTES), 0);
		for (size_t k = 0; k < PIECE; k++)
			assert_int_equal((unsigned char)backlog_data(&b)[k], (unsigned char)read++);
		backlog_drop(&b, PIECE);
		assert_int_equal(backlog_size(&b), 1);
		assert_true(b.capacity <= 4 * (size_t)MAX_BYTES);
	}
	backlog_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_all_or_nothing),
		cmocka_unit_test(test_costs_what_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
