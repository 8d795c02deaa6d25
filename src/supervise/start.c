/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `redd start`: the supervisor in a process of its own. A pipe connects the two until the machine
 * is ready. The supervisor's messages go through it; a NUL byte means "ready", end of file without
 * one is a failure. Afterwards the supervisor must not depend on its caller in any way. Both sides.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "kernel/sys.h"
#include "lib/fd.h"
#include "lib/parse.h"
#include "lib/str.h"
#include "lib/time.h"
#include "log/log.h"
#include "supervise/internal.h"

#define TAIL_LINES 10
/* A line of its own on the pipe: the machine got as far as having a console log. */
#define HAS_LOG 'T'
/* Time to kill one generation and start the next. */
#define ROLLBACK_EXTRA_US (10 * USEC_PER_SEC)

/* Each line on the pipe begins with '0' + its level. */
static void pipe_sink(enum log_level level, const char *line, void *userdata)
{
	struct supervisor *s = userdata;
	autofree char *text = s->start_fd < 0 ? NULL : str_printf("%c%s\n", '0' + (int)level, line);

	if (text)
		(void)outlet_write(&s->messages, text, strlen(text));
	/* In the log too, for those who ask later why a start failed. */
	if (s->log)
		consolelog_mark(s->log, line);
}

static void hang_up(void *userdata)
{
	outlet_close(userdata);
}

void start_report_ready(struct supervisor *s)
{
	if (s->start_fd < 0)
		return;
	s->start_fd = -1;
	(void)outlet_write(&s->messages, "", 1);
	/* Now, or when the caller reads again, should it be stopped. */
	s->messages.on_empty = hang_up;
	s->messages.userdata = &s->messages;
	if (outlet_is_empty(&s->messages))
		outlet_close(&s->messages);
}

void start_report_log(struct supervisor *s)
{
	if (s->start_fd >= 0)
		(void)outlet_write(&s->messages, (const char[]){HAS_LOG, '\n'}, 2);
}

/* The caller's locks and pipes must not stay open for as long as the machine runs. */
static int close_inherited(int keep)
{
	int r = keep > 3 ? sys_close_range(3, (unsigned)keep - 1, 0) : 0;

	return r < 0 ? r : sys_close_range((unsigned)keep + 1, ~0U, 0);
}

static int detach(int start_fd)
{
	int r = close_inherited(start_fd);
	autoclose int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (r < 0)
		return log_errno(r, "close the caller's descriptors");
	if (null < 0)
		return log_errno(-errno, "open /dev/null");
	for (int fd = 0; fd < 3; fd++)
		if (dup2(null, fd) < 0)
			return log_errno(-errno, "let go of the terminal");
	(void)setsid();
	return chdir("/") < 0 ? log_errno(-errno, "change to /") : 0;
}

static void __attribute__((noreturn)) be_supervisor(struct supervisor *s)
{
	int r;

	/* Nobody else has this end of the pipe, so its flags may be changed. */
	outlet_open_own(&s->messages, s->start_fd, SUPERVISOR_MESSAGES_MAX);
	log_set_sink(pipe_sink, s);
	(void)prctl(PR_SET_NAME, "redd-supervisor");
	r = detach(s->start_fd);
	if (r == -ENOSYS)
		log_hint(SUPERVISE_OLD_KERNEL);
	if (r >= 0)
		r = supervisor_live(s);
	_exit(r < 0 ? 1 : 0);
}

/* What has come through the pipe so far. */
struct answer {
	bool has_log;
	bool has_error;
};

/* Prints one line of the supervisor. True for an error. */
static bool print_line(const char *line)
{
	static void (*const levels[])(const char *, ...) = {
		NULL,
		log_warning,
		log_info,
	};
	unsigned level = (unsigned)(line[0] - '0');

	if (level >= 1 && level <= 2) {
		levels[level]("%s", line + 1);
		return false;
	}
	(void)log_error(-EIO, "%s", line[0] ? line + 1 : line);
	return true;
}

