/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A network namespace for this program alone, and nft(8) in it, for the tests of the packet filter.
 */
#pragma once

#include <sched.h>

#include "check.h"
#include "lib/str.h"

/* Call once, at the start. False if not permitted, or without nft. */
static inline bool netfilter_enter(void)
{
	return unshare(CLONE_NEWNET | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) == 0 &&
	       system("nft list ruleset >/dev/null 2>&1") == 0;
}

/* nft's output for a command line. */
static inline char *netfilter_nft(const char *argument)
{
	autofree char *command = str_printf("nft %s", argument);
	autobuf struct buf out = {};
	char data[4096], *text;
	size_t n;
	FILE *pipe = popen(command, "r");

	assert_non_null(pipe);
	while ((n = fread(data, 1, sizeof(data), pipe)) > 0)
		buf_add(&out, data, n);
	assert_int_equal(pclose(pipe), 0);
	assert_int_equal(buf_take(&out, &text), 0);
	return text;
}

static inline void netfilter_load(const char *rules)
{
	FILE *pipe = popen("nft -f -", "w");

	assert_non_null(pipe);
	assert_true(fprintf(pipe, "flush ruleset\n%s\n", rules) > 0);
	assert_int_equal(pclose(pipe), 0);
}
