/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Feeds every file of the folders and files it is given to LLVMFuzzerTestOneInput() once, so that a
 * corpus is a regression test in any build. Links with one fuzz_NAME.c. Fails when there is no
 * input at all: a corpus that went missing must not look like success.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int fail(const char *what, const char *name)
{
	fprintf(stderr, "replay: %s %s: %s\n", what, name, strerror(errno));
	return -1;
}

/* A copy of exactly `size` bytes, so that reading one byte too far is seen by ASan. */
static int replay_bytes(int fd, const char *name, size_t size)
{
	uint8_t *data = malloc(size ? size : 1);
	ssize_t got = data ? pread(fd, data, size, 0) : -1;

	if (got != (ssize_t)size) {
		free(data);
		return fail("read", name);
	}
	(void)LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 1;
}

static int replay_at(int dir_fd, const char *name);

static int replay_folder(int fd, const char *name)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	int count = 0;

	if (!dir) {
		close(fd);
		return fail("list", name);
	}
	while (count >= 0 && (entry = readdir(dir))) {
		int r;

		if (entry->d_name[0] == '.')
			continue;
		r = replay_at(dirfd(dir), entry->d_name);
		count = r < 0 ? r : count + r;
	}
	closedir(dir);
	return count;
}

/* How many inputs were fed, or -1. */
static int replay_at(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	int r;

	if (fd < 0)
		return fail("open", name);
	if (fstat(fd, &st) < 0) {
		close(fd);
		return fail("stat", name);
	}
	if (S_ISDIR(st.st_mode))
		return replay_folder(fd, name);
	r = replay_bytes(fd, name, (size_t)st.st_size);
	close(fd);
	return r;
}

int main(int argc, char *argv[])
{
	int count = 0;

	for (int i = 1; i < argc; i++) {
		int r = replay_at(AT_FDCWD, argv[i]);

		if (r < 0)
			return EXIT_FAILURE;
		count += r;
	}
	printf("%d inputs replayed\n", count);
	return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
