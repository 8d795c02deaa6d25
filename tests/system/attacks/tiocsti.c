/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* T01: pushes input for the next reader of the terminal. Prints how many bytes got in. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static sigjmp_buf no_door;

/* The kernel or the hypervisor doesn't support 32-bit programs. */
static void on_fault(int signal)
{
	siglongjmp(no_door, 1);
}

/* By the 32-bit entry: ioctl is call 54 of i386. */
static int push_by_int80(int fd)
{
	long r = -1;
#ifdef __x86_64__
	static char byte = 'x';

	(void)signal(SIGSEGV, on_fault);
	if (sigsetjmp(no_door, 1))
		return 0;
	r = 54;
	__asm__ volatile("int $0x80" : "+a"(r) : "b"(fd), "c"(TIOCSTI), "d"(&byte) : "memory");
#endif
	return r == 0;
}

int main(void)
{
	static const char *const names[] = {"/dev/tty", "/dev/console", "/dev/pts/0", "/dev/pts/1",
					    "/proc/self/fd/0"};
	int pushed = 0, opened = 3;

	for (int i = 0; i < 8; i++) {
		int fd = i < 3 ? i : open(names[i - 3], O_RDWR | O_NOCTTY);
		char line[] = {2, 'x'};

		opened += i >= 3 && fd >= 0;
		for (const char *c = "touch /pwned\n"; *c; c++) {
			pushed += syscall(SYS_ioctl, fd, TIOCSTI, c) == 0;
			pushed += syscall(SYS_ioctl, fd, TIOCSTI | (1UL << 32), c) == 0;
			pushed += syscall(SYS_ioctl, fd, TIOCSTI | (0xffffffffUL << 32), c) == 0;
		}
		pushed += syscall(SYS_ioctl, fd, TIOCLINUX, line) == 0;
		pushed += syscall(SYS_ioctl, fd, TIOCLINUX | (1UL << 32), line) == 0;
		pushed += push_by_int80(fd);
#ifdef __x86_64__
		pushed += syscall(0x40000000 | 514, fd, TIOCSTI, "x") == 0; /* x32 */
#endif
	}
	printf("pushed %d through %d\n", pushed, opened);
	return pushed;
}
