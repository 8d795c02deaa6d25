/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What verbs show: tables, lists of fields, or the same as JSON. Cells are added left to right, row
 * after row; a missing memory is kept and told by table_print(). Text cells may hold any bytes:
 *they are escaped. Nothing is ever cut when the output is not a terminal.
 *
 *	static const struct table_column columns[] = {{"NAME", "name"}, {"USAGE", "usage", true}};
 *	autotable struct table *t = table_new(columns, ARRAY_SIZE(columns));
 *	table_add_text(t, name);
 *	table_add_size(t, bytes);
 *	return table_print(t, stdout, cli, "image", "images");
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/cleanup.h"

struct cli;
struct json_object;

struct table_column {
	const char *header; /* upper case, for people; NULL, at the end only: for JSON only */
	const char *key;    /* of the JSON object that a row becomes */
	bool right;	    /* align to the right: numbers and sizes */
};

struct table;

/* `columns` must outlive the table. NULL without memory, which every function below takes. */
struct table *table_new(const struct table_column *columns, size_t n);
void table_free(struct table *t);
DEFINE_POINTER_CLEANUP(struct table *, table_free)
#define autotable autocall(table_freep)

/* Every one adds one cell; "unknown" values show as "-" and are null in JSON. */
void table_add_text(struct table *t, const char *s); /* NULL: unknown */
void table_add_bool(struct table *t, bool yes);
void table_add_u64(struct table *t, uint64_t n);	    /* UINT64_MAX: unknown */
void table_add_size(struct table *t, uint64_t bytes);	    /* UINT64_MAX: unknown */
void table_add_time(struct table *t, uint64_t realtime_us); /* 0 or USEC_INFINITY: unknown */
void table_add_list(struct table *t, char *const *v);	    /* one line per item; JSON array */
/* Any other: `text` as shown, copied and escaped; `value` is taken, also without memory. */
void table_add_cell(struct table *t, const char *text, struct json_object *value);

size_t table_rows(const struct table *t);
/*
 * Of `cli` counts: json (an array of objects), legend (header and footer; "3 images listed.", "No
 * images."), full (cut nothing on a terminal either). No footer without nouns. 0, -ENOMEM, or the
 * error of writing.
 */
int table_print(struct table *t, FILE *out, const struct cli *cli, const char *one,
		const char *many);

/*
 * One line of a status page, "            Type: directory", the label right-aligned to 16 columns
 * as machinectl's are. The value is escaped. NULL: no line.
 */
void field_print(FILE *out, const char *label, const char *value);
/* "Mon 2026-11-23 14:31:46 UTC; 2min 3s ago"; no line for 0 and USEC_INFINITY. */
void field_print_time(FILE *out, const char *label, uint64_t realtime_us);
