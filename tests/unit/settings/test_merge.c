/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which file is found, whether it is trusted, and how it combines with the command line. */
#include "captured_log.h"
#include "settings/table.h"

struct place {
	struct scratch *scratch;
	char *etc, *run, *image;
	const char *dirs[3];
};

static struct place place_of(void **state)
{
	struct place place = {.scratch = *state};
	const char *root = place.scratch->path;

	place.etc = str_printf("%s/etc", root);
	place.run = str_printf("%s/run", root);
	place.image = str_printf("%s/pool/m", root);
	assert_int_equal(fs_make_dirs(place.etc, 0755), 0);
	assert_int_equal(fs_make_dirs(place.run, 0755), 0);
	assert_int_equal(fs_make_dirs(place.image, 0755), 0);
	place.dirs[0] = place.etc;
	place.dirs[1] = place.run;
	return place;
}

static void place_done(struct place *place)
{
	free(place->etc);
	free(place->run);
	free(place->image);
}

static int setup(void **state)
{
	(void)capture_setup(state);
	return scratch_setup(state);
}

static int teardown(void **state)
{
	(void)capture_teardown(state);
	return scratch_teardown(state);
}

static void give(struct settings *settings, const char *option)
{
	char *argv[] = {(char *)"run", (char *)option, NULL};

	assert_int_equal(settings_parse_command_line(settings, 2, argv), 2);
}

static int load(struct settings *settings, struct place *place)
{
	return settings_load_from(settings, place->dirs, "m", place->image);
}

static void test_first_hit_wins(void **state)
{
	autocall(place_done) struct place place = place_of(state);
	int root = place.scratch->fd;

	for (int round = 0; round < 4; round++) {
		static const char *const hosts[] = {"etc", "run", "beside", NULL};
		static const char *const files[] = {"etc/m.nspawn", "run/m.nspawn",
						    "pool/m.nspawn"};
		autosettings struct settings settings = {};

		for (int i = round; i < 3 && round == 0; i++) {
			autofree char *text = str_printf("[Exec]\nHostname=%s\n", hosts[i]);

			write_file(root, files[i], text);
		}
		assert_int_equal(load(&settings, &place), 0);
		if (!hosts[round]) {
			assert_null(settings.file);
			break;
		}
		assert_string_equal(settings_text(&settings, SETTING_HOSTNAME), hosts[round]);
		assert_int_equal(settings.file_trusted, round < 2);
		assert_int_equal(unlinkat(root, files[round], 0), 0);
	}
}

static void test_untrusted_and_trusted_mode(void **state)
{
	autocall(place_done) struct place place = place_of(state);
	autosettings struct settings plain = {}, trusted = {}, none = {};
	autofree char *said =
		str_printf("warning: %s.nspawn:2: Bind: ignored, a file beside an image "
			   "isn't trusted with it; it counts in a file in %s\n",
			   place.image, place.run);

	write_file(place.scratch->fd, "pool/m.nspawn", "[Files]\nBind=/etc\nReadOnly=yes\n");
	assert_int_equal(load(&plain, &place), 0);
	assert_string_equal(captured_text(), said);
	assert_null(settings_get(&plain, SETTING_BIND));
	assert_true(settings_bool(&plain, SETTING_READ_ONLY, false));
	give(&trusted, "--settings=trusted");
	assert_int_equal(load(&trusted, &place), 0);
	assert_string_equal(settings_text(&trusted, SETTING_BIND), "/etc");
	give(&none, "--settings=no");
	assert_int_equal(load(&none, &place), 0);
	assert_null(none.file);
}

