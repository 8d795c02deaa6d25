/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shows progress. Must never end a transfer because its output fails. Runs in the worker's parent,
 * or in the packing process.
 */
#include "transfer/progress.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/macro.h"
#include "lib/time.h"
#include "log/log.h"

#define TERMINAL_INTERVAL_US (100 * USEC_PER_MSEC)
#define LINES_INTERVAL_US (1 * USEC_PER_SEC)
/* Without a terminal: a line for each tenth of the input, and at least one every ten seconds. */
#define LINES_STEP_PERCENT 10
#define LINES_STEP_US (10 * USEC_PER_SEC)
#define JSON_INTERVAL_US (250 * USEC_PER_MSEC)

static uint64_t load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static uint64_t interval_us(const struct progress *p)
{
	switch (p->style) {
	case PROGRESS_TERMINAL:
		return TERMINAL_INTERVAL_US;
	case PROGRESS_LINES:
		return LINES_INTERVAL_US;
	case PROGRESS_JSON:
		return JSON_INTERVAL_US;
	default:
		return USEC_INFINITY;
	}
}

static enum progress_style style_for(const struct import_request *request)
{
	if (request->output == TRANSFER_OUTPUT_JSON)
		return PROGRESS_JSON;
	if (request->quiet)
		return PROGRESS_NONE;
	return isatty(STDERR_FILENO) ? PROGRESS_TERMINAL : PROGRESS_LINES;
}

void progress_start(struct progress *p, const struct import_request *request, const char *name)
{
	uint64_t now = time_monotonic_us();

	*p = (struct progress){.style = style_for(request), .name = name, .started_us = now};
	p->next_us = p->style == PROGRESS_NONE ? USEC_INFINITY : now + interval_us(p);
}

int progress_timeout_ms(const struct progress *p)
{
	uint64_t now = time_monotonic_us();

	if (p->next_us == USEC_INFINITY)
		return -1;
	return p->next_us <= now ? 0 : (int)((p->next_us - now) / USEC_PER_MSEC + 1);
}

struct figures {
	uint64_t read;
	uint64_t rate; /* bytes per second */
	uint64_t left_us;
	unsigned percent;
};

static struct figures figures_now(const struct progress *p)
{
	uint64_t elapsed = MAX(time_monotonic_us() - p->started_us, UINT64_C(1));
	struct figures f = {.read = load(&p->stats->bytes_read), .left_us = USEC_INFINITY};

	f.rate = (uint64_t)((double)f.read * (double)USEC_PER_SEC / (double)elapsed);
	if (p->total > 0) {
		uint64_t read = MIN(f.read, p->total);

		f.percent = (unsigned)(read * 100 / p->total);
		if (f.rate > 0)
			f.left_us = (uint64_t)((double)(p->total - read) / (double)f.rate *
					       (double)USEC_PER_SEC);
	}
	return f;
}

/* "12.0M of 30.1M (40%), 10.2M/s, 2s left" */
static void figures_to_text(const struct progress *p, const struct figures *f, char *text,
			    size_t size)
{
	char read[32], total[32], rate[32], left[64];

	(void)size_format(f->read, read, sizeof(read));
	(void)size_format(f->rate, rate, sizeof(rate));
	if (p->total == 0) {
		(void)snprintf(text, size, "%s read, %s/s", read, rate);
		return;
	}
	(void)size_format(p->total, total, sizeof(total));
	if (f->left_us == USEC_INFINITY)
		(void)snprintf(left, sizeof(left), "unknown time");
	else
		(void)time_format_span((f->left_us / USEC_PER_SEC) * USEC_PER_SEC, left,
				       sizeof(left));
	(void)snprintf(text, size, "%s of %s (%u%%), %s/s, %s left", read, total, f->percent, rate,
		       left);
}

