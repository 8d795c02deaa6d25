/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plan_verify() accepts the smallest valid plan, and refuses it when one rule is broken: every row
 * is that plan with one op removed, added, moved or changed.
 */
#include <sched.h>
#include <sys/mount.h>

#include "check.h"
#include "plan/plan.h"

#define BEGIN PLAN_STAGE_BEGIN
#define HOLDER PLAN_STAGE_HOLDER
#define SETUP PLAN_STAGE_SETUP
#define OUTER PLAN_STAGE_OUTER
#define VIEWS PLAN_STAGE_VIEWS
#define INNER PLAN_STAGE_INNER

/* The positions that the rows below use. */
enum {
	AT_CLONE_HOLDER,
	AT_NAMESPACES,
	AT_ANNOUNCE,
	AT_OPEN,
	AT_UNSHARE,
	AT_ATTRIBUTES,
	AT_AWAIT,
	AT_FILTER,
	AT_CLONE_OUTER,
	AT_CLONE_VIEWS,
	AT_END_HOLDER,
	AT_HAND_OVER,
	AT_JOIN,
	AT_CLONE_INNER,
	AT_PROC,
	AT_ATTACH,
	AT_SYSCTLS,
	AT_IRQ,
	AT_BUS,
	AT_KCORE,
	AT_SYSRQ,
	AT_AWAIT_MOUNTS,
	AT_TAKE_MOUNTS,
	AT_REBASE,
	AT_PTS,
	AT_PTY,
	AT_PIVOT,
	AT_STDIO,
	AT_BOUNDING,
	AT_SECCOMP,
	AT_SETUSER,
	AT_EXEC,
	AT_COUNT,
};

static const struct plan_op least[AT_COUNT] = {
	[AT_CLONE_HOLDER] = {PLAN_OP_CLONE_HOLDER, BEGIN, .flags = CLONE_NEWUSER,
			     .in = PLAN_SLOT_CGROUP_PAYLOAD, .out = PLAN_SLOT_HOLDER},
	[AT_NAMESPACES] = {PLAN_OP_UNSHARE, HOLDER},
	[AT_ANNOUNCE] = {PLAN_OP_ANNOUNCE, HOLDER},
	[AT_OPEN] = {PLAN_OP_OPEN_TREE, PLAN_STAGE_OPEN, .in = PLAN_SLOT_IMAGE,
		     .out = PLAN_SLOT_ROOT},
	[AT_UNSHARE] = {PLAN_OP_UNSHARE, SETUP},
	[AT_ATTRIBUTES] = {PLAN_OP_SETATTR, SETUP, .in = PLAN_SLOT_ROOT, .ns = PLAN_SLOT_USERNS},
	[AT_AWAIT] = {PLAN_OP_AWAIT, SETUP},
	[AT_CLONE_OUTER] = {PLAN_OP_CLONE_OUTER, SETUP, .out = PLAN_SLOT_LEADER},
	[AT_CLONE_VIEWS] = {PLAN_OP_CLONE_VIEWS, SETUP, .in = PLAN_SLOT_LEADER},
	[AT_FILTER] = {PLAN_OP_HOST, SETUP},
	[AT_END_HOLDER] = {PLAN_OP_END_HOLDER, SETUP},
	[AT_HAND_OVER] = {PLAN_OP_HAND_OVER, SETUP},
	[AT_JOIN] = {PLAN_OP_JOIN, OUTER, .in = PLAN_SLOT_HOLDER},
	[AT_CLONE_INNER] = {PLAN_OP_CLONE_INNER, OUTER, .in = PLAN_SLOT_CGROUP_LEAF},
	[AT_PROC] = {PLAN_OP_NEW_FS, VIEWS, .source = "proc", .out = PLAN_SLOT_PROC},
	[AT_ATTACH] = {PLAN_OP_ATTACH, VIEWS, .in = PLAN_SLOT_PROC, .at = PLAN_SLOT_ROOT},
	[AT_SYSCTLS] = {PLAN_OP_BIND_RO, VIEWS, .at = PLAN_SLOT_PROC, .path = "sys"},
	[AT_IRQ] = {PLAN_OP_BIND_RO, VIEWS, .at = PLAN_SLOT_PROC, .path = "irq"},
	[AT_BUS] = {PLAN_OP_BIND_RO, VIEWS, .at = PLAN_SLOT_PROC, .path = "bus"},
	[AT_KCORE] = {PLAN_OP_MASK, VIEWS, .at = PLAN_SLOT_PROC, .path = "kcore"},
	[AT_SYSRQ] = {PLAN_OP_MASK, VIEWS, .at = PLAN_SLOT_PROC, .path = "sysrq-trigger"},
	[AT_AWAIT_MOUNTS] = {PLAN_OP_AWAIT_MOUNTS, INNER},
	[AT_TAKE_MOUNTS] = {PLAN_OP_UNSHARE, INNER, .flags = CLONE_NEWNS},
	[AT_REBASE] = {PLAN_OP_REBASE, INNER, .out = PLAN_SLOT_ROOT},
	[AT_PTS] = {PLAN_OP_MOUNT_FS, INNER, .source = "devpts", .at = PLAN_SLOT_ROOT,
		    .out = PLAN_SLOT_PTS},
	[AT_PTY] = {PLAN_OP_OPEN_PTY, INNER, .out = PLAN_SLOT_PTY_SLAVE},
	[AT_PIVOT] = {PLAN_OP_PIVOT, INNER, .in = PLAN_SLOT_ROOT},
	[AT_STDIO] = {PLAN_OP_STDIO, INNER, .in = PLAN_SLOT_PTY_SLAVE},
	[AT_BOUNDING] = {PLAN_OP_BOUNDING, INNER},
	[AT_SECCOMP] = {PLAN_OP_SECCOMP, INNER},
	[AT_SETUSER] = {PLAN_OP_SETUSER, INNER},
	[AT_EXEC] = {PLAN_OP_EXEC, INNER},
};

