/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which range of users a machine gets. The numbers are those that systemd-nspawn 252 gave the same
 * names (tests/system/test_same_as_nspawn.py compares with the installed one). Takes no range. The
 * rows with an owner need root, since they chown.
 */
#include "captured_log.h"
#include "host/host.h"

static int look(struct scratch *s, struct spec *spec, struct host *ret)
{
	host_init(ret, spec, s->fd, -1);
	ret->only_looks = true;
	return host_module_idmap.begin(ret);
}

static void a_name_decides(void **state)
{
	static const struct {
		const char *name;
		uint32_t shift;
	} rows[] = {
		{"x", 994902016},
		{"web", 1587085312},
		{"debian-bookworm", 300548096},
		{"nginx-test", 576978944},
		{"a-name-of-a-machine.example.org", 542113792},
	};
	struct scratch *s = *state;

	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct spec spec = {.machine = (char *)rows[i].name,
				    .users = SPEC_USERS_PICK,
				    .uid_range = 65536};
		struct host host;

		assert_int_equal(look(s, &spec, &host), 0);
		assert_true(host.facts.has_user_namespace);
		assert_int_equal(host.facts.uid_shift, rows[i].shift);
		assert_int_equal(host.facts.uid_range, 65536);
	}
}

static void a_mode_decides(void **state)
{
	static const struct {
		enum spec_users users;
		uint32_t asked, shift;
		bool has_namespace;
	} rows[] = {
		{SPEC_USERS_NONE, 0, 0, false},
		{SPEC_USERS_IDENTITY, 0, 0, true},
		{SPEC_USERS_FIXED, 700000, 700000, true},
		{SPEC_USERS_OWNER, 0, 0, true},
	};
	struct scratch *s = *state;

	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct spec spec = {.machine = (char *)"m",
				    .users = rows[i].users,
				    .uid_shift = rows[i].asked,
				    .uid_range = 65536};
		struct host host;

		assert_int_equal(look(s, &spec, &host), 0);
		assert_int_equal(host.facts.has_user_namespace, rows[i].has_namespace);
		assert_int_equal(host.facts.uid_shift, rows[i].shift);
		/* Higher than the accounts of hosts that run tests. */
		assert_int_equal(host.facts.users_maker, rows[i].shift);
	}
}

/* Its files would belong to nobody inside: an error before anything is made. */
static void a_shifted_tree_is_refused(void **state)
{
	struct spec spec = {.machine = (char *)"m",
			    .users = SPEC_USERS_PICK,
			    .uid_range = 65536,
			    .directory = (char *)"/srv/m"};
	struct scratch *s = *state;
	struct host host;

	if (geteuid() != 0)
		skip();
	assert_int_equal(fchown(s->fd, 300548096, 300548096), 0);
	assert_int_equal(capture_setup(NULL), 0);
	assert_int_equal(look(s, &spec, &host), -EINVAL);
	assert_non_null(strstr(captured_text(), "/srv/m belongs to user 300548096"));
	assert_int_equal(capture_teardown(NULL), 0);
	assert_int_equal(fchown(s->fd, 0, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_name_decides),
		scratch_test(a_mode_decides),
		scratch_test(a_shifted_tree_is_refused),
	};

	return cmocka_run_group_tests_name("idmap", tests, NULL, NULL);
}
