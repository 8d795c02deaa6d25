// SPDX-License-Identifier: LGPL-2.1-or-later
/* Selections of generations, compared with nix-env --delete-generations. */
#include "check.h"
#include "lib/str.h"
#include "lib/time.h"
#include "nix/select.h"

#define DAY (24 * 3600 * USEC_PER_SEC)
#define NOW (100 * DAY)

/* 1 to 6, made on days 10, 20 … 60; 4 is the current one. */
static struct nix_generation list[6];

static int setup(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(list); i++)
		list[i] = (struct nix_generation){
			.number = i + 1, .created_us = (i + 1) * 10 * DAY, .is_current = i == 3};
	return 0;
}

/* The selected numbers, or "!word" if the selection is refused. */
static void check(const char *line, const char *expected)
{
	autostrv char **words = NULL;
	autofree bool *selected = NULL;
	autobuf struct buf text = {};
	const char *bad = "";
	int r;

	assert_int_equal(strv_split(line, " ", &words), 0);
	r = nix_generations_select(list, ARRAY_SIZE(list), words, NOW, &selected, &bad);
	buf_add_str(&text, "");
	for (size_t i = 0; i < ARRAY_SIZE(list) && r == 0; i++) {
		if (selected[i])
			buf_printf(&text, "%u", list[i].number);
	}
	if (r < 0)
		buf_printf(&text, "%s%s", r == -ENOENT ? "?" : "!", bad);
	assert_string_equal(text.data, expected);
}

static void test_words(void **state)
{
	check("old", "12356");
	check("2", "2");
	check("4", "4");
	check("2 6 2", "26");
	check("+1", "123");
	check("+2", "12");
	check("+4", "");
	check("+99", "");
	/* Day 65: 6 was in use then; 5 (day 50) and 4 (day 40, current) are older. */
	check("35d", "1235");
	/* Day 25: 2 was in use. */
	check("75d", "1");
	check("95d", "");
	check("0d", "1235");
	check("1000d", "");
	check("75d 6", "16");
}

static void test_refused(void **state)
{
	check("7", "?7");
	check("0", "?0");
	check("+0", "!+0");
	check("+", "!+");
	check("d", "!d");
	check("-1", "!-1");
	check("2 x", "!x");
	check("+-1", "!+-1");
	check("1.5d", "!1.5d");
	check("99999999999d", "!99999999999d");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests_name("nix/select", tests, setup, NULL);
}
