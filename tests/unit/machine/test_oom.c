/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel ends a machine's processes before its supervisor, whatever scores they were started
 * with. */
#include <sys/wait.h>

#include "check.h"
#include "lib/io.h"
#include "machine/oom.h"

/* security row: K17 */
static void a_machine_is_above_its_supervisor(void **state)
{
	static const struct {
		int supervisor, machine;
	} rows[] = {
		{OOM_SCORE_MIN, 0},   {-1, 0},
		{0, OOM_SCORE_AHEAD}, {200, 200 + OOM_SCORE_AHEAD},
		{950, OOM_SCORE_MAX}, {OOM_SCORE_MAX, OOM_SCORE_MAX},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(oom_score_of_machine(rows[i].supervisor), rows[i].machine);
}

/* In a child, since a raised score may not be lowered again. */
static int lower_from(const char *score)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		int before = oom_score_of(getpid()), after;

		if (io_write_file_at(AT_FDCWD, "/proc/self/oom_score_adj", score) < 0)
			_exit(2);
		after = oom_score_lower_own();
		/* With the capability the minimum; without, not higher than before. */
		_exit(after != oom_score_of(getpid()) ||
		      (after != OOM_SCORE_MIN && after > before));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

static void a_supervisor_is_as_low_as_allowed(void **state)
{
	assert_int_equal(lower_from("500"), 0);
	assert_int_equal(lower_from("1000"), 0);
}

static void what_can_t_be_read_is_usual(void **state)
{
	assert_int_equal(oom_score_of(0x7fffffff), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_machine_is_above_its_supervisor),
		cmocka_unit_test(a_supervisor_is_as_low_as_allowed),
		cmocka_unit_test(what_can_t_be_read_is_usual),
	};

	return cmocka_run_group_tests_name("oom", tests, NULL, NULL);
}