static void draw_terminal(struct progress *p, const struct figures *f)
{
	char text[192], line[320];
	int n;

	figures_to_text(p, f, text, sizeof(text));
	/* Switch off the terminal's line wrapping meanwhile: a wrapped line can't be redrawn. */
	n = snprintf(line, sizeof(line), "\r\033[?7l%s: %s\033[K\033[?7h", p->name, text);
	if (n > 0 && write(STDERR_FILENO, line, MIN((size_t)n, sizeof(line) - 1)) > 0)
		p->drawn = true;
}

static void print_line(struct progress *p, const struct figures *f, uint64_t now)
{
	char text[192];

	if (f->percent < p->percent + LINES_STEP_PERCENT &&
	    (now - p->started_us) / LINES_STEP_US ==
		    (now - p->started_us - LINES_INTERVAL_US) / LINES_STEP_US)
		return;
	p->percent = f->percent;
	figures_to_text(p, f, text, sizeof(text));
	log_info("%s: %s", p->name, text);
}

/* Machine names need no escapes in JSON. */
static void print_json(const struct progress *p, const struct figures *f)
{
	printf("{\"type\":\"progress\",\"name\":\"%s\",\"bytesRead\":%" PRIu64, p->name, f->read);
	if (p->total > 0)
		printf(",\"bytesTotal\":%" PRIu64 ",\"percent\":%u", p->total, f->percent);
	printf(",\"bytesPerSecond\":%" PRIu64, f->rate);
	if (f->left_us != USEC_INFINITY)
		printf(",\"secondsLeft\":%" PRIu64, f->left_us / USEC_PER_SEC);
	printf("}\n");
	(void)fflush(stdout);
}

void progress_tick(struct progress *p)
{
	uint64_t now = time_monotonic_us();
	struct figures f;

	if (now < p->next_us || !p->stats)
		return;
	p->next_us = now + interval_us(p);
	f = figures_now(p);
	if (p->style == PROGRESS_TERMINAL)
		draw_terminal(p, &f);
	else if (p->style == PROGRESS_LINES)
		print_line(p, &f, now);
	else if (p->style == PROGRESS_JSON)
		print_json(p, &f);
}

void progress_clear(struct progress *p)
{
	static const char erase[] = "\r\033[K";

	if (p->drawn && write(STDERR_FILENO, erase, sizeof(erase) - 1) > 0)
		p->drawn = false;
}

static void print_json_result(const struct progress *p, const char *path, double seconds)
{
	struct json_object *o = json_object_new_object();

	if (!o)
		return;
	(void)json_object_object_add(o, "type", json_object_new_string("result"));
	(void)json_object_object_add(o, "name", json_object_new_string(p->name));
	(void)json_object_object_add(o, "path", json_object_new_string(path));
	(void)json_object_object_add(o, "entries",
				     json_object_new_uint64(load(&p->stats->entries)));
	(void)json_object_object_add(o, "bytesRead",
				     json_object_new_uint64(load(&p->stats->bytes_read)));
	(void)json_object_object_add(o, "bytesUnpacked",
				     json_object_new_uint64(load(&p->stats->bytes_unpacked)));
	(void)json_object_object_add(o, "seconds", json_object_new_double(seconds));
	printf("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE));
	(void)fflush(stdout);
	(void)json_object_put(o);
}

void progress_finish(struct progress *p, const char *path)
{
	double seconds = (double)(time_monotonic_us() - p->started_us) / (double)USEC_PER_SEC;
	char in[32], out[32];

	progress_clear(p);
	if (p->style == PROGRESS_JSON)
		print_json_result(p, path, seconds);
	else if (p->style != PROGRESS_NONE)
		log_info("imported %s: %" PRIu64 " entries, %s unpacked from %s in %.1fs", p->name,
			 load(&p->stats->entries),
			 size_format(load(&p->stats->bytes_unpacked), out, sizeof(out)),
			 size_format(load(&p->stats->bytes_read), in, sizeof(in)), seconds);
}
