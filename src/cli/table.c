// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tables and field lists for people, the same cells as JSON for programs. Must never print a byte
 * of a guest's unescaped. Caller's side of clone().
 */
#include "cli/table.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/text.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "lib/time.h"

#define CELL_GAP 1
/* A column is not cut below this: three letters and the ellipsis. */
#define CELL_WIDTH_MIN 4

struct cell {
	char **lines; /* escaped; at least one */
	struct json_object *value;
};

struct table {
	const struct table_column *columns;
	size_t n_columns, n_shown; /* the rest is for JSON only */
	struct cell *cells;
	size_t n_cells, allocated;
	int error;
};

struct table *table_new(const struct table_column *columns, size_t n)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->columns = columns;
	t->n_columns = n;
	while (t->n_shown < n && columns[t->n_shown].header)
		t->n_shown++;
	return t;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_cells; i++) {
		(void)strv_free(t->cells[i].lines);
		json_object_put(t->cells[i].value);
	}
	free(t->cells);
	free(t);
}

static int reserve_cell(struct table *t)
{
	size_t n = t->allocated > 0 ? 2 * t->allocated : 16 * t->n_columns;
	struct cell *cells;

	if (t->n_cells < t->allocated)
		return 0;
	cells = reallocarray(t->cells, n, sizeof(*cells));
	if (!cells)
		return -ENOMEM;
	t->cells = cells;
	t->allocated = n;
	return 0;
}

/* Takes both, also on error. */
static void add_lines(struct table *t, char **lines, struct json_object *value)
{
	if (t && (!lines || reserve_cell(t) < 0))
		t->error = -ENOMEM;
	if (!t || t->error < 0) {
		(void)strv_free(lines);
		json_object_put(value);
		return;
	}
	t->cells[t->n_cells++] = (struct cell){.lines = lines, .value = value};
}

/* Nearly all cells are plain ASCII: no need to look at each byte twice. */
static char *escape(const char *s)
{
	const char *p = s;

	while (*p >= ' ' && *p <= '~')
		p++;
	return *p ? str_escape(s) : strdup(s);
}

void table_add_cell(struct table *t, const char *text, struct json_object *value)
{
	char **lines = NULL;

	if (strv_add_owned(&lines, escape(text)) < 0)
		lines = strv_free(lines);
	add_lines(t, lines, value);
}

void table_add_text(struct table *t, const char *s)
{
	table_add_cell(t, s ? s : "-", json_from_text(s));
}

void table_add_bool(struct table *t, bool yes)
{
	table_add_cell(t, yes ? "yes" : "no", json_object_new_boolean(yes));
}

static struct json_object *json_from_u64(uint64_t n)
{
	return n == UINT64_MAX ? NULL : json_object_new_uint64(n);
}

void table_add_u64(struct table *t, uint64_t n)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	table_add_cell(t, n == UINT64_MAX ? "-" : text, json_from_u64(n));
}

void table_add_size(struct table *t, uint64_t bytes)
{
	char text[24] = "-";

	if (bytes != UINT64_MAX)
		(void)size_format(bytes, text, sizeof(text));
	table_add_cell(t, text, json_from_u64(bytes));
}

void table_add_time(struct table *t, uint64_t realtime_us)
{
	char text[64] = "-";

	if (realtime_us == 0)
		realtime_us = USEC_INFINITY;
	if (realtime_us != USEC_INFINITY)
		(void)time_format(realtime_us, text, sizeof(text));
	table_add_cell(t, text, json_from_u64(realtime_us));
}

void table_add_list(struct table *t, char *const *v)
{
	struct json_object *array = json_object_new_array();
	char **lines = NULL;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < strv_length(v); i++) {
		(void)json_object_array_add(array, json_from_text(v[i]));
		r = strv_add_owned(&lines, escape(v[i]));
	}
	if (r >= 0 && !lines)
		r = strv_add(&lines, "-");
	if (r < 0)
		lines = strv_free(lines);
	add_lines(t, lines, array);
}

size_t table_rows(const struct table *t)
{
	return t ? t->n_cells / t->n_columns : 0;
}

static const struct cell *table_cell(const struct table *t, size_t row, size_t column)
{
	return &t->cells[row * t->n_columns + column];
}

static size_t column_width(const struct table *t, size_t column, bool legend)
{
	size_t width = legend ? text_width(t->columns[column].header) : 0;

	for (size_t row = 0; row < table_rows(t); row++) {
		for (char **line = table_cell(t, row, column)->lines; *line; line++)
			width = MAX(width, text_width(*line));
	}
	return width;
}

/* Takes columns away from the widest ones until the table fits, if it can. */
static void fit_widths(size_t *widths, size_t n, size_t available)
{
	for (;;) {
		size_t total = (n - 1) * CELL_GAP, widest = 0;

		for (size_t i = 0; i < n; i++) {
			total += widths[i];
			if (widths[i] > widths[widest])
				widest = i;
		}
		if (total <= available || widths[widest] <= CELL_WIDTH_MIN)
			return;
		widths[widest]--;
	}
}

