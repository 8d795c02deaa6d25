// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The state file of a machine: one table of fields, written as KEY=VALUE lines, read back, and
 * shown as JSON. Bytes that would break a line are percent-encoded. Must never trust a value: some
 * come from the guest (the name of its OS). Host side of clone().
 */
#include "machine/registry.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>

#include "lib/io.h"
#include "lib/macro.h"
#include "lib/parse.h"
#include "lib/str.h"

#define STATE_FILE "state"
#define STATE_MAX_BYTES 65536

enum field_kind {
	FIELD_STRING,
	FIELD_STRV, /* words, separated by blanks; blanks in them are encoded */
	FIELD_PID,
	FIELD_U32,
	FIELD_U64,
	FIELD_BOOL,
	FIELD_PHASE,
};

struct field {
	const char *key;
	const char *json;
	enum field_kind kind;
	size_t offset;
};

#define FIELD(key, json, kind, member)                                                             \
	{                                                                                          \
		key, json, kind, offsetof(struct machine_state, member)                            \
	}

_Static_assert(sizeof(unsigned) == sizeof(uint32_t), "boots is stored as 32 bits");

static const struct field fields[] = {
	FIELD("NAME", "name", FIELD_STRING, name),
	FIELD("PHASE", "phase", FIELD_PHASE, phase),
	FIELD("SUPERVISOR", "supervisor", FIELD_PID, supervisor),
	FIELD("LEADER", "leader", FIELD_PID, leader),
	FIELD("LEADER_STARTTIME", "leaderStartTime", FIELD_U64, leader_starttime),
	FIELD("BOOT_ID", "bootId", FIELD_STRING, boot_id),
	FIELD("SINCE_USEC", "sinceUSec", FIELD_U64, since_us),
	FIELD("IMAGE", "image", FIELD_STRING, image),
	FIELD("CGROUP", "cgroup", FIELD_STRING, cgroup),
	FIELD("UUID", "uuid", FIELD_STRING, uuid),
	FIELD("OS", "os", FIELD_STRING, os),
	FIELD("INIT", "init", FIELD_STRING, init),
	FIELD("INTERFACE", "interface", FIELD_STRING, interface),
	FIELD("ADDRESSES", "addresses", FIELD_STRV, addresses),
	FIELD("PORTS", "ports", FIELD_STRV, ports),
	FIELD("ZONE", "zone", FIELD_STRING, zone),
	FIELD("BRIDGE", "bridge", FIELD_STRING, bridge),
	FIELD("NETWORK_RULES", "networkRules", FIELD_STRV, network_rules),
	FIELD("NETWORK_NOTES", "networkNotes", FIELD_STRV, network_notes),
	FIELD("UID_SHIFT", "uidShift", FIELD_U32, uid_shift),
	FIELD("UID_RANGE", "uidRange", FIELD_U32, uid_range),
	FIELD("MANAGED", "managed", FIELD_BOOL, managed),
	FIELD("EPHEMERAL", "ephemeral", FIELD_BOOL, ephemeral),
	FIELD("BOOTED", "booted", FIELD_BOOL, booted),
	FIELD("PRIVATE_NETWORK", "privateNetwork", FIELD_BOOL, private_network),
	FIELD("VSOCK", "vsock", FIELD_BOOL, vsock),
	FIELD("SCOPED", "scoped", FIELD_BOOL, scoped),
	FIELD("CAPABILITIES", "capabilities", FIELD_STRING, capabilities),
	FIELD("STOP_TIMEOUT_USEC", "stopTimeoutUSec", FIELD_U64, stop_timeout_us),
	FIELD("NIX_SYSTEM", "nixSystem", FIELD_STRING, nix_system),
	FIELD("NIX_GENERATION", "nixGeneration", FIELD_U32, nix_generation),
	FIELD("NIX_STORE", "nixStore", FIELD_STRING, nix_store),
	FIELD("BOOTS", "boots", FIELD_U32, boots),
};

static const char *const phase_names[] = {
	[MACHINE_PHASE_STARTING] = "starting",
	[MACHINE_PHASE_RUNNING] = "running",
	[MACHINE_PHASE_STOPPING] = "stopping",
};

static void *member(const struct machine_state *state, const struct field *f)
{
	return (char *)state + f->offset;
}

const char *machine_phase_name(enum machine_phase phase)
{
	return (size_t)phase < ARRAY_SIZE(phase_names) ? phase_names[phase] : "unknown";
}

void machine_state_done(struct machine_state *state)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (fields[i].kind == FIELD_STRING)
			free(*(char **)member(state, &fields[i]));
		if (fields[i].kind == FIELD_STRV)
			(void)strv_free(*(char ***)member(state, &fields[i]));
	}
	*state = (struct machine_state){};
}

static void add_encoded(struct buf *b, const char *value, unsigned char first_plain)
{
	for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
		if (*p < first_plain || *p == 0x7f || *p == '%')
			buf_printf(b, "%%%02x", *p);
		else
			buf_add(b, p, 1);
	}
}

static void add_words(struct buf *b, char *const *words)
{
	for (size_t i = 0; words && words[i]; i++) {
		if (i > 0)
			buf_add_str(b, " ");
		add_encoded(b, words[i], ' ' + 1);
	}
}

