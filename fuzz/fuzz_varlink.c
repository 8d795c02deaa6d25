/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* security row: S07 */
/*
 * The messages that a supervisor's socket takes (S07). Aborts when what was accepted is not what
 * the supervisor relies on: a method without a NUL inside, parameters that are an object or absent.
 */
#include <json-c/json.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "machine/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json_object *message = NULL, *parameters = NULL;
	const char *method = NULL;
	char *reply = NULL;
	size_t reply_size;

	if (control_parse_call((const char *)data, size, &message, &method, &parameters) < 0)
		return 0;
	if (size > CONTROL_MESSAGE_MAX || !message || !method)
		abort();
	if (parameters && !json_object_is_type(parameters, json_type_object))
		abort();
	/* A reply that holds what came in is one line without a NUL. */
	if (control_format_reply(parameters, &reply, &reply_size) >= 0 &&
	    strlen(reply) != reply_size)
		abort();
	free(reply);
	json_object_put(message);
	return 0;
}
