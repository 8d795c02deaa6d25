// SPDX-License-Identifier: LGPL-2.1-or-later
/* Capability names compared with the kernel's header, lists, defaults, and what can be granted. */
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "lib/caps.h"
#include "lib/str.h"

static void test_names_are_the_kernels(void **state)
{
	static const struct {
		unsigned number;
		const char *name;
	} known[] = {
		{CAP_CHOWN, "CAP_CHOWN"},
		{CAP_KILL, "CAP_KILL"},
		{CAP_NET_ADMIN, "CAP_NET_ADMIN"},
		{CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
		{CAP_SYS_TIME, "CAP_SYS_TIME"},
		{CAP_MKNOD, "CAP_MKNOD"},
		{CAP_SETFCAP, "CAP_SETFCAP"},
		{CAP_SYSLOG, "CAP_SYSLOG"},
		{CAP_PERFMON, "CAP_PERFMON"},
		{CAP_BPF, "CAP_BPF"},
		{CAP_CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		assert_string_equal(caps_name(known[i].number), known[i].name);
	assert_null(caps_name(CAP_LAST_CAP + 1));
	assert_null(caps_name(64));
}

static void test_parse(void **state)
{
	static const struct {
		const char *list;
		uint64_t mask;
	} good[] = {
		{"", 0},
		{" ,\t\n,", 0},
		{"CAP_CHOWN", 1},
		{"chown", 1},
		{"Cap_Net_Admin,SYS_PTRACE", CAPS_BIT(CAP_NET_ADMIN) | CAPS_BIT(CAP_SYS_PTRACE)},
		{" cap_kill  cap_mknod ", CAPS_BIT(CAP_KILL) | CAPS_BIT(CAP_MKNOD)},
		{"all", UINT64_MAX},
		{"CHOWN ALL", UINT64_MAX},
		{"0", 1},
		{"63,kill", CAPS_BIT(63) | CAPS_BIT(CAP_KILL)},
	};
	uint64_t mask;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(caps_parse_list(good[i].list, &mask, NULL), 0);
		assert_int_equal(mask, good[i].mask);
	}
}

static void test_parse_refuses(void **state)
{
	static const struct {
		const char *list;
		size_t bad_at;
	} bad[] = {
		{"CAP_", 0},	  {"CAP_NONE", 0},   {"kill,CAP_CHOW", 5}, {"64", 0},
		{"-1", 0},	  {"+1", 0},	     {"0x1", 0},	   {"100", 0},
		{"~cap_kill", 0}, {"chown;kill", 0}, {"CAP_CAP_KILL", 0},  {"chown kil", 6},
		{"alll", 0},
	};
	const char *word;
	uint64_t mask;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		mask = 4711;
		assert_int_equal(caps_parse_list(bad[i].list, &mask, &word), -EINVAL);
		assert_int_equal(mask, 4711);
		assert_ptr_equal(word, bad[i].list + bad[i].bad_at);
	}
}

/* Masks of other container managers, from /proc/PID/status: systemd-nspawn -U, podman. */
static void test_defaults(void **state)
{
	assert_int_equal(caps_default(true, false), 0xfdecabff);
	assert_int_equal(caps_default(true, true), 0xfdecbfff);
	assert_int_equal(caps_default(false, false), 0xa80425fb);
	assert_int_equal(caps_default(false, true), 0xa80435fb);
	assert_int_equal(caps_default(false, true) & CAPS_BIT(CAP_SYS_ADMIN), 0);
}

static uint64_t status_field(const char *name)
{
	autofree char *line = NULL;
	unsigned long long value = 0;
	size_t size = 0;
	FILE *f = fopen("/proc/self/status", "re");

	assert_non_null(f);
	while (getline(&line, &size, f) > 0) {
		const char *rest = str_after_prefix(line, name);

		if (rest && strncmp(rest, ":\t", 2) == 0) {
			value = strtoull(rest + 2, NULL, 16);
			break;
		}
	}
	(void)fclose(f);
	return value;
}

static void test_current_sets(void **state)
{
	assert_int_equal(caps_current_bounding(), status_field("CapBnd"));
	assert_int_equal(caps_grantable(false), status_field("CapBnd") & status_field("CapPrm"));
	assert_true(caps_last() >= CAP_CHECKPOINT_RESTORE);
}

static int set_permitted(uint64_t mask)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.permitted = (uint32_t)mask, .effective = (uint32_t)mask},
		{.permitted = (uint32_t)(mask >> 32), .effective = (uint32_t)(mask >> 32)},
	};

	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* caps_grantable() promises that all of these can be granted, even if this process has fewer. */
static int take_all_in_user_namespace(void)
{
	uint64_t all = caps_grantable(true);

	if (unshare(CLONE_NEWUSER) < 0)
		return 77;
	if (caps_current_bounding() != all)
		return 1;
	return set_permitted(all) < 0 ? 2 : 0;
}

static void test_grantable_in_user_namespace(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(take_all_in_user_namespace());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_are_the_kernels),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_current_sets),
		cmocka_unit_test(test_grantable_in_user_namespace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
