/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The confinement of the unpacking process works: each test makes a child, confines it, and lets it
 * try what is forbidden.
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"
#include "transfer/import/confine.h"

/* The child's result: 0, or a number for what went wrong. */
static int in_child(int (*fn)(const struct scratch *s), const struct scratch *s)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn(s));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* The kernel or this build doesn't support it. */
#define NOT_HERE 77

static int leave_the_tree(const struct scratch *s)
{
	autoclose int tree = openat(s->fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return 1;
	r = confine_to_tree(tree);
	if (r == -EOPNOTSUPP)
		return NOT_HERE;
	if (r < 0)
		return 2;
	/* Inside everything works; outside nothing can be opened, made, removed or linked. */
	if (openat(tree, "in", O_WRONLY | O_CREAT | O_CLOEXEC, 0644) < 0 ||
	    linkat(tree, "in", tree, "linked", 0) < 0)
		return 3;
	if (openat(s->fd, "outside", O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES)
		return 4;
	if (openat(s->fd, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0644) >= 0)
		return 5;
	if (unlinkat(s->fd, "outside", 0) == 0)
		return 6;
	return linkat(s->fd, "outside", tree, "stolen", 0) == 0 ? 7 : 0;
}

/* security row: A08 */
static void test_landlock(void **state)
{
	struct scratch *s = *state;
	int r;

	assert_int_equal(mkdirat(s->fd, "tree", 0755), 0);
	write_file(s->fd, "outside", "secret");
	r = in_child(leave_the_tree, s);
	if (r == NOT_HERE)
		skip();
	assert_int_equal(r, 0);
	assert_true(exists(s->fd, "outside"));
	assert_false(exists(s->fd, "tree/stolen"));
}

static int make_forbidden_calls(const struct scratch *s)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || confine_calls() < 0)
		return 1;
	if (socket(AF_UNIX, SOCK_STREAM, 0) >= 0 || errno != ENOSYS)
		return 2;
	if (syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) >= 0 || errno != ENOSYS)
		return 3;
	if (execl("/bin/true", "true", NULL) == 0 || errno != ENOSYS)
		return 4;
	if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
		    MAP_FAILED ||
	    errno != ENOSYS)
		return 5;
	if (kill(getppid(), 0) == 0 || syscall(SYS_ptrace, 0, 0, 0, 0) == 0)
		return 6;
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 || syscall(SYS_mount, 0, 0, 0, 0, 0) == 0)
		return 7;
	if (syscall(SYS_open_by_handle_at, s->fd, NULL, 0) >= 0 || errno != ENOSYS)
		return 8;
	/* Files still work. */
	return mkdirat(s->fd, "made", 0755) < 0 ? 9 : 0;
}

/* security row: A23 */
static void test_calls(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(in_child(make_forbidden_calls, s), 0);
	assert_true(exists(s->fd, "made"));
}

static int want_memory(const struct scratch *s)
{
	const size_t limit = (size_t)64 << 20;
	/* Volatile, or clang removes an unused allocation. */
	char *volatile within, *volatile beyond;

	int r = confine_memory(limit);

	if (r < 0)
		return r == -EOPNOTSUPP ? NOT_HERE : 1;
	within = malloc(limit / 4);
	if (!within)
		return 2;
	memset(within, 1, limit / 4);
	beyond = malloc(2 * limit);
	return beyond ? 3 : 0;
}

/* security row: A08 */
static void test_memory(void **state)
{
	int r = in_child(want_memory, *state);

	if (r == NOT_HERE)
		skip();
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_landlock),
		scratch_test(test_calls),
		scratch_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