static void add_blanks(struct buf *b, size_t n)
{
	static const char blanks[] = "                                ";

	for (; n >= sizeof(blanks); n -= sizeof(blanks) - 1)
		buf_add(b, blanks, sizeof(blanks) - 1);
	buf_add(b, blanks, n);
}

static void add_padded(struct buf *b, const char *s, size_t width, bool right, bool last)
{
	size_t used = text_width(s), pad = used < width ? width - used : 0;

	if (right)
		add_blanks(b, pad);
	if (used > width)
		text_add_cut(b, s, width);
	else
		buf_add_str(b, s);
	if (!last)
		add_blanks(b, CELL_GAP + (right ? 0 : pad));
}

static void add_header(const struct table *t, struct buf *b, const size_t *widths, bool color)
{
	buf_add_str(b, color ? "\033[4m" : "");
	for (size_t i = 0; i < t->n_shown; i++)
		add_padded(b, t->columns[i].header, widths[i], t->columns[i].right,
			   !color && i + 1 == t->n_shown);
	buf_add_str(b, color ? "\033[0m\n" : "\n");
}

/* Cells of several lines make the row as high as the highest. */
static void add_row(const struct table *t, struct buf *b, const size_t *widths, size_t row)
{
	size_t height = 1;

	for (size_t i = 0; i < t->n_shown; i++)
		height = MAX(height, strv_length(table_cell(t, row, i)->lines));
	for (size_t k = 0; k < height; k++) {
		for (size_t i = 0; i < t->n_shown; i++) {
			char **lines = table_cell(t, row, i)->lines;

			add_padded(b, k < strv_length(lines) ? lines[k] : "", widths[i],
				   t->columns[i].right, i + 1 == t->n_shown);
		}
		buf_add_str(b, "\n");
	}
}

static void add_footer(const struct table *t, struct buf *b, const char *one, const char *many)
{
	size_t n = table_rows(t);

	if (n == 0)
		buf_printf(b, "No %s.\n", many);
	else
		buf_printf(b, "\n%zu %s listed.\n", n, n == 1 ? one : many);
}

static int write_out(FILE *out, const struct buf *b)
{
	if (b->error < 0)
		return b->error;
	errno = 0;
	if ((b->size > 0 && fwrite(b->data, 1, b->size, out) != b->size) || fflush(out) != 0)
		return errno > 0 ? -errno : -EIO;
	return 0;
}

static int print_text(const struct table *t, FILE *out, const struct cli *cli, const char *one,
		      const char *many)
{
	autofree size_t *widths = calloc(t->n_shown, sizeof(*widths));
	autobuf struct buf b = {};
	size_t rows = table_rows(t);

	if (!widths)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_shown; i++)
		widths[i] = column_width(t, i, cli->legend);
	if (!cli->full)
		fit_widths(widths, t->n_shown, text_terminal_width(out));
	if (cli->legend && rows > 0)
		add_header(t, &b, widths, text_wants_color(out));
	for (size_t row = 0; row < rows; row++)
		add_row(t, &b, widths, row);
	if (cli->legend && many)
		add_footer(t, &b, one, many);
	return write_out(out, &b);
}

static int print_json(const struct table *t, FILE *out, bool pretty)
{
	struct json_object *array = json_object_new_array();
	int r;

	for (size_t row = 0; array && row < table_rows(t); row++) {
		struct json_object *object = json_object_new_object();

		for (size_t i = 0; object && i < t->n_columns; i++)
			(void)json_object_object_add_ex(
				object, t->columns[i].key,
				json_object_get(table_cell(t, row, i)->value),
				JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_ADD_CONSTANT_KEY);
		(void)json_object_array_add(array, object);
	}
	if (!array)
		return -ENOMEM;
	r = json_print(out, array, pretty);
	json_object_put(array);
	return r;
}

int table_print(struct table *t, FILE *out, const struct cli *cli, const char *one,
		const char *many)
{
	if (!t || t->error < 0)
		return -ENOMEM;
	if (cli->json != CLI_JSON_OFF)
		return print_json(t, out, cli->json == CLI_JSON_PRETTY);
	return print_text(t, out, cli, one, many);
}

void field_print(FILE *out, const char *label, const char *value)
{
	autofree char *escaped = value ? str_escape(value) : NULL;

	if (escaped)
		(void)fprintf(out, "%16s: %s\n", label, escaped);
}

void field_print_time(FILE *out, const char *label, uint64_t realtime_us)
{
	char when[64], span[64];
	uint64_t now = time_realtime_us();

	if (realtime_us == 0 || realtime_us == USEC_INFINITY)
		return;
	(void)time_format(realtime_us, when, sizeof(when));
	(void)time_format_span(now > realtime_us ? now - realtime_us : realtime_us - now, span,
			       sizeof(span));
	(void)fprintf(out, "%16s: %s; %s %s\n", label, when, span,
		      now >= realtime_us ? "ago" : "from now");
}
