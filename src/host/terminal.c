/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's pseudo terminals and its console. The console is a terminal of the guest's own
 * devpts, so that programs find its name; the supervisor has the master. The guest must never get a
 * descriptor of a terminal of the host (T01). Supervisor's side.
 */
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/host.h"
#include "lib/str.h"
#include "log/log.h"

/*
 * The limit of one devpts. All machines share kernel.pty.max minus kernel.pty.reserve, 3072 by
 * default, so a program that opens ptys in a loop must leave some for others. Root of a machine can
 * raise the limit, by a remount or a devpts of its own.
 */
#define PTYS_MAX "256"

/* A directory as descriptor 0, 1 or 2 would lead out of the root (CVE-2024-21626). */
static int refuse_directories(void)
{
	for (int fd = 0; fd < 3; fd++) {
		struct stat st;

		if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
			return log_error(-EISDIR,
					 "standard %s is a directory: refused, the machine "
					 "could leave its tree by it",
					 fd ? "output" : "input");
	}
	return 0;
}

static int terminal_prepare(struct host *host)
{
	const char *term = getenv("TERM");

	if (host->spec->console == SPEC_CONSOLE_PIPE && refuse_directories() < 0)
		return -EISDIR;
	host->facts.has_terminal = host->spec->console == SPEC_CONSOLE_INTERACTIVE;
	if (host->facts.has_terminal && !str_is_empty(term))
		host->facts.term = strdup(term);
	return 0;
}

static void plan_console(struct plan *plan)
{
	PLAN_ADD(plan, .kind = PLAN_OP_OPEN_PTY, .stage = PLAN_STAGE_INNER, .in = PLAN_SLOT_PTS,
		 .out = PLAN_SLOT_PTY_SLAVE);
	PLAN_ADD(plan, .kind = PLAN_OP_CONSOLE, .stage = PLAN_STAGE_INNER, .in = PLAN_SLOT_PTS,
		 .at = PLAN_SLOT_ROOT, .path = "/dev/console");
}

static void terminal_plan(const struct spec *spec, const struct host_facts *facts,
			  struct plan *plan)
{
	PLAN_ADD(plan, .kind = PLAN_OP_MOUNT_FS, .stage = PLAN_STAGE_INNER, .source = "devpts",
		 .data = "mode=0620,ptmxmode=0666,gid=5,max=" PTYS_MAX,
		 .flags = MS_NOSUID | MS_NOEXEC, .at = PLAN_SLOT_ROOT, .path = "/dev/pts",
		 .out = PLAN_SLOT_PTS);
	if (spec->console != SPEC_CONSOLE_PIPE)
		plan_console(plan);
}

static void terminal_done(struct host_facts *facts)
{
	free(facts->term);
}

const struct host_module host_module_terminal = {
	.name = "terminal",
	.prepare = terminal_prepare,
	.plan = terminal_plan,
	.done = terminal_done,
};
