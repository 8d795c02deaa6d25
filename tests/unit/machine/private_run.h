/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A private /run and /var/log. Needs root; without, the tests are skipped. */
#pragma once

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

static inline int private_run_enter(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0)
		return -1;
	if (mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	if (mount("tmpfs", "/run", "tmpfs", 0, "mode=755") < 0)
		return -1;
	return mount("tmpfs", "/var/log", "tmpfs", 0, "mode=755");
}
