// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the verbs print of a machine's system. Caller's side of clone(). */
#include "cli/nix.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/table.h"
#include "cli/text.h"
#include "lib/parse.h"
#include "lib/path.h"
#include "lib/str.h"
#include "log/log.h"
#include "nix/machine/status.h"
#include "nix/names.h"

int nix_parse_generation(const char *text, unsigned *ret)
{
	uint32_t n;

	if (parse_u32(text, &n) < 0 || n == 0)
		return log_error(-EINVAL, "'%s' is no number of a generation", text);
	*ret = n;
	return 0;
}

const char *nix_status_name(const struct nix_status *status)
{
	const char *name = status->system ? nix_name_of_path(status->system) : NULL;

	return name		? nix_name_without_hash(name)
	       : status->system ? path_last(status->system)
				: NULL;
}

void nix_status_print(const struct nix_status *status)
{
	autofree char *system = NULL, *generation = NULL;

	if (!status->system)
		return;
	system = str_printf("%s%s%s%s", nix_status_name(status), status->version ? " (" : "",
			    status->version ? status->version : "", status->version ? ")" : "");
	generation = str_printf("%u", status->generation);
	if (generation && status->booted > 0 && status->booted != status->generation) {
		free(generation);
		generation = str_printf("%u, booted %u", status->generation, status->booted);
	}
	field_print(stdout, "System", system);
	field_print(stdout, "Generation", status->generation > 0 ? generation : NULL);
	field_print(stdout, "Store", status->store);
	for (char **problem = status->problems; problem && *problem; problem++)
		field_print(stdout, "Problem", *problem);
}

static void add_number(struct json_object *object, const char *key, unsigned number)
{
	(void)json_object_object_add(object, key,
				     number > 0 ? json_object_new_uint64(number) : NULL);
}

void nix_status_to_json(const struct nix_status *status, struct json_object *object)
{
	struct json_object *list;

	if (!status->system || !object)
		return;
	list = json_object_new_array();
	for (char **problem = status->problems; problem && *problem; problem++)
		(void)json_object_array_add(list, json_from_text(*problem));
	(void)json_object_object_add(object, "system", json_from_text(status->system));
	(void)json_object_object_add(object, "nixosVersion", json_from_text(status->version));
	(void)json_object_object_add(object, "store", json_from_text(status->store));
	add_number(object, "generation", status->generation);
	add_number(object, "bootedGeneration", status->booted);
	(void)json_object_object_add(object, "problems", list);
}
