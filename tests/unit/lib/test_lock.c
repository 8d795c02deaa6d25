/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Locks: exclusion, sharing, release when the holder dies, and lock files that are replaced. */
#include <sys/prctl.h>
#include <sys/wait.h>

#include "check.h"
#include "lib/lock.h"
#include "lib/str.h"

static void test_exclusive(void **state)
{
	struct scratch *s = *state;
	int fd = lock_take_at(s->fd, "l", false);

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(mode_of(s->fd, "l") & 07777, 0600);
	assert_int_equal(lock_is_held_at(s->fd, "l"), 1);
	assert_int_equal(lock_take_at(s->fd, "l", false), -EBUSY);
	assert_int_equal(lock_take_at(s->fd, "l", true), -EBUSY);
	(void)close(fd);
	assert_int_equal(lock_is_held_at(s->fd, "l"), 0);
	fd = lock_wait_at(s->fd, "l", false);
	assert_true(fd >= 0);
	(void)close(fd);
}

static void test_shared(void **state)
{
	struct scratch *s = *state;
	autoclose int a = lock_take_at(s->fd, "l", true), b = lock_take_at(s->fd, "l", true);

	assert_true(a >= 0 && b >= 0);
	assert_int_equal(lock_is_held_at(s->fd, "l"), 1);
	assert_int_equal(lock_take_at(s->fd, "l", false), -EBUSY);
	/* The last holder can convert its lock. */
	(void)close(take_fd(&b));
	assert_int_equal(lock_take_fd(a, false), 0);
	assert_int_equal(lock_take_at(s->fd, "l", true), -EBUSY);
}

static void test_absent_and_odd(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(lock_is_held_at(s->fd, "none"), 0);
	assert_false(exists(s->fd, "none"));
	assert_int_equal(symlinkat("canary", s->fd, "link"), 0);
	assert_int_equal(lock_take_at(s->fd, "link", false), -ELOOP);
	assert_int_equal(lock_is_held_at(s->fd, "link"), -ELOOP);
	assert_false(exists(s->fd, "canary"));
	assert_int_equal(lock_take_at(s->fd, "none/l", false), -ENOENT);
	assert_int_equal(lock_take_fd(-1, false), -EBADF);
}

/* The holder's death releases the lock; a fork shares it. */
static void test_crash_frees(void **state)
{
	struct scratch *s = *state;
	int ready[2];
	char c;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = lock_take_at(s->fd, "l", false);

		/* A failed assertion leaves the test: don't wait for ever then. */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)!write(ready[1], fd >= 0 ? "y" : "n", 1);
		(void)pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(c, 'y');
	assert_int_equal(lock_is_held_at(s->fd, "l"), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(lock_is_held_at(s->fd, "l"), 0);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

/* /proc/locks (proc(5)) marks waiting processes with "->". */
static bool somebody_waits(ino_t ino)
{
	autofree char *number = str_printf(":%lu ", (unsigned long)ino);
	char line[256];
	bool found = false;
	FILE *f = fopen("/proc/locks", "re");

	assert_non_null(f);
	while (!found && fgets(line, sizeof(line), f))
		found = strstr(line, "->") && strstr(line, number);
	(void)fclose(f);
	return found;
}

/* A waiter that gets the lock of a removed file must take the new file's lock instead. */
static void test_removed_while_waiting(void **state)
{
	struct scratch *s = *state;
	autoclose int held = lock_take_at(s->fd, "l", false);
	struct stat st;
	int status;
	pid_t pid;

	assert_int_equal(fstat(held, &st), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct stat ours, named;
		int fd;

		(void)close(held);
		fd = lock_wait_at(s->fd, "l", false);
		_exit(fd >= 0 && fstat(fd, &ours) == 0 && fstatat(s->fd, "l", &named, 0) == 0 &&
				      ours.st_ino == named.st_ino && ours.st_nlink == 1
			      ? 0
			      : 1);
	}
	for (int i = 0; i < 10000 && !somebody_waits(st.st_ino); i++)
		(void)usleep(1000);
	assert_true(somebody_waits(st.st_ino));
	assert_int_equal(unlinkat(s->fd, "l", 0), 0);
	(void)close(take_fd(&held));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_exclusive),
		scratch_test(test_shared),
		scratch_test(test_absent_and_odd),
		scratch_test(test_crash_frees),
		scratch_test(test_removed_while_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