enum change { DROP, INSERT, MOVE };

static const struct broken {
	const char *why; /* part of the message */
	enum change change;
	int at;
	int to; /* MOVE: before the op with this number in the original plan */
	struct plan_op op;
	bool is_in_given_network; /* the holder */
} rows[] = {
	{"nothing is executed", DROP, AT_EXEC},
	{"behind exec", INSERT, AT_COUNT, .op = {PLAN_OP_EXEC, INNER}},
	{"behind exec", MOVE, AT_SETUSER, AT_COUNT},
	{"of a child may fail", INSERT, AT_BOUNDING,
	 .op = {PLAN_OP_CHDIR, INNER, .may_fail = true}},
	{"before the pivot", DROP, AT_PIVOT},
	{"before the pivot", MOVE, AT_BOUNDING, AT_PIVOT},
	{"before the bounding set is cut", DROP, AT_BOUNDING},
	{"before the bounding set is cut", MOVE, AT_SECCOMP, AT_BOUNDING},
	{"without a system call filter", DROP, AT_SECCOMP},
	{"behind seccomp", MOVE, AT_STDIO, AT_SETUSER},
	{"behind seccomp", INSERT, AT_SETUSER, .op = {PLAN_OP_CHDIR, INNER}},
	{"behind seccomp", INSERT, AT_EXEC, .op = {PLAN_OP_KEYRING, INNER}},
	{"behind seccomp", INSERT, AT_EXEC, .op = {PLAN_OP_BOUNDING, INNER}},
	/* security row: K12 */
	{"shows it what is the host's", DROP, AT_SYSCTLS},
	{"shows it what is the host's", DROP, AT_IRQ},
	{"shows it what is the host's", DROP, AT_BUS},
	{"shows it what is the host's", DROP, AT_KCORE},
	{"shows it what is the host's", DROP, AT_SYSRQ},
	{"not made for", INSERT, AT_PTS, .op = {PLAN_OP_BIND_RO, INNER, .path = "sys"}},
	{"not made for", INSERT, AT_PTS, .op = {PLAN_OP_MASK, INNER, .path = "kcore"}},
	{"not made for", INSERT, AT_PTS, .op = {PLAN_OP_NEW_FS, INNER, .source = "sysfs"}},
	{"must not be able to undo", INSERT, AT_PTS,
	 .op = {PLAN_OP_MOUNT_FS, INNER, .source = "proc", .at = PLAN_SLOT_ROOT}},
	{"must not be able to undo", INSERT, AT_PTS,
	 .op = {PLAN_OP_MOUNT_FS, INNER, .source = "cgroup2", .at = PLAN_SLOT_ROOT}},
	{"before they are complete", DROP, AT_CLONE_VIEWS},
	{"before they are complete", MOVE, AT_CLONE_VIEWS, AT_JOIN},
	{"before they are complete", DROP, AT_AWAIT_MOUNTS},
	{"before they are complete", MOVE, AT_TAKE_MOUNTS, AT_AWAIT_MOUNTS},
	{"before they are complete", INSERT, AT_CLONE_INNER,
	 .op = {PLAN_OP_CLONE_INNER, OUTER, .flags = CLONE_NEWNS}},
	{"before they are complete", INSERT, AT_JOIN,
	 .op = {PLAN_OP_UNSHARE, OUTER, .flags = CLONE_NEWNS}},
	{"before they are complete", INSERT, AT_ANNOUNCE,
	 .op = {PLAN_OP_UNSHARE, HOLDER, .flags = CLONE_NEWNS}},
	{"never hands over", DROP, AT_HAND_OVER},
	{"in the supervisor's mount namespace", DROP, AT_TAKE_MOUNTS},
	{"in the supervisor's mount namespace", MOVE, AT_TAKE_MOUNTS, AT_PTS},
	{"in the supervisor's mount namespace", INSERT, AT_AWAIT_MOUNTS,
	 .op = {PLAN_OP_PROPAGATE, INNER}},
	{"nothing has filled", MOVE, AT_CLONE_OUTER, AT_HAND_OVER},
	{"made read-only where its mount is meant", INSERT, AT_PROC,
	 .op = {PLAN_OP_MOUNT_FS, VIEWS, .flags = MS_RDONLY, .at = PLAN_SLOT_ROOT}},
	{"after the pivot", MOVE, AT_REBASE, AT_STDIO},
	{"after the pivot", INSERT, AT_BOUNDING,
	 .op = {PLAN_OP_MOUNT_FS, INNER, .source = "devpts", .at = PLAN_SLOT_ROOT}},
	{"after the pivot", INSERT, AT_STDIO, .op = {PLAN_OP_PIVOT, INNER, .in = PLAN_SLOT_ROOT}},
	{"nothing has filled", DROP, AT_OPEN},
	{"nothing has filled", DROP, AT_PROC},
	{"nothing has filled", DROP, AT_PTY},
	{"nothing has filled", INSERT, AT_ATTRIBUTES,
	 .op = {PLAN_OP_MKDIR, SETUP, .at = PLAN_SLOT_DEV}},
	{"others can write to", INSERT, AT_AWAIT,
	 .op = {PLAN_OP_NEW_DIR, SETUP, .at = PLAN_SLOT_ROOT}},
	{"others can write to", INSERT, AT_AWAIT,
	 .op = {PLAN_OP_WRITE, SETUP, .at = PLAN_SLOT_IMAGE}},
	{"holder of the namespaces is used before it exists", DROP, AT_CLONE_HOLDER},
	{"behind the word that all is there", MOVE, AT_ANNOUNCE, AT_NAMESPACES},
	{"a word that the holder never says", DROP, AT_ANNOUNCE},
	{"used before they are there", DROP, AT_AWAIT},
	{"used before they are there", MOVE, AT_AWAIT, AT_CLONE_VIEWS},
	{"used before they are there", INSERT, AT_AWAIT,
	 .op = {PLAN_OP_HOST, SETUP, .in = PLAN_SLOT_HOLDER}},
	{"after PID 1 was told to go on", MOVE, AT_ATTRIBUTES, AT_JOIN},
	{"after PID 1 was told to go on", MOVE, AT_FILTER, AT_JOIN},
	{"while the holder is in its cgroup", DROP, AT_END_HOLDER},
	{"while the holder is in its cgroup", MOVE, AT_END_HOLDER, AT_JOIN},
	{"not made for", INSERT, AT_BOUNDING, .op = {PLAN_OP_HAND_OVER, INNER}},
	{"not made for", INSERT, AT_JOIN, .op = {PLAN_OP_AWAIT_MOUNTS, OUTER}},
	{"others can write to", INSERT, AT_FILTER,
	 .op = {PLAN_OP_MKNOD, SETUP, .at = PLAN_SLOT_ROOT}},
	{"not made for", INSERT, AT_JOIN, .op = {PLAN_OP_AWAIT, OUTER}},
	{"in the host's namespaces", DROP, AT_JOIN},
	{"a second process comes before", INSERT, AT_AWAIT_MOUNTS, .op = {PLAN_OP_STUB, INNER}},
	{"behind its last op", INSERT, AT_PROC,
	 .op = {PLAN_OP_FCHDIR, OUTER, .in = PLAN_SLOT_ROOT}},
	{"PID 1 is never made", DROP, AT_CLONE_INNER},
	{"not made for", INSERT, AT_AWAIT, .op = {PLAN_OP_SECCOMP, SETUP}},
	{"not made for", INSERT, AT_AWAIT, .op = {PLAN_OP_EXEC, SETUP}},
	{"not made for", INSERT, AT_AWAIT, .op = {PLAN_OP_SETUSER, SETUP}},
	{"not made for", INSERT, AT_CLONE_INNER,
	 .op = {PLAN_OP_PIVOT, OUTER, .in = PLAN_SLOT_ROOT}},
	{"not made for", INSERT, AT_CLONE_INNER, .op = {PLAN_OP_ATTACH, OUTER}},
	{"not made for", INSERT, AT_BOUNDING, .op = {PLAN_OP_MKNOD, INNER}},
	{"not made for", INSERT, AT_BOUNDING, .op = {PLAN_OP_WRITE, INNER}},
	{"not made for", INSERT, AT_BOUNDING, .op = {PLAN_OP_HOST, INNER}},
	{"not made for", INSERT, AT_BOUNDING, .op = {PLAN_OP_CLONE_OUTER, INNER}},
	{"not made for", INSERT, AT_AWAIT, .op = {PLAN_OP_CLONE_HOLDER, SETUP}},
	{"the host's own tree", INSERT, AT_UNSHARE,
	 .op = {PLAN_OP_ATTACH_HOST, SETUP, .in = PLAN_SLOT_ROOT, .at = PLAN_SLOT_CWD}},
	{"the host's own tree", INSERT, AT_UNSHARE, .op = {PLAN_OP_LOCK_TREE, SETUP}},
	{"nothing has filled", INSERT, AT_AWAIT,
	 .op = {PLAN_OP_STORE_VIEW, SETUP, .at = PLAN_SLOT_STORE_TREE}},
	{"not made for", INSERT, AT_BOUNDING, .op = {PLAN_OP_STORE_BINDS, INNER}},
	{"out of order", MOVE, AT_OPEN, AT_ATTRIBUTES},
	{"PID 1 is never made", MOVE, AT_PTY, AT_JOIN},
	{"both joined and made", INSERT, AT_NAMESPACES,
	 .op = {PLAN_OP_UNSHARE, HOLDER, .flags = CLONE_NEWNET}, .is_in_given_network = true},
	{"what is no network namespace", INSERT, AT_CLONE_HOLDER,
	 .op = {PLAN_OP_CLONE_HOLDER, BEGIN, .ns = PLAN_SLOT_IMAGE}},
	{"used as an id map", INSERT, AT_AWAIT,
	 .op = {PLAN_OP_SETATTR, SETUP, .in = PLAN_SLOT_ROOT, .ns = PLAN_SLOT_NETNS}},
	{"used as an id map", INSERT, AT_PROC,
	 .op = {PLAN_OP_NEW_FS, VIEWS, .ns = PLAN_SLOT_NETNS}},
};

