/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What must hold for every plan. A wrong order would be a security hole, so the proof runs before
 * each start, and over every golden plan. Must have no side effects. Supervisor's side.
 */
#include <sched.h>
#include <string.h>
#include <sys/mount.h>

#include "lib/macro.h"
#include "plan/plan.h"

#define B (1U << PLAN_STAGE_BEGIN)
#define H (1U << PLAN_STAGE_HOLDER)
#define C (1U << PLAN_STAGE_OPEN)
#define S (1U << PLAN_STAGE_SETUP)
#define O (1U << PLAN_STAGE_OUTER)
#define V (1U << PLAN_STAGE_VIEWS)
#define I (1U << PLAN_STAGE_INNER)

static const unsigned op_stages[PLAN_OP_COUNT] = {
#define OP(id, name, stages, help) [PLAN_OP_##id] = (stages),
#include "plan/ops.def"
#undef OP
};

#undef B
#undef H
#undef C
#undef S
#undef O
#undef V
#undef I

/* What has happened up to the op at hand. */
struct progress {
	bool is_filled[PLAN_SLOT_COUNT];
	bool is_new[PLAN_SLOT_COUNT]; /* a file system that the plan made */
	bool has_own_mounts;	      /* the supervisor is in a mount namespace of its own */
	bool has_pivoted;
	bool has_cut_bounding;
	bool has_filter;
	bool has_executed;
	bool has_cloned_holder;
	bool has_given_network; /* it is in one that is not the machine's own */
	bool has_announced;
	bool has_awaited;
	bool has_cloned_outer;
	bool has_cloned_views;
	bool has_handed_over;  /* PID 1 may take its copy of the mounts */
	bool has_all_mounts;   /* PID 1 knows that */
	bool has_taken_mounts; /* PID 1 has that copy */
	unsigned covered;      /* bits of must_be_covered[] */
	bool has_ended_holder;
	bool has_joined;
	bool has_cloned_inner;
};

/* What no guest may change or read, whoever its users are. */
static const struct {
	enum plan_op_kind kind;
	const char *path;
} must_be_covered[] = {
	{PLAN_OP_BIND_RO, "sys"}, {PLAN_OP_BIND_RO, "irq"},	   {PLAN_OP_BIND_RO, "bus"},
	{PLAN_OP_MASK, "kcore"},  {PLAN_OP_MASK, "sysrq-trigger"},
};

static bool op_mounts(const struct plan_op *op)
{
	return op->kind <= PLAN_OP_PIVOT && op->kind != PLAN_OP_PROPAGATE;
}

/* After the filter only ops that drop the last privilege, and exec, may follow. */
static bool op_fits_behind_filter(const struct plan_op *op)
{
	return op->kind == PLAN_OP_SECCOMP || op->kind == PLAN_OP_STUB ||
	       op->kind == PLAN_OP_RLIMIT || op->kind == PLAN_OP_SETUSER ||
	       op->kind == PLAN_OP_EXEC;
}

/* These ops follow links in the path, and check no owners. */
static bool op_makes_by_path(const struct plan_op *op)
{
	return op->kind >= PLAN_OP_NEW_DIR && op->kind <= PLAN_OP_WRITE;
}

static bool slot_is_ready(const struct progress *done, enum plan_slot slot)
{
	return slot <= PLAN_SLOT_CWD || done->is_filled[slot];
}

static const char *check_slots(const struct progress *done, const struct plan_op *op)
{
	if (!slot_is_ready(done, op->in) || !slot_is_ready(done, op->at) ||
	    !slot_is_ready(done, op->ns))
		return "an op uses a descriptor that nothing has filled";
	if (op_makes_by_path(op) && !done->is_new[op->at])
		return "a file is made by its path in a tree that others can write to";
	return NULL;
}

/*
 * Only clone-holder enters a network namespace, for the time of the op. The holder is either in a
 * given network namespace or makes one, never both.
 */
static const char *check_netns(const struct progress *done, const struct plan_op *op)
{
	bool makes = op->kind == PLAN_OP_CLONE_HOLDER;

	if (makes && op->ns != PLAN_SLOT_NONE && op->ns != PLAN_SLOT_NETNS)
		return "something is made in what is no network namespace";
	if (!makes && (op->ns == PLAN_SLOT_NETNS || op->ns == PLAN_SLOT_NETNS_HOME))
		return "a network namespace is used as an id map";
	if (op->stage == PLAN_STAGE_HOLDER && done->has_given_network && (op->flags & CLONE_NEWNET))
		return "a network namespace is both joined and made";
	return NULL;
}

