/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text as a terminal shows it: widths, cutting to a width, JSON without bytes a terminal obeys. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "lib/str.h"

struct json_object;

/* Columns that valid UTF-8 takes: 0 for combining marks, 2 for wide East Asian signs, else 1. */
size_t text_width(const char *s);
/* Adds `s` to `b`, cut to `width` columns with an ellipsis at its end when it is wider. */
void text_add_cut(struct buf *b, const char *s, size_t width);

/* Columns of the terminal behind `out`, or SIZE_MAX when it is none (nothing may be cut then). */
size_t text_terminal_width(FILE *out);
/* On a terminal that is not dumb, with NO_COLOR unset or empty. */
bool text_wants_color(FILE *out);

/*
 * A JSON string of any bytes: what is no valid UTF-8 is escaped as str_escape() does. NULL for NULL
 * (which json-c prints as null) or without memory.
 */
struct json_object *json_from_text(const char *s);
/*
 * Prints one value and a newline. DEL, C1 controls and bidirectional overrides become \uNNNN, so
 * that a terminal never obeys what an image wrote. 0, -ENOMEM or the error of writing.
 */
int json_print(FILE *out, struct json_object *value, bool pretty);
