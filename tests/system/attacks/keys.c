/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
/* What each way to the kernel's keys answers: "ok", or the errno. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SESSION_KEYRING (-3)
#define GET_KEYRING_ID 0

static void tell(const char *name, long r)
{
	printf("%s %s\n", name, r >= 0 ? "ok" : strerrorname_np(errno));
}

int main(void)
{
	tell("keyctl", syscall(SYS_keyctl, GET_KEYRING_ID, SESSION_KEYRING, 1));
	tell("add_key", syscall(SYS_add_key, "user", "redd-test", "x", 1, SESSION_KEYRING));
	tell("request_key",
	     syscall(SYS_request_key, "user", "redd-test-none", "x", SESSION_KEYRING));
	return 0;
}
