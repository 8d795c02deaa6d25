/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* security row: S01 */
/*
 * The reader of .nspawn files, then the spec. The first byte chooses trusted or not. Aborts when an
 * untrusted text brings a setting that its row doesn't allow (S01).
 */
#include <stdint.h>
#include <stdlib.h>

#include "log/log.h"
#include "settings/file.h"
#include "settings/table.h"
#include "spec/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void swallow(enum log_level level, const char *line, void *userdata)
{
}

static void check_trust(const struct settings *settings)
{
	for (int id = 0; id < SETTING_COUNT; id++)
		if (settings->rows[id].count > 0 && setting_table[id].trust != SETTING_TRUST_ANY)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct spec_context context = {.machine = "m", .directory = "/m"};
	autosettings struct settings settings = {};
	autospec struct spec spec = {};
	struct settings_text text = {.path = "f", .trusted_dir = "/etc/systemd/nspawn"};

	if (size == 0)
		return 0;
	log_set_sink(swallow, NULL);
	text.trusted = data[0] & 1;
	text.data = (const char *)data + 1;
	text.size = size - 1;
	if (settings_read_text(&settings, &text) < 0)
		return 0;
	if (!text.trusted)
		check_trust(&settings);
	(void)spec_resolve(&settings, &context, &spec);
	return 0;
}
