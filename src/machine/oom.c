// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reads and lowers OOM scores. Host side of clone(). */
#include "machine/oom.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/macro.h"
#include "lib/parse.h"
#include "lib/str.h"

#define SELF "/proc/self/oom_score_adj"

static int read_score(const char *path)
{
	autofree char *text = NULL;
	int score = 0;

	if (io_read_file_at(AT_FDCWD, path, 32, &text, NULL) < 0 ||
	    parse_i32(str_strip(text), &score) < 0)
		return 0;
	return score;
}

int oom_score_of(pid_t pid)
{
	char path[48];

	(void)snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	return read_score(path);
}

void oom_score_format(int score, char ret[OOM_SCORE_TEXT])
{
	(void)snprintf(ret, OOM_SCORE_TEXT, "%d", score);
}

/* Without the capability the kernel enforces a minimum, which can't be read; usually it is 0. */
int oom_score_lower_own(void)
{
	int now = read_score(SELF);
	char text[OOM_SCORE_TEXT];

	oom_score_format(OOM_SCORE_MIN, text);
	if (now > OOM_SCORE_MIN && io_write_file_at(AT_FDCWD, SELF, text) >= 0)
		return OOM_SCORE_MIN;
	if (now > 0 && io_write_file_at(AT_FDCWD, SELF, "0") >= 0)
		return 0;
	return now;
}

int oom_score_of_machine(int supervisor)
{
	return supervisor < 0 ? 0 : MIN(supervisor + OOM_SCORE_AHEAD, OOM_SCORE_MAX);
}
