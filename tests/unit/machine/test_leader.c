/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What redd reads about a leader; this process plays a machine's PID 1. */
#include "check.h"
#include "lib/io.h"
#include "machine/leader.h"

static void limits_are_those_of_prlimit(void **state)
{
	autoclose int proc = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct leader leader = {.pid = getpid(), .proc_fd = proc};
	struct rlimit limits[RLIM_NLIMITS], expected;
	struct rlimit files = {.rlim_cur = 123, .rlim_max = 4567};
	struct rlimit core = {.rlim_cur = 0, .rlim_max = 0};

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	assert_int_equal(setrlimit(RLIMIT_CORE, &core), 0);
	assert_int_equal(leader_read_limits(&leader, limits), 0);
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		assert_int_equal(getrlimit(i, &expected), 0);
		assert_true(limits[i].rlim_cur == expected.rlim_cur &&
			    limits[i].rlim_max == expected.rlim_max);
	}
	leader.proc_fd = -1;
	assert_true(leader_read_limits(&leader, limits) < 0);
}

static void other_words_are_no_limits(void **state)
{
	static const char *const rows[] = {
		"",
		"Limit\n",
		"Limit\nMax cpu time\n",
		"Limit\nMax cpu time              some                 unlimited            "
		"seconds\n",
		"Limit\nMax cpu time              5                    some                 "
		"seconds\n",
	};
	struct scratch *s = *state;
	struct leader leader = {.pid = 1, .proc_fd = s->fd};
	struct rlimit limits[RLIM_NLIMITS];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(io_replace_file_at(s->fd, "limits", rows[i], 0600, false), 0);
		assert_int_equal(leader_read_limits(&leader, limits), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_are_those_of_prlimit),
		scratch_test(other_words_are_no_limits),
	};

	return cmocka_run_group_tests_name("leader", tests, NULL, NULL);
}
