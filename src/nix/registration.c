// SPDX-License-Identifier: LGPL-2.1-or-later
/* Writes and parses the database's records as text. Pure functions of strings. */
#include <errno.h>
#include <inttypes.h>

#include "lib/parse.h"
#include "lib/str.h"
#include "log/log.h"
#include "nix/info.h"
#include "nix/names.h"
#include "nix/nix.h"

#define REFERENCES_MAX 100000

int nix_registration_write(const struct nix_infos *infos, char **ret)
{
	autobuf struct buf text = {};

	for (size_t i = 0; i < infos->count; i++) {
		const struct nix_info *info = &infos->items[i];

		if (info->hash[0] == '\0')
			return log_error(-EBADMSG,
					 "the store's database has no SHA-256 of " NIX_STORE_DIR
					 "/%s",
					 info->name);
		buf_printf(&text, NIX_STORE_DIR "/%s\n%s\n%" PRIu64 "\n\n%zu\n", info->name,
			   info->hash, info->nar_bytes, strv_length(info->references));
		for (char **name = info->references; name && *name; name++)
			buf_printf(&text, NIX_STORE_DIR "/%s\n", *name);
	}
	return buf_take(&text, ret) < 0 ? log_oom() : 0;
}

/* Takes the next line; NULL at the end. */
static char *next_line(char **at)
{
	char *line = *at, *end = strchr(line, '\n');

	if (!end)
		return NULL;
	*end = '\0';
	*at = end + 1;
	return line;
}

static int parse_references(char **at, uint32_t count, struct nix_info *info)
{
	for (uint32_t i = 0; i < count; i++) {
		char *line = next_line(at);
		const char *name = line ? nix_name_of_path(line) : NULL;
		int r = name ? strv_add(&info->references, name) : -EBADMSG;

		if (r < 0)
			return r;
	}
	return 0;
}

static int parse_record(char **at, struct nix_info *info)
{
	const char *path = next_line(at), *hash = next_line(at), *size = next_line(at);
	const char *deriver = size ? next_line(at) : NULL, *count = deriver ? next_line(at) : NULL;
	const char *name = path ? nix_name_of_path(path) : NULL;
	uint32_t n;

	if (!name || !count || parse_u64(size, &info->nar_bytes) < 0 || parse_u32(count, &n) < 0 ||
	    n > REFERENCES_MAX || strlen(hash) != 64 || strspn(hash, "0123456789abcdef") != 64)
		return -EBADMSG;
	memcpy(info->hash, hash, sizeof(info->hash));
	info->name = strdup(name);
	return info->name ? parse_references(at, n, info) : -ENOMEM;
}

int nix_registration_parse(const char *text, struct nix_infos *ret)
{
	autofree char *copy = strdup(text);
	autoinfos struct nix_infos infos = {};
	char *at = copy;

	if (!copy)
		return -ENOMEM;
	while (*at) {
		struct nix_info *grown =
			reallocarray(infos.items, infos.count + 1, sizeof(*infos.items));
		int r;

		if (!grown)
			return -ENOMEM;
		infos.items = grown;
		infos.items[infos.count++] = (struct nix_info){};
		r = parse_record(&at, &infos.items[infos.count - 1]);
		if (r < 0)
			return r;
	}
	*ret = infos;
	infos = (struct nix_infos){};
	return 0;
}
