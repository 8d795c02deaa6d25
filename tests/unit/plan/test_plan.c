/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plan as a container: order by stage, strings, printed text.
 */
#include "check.h"
#include "lib/str.h"
#include "plan/plan.h"

static char *print(const struct plan *plan)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	plan_print(plan, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void stages_are_sorted_and_keep_their_order(void **state)
{
	autoplan struct plan plan = {};
	autofree char *text = NULL;

	plan_add(&plan, &(struct plan_op){.kind = PLAN_OP_RESET, .stage = PLAN_STAGE_INNER});
	plan_add(&plan, &(struct plan_op){.kind = PLAN_OP_JOIN, .stage = PLAN_STAGE_OUTER});
	plan_add(&plan, &(struct plan_op){.kind = PLAN_OP_KEYRING, .stage = PLAN_STAGE_INNER});
	plan_add(&plan,
		 &(struct plan_op){.kind = PLAN_OP_MKDIR, .stage = PLAN_STAGE_SETUP, .path = "/a"});
	plan_add(&plan,
		 &(struct plan_op){.kind = PLAN_OP_MKDIR, .stage = PLAN_STAGE_SETUP, .path = "/b"});
	plan_finish(&plan);
	text = print(&plan);
	assert_string_equal(text, "supervisor, in its own mount namespace:\n"
				  "  mkdir        path=/a\n"
				  "  mkdir        path=/b\n"
				  "outer child, while the supervisor waits:\n"
				  "  join        \n"
				  "PID 1 of the machine:\n"
				  "  reset       \n"
				  "  keyring     \n");
}

static void a_plan_owns_its_strings(void **state)
{
	autoplan struct plan plan = {};
	char word[] = "before";
	char *words[] = {word, NULL};
	char *const *copy = plan_strv(&plan, words);
	const char *text = plan_str(&plan, word);
	const char *printed = plan_printf(&plan, "%s %d", word, 7);
	const char *data = plan_copy(&plan, word, sizeof(word));

	memset(word, 'x', sizeof(word) - 1);
	assert_string_equal(copy[0], "before");
	assert_null(copy[1]);
	assert_string_equal(text, "before");
	assert_string_equal(printed, "before 7");
	assert_string_equal(data, "before");
	assert_null(plan_str(&plan, NULL));
	assert_int_equal(plan.error, 0);
}

/* Text from a guest must not control the terminal of a user who reads the plan. */
static void text_is_escaped(void **state)
{
	autoplan struct plan plan = {};
	autofree char *text = NULL;

	plan_add(&plan, &(struct plan_op){.kind = PLAN_OP_HOSTNAME,
					  .stage = PLAN_STAGE_INNER,
					  .data = "a\x1b]0;b\nc"});
	text = print(&plan);
	assert_null(strchr(text, '\x1b'));
	assert_int_equal(strchr(strchr(text, '\n') + 1, '\n')[1], '\0');
}

static void every_op_and_slot_has_a_name(void **state)
{
	for (int kind = 0; kind < PLAN_OP_COUNT; kind++)
		assert_false(str_is_empty(plan_op_name((enum plan_op_kind)kind)));
	for (int slot = 0; slot < PLAN_SLOT_COUNT; slot++)
		assert_false(str_is_empty(plan_slot_name((enum plan_slot)slot)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stages_are_sorted_and_keep_their_order),
		cmocka_unit_test(a_plan_owns_its_strings),
		cmocka_unit_test(text_is_escaped),
		cmocka_unit_test(every_op_and_slot_has_a_name),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