static const char *check_order(const struct progress *done, const struct plan_op *op)
{
	if (done->has_executed)
		return "an op stands behind exec";
	if (done->has_filter && !op_fits_behind_filter(op))
		return "an op that needs privilege stands behind seccomp";
	if (!done->has_own_mounts &&
	    (op->kind == PLAN_OP_ATTACH_HOST || op->kind == PLAN_OP_LOCK_TREE))
		return "a mount is put on the host's own tree";
	if (op->kind == PLAN_OP_MOUNT_FS && (op->flags & MS_RDONLY))
		return "a file system is made read-only where its mount is meant";
	if (done->has_pivoted && op_mounts(op))
		return "a mount is made after the pivot";
	if (op->may_fail && op->stage != PLAN_STAGE_SETUP && op->stage != PLAN_STAGE_OPEN)
		return "an op of a child may fail";
	if (op->kind == PLAN_OP_BOUNDING && !done->has_pivoted)
		return "capabilities are dropped before the pivot";
	if (op->kind == PLAN_OP_SECCOMP && !done->has_cut_bounding)
		return "the filter is installed before the bounding set is cut";
	if (op->kind == PLAN_OP_EXEC && (!done->has_pivoted || !done->has_cut_bounding))
		return "exec comes before the pivot or before the bounding set is cut";
	if (op->kind == PLAN_OP_EXEC && !done->has_filter)
		return "exec comes without a system call filter";
	if (op->kind == PLAN_OP_STUB && !done->has_all_mounts)
		return "a second process comes before PID 1 has waited for the supervisor";
	return NULL;
}

/* Each wait has its message, and no stage runs before its process exists. */
static const char *check_children(const struct progress *done, const struct plan_op *op)
{
	if ((op->stage == PLAN_STAGE_HOLDER || op->kind == PLAN_OP_AWAIT) &&
	    !done->has_cloned_holder)
		return "the holder of the namespaces is used before it exists";
	if (op->stage == PLAN_STAGE_HOLDER && done->has_announced)
		return "the holder does something behind the word that all is there";
	if (op->kind == PLAN_OP_AWAIT && !done->has_announced)
		return "the supervisor awaits a word that the holder never says";
	if ((op->kind == PLAN_OP_CLONE_OUTER || op->in == PLAN_SLOT_HOLDER) && !done->has_awaited)
		return "the namespaces are used before they are there";
	if (op->kind == PLAN_OP_HAND_OVER && !done->has_cloned_views)
		return "PID 1 takes its copy of the mounts before they are complete";
	if (op->kind == PLAN_OP_HAND_OVER && !done->has_ended_holder)
		return "PID 1 goes on while the holder is in its cgroup";
	if (done->has_handed_over && op->stage == PLAN_STAGE_SETUP)
		return "the supervisor does something after PID 1 was told to go on";
	if (op->stage == PLAN_STAGE_VIEWS && !done->has_cloned_views)
		return "the child that mounts the views is never made";
	if (op->stage == PLAN_STAGE_OUTER && !done->has_cloned_outer)
		return "the outer child is never made";
	if (op->kind == PLAN_OP_JOIN_TASKS && op->stage == PLAN_STAGE_OUTER && done->has_joined)
		return "a cgroup of the host is joined from inside the machine";
	if (op->kind == PLAN_OP_CLONE_INNER && !done->has_joined)
		return "PID 1 is made in the host's namespaces";
	if (op->stage == PLAN_STAGE_OUTER && done->has_cloned_inner)
		return "the outer child does something behind its last op";
	if (op->stage == PLAN_STAGE_INNER && !done->has_cloned_inner)
		return "PID 1 is never made";
	return NULL;
}

/* Which of must_be_covered[] the op covers. */
static unsigned covers(const struct plan_op *op)
{
	unsigned bits = 0;

	for (size_t i = 0; i < ARRAY_SIZE(must_be_covered); i++)
		if (op->kind == must_be_covered[i].kind && op->at == PLAN_SLOT_PROC &&
		    strcmp(op->path, must_be_covered[i].path) == 0)
			bits |= 1U << i;
	return bits;
}

/*
 * When a mount namespace is copied for a less privileged user namespace, its mounts are locked: the
 * guest can change neither their flags nor see what they cover. What PID 1 mounts itself the guest
 * can undo.
 */
static const char *check_mounts(const struct progress *done, const struct plan_op *op)
{
	bool makes_namespaces = op->kind == PLAN_OP_CLONE_HOLDER ||
				op->kind == PLAN_OP_CLONE_INNER || op->kind == PLAN_OP_JOIN ||
				(op->kind == PLAN_OP_UNSHARE &&
				 (op->stage == PLAN_STAGE_HOLDER || op->stage == PLAN_STAGE_OUTER));

	if (makes_namespaces && (op->flags & CLONE_NEWNS))
		return "PID 1 takes its copy of the mounts before they are complete";
	if (op->stage != PLAN_STAGE_INNER)
		return NULL;
	if (op->kind == PLAN_OP_AWAIT_MOUNTS && !done->has_handed_over)
		return "PID 1 awaits mounts that the supervisor never hands over";
	if (op->kind == PLAN_OP_UNSHARE && !done->has_all_mounts)
		return "PID 1 takes its copy of the mounts before they are complete";
	if ((op_mounts(op) || op->kind == PLAN_OP_PROPAGATE) && !done->has_taken_mounts)
		return "PID 1 mounts in the supervisor's mount namespace";
	if (op->kind == PLAN_OP_MOUNT_FS && strcmp(op->source, "devpts") != 0)
		return "PID 1 mounts what the guest must not be able to undo";
	if (op->kind == PLAN_OP_EXEC && done->covered != (1U << ARRAY_SIZE(must_be_covered)) - 1)
		return "the guest gets a /proc that shows it what is the host's";
	return NULL;
}

