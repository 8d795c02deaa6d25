/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The console log: /var/log/redd/NAME.log, and NAME.log.1 for older records. Bounded: at
 * CONSOLELOG_MAX_BYTES the file becomes .1 and a new one begins. One record per line:
 *
 *   2026-11-23T14:31:46.123456Z text       a line of the console
 *   2026-11-23T14:31:46.123456Z+text       the rest of a line whose beginning was flushed before
 *   2026-11-23T14:31:46.123456Z=text       written by redd: "started", "ready", "exited: …"
 *
 * The text is the guest's bytes less newline and carriage return: readers escape it for terminals.
 * Kept after the machine has ended, also after a failed boot.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CONSOLELOG_MAX_BYTES (1024 * 1024)
#define CONSOLELOG_LINE_MAX 4096

struct consolelog;

/* Opens for appending; the first record creates the file (0600). Quiet. 0 or -errno. */
int consolelog_open(const char *name, struct consolelog **ret);
void consolelog_close(struct consolelog *log); /* flushes; NULL is fine */
/* Takes bytes of the console; complete lines are written, the rest is kept. */
void consolelog_write(struct consolelog *log, const void *data, size_t size);
/* Writes the unfinished line, if there is one (called when the console falls silent). */
void consolelog_flush(struct consolelog *log);
/* 1 when an unfinished line is kept. */
int consolelog_pending(const struct consolelog *log);
/* A record of redd's own. */
void consolelog_mark(struct consolelog *log, const char *text);

/*
 * The last `lines` records since the last "=started" mark (all when `lines` is 0), as text with
 * one escaped line each, without times: for error messages and `status`. A new string or NULL.
 */
char *consolelog_tail(const char *name, unsigned lines);

/* One parsed record; `text` points into the line. */
struct consolelog_record {
	uint64_t when_us; /* real time */
	char kind;	  /* ' ', '+' or '=' */
	const char *text;
};

/* `line` without its newline. 0, or -EBADMSG. */
int consolelog_parse(const char *line, struct consolelog_record *ret);

/*
 * The whole log as one string, what came before it (.log.1) first. *ret_end is the offset in the
 * present file that the text goes up to, for following. -ENOENT when nothing was ever logged.
 */
int consolelog_read(const char *name, char **ret, uint64_t *ret_end);
/* Where the records since the last "=started" begin. */
char *consolelog_last_boot(char *text);
