/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text files of our own and of Nix, which may be damaged or have been written by another: the kept
 * leases, records of console logs, registrations of store paths. The first byte chooses. Aborts
 * when what was read is not the same once written and read again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "machine/consolelog.h"
#include "net/lease_book.h"
#include "nix/info.h"
#include "nix/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_leases(char *text)
{
	autobook struct lease_book book = {}, again = {};
	autobuf struct buf written = {};

	if (lease_book_parse(text, &book) < 0)
		return;
	for (size_t i = 0; i + 1 < book.count; i++)
		if (strcmp(book.list[i].machine, book.list[i + 1].machine) >= 0)
			abort();
	lease_book_format(&book, &written);
	if (!written.data)
		return;
	if (lease_book_parse(written.data, &again) < 0 || again.count != book.count)
		abort();
	for (size_t i = 0; i < book.count; i++)
		if (!lease_is_same(&book.list[i], &again.list[i]))
			abort();
}

static void check_log(char *text)
{
	const char *last = consolelog_last_boot(text);

	if (last < text || last > text + strlen(text))
		abort();
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		struct consolelog_record record;

		if (consolelog_parse(line, &record) == 0 &&
		    (record.text < line || record.text > line + strlen(line)))
			abort();
	}
}

static void check_registration(const char *text)
{
	autoinfos struct nix_infos infos = {};
	autofree char *written = NULL;
	autoinfos struct nix_infos again = {};

	if (nix_registration_parse(text, &infos) < 0)
		return;
	for (size_t i = 0; i < infos.count; i++)
		if (!nix_name_is_valid(infos.items[i].name))
			abort();
	if (nix_registration_write(&infos, &written) < 0)
		return;
	if (nix_registration_parse(written, &again) < 0 || again.count != infos.count)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *text = size > 0 ? strndup((const char *)data + 1, size - 1) : NULL;

	if (!text)
		return 0;
	switch (data[0]) {
	case 'l':
		check_leases(text);
		break;
	case 'c':
		check_log(text);
		break;
	case 'n':
		check_registration(text);
		break;
	default:
		return -1; /* not worth keeping in the corpus */
	}
	return 0;
}
