/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Removes and measures trees, and makes directories on the host. */
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "check.h"
#include "lib/str.h"

#define DEEP 50000

static void set_attributes(int dirfd, const char *path, int attributes)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	int all = 0, r;

	assert_true(fd >= 0);
	/* Adds to the file: truncating it may fail. */
	r = ioctl(fd, FS_IOC_GETFLAGS, &all);
	all |= attributes;
	if (r >= 0)
		r = ioctl(fd, FS_IOC_SETFLAGS, &all);
	(void)close(fd);
	if (r < 0) {
		print_message("no attributes here: %s\n", strerror(errno));
		skip();
	}
}

static void test_remove_simple(void **state)
{
	struct scratch *s = *state;
	autofree char *absolute = str_printf("%s/abs", s->path);

	write_file(s->fd, "canary", "alive");
	write_file(s->fd, "file", "x");
	assert_int_equal(symlinkat("canary", s->fd, "link"), 0);
	assert_int_equal(mkdirat(s->fd, "tree", 0755), 0);
	assert_int_equal(mkdirat(s->fd, "tree/sub", 0755), 0);
	write_file(s->fd, "tree/sub/f", "x");
	assert_int_equal(mkfifoat(s->fd, "tree/fifo", 0600), 0);
	assert_int_equal(symlinkat("../canary", s->fd, "tree/link"), 0);
	assert_int_equal(symlinkat("..", s->fd, "tree/dirlink"), 0);
	assert_int_equal(linkat(s->fd, "canary", s->fd, "tree/hard", 0), 0);
	assert_int_equal(mkdir(absolute, 0755), 0);
	assert_int_equal(fs_remove_tree_at(s->fd, "tree"), 0);
	assert_int_equal(fs_remove_tree_at(s->fd, "file"), 0);
	assert_int_equal(fs_remove_tree_at(s->fd, "link"), 0);
	assert_int_equal(fs_remove_tree_at(AT_FDCWD, absolute), 0);
	assert_false(exists(s->fd, "tree") || exists(s->fd, "file") || exists(s->fd, "link") ||
		     exists(s->fd, "abs"));
	assert_true(exists(s->fd, "canary"));
}

static void test_remove_refusals(void **state)
{
	static const char *const refused[] = {"", ".", "..", "a/..", "a/", "/"};
	struct scratch *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		assert_int_equal(fs_remove_tree_at(s->fd, refused[i]), -EINVAL);
	assert_int_equal(fs_remove_tree_at(s->fd, "none"), -ENOENT);
	assert_int_equal(fs_remove_tree_at(s->fd, "none/x"), -ENOENT);
	assert_int_equal(fs_remove_tree_at(-1, "x"), -EBADF);
}

static void test_remove_attributes(void **state)
{
	struct scratch *s = *state;

	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdirat(s->fd, "t", 0755), 0);
	assert_int_equal(mkdirat(s->fd, "t/empty", 0555), 0);
	assert_int_equal(mkdirat(s->fd, "t/full", 0755), 0);
	write_file(s->fd, "t/full/f", "x");
	assert_int_equal(symlinkat("f", s->fd, "t/full/link"), 0);
	write_file(s->fd, "t/log", "x");
	set_attributes(s->fd, "t/log", FS_APPEND_FL);
	set_attributes(s->fd, "t/full/f", FS_IMMUTABLE_FL);
	set_attributes(s->fd, "t/full", FS_IMMUTABLE_FL);
	set_attributes(s->fd, "t/empty", FS_IMMUTABLE_FL);
	set_attributes(s->fd, "t", FS_IMMUTABLE_FL);
	assert_int_equal(fs_remove_tree_at(s->fd, "t"), 0);
	assert_false(exists(s->fd, "t"));
}

