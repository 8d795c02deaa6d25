/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Passing descriptors over sockets: counts, limits, hostile senders, no leaks. */
#include <sys/socket.h>
#include <sys/wait.h>

#include "check.h"

static void make_pair(int type, int pair[2])
{
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
}

static void close_pair(int pair[2])
{
	(void)close(pair[0]);
	(void)close(pair[1]);
}

static void test_send_and_receive(void **state)
{
	struct scratch *s = *state;
	int pair[2], sent[3] = {s->fd, s->fd, STDERR_FILENO}, got[3];
	struct stat a, b;
	char text[8] = {};
	size_t count = 99;

	make_pair(SOCK_STREAM, pair);
	assert_int_equal(fd_send(pair[0], "hello", 5, sent, 3), 0);
	assert_int_equal(fd_receive(pair[1], text, sizeof(text), got, 3, &count), 5);
	assert_string_equal(text, "hello");
	assert_int_equal(count, 3);
	assert_int_equal(fstat(s->fd, &a), 0);
	assert_int_equal(fstat(got[0], &b), 0);
	assert_true(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(fcntl(got[i], F_GETFD), FD_CLOEXEC);
		(void)close(got[i]);
	}
	assert_int_equal(fd_send(pair[0], "x", 1, NULL, 0), 0);
	assert_int_equal(fd_receive(pair[1], text, sizeof(text), NULL, 0, &count), 1);
	assert_int_equal(count, 0);
	(void)close(pair[0]);
	assert_int_equal(fd_receive(pair[1], text, sizeof(text), got, 3, &count), 0);
	assert_int_equal(fd_send(pair[1], "x", 1, NULL, 0), -EPIPE);
	(void)close(pair[1]);
}

static void test_too_many_are_closed(void **state)
{
	int pair[2], sent[253], got[2] = {-1, -1}, before;
	size_t count = 99;
	char c;

	for (size_t i = 0; i < ARRAY_SIZE(sent); i++)
		sent[i] = STDERR_FILENO;
	make_pair(SOCK_SEQPACKET, pair);
	before = fd_count();
	assert_int_equal(fd_send(pair[0], "x", 1, sent, 3), 0);
	assert_int_equal(fd_receive(pair[1], &c, 1, got, 2, &count), -EMSGSIZE);
	assert_int_equal(fd_send(pair[0], "x", 1, sent, 253), 0);
	assert_int_equal(fd_receive(pair[1], &c, 1, got, 2, &count), -EMSGSIZE);
	assert_int_equal(fd_send(pair[0], "long", 4, sent, 1), 0);
	assert_int_equal(fd_receive(pair[1], &c, 1, got, 2, &count), -EMSGSIZE);
	assert_int_equal(count, 99);
	assert_int_equal(got[0], -1);
	assert_int_equal(fd_count(), before);
	close_pair(pair);
}

static void test_refusals(void **state)
{
	int pair[2], fds[254];
	size_t count;
	char c;

	make_pair(SOCK_STREAM, pair);
	assert_int_equal(fd_send(pair[0], "", 0, fds, 0), -EINVAL);
	assert_int_equal(fd_send(pair[0], "x", 1, fds, 254), -EINVAL);
	fds[0] = -1;
	assert_int_equal(fd_send(pair[0], "x", 1, fds, 1), -EBADF);
	assert_int_equal(fd_set_nonblock(pair[1], true), 0);
	assert_int_equal(fd_receive(pair[1], &c, 1, fds, 1, &count), -EAGAIN);
	assert_int_equal(fd_receive(STDIN_FILENO, &c, 1, fds, 1, &count), -ENOTSOCK);
	close_pair(pair);
}

static void test_flags(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(fd_set_nonblock(s->fd, true), 0);
	assert_true(fcntl(s->fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fd_set_nonblock(s->fd, false), 0);
	assert_false(fcntl(s->fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fd_set_nonblock(-1, true), -EBADF);
}

static void test_reserve_stdio(void **state)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(0);
		(void)close(1);
		(void)close(2);
		if (fd_reserve_stdio() < 0)
			_exit(1);
		/* Output to a closed descriptor is an error. */
		if (write(1, "x", 1) >= 0 || errno != EBADF)
			_exit(3);
		/* All three are there, survive exec, and nothing else is open.
		 */
		_exit(fcntl(0, F_GETFD) == 0 && fcntl(2, F_GETFD) == 0 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(fd_reserve_stdio(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_send_and_receive), scratch_test(test_too_many_are_closed),
		scratch_test(test_refusals),	     scratch_test(test_flags),
		scratch_test(test_reserve_stdio),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
