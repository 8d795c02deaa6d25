/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* security row: P11 */
/*
 * What images say of themselves, as far as a person's terminal: os-release, then escaping. The same
 * bytes as a file name give a machine name. Aborts when a name is suggested that is not valid, or
 * when something a terminal obeys is left (P11).
 */
#include <stdint.h>
#include <stdlib.h>

#include "image/name.h"
#include "image/os_release.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_escaped(const char *s)
{
	autofree char *escaped = str_escape(s);
	uint32_t c;

	for (const char *p = escaped; p && *p;) {
		size_t n = utf8_decode(p, &c);

		if (n == 0 || utf8_is_unsafe(c))
			abort();
		p += n;
	}
}

static void check_name(const char *path)
{
	autofree char *name = NULL;

	if (machine_name_from_path(path, &name) < 0)
		return;
	if (!machine_name_is_valid(name) || !image_name_is_valid(name))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_os_release struct os_release os = {};
	autofree char *text = strndup((const char *)data, size);
	const char *pretty;

	if (!text)
		return 0;
	check_name(text);
	if (os_release_parse(text, &os) < 0)
		return 0;
	pretty = os_release_pretty(&os);
	if (pretty)
		check_escaped(pretty);
	for (size_t i = 0; i < strv_length(os.pairs); i++)
		check_escaped(os.pairs[i]);
	return 0;
}