/* Makes nested directories by descriptor: their path is far longer than PATH_MAX. */
static void make_deep(int dirfd, unsigned depth)
{
	int fd = dup(dirfd);

	for (unsigned i = 0; i < depth; i++) {
		int next;

		assert_int_equal(mkdirat(fd, "d", 0755), 0);
		next = openat(fd, "d", O_PATH | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		(void)close(fd);
		fd = next;
		if (i % 1000 == 0)
			write_file(fd, "z", "x");
	}
	(void)close(fd);
}

static void test_deep(void **state)
{
	struct scratch *s = *state;
	struct rlimit before, few = {100, 100}, small_stack = {256 << 10, 256 << 10};
	uint64_t bytes = 0;
	int status;
	pid_t pid;

	make_deep(s->fd, DEEP);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (setrlimit(RLIMIT_NOFILE, &few) < 0 || setrlimit(RLIMIT_STACK, &small_stack) < 0)
			_exit(1);
		if (fs_usage_at(s->fd, "d", &bytes) < 0)
			_exit(2);
		_exit(fs_remove_tree_at(s->fd, "d") < 0 ? 3 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_false(exists(s->fd, "d"));
}

/* Several sibling directories at a depth where parents are closed and reopened. */
static void test_deep_and_wide(void **state)
{
	struct scratch *s = *state;
	autoclose int at = -1;
	uint64_t before = 0, after = 0;
	char path[256] = "t", name[16];

	assert_int_equal(mkdirat(s->fd, "t", 0755), 0);
	for (int i = 0; i < 60; i++) {
		strcat(path, "/d");
		assert_int_equal(mkdirat(s->fd, path, 0755), 0);
	}
	at = openat(s->fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fs_usage_at(s->fd, "t", &before), 0);
	for (int i = 0; i < 300; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(mkdirat(at, name, 0755), 0);
		(void)snprintf(name, sizeof(name), "n%d/f", i);
		write_file(at, name, "x");
	}
	assert_int_equal(fs_usage_at(s->fd, "t", &after), 0);
	/* Counts each name once and omits none; a file may use no block of its own.
	 */
	assert_true(after == before || (after - before) % 300 < 300 * 512);
	assert_int_equal(fs_remove_tree_at(s->fd, "t"), 0);
}

static void test_wide(void **state)
{
	struct scratch *s = *state;
	char name[32];

	assert_int_equal(mkdirat(s->fd, "t", 0755), 0);
	for (int i = 0; i < 5000; i++) {
		(void)snprintf(name, sizeof(name), "t/%d", i);
		if (i % 5 == 0)
			assert_int_equal(mkdirat(s->fd, name, 0755), 0);
		else
			write_file(s->fd, name, "");
	}
	assert_int_equal(fs_remove_tree_at(s->fd, "t"), 0);
	assert_false(exists(s->fd, "t"));
}

/* As an unprivileged owner: directories without write or read permission, as in a Nix store. */
static void test_remove_unprivileged(void **state)
{
	struct scratch *s = *state;
	int status;
	pid_t pid;

	assert_int_equal(mkdirat(s->fd, "home", 0777), 0);
	assert_int_equal(fchmodat(s->fd, "home", 0777, 0), 0);
	assert_int_equal(fchmod(s->fd, 0755), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (geteuid() == 0 &&
		    (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0))
			_exit(1);
		if (mkdirat(s->fd, "home/t", 0755) < 0 || mkdirat(s->fd, "home/t/ro", 0755) < 0 ||
		    mkdirat(s->fd, "home/t/ro/sub", 0755) < 0 ||
		    mkdirat(s->fd, "home/t/none", 0755) < 0 ||
		    mkdirat(s->fd, "home/t/none/sub", 0755) < 0)
			_exit(2);
		write_file(s->fd, "home/t/ro/f", "x");
		if (fchmodat(s->fd, "home/t/ro", 0555, 0) < 0 ||
		    fchmodat(s->fd, "home/t/none", 0000, 0) < 0)
			_exit(3);
		_exit(fs_remove_tree_at(s->fd, "home/t") < 0 ? 4 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_false(exists(s->fd, "home/t"));
}

static uint64_t du(const char *path)
{
	autofree char *command = str_printf("du -s -B1 '%s'", path);
	FILE *pipe = popen(command, "re");
	unsigned long long bytes = 0;

	assert_non_null(pipe);
	assert_int_equal(fscanf(pipe, "%llu", &bytes), 1);
	(void)pclose(pipe);
	return bytes;
}

static void test_usage(void **state)
{
	struct scratch *s = *state;
	autofree char *big = malloc(70001), *tree = str_printf("%s/t", s->path);
	uint64_t bytes = 0, file = 0;
	char name[32];

	memset(big, 'x', 70000);
	big[70000] = '\0';
	assert_int_equal(mkdirat(s->fd, "t", 0755), 0);
	write_file(s->fd, "t/big", big);
	for (int i = 0; i < 3000; i++) {
		(void)snprintf(name, sizeof(name), "t/l%d", i);
		assert_int_equal(linkat(s->fd, i % 2 ? "t/l0" : "t/big", s->fd, name, 0), 0);
	}
	/* Enough inodes with two links to make the table grow. */
	assert_int_equal(mkdirat(s->fd, "t/pairs", 0755), 0);
	for (int i = 0; i < 1500; i++) {
		char other[32];

		(void)snprintf(name, sizeof(name), "t/pairs/a%d", i);
		(void)snprintf(other, sizeof(other), "t/pairs/b%d", i);
		write_file(s->fd, name, "x");
		assert_int_equal(linkat(s->fd, name, s->fd, other, 0), 0);
	}
	write_file(s->fd, "t/sparse", "");
	(void)snprintf(name, sizeof(name), "%s", "t/sparse");
	{
		autoclose int fd = openat(s->fd, name, O_WRONLY | O_CLOEXEC);

		assert_int_equal(ftruncate(fd, 1 << 30), 0);
	}
	assert_int_equal(fs_usage_at(s->fd, "t", &bytes), 0);
	assert_int_equal(bytes, du(tree));
	assert_int_equal(fs_usage_at(s->fd, "t/big", &file), 0);
	assert_true(file >= 70000 && file < bytes);
	assert_int_equal(fs_usage_at(s->fd, "none", &file), -ENOENT);
}

static void test_make_dirs(void **state)
{
	struct scratch *s = *state;
	autofree char *path = str_printf("%s/a//b/./c/", s->path);
	autofree char *through = str_printf("%s/f/x", s->path);
	mode_t mask = umask(077);

	assert_int_equal(fs_make_dirs(path, 0700), 0);
	assert_int_equal(fs_make_dirs(path, 0755), 0);
	(void)umask(mask);
	assert_int_equal(mode_of(s->fd, "a") & 07777, 0755);
	assert_int_equal(mode_of(s->fd, "a/b/c") & 07777, 0700);
	write_file(s->fd, "f", "");
	assert_int_equal(fs_make_dirs(through, 0755), -ENOTDIR);
	through[strlen(through) - 2] = '\0';
	assert_int_equal(fs_make_dirs(through, 0755), -ENOTDIR);
	assert_int_equal(fs_make_dirs("", 0755), -ENOENT);
	assert_int_equal(fs_make_dirs("/", 0755), 0);
}

static void test_private_dir(void **state)
{
	struct scratch *s = *state;
	autofree char *path = str_printf("%s/p/q", s->path), *link = str_printf("%s/l", s->path);
	autoclose int fd = fs_open_private_dir(path, 0700);

	assert_true(fd >= 0);
	assert_int_equal(mode_of(s->fd, "p/q") & 07777, 0700);
	assert_int_equal(fchmod(fd, 0770), 0);
	assert_int_equal(fs_open_private_dir(path, 0700), -EPERM);
	assert_int_equal(fchmod(fd, 0701), 0);
	assert_int_equal(symlinkat("p/q", s->fd, "l"), 0);
	assert_int_equal(fs_open_private_dir(link, 0700), -ENOTDIR);
	if (geteuid() == 0) {
		assert_int_equal(fchown(fd, 1000, 0), 0);
		assert_int_equal(fs_open_private_dir(path, 0700), -EPERM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_remove_simple),	scratch_test(test_remove_refusals),
		scratch_test(test_remove_attributes),	memory_test(test_deep),
		scratch_test(test_deep_and_wide),	memory_test(test_wide),
		scratch_test(test_remove_unprivileged), memory_test(test_usage),
		scratch_test(test_make_dirs),		scratch_test(test_private_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
