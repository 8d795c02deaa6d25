/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Takes rights away from the worker before it unpacks an archive. Must never leave a thread that
 * keeps them: all but the memory limit, which holds for all threads, is done before threads exist.
 * Runs in the worker.
 */
#include "transfer/import/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/sys.h"
#include "lib/cleanup.h"
#include "lib/macro.h"

/* The sanitizer's shadow counts as memory in use, and its reports need stderr. */
#ifdef __SANITIZE_ADDRESS__
#define HAS_SHADOW_MEMORY
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_SHADOW_MEMORY
#endif
#endif

#ifdef HAS_SHADOW_MEMORY
#define LAST_STDIO 1
#else
#define LAST_STDIO 2
#endif

#ifndef LANDLOCK_CREATE_RULESET_VERSION
#define LANDLOCK_CREATE_RULESET_VERSION (1U << 0)
#endif
/* ABI 2 adds REFER, without which no hard link between directories can be made. */
#define LANDLOCK_ABI_MIN 2
/* File rights: up to REFER in ABI 2, TRUNCATE in ABI 3, ioctl(2) on devices in ABI 5. */
#define LANDLOCK_FS_ABI2 ((UINT64_C(1) << 14) - 1)
#define LANDLOCK_FS_ABI3 ((UINT64_C(1) << 15) - 1)
#define LANDLOCK_FS_ABI5 ((UINT64_C(1) << 16) - 1)
/* TCP bind and connect since ABI 4; abstract sockets and signals to the outside since ABI 6. */
#define LANDLOCK_NET_ALL UINT64_C(3)
#define LANDLOCK_SCOPE_ALL UINT64_C(3)

static const int kept_capabilities[] = {
	CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER,	  CAP_FSETID,
	CAP_MKNOD, CAP_SETFCAP,	     CAP_LINUX_IMMUTABLE,
};

static const int ignored_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT, SIGTSTP};

static int compare_int(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return x < y ? -1 : x > y;
}

static int close_stdio(const int *keep, unsigned count)
{
	autoclose int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	for (int fd = 0; fd <= LAST_STDIO; fd++) {
		bool kept = false;

		for (unsigned i = 0; i < count; i++)
			kept = kept || keep[i] == fd;
		if (!kept && dup2(null, fd) < 0)
			return -errno;
	}
	return 0;
}

int confine_close_fds(const int *keep, unsigned count)
{
	int sorted[8];
	unsigned from = 3;
	int r;

	if (count > ARRAY_SIZE(sorted))
		return -E2BIG;
	r = close_stdio(keep, count);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < count; i++)
		sorted[i] = keep[i];
	qsort(sorted, count, sizeof(sorted[0]), compare_int);
	for (unsigned i = 0; i < count; i++) {
		if (sorted[i] < (int)from)
			continue;
		if (sorted[i] > (int)from)
			(void)sys_close_range(from, (unsigned)sorted[i] - 1, 0);
		from = (unsigned)sorted[i] + 1;
	}
	return sys_close_range(from, ~0U, 0);
}

int confine_process(int parent_pid)
{
	static const struct rlimit none = {0, 0};

	for (size_t i = 0; i < ARRAY_SIZE(ignored_signals); i++)
		(void)signal(ignored_signals[i], SIG_IGN);
	(void)setrlimit(RLIMIT_CORE, &none);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	/* The parent may have died before prctl() was called. */
	return getppid() == parent_pid ? 0 : -EOWNERDEAD;
}

/*
 * The limit holds for private writable memory, including the stacks of threads. Address space is
 * not limited: the allocator reserves 64 MiB of it for each thread and uses little.
 */
int confine_memory(uint64_t bytes)
{
	struct rlimit limit;

#ifdef HAS_SHADOW_MEMORY
	return -EOPNOTSUPP;
#endif
	if (getrlimit(RLIMIT_DATA, &limit) < 0)
		return -errno;
	limit.rlim_max = MIN(limit.rlim_max, (rlim_t)bytes);
	limit.rlim_cur = MIN(limit.rlim_cur, limit.rlim_max);
	return setrlimit(RLIMIT_DATA, &limit) < 0 ? -errno : 0;
}

static void drop_bounding_set(uint64_t kept)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (!(kept >> cap & 1))
			(void)prctl(PR_CAPBSET_DROP, cap);
}

int confine_drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	uint64_t kept = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kept_capabilities); i++)
		kept |= UINT64_C(1) << kept_capabilities[i];
	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	drop_bounding_set(kept);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (unsigned i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(kept >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &header, data) < 0)
		return -errno;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* linux/landlock.h as of ABI 6; the headers we build with may be older. */
struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

static size_t ruleset_for_abi(int abi, struct ruleset_attr *ret)
{
	*ret = (struct ruleset_attr){
		.handled_access_fs = abi >= 5	? LANDLOCK_FS_ABI5
				     : abi >= 3 ? LANDLOCK_FS_ABI3
						: LANDLOCK_FS_ABI2,
		.handled_access_net = abi >= 4 ? LANDLOCK_NET_ALL : 0,
		.scoped = abi >= 6 ? LANDLOCK_SCOPE_ALL : 0,
	};
	return abi >= 6 ? sizeof(*ret) : abi >= 4 ? 16 : 8;
}

int confine_to_tree(int tree_fd)
{
	struct ruleset_attr attr;
	struct landlock_path_beneath_attr rule = {.parent_fd = tree_fd};
	autoclose int ruleset = -1;
	size_t size;
	int abi =
		(int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (abi < LANDLOCK_ABI_MIN)
		return -EOPNOTSUPP;
	size = ruleset_for_abi(abi, &attr);
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset < 0)
		return -errno;
	rule.allowed_access = attr.handled_access_fs & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return -errno;
	return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
}
