// SPDX-License-Identifier: LGPL-2.1-or-later
/* Selects generations by words. Pure functions of data. */
#include "nix/select.h"

#include <errno.h>

#include "lib/parse.h"
#include "lib/str.h"
#include "lib/time.h"

#define US_PER_DAY (24 * 3600 * USEC_PER_SEC)

struct selection {
	const struct nix_generation *list;
	size_t count;
	bool *selected;
};

static void select_all_but_current(struct selection *s)
{
	for (size_t i = 0; i < s->count; i++)
		s->selected[i] |= !s->list[i].is_current;
}

/* Counts back from the current one, which is the first that is kept. */
static void select_all_but_last(struct selection *s, uint32_t keep)
{
	bool seen = false;

	for (size_t i = s->count; i-- > 0;) {
		seen |= s->list[i].is_current;
		if (seen && keep > 0)
			keep--;
		else if (seen)
			s->selected[i] |= !s->list[i].is_current;
	}
}

/* Keeps the newest of the old ones: it was the current one at that time. */
static void select_older(struct selection *s, uint64_t than_us)
{
	bool kept = false;

	for (size_t i = s->count; i-- > 0;) {
		if (s->list[i].created_us >= than_us)
			continue;
		if (kept)
			s->selected[i] |= !s->list[i].is_current;
		kept = true;
	}
}

static int select_number(struct selection *s, uint32_t number)
{
	for (size_t i = 0; i < s->count; i++) {
		if (s->list[i].number == number) {
			s->selected[i] = true;
			return 0;
		}
	}
	return -ENOENT;
}

static int select_days(struct selection *s, const char *word, uint64_t now_us)
{
	autofree char *digits = strndup(word, strlen(word) - 1);
	uint32_t days;
	uint64_t span;

	if (!digits)
		return -ENOMEM;
	if (parse_u32(digits, &days) < 0)
		return -EINVAL;
	span = days * US_PER_DAY;
	select_older(s, span < now_us ? now_us - span : 0);
	return 0;
}

static int select_word(struct selection *s, const char *word, uint64_t now_us)
{
	uint32_t n;

	if (streq(word, "old")) {
		select_all_but_current(s);
		return 0;
	}
	if (word[0] == '+') {
		if (parse_u32(word + 1, &n) < 0 || n == 0)
			return -EINVAL;
		select_all_but_last(s, n);
		return 0;
	}
	if (str_has_suffix(word, "d"))
		return select_days(s, word, now_us);
	return parse_u32(word, &n) < 0 ? -EINVAL : select_number(s, n);
}

int nix_generations_select(const struct nix_generation *list, size_t count, char *const words[],
			   uint64_t now_us, bool **ret_selected, const char **ret_bad)
{
	autofree bool *selected = calloc(count + 1, sizeof(*selected));
	struct selection s = {.list = list, .count = count, .selected = selected};

	if (!selected)
		return -ENOMEM;
	for (; *words; words++) {
		int r = select_word(&s, *words, now_us);

		if (r < 0) {
			*ret_bad = *words;
			return r;
		}
	}
	*ret_selected = take_ptr(selected);
	return 0;
}
