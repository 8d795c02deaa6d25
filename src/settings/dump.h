/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of settings for people and programs. Each appends to a buffer, which keeps an -ENOMEM.
 * Quiet. settings_dump_help() is in settings.h.
 */
#pragma once

#include "lib/str.h"

/* {"settings": [{"id", "options", "keys", "type", "list", "trusted_file_only", "since", "honoured",
 * …}]} */
void settings_dump_json(struct buf *out);
/* Words for a shell's completion, one line per option: "--bind= -b". */
void settings_dump_completion(struct buf *out);

/*
 * scdoc text of the options (for redd-run(1)) or keys (for redd.nspawn(5)). `prose` is the text of
 * man/settings/rows.scd: "@ID" on a line of its own, and the paragraphs of that setting. Returns 0,
 * or -ENOENT with the id of an honoured setting that has no prose.
 */
int settings_dump_man_options(struct buf *out, const char *prose, const char **ret_missing);
int settings_dump_man_keys(struct buf *out, const char *prose, const char **ret_missing);
