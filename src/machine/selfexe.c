// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Executes this program again from a read-only mount. Must never loop: a program that runs from one
 * stays. Host side of clone().
 */
#include "machine/selfexe.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "kernel/sys.h"
#include "lib/fd.h"
#include "lib/io.h"
#include "lib/str.h"

#define ARGUMENTS_MAX_BYTES (4 * 1024 * 1024)

/* Read from the kernel: verbs know only a part of the command line. */
static int read_arguments(char ***ret)
{
	autofree char *text = NULL;
	autostrv char **arguments = NULL;
	size_t size;
	int r;

	r = io_read_file_at(AT_FDCWD, "/proc/self/cmdline", ARGUMENTS_MAX_BYTES, &text, &size);
	for (size_t i = 0; r >= 0 && i < size; i += strlen(text + i) + 1)
		r = strv_add(&arguments, text + i);
	if (r >= 0)
		*ret = take_ptr(arguments);
	return r < 0 ? r : *ret ? 0 : -ENODATA;
}

int selfexe_protect(void)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID};
	autoclose int exe = open("/proc/self/exe", O_PATH | O_CLOEXEC), copy = -1;
	autostrv char **arguments = NULL;
	struct statvfs fs;
	int r;

	if (exe < 0 || fstatvfs(exe, &fs) < 0)
		return -errno;
	if (fs.f_flag & ST_RDONLY) {
		/* execveat() has made the descriptor's number the name in ps(1). */
		(void)prctl(PR_SET_NAME, "redd");
		return 0;
	}
	r = read_arguments(&arguments);
	if (r < 0)
		return r;
	copy = sys_open_tree(exe, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (copy < 0)
		return copy;
	r = sys_mount_setattr(copy, "", AT_EMPTY_PATH, &attr);
	if (r < 0)
		return r;
	return sys_execveat(copy, "", arguments, environ, AT_EMPTY_PATH);
}
