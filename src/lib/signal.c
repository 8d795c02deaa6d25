/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signals by name and number. Must never depend on the locale or on libc's own tables, whose
 * names differ between libraries. Parent side of clone() only.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/macro.h"
#include "lib/parse.h"

static const struct {
	const char *name;
	int number;
} signals[] = {
	{"HUP", SIGHUP},
	{"INT", SIGINT},
	{"QUIT", SIGQUIT},
	{"ILL", SIGILL},
	{"TRAP", SIGTRAP},
	{"ABRT", SIGABRT},
	{"BUS", SIGBUS},
	{"FPE", SIGFPE},
	{"KILL", SIGKILL},
	{"USR1", SIGUSR1},
	{"SEGV", SIGSEGV},
	{"USR2", SIGUSR2},
	{"PIPE", SIGPIPE},
	{"ALRM", SIGALRM},
	{"TERM", SIGTERM},
	{"STKFLT", SIGSTKFLT},
	{"CHLD", SIGCHLD},
	{"CONT", SIGCONT},
	{"STOP", SIGSTOP},
	{"TSTP", SIGTSTP},
	{"TTIN", SIGTTIN},
	{"TTOU", SIGTTOU},
	{"URG", SIGURG},
	{"XCPU", SIGXCPU},
	{"XFSZ", SIGXFSZ},
	{"VTALRM", SIGVTALRM},
	{"PROF", SIGPROF},
	{"WINCH", SIGWINCH},
	{"IO", SIGIO},
	{"PWR", SIGPWR},
	{"SYS", SIGSYS},
	/* Other names of the above: found when read, never written. */
	{"IOT", SIGABRT},
	{"POLL", SIGIO},
	{"CLD", SIGCHLD},
};

/* Decimal distance behind RTMIN+ or RTMAX-, 0 when nothing follows. */
static int parse_realtime_offset(const char *s, char sign, int *ret)
{
	uint32_t offset;
	int r;

	if (!*s) {
		*ret = 0;
		return 0;
	}
	if (*s != sign)
		return -EINVAL;
	r = parse_u32(s + 1, &offset);
	if (r < 0)
		return r;
	if (offset > (uint32_t)(SIGRTMAX - SIGRTMIN))
		return -ERANGE;
	*ret = (int)offset;
	return 0;
}

static int parse_realtime_signal(const char *name, int *ret)
{
	int offset, r;

	if (strncmp(name, "RTMIN", 5) == 0) {
		r = parse_realtime_offset(name + 5, '+', &offset);
		if (r >= 0)
			*ret = SIGRTMIN + offset;
		return r;
	}
	if (strncmp(name, "RTMAX", 5) == 0) {
		r = parse_realtime_offset(name + 5, '-', &offset);
		if (r >= 0)
			*ret = SIGRTMAX - offset;
		return r;
	}
	return -EINVAL;
}

int parse_signal(const char *s, int *ret)
{
	uint32_t number;
	int r = parse_u32(s, &number);

	if (r == -ERANGE || (r == 0 && number > (uint32_t)SIGRTMAX))
		return -ERANGE;
	if (r == 0) {
		if (number == 0)
			return -EINVAL;
		*ret = (int)number;
		return 0;
	}
	if (strncmp(s, "SIG", 3) == 0)
		s += 3;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (strcmp(signals[i].name, s) == 0) {
			*ret = signals[i].number;
			return 0;
		}
	return parse_realtime_signal(s, ret);
}

const char *signal_to_name(int signal)
{
	static char name[16];

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (signals[i].number == signal)
			return signals[i].name;
	if (signal == SIGRTMIN)
		return "RTMIN";
	if (signal > SIGRTMIN && signal <= SIGRTMAX)
		(void)snprintf(name, sizeof(name), "RTMIN+%d", signal - SIGRTMIN);
	else
		(void)snprintf(name, sizeof(name), "%d", signal);
	return name;
}
