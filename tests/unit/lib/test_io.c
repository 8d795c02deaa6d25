/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Complete reads and writes: limits, unusual kinds of files, and atomic replacement. */
#include <dirent.h>

#include "check.h"
#include "lib/io.h"
#include "lib/str.h"

static void test_read_sizes(void **state)
{
	static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 8192, 100000};
	struct scratch *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		autofree char *data = malloc(sizes[i] + 1), *read = NULL;
		size_t size = 0;

		memset(data, 'x', sizes[i]);
		data[sizes[i]] = '\0';
		write_file(s->fd, "f", data);
		assert_int_equal(io_read_file_at(s->fd, "f", sizes[i], &read, &size), 0);
		assert_int_equal(size, sizes[i]);
		assert_string_equal(read, data);
		if (sizes[i] == 0)
			continue;
		assert_int_equal(io_read_file_at(s->fd, "f", sizes[i] - 1, &read, &size), -EFBIG);
	}
}

static void test_read_proc(void **state)
{
	autofree char *text = NULL;
	autofree char *maps = NULL;
	size_t size = 0;

	assert_int_equal(io_read_file_at(AT_FDCWD, "/proc/self/status", 65536, &text, NULL), 0);
	assert_memory_equal(text, "Name:", 5);
	assert_int_equal(io_read_file_at(AT_FDCWD, "/proc/self/smaps", SIZE_MAX, &maps, &size), 0);
	assert_true(size > 4096 && strlen(maps) == size);
	assert_int_equal(io_read_file_at(AT_FDCWD, "/proc/self/smaps", 100, &text, NULL), -EFBIG);
}

static void test_read_other_kinds(void **state)
{
	struct scratch *s = *state;
	char *text = NULL;

	assert_int_equal(mkfifoat(s->fd, "fifo", 0600), 0);
	assert_int_equal(io_read_file_at(s->fd, "fifo", 10, &text, NULL), -EBADFD);
	assert_int_equal(io_read_file_at(s->fd, ".", 10, &text, NULL), -EBADFD);
	assert_int_equal(io_read_file_at(s->fd, "none", 10, &text, NULL), -ENOENT);
	assert_int_equal(io_read_file_at(AT_FDCWD, "/dev/zero", 10, &text, NULL), -EBADFD);
	assert_null(text);
}

