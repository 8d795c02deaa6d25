/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints every open descriptor above 2, all of them inherited; also to /fds. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void tell(FILE *out)
{
	char path[32], target[256];

	for (int fd = 0; fd < 20000; fd++) {
		ssize_t n;

		if (fd == fileno(out) || fcntl(fd, F_GETFD) < 0)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		if (fd < 3)
			fprintf(out, "%d\n", fd);
		else
			fprintf(out, "%d -> %s\n", fd, target);
	}
	fflush(out);
}

int main(void)
{
	FILE *copy = fopen("/fds", "w");

	if (copy)
		tell(copy);
	if (copy)
		fclose(copy);
	for (int fd = 0; fd < 20000; fd++) {
		if (fd >= 3 && fcntl(fd, F_GETFD) >= 0)
			printf("%d is open\n", fd);
		else if (fd < 3 && fcntl(fd, F_GETFD) < 0)
			printf("%d is closed\n", fd);
	}
	puts("told");
	return 0;
}
