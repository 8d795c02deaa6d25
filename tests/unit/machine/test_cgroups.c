// SPDX-License-Identifier: LGPL-2.1-or-later
/* Signals to the processes of a cgroup. Here this is a folder with a list, so no root is needed. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/fd.h"
#include "lib/io.h"
#include "lib/str.h"
#include "machine/cgroups.h"

#define CHILDREN 120

struct fake {
	char path[32];
	int fd;
	pid_t pids[CHILDREN];
	struct rlimit limit;
};

static void list_pids(struct fake *fake, const char *more)
{
	autobuf struct buf text = {};

	for (size_t i = 0; i < CHILDREN; i++)
		buf_printf(&text, "%d\n", fake->pids[i]);
	buf_add_str(&text, more);
	assert_int_equal(io_replace_file_at(fake->fd, "cgroup.procs", text.data, 0600, false), 0);
}

static int set_up(void **state)
{
	struct fake *fake = calloc(1, sizeof(*fake));

	(void)strcpy(fake->path, "/tmp/cgroup-XXXXXX");
	assert_non_null(mkdtemp(fake->path));
	fake->fd = open(fake->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &fake->limit), 0);
	for (size_t i = 0; i < CHILDREN; i++) {
		fake->pids[i] = fork();
		if (fake->pids[i] == 0)
			for (;;)
				(void)pause();
		assert_true(fake->pids[i] > 0);
	}
	list_pids(fake, "");
	*state = fake;
	return 0;
}

static int tear_down(void **state)
{
	struct fake *fake = *state;

	(void)setrlimit(RLIMIT_NOFILE, &fake->limit);
	for (size_t i = 0; i < CHILDREN; i++)
		if (fake->pids[i] > 0) {
			(void)kill(fake->pids[i], SIGKILL);
			(void)waitpid(fake->pids[i], NULL, 0);
		}
	(void)unlinkat(fake->fd, "cgroup.procs", 0);
	(void)close(fake->fd);
	(void)rmdir(fake->path);
	free(fake);
	return 0;
}

/* Leaves that many descriptors free, wherever others are open. */
static void limit_files(const struct fake *fake, int free_ones)
{
	struct rlimit limit = fake->limit;
	int fd = 0;

	for (; free_ones > 0; fd++)
		free_ones -= fcntl(fd, F_GETFD) < 0;
	limit.rlim_cur = (rlim_t)fd;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void assert_all_ended_by(struct fake *fake, int signal)
{
	for (size_t i = 0; i < CHILDREN; i++) {
		int status;

		assert_int_equal(waitpid(fake->pids[i], &status, 0), fake->pids[i]);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), signal);
		fake->pids[i] = 0;
	}
}

static void test_all_get_it(void **state)
{
	struct fake *fake = *state;

	assert_int_equal(cgroups_signal_listed(fake->fd, SIGUSR1), 0);
	assert_all_ended_by(fake, SIGUSR1);
}

/* security row: X16 */
static void test_more_than_there_are_descriptors_for(void **state)
{
	struct fake *fake = *state;

	limit_files(fake, 8);
	assert_int_equal(cgroups_signal_listed(fake->fd, SIGUSR2), 0);
	assert_all_ended_by(fake, SIGUSR2);
}

/* security row: X16 */
static void test_a_failure_is_told(void **state)
{
	struct fake *fake = *state;

	/* Enough descriptors for the list, but not for the processes on it. */
	limit_files(fake, 1);
	assert_int_equal(cgroups_signal_listed(fake->fd, SIGTERM), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &fake->limit), 0);
	assert_int_equal(waitpid(fake->pids[0], NULL, WNOHANG), 0);
	/* There is no signal of this number; the children live. */
	assert_int_equal(cgroups_signal_listed(fake->fd, 1000), -EINVAL);
	assert_int_equal(waitpid(fake->pids[0], NULL, WNOHANG), 0);
}

/* security row: X08 */
static void test_strangers_get_none(void **state)
{
	struct fake *fake = *state;
	pid_t stranger = fake->pids[CHILDREN - 1];
	int status;

	/* 0 is a process of another pid namespace; 1 never belongs to a machine. A process that has
	 * ended is no error. */
	assert_int_equal(kill(fake->pids[0], SIGKILL), 0);
	assert_int_equal(waitpid(fake->pids[0], &status, 0), fake->pids[0]);
	fake->pids[CHILDREN - 1] = fake->pids[1];
	list_pids(fake, "0\n1\nword\n");
	fake->pids[CHILDREN - 1] = 0;
	fake->pids[0] = stranger;
	assert_int_equal(cgroups_signal_listed(fake->fd, SIGUSR1), 0);
	assert_int_equal(waitpid(stranger, &status, WNOHANG), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_get_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_more_than_there_are_descriptors_for, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_failure_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_strangers_get_none, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