/* Appends the smallest plan with the change of the row. */
static void build(const struct broken *row, struct plan *plan)
{
	for (int i = 0; i <= AT_COUNT; i++) {
		if (row->change == MOVE && i == row->to)
			plan_add(plan, &least[row->at]);
		if (row->change == INSERT && i == row->at)
			plan_add(plan, &row->op);
		if (i < AT_COUNT && (row->change == INSERT || i != row->at))
			plan_add(plan, &least[i]);
	}
	assert_int_equal(plan->error, 0);
	if (row->is_in_given_network)
		plan->ops[AT_CLONE_HOLDER].ns = PLAN_SLOT_NETNS;
}

static void the_least_plan_is_good(void **state)
{
	autoplan struct plan plan = {};
	const char *why = NULL;

	for (int i = 0; i < AT_COUNT; i++)
		plan_add(&plan, &least[i]);
	assert_int_equal(plan_verify(&plan, &why), 0);
	assert_null(why);
}

static void each_broken_plan_is_refused(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autoplan struct plan plan = {};
		const char *why = NULL;

		build(&rows[i], &plan);
		if (plan_verify(&plan, &why) != -EINVAL)
			fail_msg("row %zu (%s) was accepted", i, rows[i].why);
		if (!strstr(why, rows[i].why))
			fail_msg("row %zu: \"%s\" was expected, not \"%s\"", i, rows[i].why, why);
	}
}

static void an_empty_plan_is_refused(void **state)
{
	const char *why;

	assert_int_equal(plan_verify(&(struct plan){}, &why), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_least_plan_is_good),
		cmocka_unit_test(each_broken_plan_is_refused),
		cmocka_unit_test(an_empty_plan_is_refused),
	};

	return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
