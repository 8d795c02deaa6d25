// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The device filter on real cgroups, v1 and v2: a process in one makes and opens device nodes (K03
 * of the threat catalogue). Needs root and a writable cgroup tree, else the cases are skipped.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/devices_bpf.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/io.h"
#include "lib/macro.h"

#define DISK makedev(7, 0)
#define OTHER_DISK makedev(7, 1)

struct fixture {
	char nodes[64]; /* a directory with "disk" (b 7:0) and "kmem" (c 1:2), made beforehand */
	char cgroup[128];
	int cgroup_fd;
};

/* The result of one attempt: 0 or errno. */
static int try_open(const char *path, int flags)
{
	autoclose int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	return fd < 0 ? errno : 0;
}

static int try_mknod(mode_t mode, dev_t device)
{
	int r = mknod("made", mode | 0600, device) < 0 ? errno : 0;

	(void)unlink("made");
	return r;
}

/* Returns the child's exit code: 0, or the line of the failed attempt. */
typedef int (*attempts_fn)(void);

#define WANT(error, attempt)                                                                       \
	do {                                                                                       \
		if ((attempt) != (error))                                                          \
			return __LINE__ & 0xff ?: 1;                                               \
	} while (0)

static int attempt_defaults(void)
{
	WANT(EPERM, try_mknod(S_IFBLK, DISK));
	WANT(EPERM, try_mknod(S_IFBLK, OTHER_DISK));
	WANT(EPERM, try_mknod(S_IFCHR, makedev(1, 1)));
	WANT(EPERM, try_mknod(S_IFCHR, makedev(5, 1)));
	WANT(EPERM, try_open("disk", O_RDONLY));
	WANT(EPERM, try_open("disk", O_RDWR));
	WANT(EPERM, try_open("kmem", O_RDONLY));
	WANT(0, try_mknod(S_IFCHR, makedev(1, 3)));
	WANT(0, try_mknod(S_IFCHR, makedev(10, 229)));
	WANT(0, try_mknod(S_IFCHR, makedev(136, 77)));
	WANT(0, try_mknod(S_IFIFO, 0));
	WANT(0, try_mknod(S_IFCHR, makedev(0, 0))); /* a whiteout of overlayfs */
	WANT(0, try_open("/dev/null", O_RDWR));
	WANT(0, try_open("/dev/zero", O_RDWR));
	WANT(0, try_open("/dev/full", O_RDONLY));
	WANT(0, try_open("/dev/urandom", O_RDONLY));
	WANT(0, try_open("/dev/random", O_RDONLY));
	return 0;
}

/* Rules: c 1:3 r, b *:* m, c 1:* w. */
static int attempt_parts(void)
{
	WANT(0, try_open("/dev/null", O_RDONLY));
	WANT(EPERM, try_open("/dev/null", O_RDWR)); /* two rules, each of which allows half */
	WANT(EPERM, try_open("/dev/zero", O_RDONLY));
	WANT(0, try_open("/dev/zero", O_WRONLY));
	WANT(EPERM, try_mknod(S_IFCHR, makedev(1, 3)));
	WANT(0, try_mknod(S_IFBLK, DISK));
	WANT(0, try_mknod(S_IFBLK, OTHER_DISK));
	WANT(EPERM, try_open("disk", O_RDONLY));
	WANT(EPERM, try_open("/dev/tty", O_RDONLY));
	return 0;
}

static int attempt_nothing(void)
{
	WANT(EPERM, try_open("/dev/null", O_RDONLY));
	WANT(EPERM, try_open("/dev/zero", O_WRONLY));
	WANT(EPERM, try_mknod(S_IFCHR, makedev(1, 3)));
	return 0;
}

static const struct device_rule parts[] = {
	{'c', 1, 3, DEVICE_READ},
	{'b', DEVICE_ANY, DEVICE_ANY, DEVICE_MKNOD},
	{'c', 1, DEVICE_ANY, DEVICE_WRITE},
};