static void test_read_fd_from_start(void **state)
{
	struct scratch *s = *state;
	autofree char *text = NULL;
	autoclose int fd = -1;
	char c;

	write_file(s->fd, "f", "abc");
	fd = openat(s->fd, "f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(io_read_all(fd, &c, 1), 1);
	assert_int_equal(io_read_fd(fd, 3, &text, NULL), 0);
	assert_string_equal(text, "abc");
	assert_int_equal(io_read_all(-1, &c, 1), -EBADF);
	assert_int_equal(io_write_all(fd, "x", 1), -EBADF);
}

static void test_pipe_in_pieces(void **state)
{
	int ends[2];
	char buf[8] = {};

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(io_write_all(ends[1], "abc", 3), 0);
	assert_int_equal(io_write_all(ends[1], "def", 3), 0);
	(void)close(ends[1]);
	assert_int_equal(io_read_all(ends[0], buf, 4), 4);
	assert_int_equal(io_read_all(ends[0], buf + 4, 4), 2);
	assert_string_equal(buf, "abcdef");
	(void)close(ends[0]);
}

static void test_write_file(void **state)
{
	struct scratch *s = *state;
	autofree char *text = NULL;

	assert_int_equal(io_write_file_at(s->fd, "f", "x"), -ENOENT);
	write_file(s->fd, "f", "old");
	assert_int_equal(io_write_file_at(s->fd, "f", "new"), 0);
	assert_int_equal(io_read_file_at(s->fd, "f", 10, &text, NULL), 0);
	assert_string_equal(text, "new");
	assert_int_equal(io_write_file_at(s->fd, ".", "x"), -EISDIR);
	assert_int_equal(io_write_file_at(AT_FDCWD, "/dev/full", "x"), -ENOSPC);
	/* Errors from files of the kernel are passed on. */
	assert_int_equal(io_write_file_at(AT_FDCWD, "/proc/self/oom_score_adj", "junk"), -EINVAL);
}

static int count_entries(int dir_fd)
{
	DIR *dir = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n - 2;
}

static void test_replace(void **state)
{
	struct scratch *s = *state;
	autofree char *text = NULL;
	mode_t mask = umask(077);

	assert_int_equal(mkdirat(s->fd, "d", 0755), 0);
	assert_int_equal(io_replace_file_at(s->fd, "d/f", "one", 0644, false), 0);
	assert_int_equal(io_replace_file_at(s->fd, "d/f", "two", 0640, true), 0);
	assert_int_equal(io_replace_file_at(s->fd, "g", "three", 0644, true), 0);
	(void)umask(mask);
	assert_int_equal(io_read_file_at(s->fd, "d/f", 10, &text, NULL), 0);
	assert_string_equal(text, "two");
	assert_int_equal(mode_of(s->fd, "d/f") & 07777, 0640);
	assert_int_equal(mode_of(s->fd, "g") & 07777, 0644);
	assert_int_equal(count_entries(s->fd), 2);
}

static void test_temporaries_are_removed(void **state)
{
	static const char *const stay[] = {"f",
					   ".f.tmp",
					   ".f.1234567.tmp",
					   ".f.12345678.tmpx",
					   ".f.1234567g.tmp",
					   ".ff.12345678.tmp",
					   "f.12345678.tmp"};
	struct scratch *s = *state;

	assert_int_equal(mkdirat(s->fd, "d", 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(stay); i++) {
		autofree char *path = str_printf("d/%s", stay[i]);

		write_file(s->fd, path, "");
		write_file(s->fd, stay[i], "");
	}
	write_file(s->fd, "d/.f.12345678.tmp", "");
	write_file(s->fd, "d/.f.0abcdef9.tmp", "");
	write_file(s->fd, ".f.0abcdef9.tmp", "");
	io_remove_temporaries_at(s->fd, "d/f");
	io_remove_temporaries_at(s->fd, "none/f");
	for (size_t i = 0; i < ARRAY_SIZE(stay); i++) {
		autofree char *path = str_printf("d/%s", stay[i]);

		assert_int_equal(faccessat(s->fd, path, F_OK, 0), 0);
	}
	assert_int_equal(faccessat(s->fd, "d/.f.12345678.tmp", F_OK, 0), -1);
	assert_int_equal(faccessat(s->fd, "d/.f.0abcdef9.tmp", F_OK, 0), -1);
	assert_int_equal(faccessat(s->fd, ".f.0abcdef9.tmp", F_OK, 0), 0);
	io_remove_temporaries_at(s->fd, "f");
	assert_int_equal(faccessat(s->fd, ".f.0abcdef9.tmp", F_OK, 0), -1);
}

static void test_replace_fails_whole(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(mkdirat(s->fd, "d", 0755), 0);
	write_file(s->fd, "d/in", "");
	assert_int_equal(io_replace_file_at(s->fd, "none/f", "x", 0644, false), -ENOENT);
	assert_int_equal(io_replace_file_at(s->fd, "d", "x", 0644, false), -EISDIR);
	assert_int_equal(io_replace_file_at(s->fd, "d/", "x", 0644, false), -EISDIR);
	assert_int_equal(count_entries(s->fd), 1);
}

static void test_replace_does_not_follow(void **state)
{
	struct scratch *s = *state;
	autofree char *text = NULL;

	write_file(s->fd, "canary", "alive");
	assert_int_equal(symlinkat("canary", s->fd, "link"), 0);
	assert_int_equal(io_replace_file_at(s->fd, "link", "x", 0644, false), 0);
	assert_true(S_ISREG(mode_of(s->fd, "link")));
	assert_int_equal(io_read_file_at(s->fd, "canary", 10, &text, NULL), 0);
	assert_string_equal(text, "alive");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_read_sizes),
		scratch_test(test_read_proc),
		scratch_test(test_read_other_kinds),
		scratch_test(test_read_fd_from_start),
		scratch_test(test_pipe_in_pieces),
		scratch_test(test_write_file),
		scratch_test(test_replace),
		scratch_test(test_temporaries_are_removed),
		scratch_test(test_replace_fails_whole),
		scratch_test(test_replace_does_not_follow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
