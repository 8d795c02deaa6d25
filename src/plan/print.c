/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A plan as text: a line for each op, with the fields that are set. Must do nothing but print. */
#include <string.h>

#include "lib/macro.h"
#include "lib/str.h"
#include "plan/plan.h"

static const char *const op_names[PLAN_OP_COUNT] = {
#define OP(id, name, stages, help) [PLAN_OP_##id] = name,
#include "plan/ops.def"
#undef OP
};

static const char *const slot_names[] = {
#define SLOT(id, name) [PLAN_SLOT_##id] = name,
	PLAN_SLOTS(SLOT)
#undef SLOT
};

static const char *const stage_titles[PLAN_STAGE_COUNT] = {
	[PLAN_STAGE_BEGIN] = "supervisor, when the machine's users are known:",
	[PLAN_STAGE_HOLDER] = "holder of the namespaces, in parallel to the supervisor:",
	[PLAN_STAGE_OPEN] = "supervisor, where it was called:",
	[PLAN_STAGE_SETUP] = "supervisor, in its own mount namespace:",
	[PLAN_STAGE_OUTER] = "outer child, while the supervisor waits:",
	[PLAN_STAGE_VIEWS] = "child in the machine's namespaces, with the host's privilege:",
	[PLAN_STAGE_INNER] = "PID 1 of the machine:",
};

const char *plan_op_name(enum plan_op_kind kind)
{
	return op_names[kind];
}

const char *plan_slot_name(enum plan_slot slot)
{
	return slot < PLAN_SLOT_SOURCE ? slot_names[slot] : slot_names[PLAN_SLOT_SOURCE];
}

static void print_slot(FILE *out, const char *label, enum plan_slot slot)
{
	if (slot == PLAN_SLOT_NONE)
		return;
	if (slot >= PLAN_SLOT_SOURCE)
		fprintf(out, " %s=source%d", label, (int)(slot - PLAN_SLOT_SOURCE));
	else
		fprintf(out, " %s=%s", label, slot_names[slot]);
}

static void print_text(FILE *out, const char *label, const char *text)
{
	autofree char *escaped = NULL;

	if (!text)
		return;
	escaped = str_escape(text);
	if (!escaped)
		return;
	for (char *p = strchr(escaped, '\n'); p; p = strchr(p, '\n'))
		*p = ' ';
	fprintf(out, " %s=%s", label, escaped);
}

static void print_words(FILE *out, const char *label, char *const *words)
{
	for (; words && *words; words++)
		print_text(out, label, *words);
}

static void print_numbers(FILE *out, const struct plan_op *op)
{
	if (op->flags)
		fprintf(out, " flags=%#llx", (unsigned long long)op->flags);
	if (op->number || op->kind == PLAN_OP_RLIMIT || op->kind == PLAN_OP_BOUNDING)
		fprintf(out, " number=%#llx", (unsigned long long)op->number);
	if (op->number2)
		fprintf(out, " number2=%#llx", (unsigned long long)op->number2);
	if (op->mode)
		fprintf(out, " mode=%04o", op->mode);
	if (op->uid || op->gid || op->kind == PLAN_OP_SETUSER)
		fprintf(out, " owner=%u:%u", op->uid, op->gid);
	if (op->blob_count)
		fprintf(out, " entries=%zu", op->blob_count);
}

void plan_print_op(const struct plan_op *op, FILE *out)
{
	fprintf(out, "%-12s", op_names[op->kind]);
	print_text(out, "path", op->path);
	print_slot(out, "at", op->at);
	print_slot(out, "in", op->in);
	print_text(out, "source", op->source);
	print_text(out, "data", op->data);
	print_slot(out, "ns", op->ns);
	print_numbers(out, op);
	print_words(out, "try", op->candidates);
	print_words(out, "arg", op->argv);
	print_words(out, "env", op->envp);
	print_slot(out, "out", op->out);
	if (op->is_optional)
		fprintf(out, " optional");
	if (op->may_fail)
		fprintf(out, " may-fail");
}

void plan_print(const struct plan *plan, FILE *out)
{
	int stage = -1;

	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_op *op = &plan->ops[i];

		if ((int)op->stage != stage)
			fprintf(out, "%s\n", stage_titles[op->stage]);
		stage = (int)op->stage;
		fputs("  ", out);
		plan_print_op(op, out);
		fputc('\n', out);
	}
}