static int fixture_new(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char path[80];

	if (!f)
		return -1;
	*state = f;
	f->cgroup_fd = -1;
	if (geteuid() != 0)
		return 0;
	(void)snprintf(f->nodes, sizeof(f->nodes), "/tmp/redd-test-XXXXXX");
	if (!mkdtemp(f->nodes))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/disk", f->nodes);
	if (mknod(path, S_IFBLK | 0600, DISK) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/kmem", f->nodes);
	if (mknod(path, S_IFCHR | 0600, makedev(1, 2)) < 0)
		return -1;
	return try_open(f->nodes, O_RDONLY) == 0 ? 0 : -1;
}

static int fixture_free(void **state)
{
	struct fixture *f = *state;
	char path[80];

	(void)snprintf(path, sizeof(path), "%s/disk", f->nodes);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/kmem", f->nodes);
	(void)unlink(path);
	(void)rmdir(f->nodes);
	if (f->cgroup_fd >= 0)
		(void)close(f->cgroup_fd);
	/* The child is reaped, but a dying task can keep its cgroup busy for a moment. */
	for (int i = 0; f->cgroup[0] && i < 100 && rmdir(f->cgroup) < 0 && errno == EBUSY; i++)
		usleep(10000);
	free(f);
	return 0;
}

/* Makes a cgroup below the first of `trees` that has this file system type; without one, the case
 * is skipped. */
static void make_cgroup(struct fixture *f, const char *const *trees, long magic)
{
	struct statfs fs;

	for (; geteuid() == 0 && *trees; trees++) {
		if (statfs(*trees, &fs) < 0 || fs.f_type != magic)
			continue;
		(void)snprintf(f->cgroup, sizeof(f->cgroup), "%s/redd-test-%d", *trees, getpid());
		if (mkdir(f->cgroup, 0755) < 0)
			continue;
		f->cgroup_fd = open(f->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(f->cgroup_fd >= 0);
		return;
	}
	f->cgroup[0] = '\0';
	skip();
}

static void make_cgroup2(struct fixture *f)
{
	static const char *const trees[] = {"/sys/fs/cgroup/unified", "/sys/fs/cgroup", NULL};

	make_cgroup(f, trees, CGROUP2_SUPER_MAGIC);
}

static void make_cgroup1(struct fixture *f)
{
	static const char *const trees[] = {"/sys/fs/cgroup/devices", NULL};

	make_cgroup(f, trees, CGROUP_SUPER_MAGIC);
}

static void run_inside(const struct fixture *f, attempts_fn attempts)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (chdir(f->nodes) < 0 || io_write_file_at(f->cgroup_fd, "cgroup.procs", "0") < 0)
			_exit(255);
		_exit(attempts());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) != 0)
		fail_msg("the attempt in line %d (modulo 256) went otherwise", WEXITSTATUS(status));
}

static void attach(const struct fixture *f, const struct device_rule *rules, size_t n)
{
	autoclose int prog = devices_bpf_load(rules, n);

	assert_true(prog >= 0);
	assert_int_equal(devices_bpf_attach(f->cgroup_fd, prog), 0);
}

static int attempt_unfiltered(void)
{
	WANT(0, try_mknod(S_IFBLK, DISK));
	return try_open("disk", O_RDONLY) == EPERM;
}

/* The other cases prove something only if the same attempts succeed without a filter. */
static void test_without_filter(void **state)
{
	make_cgroup2(*state);
	run_inside(*state, attempt_unfiltered);
}

/* security row: K03 */
static void test_bpf_defaults(void **state)
{
	make_cgroup2(*state);
	attach(*state, devices_default, devices_default_count);
	run_inside(*state, attempt_defaults);
}

static void test_bpf_parts_of_access(void **state)
{
	make_cgroup2(*state);
	attach(*state, parts, ARRAY_SIZE(parts));
	run_inside(*state, attempt_parts);
}

static void test_bpf_no_rules_deny_all(void **state)
{
	make_cgroup2(*state);
	attach(*state, NULL, 0);
	run_inside(*state, attempt_nothing);
}

/* A second program can only deny more: a guest's manager can't widen redd's filter. */
static void test_bpf_programs_must_agree(void **state)
{
	static const struct device_rule everything[] = {
		{'b', DEVICE_ANY, DEVICE_ANY, DEVICE_RWM},
		{'c', DEVICE_ANY, DEVICE_ANY, DEVICE_RWM},
	};

	make_cgroup2(*state);
	attach(*state, devices_default, devices_default_count);
	attach(*state, everything, ARRAY_SIZE(everything));
	run_inside(*state, attempt_defaults);
}

