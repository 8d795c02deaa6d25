/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PID 1 apart from its namespaces: root directory, session, limits, and the privilege it loses
 * before exec. plan_verify() proves the order. Supervisor's side.
 */
#include <sys/mount.h>

#include "host/host.h"
#include "kernel/sys.h"
#include "lib/caps.h"
#include "lib/macro.h"
#include "log/log.h"

/* Abstract unix sockets belong to the network namespace, even if all else is private. */
static void look_at_scope(struct host *host)
{
	const struct spec *spec = host->spec;

	if (spec->private_network || spec->abstract_sockets)
		return;
	host->facts.is_scoped = sys_landlock_abi() >= SYS_LANDLOCK_ABI_SCOPE;
	if (!host->facts.is_scoped)
		log_warning("machine %s shares the host's network, and its abstract unix sockets "
			    "too: to keep it from those takes landlock of Linux 6.12, or a network "
			    "of its own (--network-veth, --private-network); with "
			    "--network-abstract-sockets=yes this is not said",
			    spec->machine);
}

static int process_prepare(struct host *host)
{
	struct host_facts *facts = &host->facts;
	int r;

	facts->caps = host->spec->caps_bounding & caps_grantable(facts->has_user_namespace);
	r = seccomp_select(facts->caps,
			   seccomp_holds(facts->uid_shift,
					 facts->has_user_namespace ? facts->uid_range : 0,
					 host->spec->vsock),
			   &facts->seccomp);
	if (r < 0)
		return log_oom();
	if (!host->spec->vsock && seccomp_leaves_socketcall())
		log_warning("machine %s may use AF_VSOCK: no filter sees into socketcall(2), by "
			    "which programs of this architecture make sockets",
			    host->spec->machine);
	look_at_scope(host);
	return 0;
}

static void plan_pivot(const struct spec *spec, struct plan *plan)
{
	const enum plan_stage inner = PLAN_STAGE_INNER;

	PLAN_ADD(plan, .kind = PLAN_OP_PIVOT, .stage = inner, .in = PLAN_SLOT_ROOT);
	/* Shared, as after a real boot: a mount of one service must be visible to others. */
	PLAN_ADD(plan, .kind = PLAN_OP_PROPAGATE, .stage = inner, .number = MS_SHARED);
	PLAN_ADD(plan, .kind = PLAN_OP_HOSTNAME, .stage = inner,
		 .data = plan_str(plan, spec->hostname ? spec->hostname : spec->machine));
}

static void plan_session(const struct spec *spec, struct plan *plan)
{
	bool has_console = spec->console != SPEC_CONSOLE_PIPE;

	PLAN_ADD(plan, .kind = PLAN_OP_STDIO, .stage = PLAN_STAGE_INNER,
		 .in = has_console ? PLAN_SLOT_PTY_SLAVE : PLAN_SLOT_STDIN);
	/* An init passes its terminal on; any other program wants job control. */
	PLAN_ADD(plan, .kind = PLAN_OP_SETSID, .stage = PLAN_STAGE_INNER,
		 .number = has_console && spec->start != SPEC_START_BOOT);
}

static void plan_limits(const struct spec *spec, struct plan *plan)
{
	for (size_t i = 0; i < ARRAY_SIZE(spec->rlimits); i++)
		if (spec->rlimits[i].is_set)
			PLAN_ADD(plan, .kind = PLAN_OP_RLIMIT, .stage = PLAN_STAGE_INNER,
				 .flags = i, .number = spec->rlimits[i].value.rlim_cur,
				 .number2 = spec->rlimits[i].value.rlim_max);
}

static void process_plan(const struct spec *spec, const struct host_facts *facts, struct plan *plan)
{
	static const enum plan_op_kind kinds[] = {PLAN_OP_KEYRING, PLAN_OP_RESET, PLAN_OP_CLOEXEC};

	plan_pivot(spec, plan);
	plan_session(spec, plan);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		PLAN_ADD(plan, .kind = kinds[i], .stage = PLAN_STAGE_INNER);
	PLAN_ADD(plan, .kind = PLAN_OP_CHDIR, .stage = PLAN_STAGE_INNER,
		 .path = plan_str(plan, spec->chdir			      ? spec->chdir
					: facts->user_home && facts->user_uid ? facts->user_home
									      : "/"));
	PLAN_ADD(plan, .kind = PLAN_OP_BOUNDING, .stage = PLAN_STAGE_INNER, .number = facts->caps);
	if (facts->is_scoped)
		PLAN_ADD(plan, .kind = PLAN_OP_SCOPE, .stage = PLAN_STAGE_INNER);
	/* After all ops that open files: a low NOFILE= is meant for the payload, not for us. */
	if (spec->start != SPEC_START_PID2)
		plan_limits(spec, plan);
	if (facts->seccomp)
		PLAN_ADD(plan, .kind = PLAN_OP_SECCOMP, .stage = PLAN_STAGE_INNER,
			 .blob = facts->seccomp->filter, .blob_count = facts->seccomp->length);
	if (spec->start == SPEC_START_PID2) {
		PLAN_ADD(plan, .kind = PLAN_OP_STUB, .stage = PLAN_STAGE_INNER);
		plan_limits(spec, plan);
	}
}

static void process_done(struct host_facts *facts)
{
	free(facts->seccomp);
}

const struct host_module host_module_process = {
	.name = "process",
	.prepare = process_prepare,
	.plan = process_plan,
	.done = process_done,
};
