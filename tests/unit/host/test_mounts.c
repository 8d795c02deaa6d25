/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A plan has room for all mounts that a spec allows, each with a map of its own. Makes nothing. */
#include "check.h"
#include "host/host.h"

static const struct spec_mount mount = {
	.kind = SPEC_MOUNT_BIND,
	.source = (char *)"/srv",
	.target = (char *)"/mnt",
	.idmap = SPEC_IDMAP_ROOT,
};

static void as_many_as_a_spec_allows(void **state)
{
	struct spec_mount mounts[SPEC_MOUNTS_MAX];
	struct spec spec = {.mounts = mounts, .mount_count = SPEC_MOUNTS_MAX};
	struct host_facts facts = {.has_user_namespace = true, .uid_shift = 1 << 20};
	bool is_used[PLAN_SLOT_COUNT] = {};
	autoplan struct plan plan = {};
	size_t attached = 0;

	for (size_t i = 0; i < SPEC_MOUNTS_MAX; i++)
		mounts[i] = mount;
	host_module_mounts.plan(&spec, &facts, &plan);
	assert_int_equal(plan.error, 0);
	for (size_t i = 0; i < plan.count; i++) {
		const struct plan_op *op = &plan.ops[i];

		assert_in_range(op->in, 0, PLAN_SLOT_COUNT - 1);
		assert_in_range(op->ns, 0, PLAN_SLOT_COUNT - 1);
		if (op->kind != PLAN_OP_ATTACH)
			continue;
		assert_false(is_used[op->in]);
		is_used[op->in] = true;
		attached++;
	}
	assert_int_equal(attached, SPEC_MOUNTS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_many_as_a_spec_allows),
	};

	return cmocka_run_group_tests_name("mounts", tests, NULL, NULL);
}