static void add_value(struct buf *b, const struct machine_state *state, const struct field *f)
{
	const void *p = member(state, f);

	switch (f->kind) {
	case FIELD_STRING:
		add_encoded(b, *(char *const *)p, ' ');
		break;
	case FIELD_STRV:
		add_words(b, *(char *const *const *)p);
		break;
	case FIELD_PID:
		buf_printf(b, "%d", *(const pid_t *)p);
		break;
	case FIELD_U32:
		buf_printf(b, "%u", *(const uint32_t *)p);
		break;
	case FIELD_U64:
		buf_printf(b, "%llu", (unsigned long long)*(const uint64_t *)p);
		break;
	case FIELD_BOOL:
		buf_add_str(b, *(const bool *)p ? "1" : "0");
		break;
	case FIELD_PHASE:
		buf_add_str(b, machine_phase_name(*(const enum machine_phase *)p));
		break;
	}
}

int machine_state_write(int dir_fd, const struct machine_state *state)
{
	autobuf struct buf b = {};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const struct field *f = &fields[i];

		/* Both are pointers, and NULL when there is nothing. */
		if ((f->kind == FIELD_STRING || f->kind == FIELD_STRV) &&
		    !*(void *const *)member(state, f))
			continue;
		buf_printf(&b, "%s=", f->key);
		add_value(&b, state, f);
		buf_add_str(&b, "\n");
	}
	if (b.error < 0)
		return b.error;
	return io_replace_file_at(dir_fd, STATE_FILE, b.data, 0600, false);
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : -1;
}

/* In place; -EINVAL for a broken escape. */
static int decode(char *s)
{
	char *to = s;

	for (; *s; s++) {
		int high, low;

		if (*s != '%') {
			*to++ = *s;
			continue;
		}
		high = hex_digit(s[1]);
		low = high < 0 ? -1 : hex_digit(s[2]);
		if (low < 0 || high * 16 + low == 0)
			return -EINVAL;
		*to++ = (char)(high * 16 + low);
		s += 2;
	}
	*to = '\0';
	return 0;
}

static int parse_phase(const char *value, enum machine_phase *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(phase_names); i++) {
		if (streq(phase_names[i], value)) {
			*ret = (enum machine_phase)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_pid(const char *value, pid_t *ret)
{
	int32_t n;
	int r = parse_i32(value, &n);

	if (r < 0 || n < 0)
		return -EINVAL;
	*ret = n;
	return 0;
}

static int parse_string(char *value, char **ret)
{
	int r = decode(value);

	return r < 0 ? r : str_replace(ret, value);
}

static int parse_words(char *value, char ***ret)
{
	autostrv char **words = NULL;
	int r = strv_split(value, " ", &words);

	for (char **word = words; r >= 0 && word && *word; word++)
		r = decode(*word);
	if (r < 0)
		return r;
	(void)strv_free(*ret);
	*ret = take_ptr(words);
	return 0;
}

static int parse_value(struct machine_state *state, const struct field *f, char *value)
{
	void *p = member(state, f);

	switch (f->kind) {
	case FIELD_STRING:
		return parse_string(value, p);
	case FIELD_STRV:
		return parse_words(value, p);
	case FIELD_PID:
		return parse_pid(value, p);
	case FIELD_U32:
		return parse_u32(value, p);
	case FIELD_U64:
		return parse_u64(value, p);
	case FIELD_BOOL:
		return parse_bool(value, p);
	case FIELD_PHASE:
		return parse_phase(value, p);
	}
	return -EINVAL;
}

/* Skips unknown keys: a later version of the program may have written them. */
static int parse_line(struct machine_state *state, char *line)
{
	char *value = strchr(line, '=');

	if (!value)
		return -EBADMSG;
	*value++ = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (streq(fields[i].key, line))
			return parse_value(state, &fields[i], value) < 0 ? -EBADMSG : 0;
	}
	return 0;
}

int machine_state_read(int dir_fd, struct machine_state *ret)
{
	automachine struct machine_state state = {};
	autofree char *text = NULL;
	char *line, *next;
	int r;

	r = io_read_file_at(dir_fd, STATE_FILE, STATE_MAX_BYTES, &text, NULL);
	if (r < 0)
		return r;
	for (line = text; *line; line = next) {
		next = strchr(line, '\n');
		if (!next)
			return -EBADMSG;
		*next++ = '\0';
		r = parse_line(&state, line);
		if (r < 0)
			return r;
	}
	if (!state.name)
		return -EBADMSG;
	*ret = state;
	state = (struct machine_state){};
	return 0;
}

static struct json_object *words_to_json(char *const *words)
{
	struct json_object *list = json_object_new_array();

	for (; list && words && *words; words++)
		(void)json_object_array_add(list, json_object_new_string(*words));
	return list;
}

static struct json_object *field_to_json(const struct machine_state *state, const struct field *f)
{
	const void *p = member(state, f);

	switch (f->kind) {
	case FIELD_STRING:
		return *(char *const *)p ? json_object_new_string(*(char *const *)p) : NULL;
	case FIELD_STRV:
		return words_to_json(*(char *const *const *)p);
	case FIELD_PID:
		return json_object_new_int64(*(const pid_t *)p);
	case FIELD_U32:
		return json_object_new_int64(*(const uint32_t *)p);
	case FIELD_U64:
		return json_object_new_uint64(*(const uint64_t *)p);
	case FIELD_BOOL:
		return json_object_new_boolean(*(const bool *)p);
	case FIELD_PHASE:
		return json_object_new_string(machine_phase_name(*(const enum machine_phase *)p));
	}
	return NULL;
}

struct json_object *machine_state_to_json(const struct machine_state *state)
{
	struct json_object *object = json_object_new_object();

	for (size_t i = 0; object && i < ARRAY_SIZE(fields); i++)
		(void)json_object_object_add(object, fields[i].json,
					     field_to_json(state, &fields[i]));
	return object;
}
