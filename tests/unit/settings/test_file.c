/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The text of .nspawn files: syntax, exact warnings, bounds, and trust for every row of the table.
 */
#include "captured_log.h"
#include "settings/file.h"
#include "settings/table.h"
#include "settings_examples.h"

static void read_bytes(struct settings *settings, const char *data, size_t size, bool trusted)
{
	const struct settings_text text = {
		.path = "f",
		.data = data,
		.size = size,
		.trusted = trusted,
		.trusted_dir = "/etc/systemd/nspawn",
	};

	assert_int_equal(settings_read_text(settings, &text), 0);
}

static void read_text(struct settings *settings, const char *data)
{
	read_bytes(settings, data, strlen(data), true);
}

static char *join(const struct settings *settings, enum setting_id id)
{
	const struct setting_values *values = &settings->rows[id];
	struct buf b = {};
	char *text;

	for (size_t i = 0; i < values->count; i++)
		buf_printf(&b, "%s%s", i ? "|" : "", values->items[i].text);
	assert_int_equal(buf_take(&b, &text), 0);
	return text;
}

static void test_syntax(void **state)
{
	static const struct {
		const char *text;
		enum setting_id id;
		const char *values;
	} rows[] = {
		{"[Exec]\nBoot=yes\n", SETTING_BOOT, "yes"},
		{"[Exec]\nBoot=yes", SETTING_BOOT, "yes"},
		{"[Exec]\r\nBoot=yes\r\n", SETTING_BOOT, "yes"},
		{"\xef\xbb\xbf[Exec]\nBoot=yes\n", SETTING_BOOT, "yes"},
		{"  [Exec]  \n\t Boot \t = \t yes \t\n", SETTING_BOOT, "yes"},
		{"# a\n; b\n\n[Exec]\n  # c\nBoot=on\n", SETTING_BOOT, "on"},
		{"[Exec]\nBoot=yes\nBoot=no\n", SETTING_BOOT, "no"},
		{"[Exec]\nBoot=yes\nBoot=\n", SETTING_BOOT, ""},
		{"[Exec]\nParameters=a 'b c' \"d\\\"e\"\n", SETTING_PARAMETERS, "a|b c|d\"e"},
		{"[Exec]\nParameters=a \\\n# no part of it\n b\n", SETTING_PARAMETERS, "a|b"},
		{"[Exec]\nParameters=a \\\n\n b\n", SETTING_PARAMETERS, "a"},
		{"[Exec]\nEnvironment=A=1 \"B=2 3\"\nEnvironment=C=4\n", SETTING_ENVIRONMENT,
		 "A=1|B=2 3|C=4"},
		{"[Exec]\nEnvironment=A=1\nEnvironment=\nEnvironment=B=2\n", SETTING_ENVIRONMENT,
		 "B=2"},
		{"[Files]\nBind=/a\nBind=/b:/c\n", SETTING_BIND, "/a|/b:/c"},
		{"[Files]\nBind=/a\n[Files]\nBind=/b\n", SETTING_BIND, "/a|/b"},
		{"[Exec]\nLimitNOFILE=1024:4096\n", SETTING_RLIMIT_NOFILE, "1024:4096"},
		{"[Network]\nVirtualEthernet=no\n", SETTING_VETH, "no"},
		{"[X-Redd]\nStopTimeoutSec=5\n", SETTING_STOP_TIMEOUT, "5"},
		{"[X-Other]\nBoot=yes\nanything\n", SETTING_BOOT, ""},
		{"[Exec]\nX-Mine=1\nBoot=yes\n", SETTING_BOOT, "yes"},
		{"[Exec]\nHostname=a=b\\\\\nBoot=yes\n", SETTING_BOOT, "yes"},
		{"", SETTING_BOOT, ""},
		{"\\", SETTING_BOOT, ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autosettings struct settings settings = {};
		autofree char *values = NULL;

		read_text(&settings, rows[i].text);
		values = join(&settings, rows[i].id);
		assert_string_equal(values, rows[i].values);
	}
}

static void test_warnings(void **state)
{
	static const struct {
		const char *text;
		const char *said;
	} rows[] = {
		{"Boot=yes\n", "f:1: Boot: ignored, it stands before any [Section]"},
		{"[Exec]\nBoot\n", "f:2: Boot: ignored, this isn't KEY=VALUE"},
		{"[Exec]\n=yes\n", "f:2: =yes: ignored, this isn't KEY=VALUE"},
		{"[Exec]\n\nBoot=maybe\n", "f:3: Boot: ignored, \"maybe\" isn't yes or no"},
		{"[Exec]\nBoto=yes\n", "f:2: Boto: unknown key, ignored; did you mean Boot?"},
		{"[Exec]\nboot=yes\n", "f:2: boot: unknown key, ignored; did you mean Boot?"},
		{"[Exec]\nXyzzyXyzzy=1\n",
		 "f:2: XyzzyXyzzy: unknown key in section [Exec], ignored"},
		{"[Exec]\nBind=/a\n", "f:2: Bind: ignored, it belongs in section [Files]"},
		{"[exec]\nBoot=yes\n",
		 "f:1: [exec]: unknown section, its keys are ignored; did you mean [Exec]?"},
		{"[X-Netwrok]\nAddress=10.0.0.2/24\n",
		 "f:1: [X-Netwrok]: unknown section, its keys are ignored; did you mean "
		 "[X-Network]?"},
		{"[x-network]\nAddress=10.0.0.2/24\n",
		 "f:1: [x-network]: unknown section, its keys are ignored; did you mean "
		 "[X-Network]?"},
		{"[Unit]\nBoot=yes\n", "f:1: [Unit]: unknown section, its keys are ignored"},
		{"[Exec\nBoot=yes\n",
		 "f:1: [Exec: the section's name isn't closed by \"]\"; its keys are ignored"},
		{"[Exec]\nTimezone=copy\n", "f:2: Timezone: not supported yet: redd doesn't write "
					    "this file into the guest so far"},
		{"[Exec]\nParameters=\"a\n",
		 "f:2: Parameters: ignored, a quote or a backslash at the end is left open"},
		{"[Exec]\nEnvironment=A=1 B\n",
		 "f:2: Environment: ignored, \"B\" isn't NAME=VALUE"},
		{"[Files]\nBind=:/a\n", "f:2: Bind: ignored, an empty source (a temporary "
					"directory) is not supported yet"},
		{"[Exec]\nBoot=\\\n\\\nperhaps\n",
		 "f:2: Boot: ignored, \"perhaps\" isn't yes or no"},
		{"[Exec]\nHostname=\x1b]0;x\n",
		 "f:2: ignored, the line holds control bytes or isn't UTF-8"},
		{"[Exec]\nHostname=a\xff\n",
		 "f:2: ignored, the line holds control bytes or isn't UTF-8"},
		{"[X-Redd]\nStopTimeoutSecs=1\n",
		 "f:2: StopTimeoutSecs: unknown key, ignored; did you mean StopTimeoutSec?"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autosettings struct settings settings = {};
		autofree char *line = str_printf("warning: %s\n", rows[i].said);

		read_text(&settings, rows[i].text);
		assert_string_equal(captured_text(), line);
	}
}

static void test_nul_byte(void **state)
{
	static const char text[] = "[Exec]\nBoot=yes\0no\nProcessTwo=yes\n";
	autosettings struct settings settings = {};

	read_bytes(&settings, text, sizeof(text) - 1, true);
	assert_null(settings_get(&settings, SETTING_BOOT));
	assert_non_null(settings_get(&settings, SETTING_AS_PID2));
	assert_string_equal(captured_text(),
			    "warning: f:2: ignored, the line holds control bytes or isn't UTF-8\n");
}

static void test_long_lines(void **state)
{
	autofree char *text = malloc(SETTINGS_LINE_MAX + 64);
	autosettings struct settings settings = {};
	size_t head;

	assert_non_null(text);
	head = (size_t)sprintf(text, "[Exec]\nEnvironment=A=");
	memset(text + head, 'x', SETTINGS_LINE_MAX);
	/* A line of exactly the maximum length, then one longer. */
	text[7 + SETTINGS_LINE_MAX] = '\0';
	read_text(&settings, text);
	assert_string_equal(captured_text(), "");
	assert_int_equal(settings.rows[SETTING_ENVIRONMENT].count, 1);
	(void)strcpy(text + 7 + SETTINGS_LINE_MAX, "x\nBoot=yes\n");
	read_text(&settings, text);
	assert_string_equal(captured_text(),
			    "warning: f:2: ignored, the line has more than 65536 bytes\n");
	assert_true(settings_bool(&settings, SETTING_BOOT, false));
}

static void test_flood(void **state)
{
	struct buf text = {};
	autosettings struct settings settings = {};
	const char *said;
	size_t lines = 0;

	for (int i = 0; i < 10000; i++)
		buf_add_str(&text, "nonsense\n");
	read_bytes(&settings, text.data, text.size, false);
	buf_done(&text);
	said = captured_text();
	for (const char *c = said; (c = strchr(c, '\n')); c++)
		lines++;
	assert_int_equal(lines, SETTINGS_WARNINGS_MAX + 1);
	assert_non_null(strstr(said, "warning: f: 9950 more lines are ignored\n"));
}

/* security row: S01 */
/*
 * S01, from the table: each key in an untrusted file. A key that isn't marked ANY has no effect on
 * the settings and causes a warning with place, key and the trusted folder; one marked ANY is set.
 */
static void test_trust_of_every_key(void **state)
{
	unsigned trusted_only = 0, any = 0;

	for (size_t i = 0; i < setting_name_count; i++) {
		const struct setting_name *name = &setting_names[i];
		const struct setting *setting = &setting_table[name->id];
		autosettings struct settings untrusted = {}, trusted = {};
		autofree char *text = NULL, *said = NULL;

		if (!name->key)
			continue;
		text = str_printf("[%s]\n%s=%s\n", name->section, name->key,
				  setting_example(setting->type));
		said = str_printf(
			"warning: f:2: %s: ignored, a file beside an image isn't trusted with "
			"it; it counts in a file in /etc/systemd/nspawn\n",
			name->key);
		(void)captured_text();
		read_bytes(&untrusted, text, strlen(text), false);
		if (setting->trust == SETTING_TRUST_ANY) {
			assert_non_null(settings_get(&untrusted, name->id));
			any++;
		} else {
			assert_int_equal(untrusted.added, 0);
			assert_string_equal(captured_text(), said);
			trusted_only++;
		}
		read_bytes(&trusted, text, strlen(text), true);
		assert_string_equal(settings_text(&trusted, name->id),
				    setting_example(setting->type));
	}
	assert_true(trusted_only > 40);
	assert_true(any > 15);
}

/* The allow-list itself, so that a new row can't be added to it unnoticed. */
static void test_allow_list(void **state)
{
	static const char allowed[] =
		"READ_ONLY VOLATILE AS_PID2 BOOT PARAMETERS CHDIR ENVIRONMENT USER "
		"KILL_SIGNAL NOTIFY_READY SUPPRESS_SYNC HOSTNAME DROP_CAPABILITY "
		"NO_NEW_PRIVILEGES ADDRESS_FAMILIES PERSONALITY RESOLV_CONF "
		"TIMEZONE ";
	struct buf any = {};

	for (int id = 0; id < SETTING_COUNT; id++)
		if (setting_table[id].trust == SETTING_TRUST_ANY)
			buf_printf(&any, "%s ", setting_table[id].id);
	assert_string_equal(any.data, allowed);
	buf_done(&any);
}

/* From the table: each key that isn't implemented causes a warning with its place and the reason.
 */
static void test_every_later_key(void **state)
{
	unsigned count = 0;

	for (size_t i = 0; i < setting_name_count; i++) {
		const struct setting_name *name = &setting_names[i];
		const char *later = setting_table[name->id].later;
		autosettings struct settings settings = {};
		autofree char *text = NULL, *said = NULL;

		if (!name->key || !later)
			continue;
		text = str_printf("[%s]\n%s=x\n", name->section, name->key);
		said = str_printf("warning: f:2: %s: not supported yet: %s\n", name->key, later);
		read_text(&settings, text);
		assert_string_equal(captured_text(), said);
		count++;
	}
	assert_true(count > 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		captured_test(test_syntax),	captured_test(test_warnings),
		captured_test(test_nul_byte),	captured_test(test_long_lines),
		captured_test(test_flood),	captured_test(test_trust_of_every_key),
		captured_test(test_allow_list), captured_test(test_every_later_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