static void note(struct progress *done, const struct plan_op *op)
{
	done->has_cloned_holder |= op->kind == PLAN_OP_CLONE_HOLDER;
	done->has_given_network |= op->kind == PLAN_OP_CLONE_HOLDER && op->ns != PLAN_SLOT_NONE;
	done->has_announced |= op->kind == PLAN_OP_ANNOUNCE;
	done->has_awaited |= op->kind == PLAN_OP_AWAIT;
	done->has_cloned_outer |= op->kind == PLAN_OP_CLONE_OUTER;
	done->has_cloned_views |= op->kind == PLAN_OP_CLONE_VIEWS;
	done->has_handed_over |= op->kind == PLAN_OP_HAND_OVER;
	done->has_all_mounts |= op->kind == PLAN_OP_AWAIT_MOUNTS;
	done->has_taken_mounts |= op->kind == PLAN_OP_UNSHARE && op->stage == PLAN_STAGE_INNER &&
				  (op->flags & CLONE_NEWNS);
	done->covered |= covers(op);
	done->has_ended_holder |= op->kind == PLAN_OP_END_HOLDER;
	done->has_joined |= op->kind == PLAN_OP_JOIN && op->in == PLAN_SLOT_HOLDER;
	done->has_cloned_inner |= op->kind == PLAN_OP_CLONE_INNER;
	done->is_filled[op->out] = true;
	done->is_new[op->out] = op->kind == PLAN_OP_NEW_FS || op->kind == PLAN_OP_MOUNT_FS;
	done->has_own_mounts |= op->kind == PLAN_OP_UNSHARE && op->stage == PLAN_STAGE_SETUP;
	done->has_pivoted |= op->kind == PLAN_OP_PIVOT;
	done->has_cut_bounding |= op->kind == PLAN_OP_BOUNDING;
	done->has_filter |= op->kind == PLAN_OP_SECCOMP;
	done->has_executed |= op->kind == PLAN_OP_EXEC;
	if (op->kind == PLAN_OP_CLONE_HOLDER && (op->flags & CLONE_NEWUSER))
		done->is_filled[PLAN_SLOT_USERNS] = true;
	if (op->kind == PLAN_OP_OPEN_PTY)
		done->is_filled[PLAN_SLOT_PTY_SLAVE] = true;
}

static void note_prepared(struct progress *done)
{
	static const enum plan_slot prepared[] = {
		PLAN_SLOT_IMAGE,	PLAN_SLOT_MACHINE_DIR, PLAN_SLOT_CGROUP_PAYLOAD,
		PLAN_SLOT_PIDS,		PLAN_SLOT_STDIN,       PLAN_SLOT_STDOUT,
		PLAN_SLOT_STDERR,	PLAN_SLOT_SYNC,	       PLAN_SLOT_CGROUP_LEAF,
		PLAN_SLOT_NETNS,	PLAN_SLOT_NETNS_HOME,  PLAN_SLOT_RESOLV,
		PLAN_SLOT_STORE,	PLAN_SLOT_NIX_DB,      PLAN_SLOT_NIX_SOCKET,
		PLAN_SLOT_NIX_PROFILES, PLAN_SLOT_NIX_ROOTS,
	};

	for (size_t i = 0; i < ARRAY_SIZE(prepared); i++)
		done->is_filled[prepared[i]] = true;
	for (int i = 0; i < PLAN_SLOT_SOURCES_MAX; i++)
		done->is_filled[PLAN_SLOT_SOURCE + i] = true;
}

int plan_verify(const struct plan *plan, const char **ret_why)
{
	struct progress done = {};
	const char *why = NULL;

	note_prepared(&done);
	for (size_t i = 0; i < plan->count && !why; i++) {
		const struct plan_op *op = &plan->ops[i];

		if (!(op_stages[op->kind] & (1U << op->stage)))
			why = "an op stands in a stage that it is not made for";
		else if (i > 0 && plan->ops[i - 1].stage > op->stage)
			why = "the stages are out of order";
		if (!why)
			why = check_slots(&done, op);
		if (!why)
			why = check_netns(&done, op);
		if (!why)
			why = check_order(&done, op);
		if (!why)
			why = check_children(&done, op);
		if (!why)
			why = check_mounts(&done, op);
		note(&done, op);
	}
	if (!why && !done.has_executed)
		why = "nothing is executed";
	if (why)
		*ret_why = why;
	return why ? -EINVAL : 0;
}