static void test_bpf_longest_program(void **state)
{
	static struct device_rule rules[DEVICE_RULES_MAX + 1];
	size_t used;

	make_cgroup2(*state);
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		rules[i] = (struct device_rule){'b', 4000, (uint32_t)i, DEVICE_READ};
	assert_int_equal(devices_bpf_load(rules, DEVICE_RULES_MAX + 1), -E2BIG);
	used = DEVICE_RULES_MAX - ARRAY_SIZE(parts);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		rules[used + i] = parts[i];
	attach(*state, rules, DEVICE_RULES_MAX);
	run_inside(*state, attempt_parts);
}

/* security row: K03 */
static void test_v1_defaults(void **state)
{
	struct fixture *f = *state;

	make_cgroup1(f);
	assert_int_equal(devices_v1_rules(f->cgroup_fd, devices_default, devices_default_count), 0);
	run_inside(f, attempt_defaults);
}

static void test_v1_no_rules_deny_all(void **state)
{
	struct fixture *f = *state;

	make_cgroup1(f);
	assert_int_equal(devices_v1_rules(f->cgroup_fd, NULL, 0), 0);
	run_inside(f, attempt_nothing);
}

static void test_bad_rules(void **state)
{
	static const struct device_rule bad[] = {{'x', 1, 3, DEVICE_RWM},
						 {'c', 1, 3, 0},
						 {'c', 1, 3, 8},
						 {0, 1, 3, DEVICE_RWM},
						 {'c', 4096, 0, DEVICE_RWM},
						 {'c', 1, 1048576, DEVICE_RWM}};
	char text[DEVICE_RULE_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(devices_bpf_load(&bad[i], 1), -EINVAL);
		assert_int_equal(device_rule_format(&bad[i], text), -EINVAL);
	}
}

static void test_format(void **state)
{
	static const struct device_rule longest = {'b', 4095, 1048575, DEVICE_RWM};
	char text[DEVICE_RULE_TEXT_MAX];

	assert_int_equal(device_rule_format(&devices_default[0], text), 0);
	assert_string_equal(text, "c 1:3 rwm");
	assert_int_equal(device_rule_format(&parts[1], text), 0);
	assert_string_equal(text, "b *:* m");
	assert_int_equal(device_rule_format(&longest, text), 0);
	assert_string_equal(text, "b 4095:1048575 rwm");
}

/* Without the capability: EPERM, after a retry with a higher memory limit, which is restored. */
static int load_unprivileged(void)
{
	struct rlimit before, after;

	if (setresuid(65534, 65534, 65534) < 0 || getrlimit(RLIMIT_MEMLOCK, &before) < 0)
		return 1;
	if (devices_bpf_load(devices_default, devices_default_count) != -EPERM)
		return 2;
	if (getrlimit(RLIMIT_MEMLOCK, &after) < 0)
		return 3;
	return before.rlim_cur == after.rlim_cur && before.rlim_max == after.rlim_max ? 0 : 4;
}

static void test_load_needs_privilege(void **state)
{
	pid_t pid;
	int status;

	if (geteuid() != 0)
		skip();
	pid = fork();
	if (pid == 0)
		_exit(load_unprivileged());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_no_fd_leaked(void **state)
{
	int before = fd_count(), fd;

	fd = devices_bpf_load(devices_default, devices_default_count);
	if (fd >= 0)
		(void)close(fd);
	(void)devices_bpf_attach(-1, -1);
	assert_int_equal(fd_count(), before);
}

#define ON_HOST(fn) cmocka_unit_test_setup_teardown(fn, fixture_new, fixture_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_HOST(test_without_filter),
		ON_HOST(test_bpf_defaults),
		ON_HOST(test_bpf_parts_of_access),
		ON_HOST(test_bpf_no_rules_deny_all),
		ON_HOST(test_bpf_programs_must_agree),
		ON_HOST(test_bpf_longest_program),
		ON_HOST(test_v1_defaults),
		ON_HOST(test_v1_no_rules_deny_all),
		cmocka_unit_test(test_bad_rules),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_load_needs_privilege),
		cmocka_unit_test(test_no_fd_leaked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
