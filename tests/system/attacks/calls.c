/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* K04: system calls that affect the whole host. Prints those that were answered by more than the
 * filter. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CALL(name, ...)                                                                            \
	do {                                                                                       \
		errno = 0;                                                                         \
		if (syscall(SYS_##name, __VA_ARGS__) >= 0 || (errno != EPERM && errno != ENOSYS))  \
			printf("%s answered %s\n", #name, strerror(errno));                        \
	} while (0)

int main(void)
{
	CALL(kexec_load, 0, 0, 0, 0);
	CALL(init_module, 0, 0, 0);
	CALL(finit_module, -1, 0, 0);
	CALL(delete_module, 0, 0);
	CALL(open_by_handle_at, -1, 0, 0);
	CALL(bpf, 0, 0, 0);
	CALL(perf_event_open, 0, 0, -1, -1, 0);
	CALL(userfaultfd, 0x7fff);
	CALL(io_uring_setup, 0, 0);
	CALL(swapon, 0, 0);
	CALL(swapoff, 0);
	CALL(syslog, 3, 0, 0);
	CALL(settimeofday, 0, 0);
	CALL(clock_settime, 0, 0);
	CALL(iopl, 3);
	CALL(ioperm, 0, 1, 1);
	CALL(lookup_dcookie, 0, 0, 0);
	CALL(quotactl, -1, 0, 0, 0);
	CALL(acct, 0);
	CALL(nfsservctl, 0, 0, 0);
	CALL(add_key, "user", "x", "y", 1, -3);
	CALL(request_key, "user", "x", 0, 0);
	CALL(keyctl, 0, -3, 0, 0, 0);
	puts("end");
	return 0;
}