/* security row: S01 */
static void test_hostile_places(void **state)
{
	autocall(place_done) struct place place = place_of(state);
	autosettings struct settings link = {}, fifo = {}, big = {}, masked = {}, writable = {};
	int root = place.scratch->fd, fd;

	/* Beside the image: links aren't followed, a fifo doesn't block, the size is bounded. */
	assert_int_equal(symlinkat("/etc/passwd", root, "pool/m.nspawn"), 0);
	assert_int_equal(load(&link, &place), 0);
	assert_null(link.file);
	assert_non_null(strstr(captured_text(), "ignored, it is a link"));
	assert_int_equal(unlinkat(root, "pool/m.nspawn", 0), 0);
	assert_int_equal(mkfifoat(root, "pool/m.nspawn", 0644), 0);
	assert_true(load(&fifo, &place) < 0);
	assert_int_equal(unlinkat(root, "pool/m.nspawn", 0), 0);
	fd = openat(root, "pool/m.nspawn", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(ftruncate(fd, 1 << 30), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(load(&big, &place), -EFBIG);
	(void)captured_text();
	/* In a trusted folder: a link to /dev/null masks, and a file that everybody may write isn't
	 * trusted. */
	assert_int_equal(symlinkat("/dev/null", root, "etc/m.nspawn"), 0);
	assert_int_equal(load(&masked, &place), 0);
	assert_non_null(masked.file);
	assert_int_equal(unlinkat(root, "etc/m.nspawn", 0), 0);
	write_file(root, "etc/m.nspawn", "[Files]\nBind=/etc\n");
	assert_int_equal(fchmodat(root, "etc/m.nspawn", 0666, 0), 0);
	assert_int_equal(load(&writable, &place), 0);
	assert_null(settings_get(&writable, SETTING_BIND));
	assert_non_null(strstr(captured_text(), "not trusted, everybody may write it"));
}

static const char *or_dash(const struct settings *settings, enum setting_id id)
{
	const char *text = settings_text(settings, id);

	return text ? text : "-";
}

static void test_masks(void **state)
{
	static const char file[] =
		"[Exec]\nBoot=yes\nParameters=a\nEnvironment=A=1\nCapability=CAP_SYS_TIME\n"
		"LimitNOFILE=10\nLimitCPU=10\n"
		"[Files]\nBind=/a\nTemporaryFileSystem=/t\n"
		"[Network]\nVirtualEthernet=yes\n";
	static const struct {
		const char *option;
		enum setting_id id;
		const char *plain, *override;
	} rows[] = {
		{"--quiet", SETTING_BOOT, "yes", "yes"},
		{"--quiet", SETTING_TMPFS, "/t", "/t"},
		{"--as-pid2", SETTING_BOOT, "-", "yes"},
		{"--as-pid2", SETTING_AS_PID2, "yes", "-"},
		{"--as-pid2", SETTING_PARAMETERS, "-", "a"},
		{"-EB=2", SETTING_ENVIRONMENT, "B=2", "A=1"},
		{"--bind=/b", SETTING_BIND, "/b", "/a"},
		{"--bind=/b", SETTING_TMPFS, "-", "/t"},
		{"--private-network", SETTING_VETH, "-", "yes"},
		{"--private-network", SETTING_PRIVATE_NETWORK, "yes", "-"},
		{"--rlimit=NOFILE=20", SETTING_RLIMIT_NOFILE, "20", "10"},
		{"--rlimit=NOFILE=20", SETTING_RLIMIT_CPU, "10", "10"},
		{"--drop-capability=CAP_KILL", SETTING_CAPABILITY, "-", "CAP_SYS_TIME"},
		{"--drop-capability=CAP_KILL", SETTING_DROP_CAPABILITY, "CAP_KILL", "CAP_KILL"},
	};
	autocall(place_done) struct place place = place_of(state);

	write_file(place.scratch->fd, "etc/m.nspawn", file);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autosettings struct settings plain = {}, override = {};

		give(&plain, rows[i].option);
		assert_int_equal(load(&plain, &place), 0);
		assert_string_equal(or_dash(&plain, rows[i].id), rows[i].plain);
		give(&override, rows[i].option);
		give(&override, "--settings=override");
		assert_int_equal(load(&override, &place), 0);
		assert_string_equal(or_dash(&override, rows[i].id), rows[i].override);
	}
}

static void test_start_defaults(void **state)
{
	static const struct {
		const char *file;
		const char *boot, *pid2, *users, *veth, *parameters;
	} rows[] = {
		{"", "yes", "-", "pick", "yes", "-"},
		{"[Network]\nVirtualEthernet=no\n", "yes", "-", "pick", "no", "-"},
		{"[Network]\nPrivate=yes\n", "yes", "-", "pick", "-", "-"},
		{"[Exec]\nProcessTwo=yes\nParameters=a\n", "-", "yes", "pick", "yes", "a"},
		{"[Exec]\nBoot=no\nParameters=a\n", "no", "-", "pick", "yes", "a"},
		{"[Exec]\nParameters=a\n", "yes", "-", "pick", "yes", "-"},
		{"[Exec]\nPrivateUsers=no\n", "yes", "-", "no", "yes", "-"},
	};
	autocall(place_done) struct place place = place_of(state);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autosettings struct settings settings = {};

		write_file(place.scratch->fd, "etc/m.nspawn", rows[i].file);
		assert_int_equal(settings_for_start(&settings), 0);
		assert_int_equal(load(&settings, &place), 0);
		assert_string_equal(or_dash(&settings, SETTING_BOOT), rows[i].boot);
		assert_string_equal(or_dash(&settings, SETTING_AS_PID2), rows[i].pid2);
		assert_string_equal(or_dash(&settings, SETTING_PRIVATE_USERS), rows[i].users);
		assert_string_equal(or_dash(&settings, SETTING_VETH), rows[i].veth);
		assert_string_equal(or_dash(&settings, SETTING_PARAMETERS), rows[i].parameters);
	}
}

static void test_lonely_parameters(void **state)
{
	autocall(place_done) struct place place = place_of(state);
	autosettings struct settings settings = {};
	autofree char *said =
		str_printf("warning: %s/m.nspawn:2: Parameters: ignored, since the file "
			   "sets neither Boot= nor ProcessTwo=\n",
			   place.etc);

	write_file(place.scratch->fd, "etc/m.nspawn", "[Exec]\nParameters=a b\n");
	assert_int_equal(load(&settings, &place), 0);
	assert_string_equal(captured_text(), said);
}

#define merge_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		merge_test(test_first_hit_wins), merge_test(test_untrusted_and_trusted_mode),
		merge_test(test_hostile_places), merge_test(test_masks),
		merge_test(test_start_defaults), merge_test(test_lonely_parameters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