/* Prints the whole lines in `text` and keeps the rest; true when the NUL of "ready" is there. */
static bool take_text(struct buf *text, struct answer *answer)
{
	char *line = text->data;
	char *limit = text->data + text->size;
	char *end;

	while ((end = memchr(line, '\n', (size_t)(limit - line)))) {
		*end = '\0';
		if (*line == HAS_LOG)
			answer->has_log = true;
		else
			answer->has_error |= print_line(line);
		line = end + 1;
	}
	text->size = (size_t)(limit - line);
	memmove(text->data, line, text->size);
	return memchr(text->data, '\0', text->size) != NULL;
}

/* 0 ready, -EIO ended, -ETIMEDOUT, or another error of our own. */
static int wait_ready(int fd, uint64_t timeout_us, struct answer *answer)
{
	uint64_t now = time_monotonic_us();
	uint64_t due = timeout_us > USEC_INFINITY - now ? USEC_INFINITY : now + timeout_us;
	autobuf struct buf text = {};

	for (;;) {
		struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
		int wait_ms = due == USEC_INFINITY ? -1
			      : due <= now	   ? 0
					   : (int)MIN((due - now) / USEC_PER_MSEC + 1, 1000000U);
		char data[1024];
		ssize_t n;

		if (poll(&poll_fd, 1, wait_ms) == 0 && time_monotonic_us() >= due)
			return -ETIMEDOUT;
		now = time_monotonic_us();
		if (!poll_fd.revents)
			continue;
		n = read(fd, data, sizeof(data));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? -EIO : -errno;
		buf_add(&text, data, (size_t)n);
		if (text.error < 0)
			return text.error;
		if (take_text(&text, answer))
			return 0;
	}
}

static void print_tail(const char *machine)
{
	autofree char *tail = consolelog_tail(machine, TAIL_LINES);

	if (!str_is_empty(tail))
		(void)fprintf(stderr, "The last lines of its console (all: redd logs %s):\n%s%s",
			      machine, tail, str_has_suffix(tail, "\n") ? "" : "\n");
}

/* A generation that fails may be followed by the one before it. */
static uint64_t time_to_wait(const struct spec *spec)
{
	uint64_t once = spec->ready_timeout_us;

	return !spec->nix_rollback || once > USEC_INFINITY / 2 - ROLLBACK_EXTRA_US
		       ? once
		       : 2 * once + ROLLBACK_EXTRA_US;
}

/* The supervisor undoes everything before it ends, so wait for that. */
static void see_end(const struct spec *spec, pid_t pid, const struct answer *answer)
{
	int status = 0;

	(void)waitpid(pid, &status, 0);
	if (!answer->has_error && WIFSIGNALED(status))
		(void)log_error(-ECHILD,
				"the supervisor of machine %s was killed by signal %s before the "
				"machine was ready",
				spec->machine, signal_to_name(WTERMSIG(status)));
	else if (!answer->has_error)
		(void)log_error(-ECHILD, "the supervisor of machine %s ended without a word",
				spec->machine);
	if (answer->has_log)
		print_tail(spec->machine);
}

static int follow(const struct spec *spec, pid_t pid, int fd)
{
	struct answer answer = {};
	char span[64];
	int r = wait_ready(fd, time_to_wait(spec), &answer);

	if (r == -ETIMEDOUT)
		return log_error(r,
				 "machine %s has not said within %s that it is ready; it is left "
				 "running: see redd logs %s",
				 spec->machine,
				 time_format_span(spec->ready_timeout_us, span, sizeof(span)),
				 spec->machine);
	if (r == -EIO)
		see_end(spec, pid, &answer);
	else if (r < 0)
		(void)log_errno(r, "hear from the supervisor of machine %s", spec->machine);
	return r;
}

int supervise_start(const struct spec *spec, const struct image *image)
{
	struct supervisor s = {.spec = spec, .image = image};
	int ends[2];
	pid_t pid;
	int r;

	if (fd_reserve_stdio() < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return log_errno(-errno, "make a pipe to the supervisor");
	pid = fork();
	if (pid < 0)
		return log_errno(-errno, "start the supervisor");
	s.start_fd = ends[1];
	if (pid == 0) {
		(void)close(ends[0]);
		be_supervisor(&s);
	}
	(void)close(ends[1]);
	r = follow(spec, pid, ends[0]);
	(void)close(ends[0]);
	return r;
}
