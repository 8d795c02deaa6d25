// SPDX-License-Identifier: LGPL-2.1-or-later
/* The registry: claims, state, who is alive, and cleaning after a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/fd.h"
#include "lib/io.h"
#include "lib/str.h"
#include "machine/cgroups.h"
#include "machine/registry.h"
#include "private_run.h"

static bool is_private;

static void need_private(void)
{
	if (!is_private)
		skip();
}

static struct machine_state example(void)
{
	return (struct machine_state){
		.name = strdup("web"),
		.phase = MACHINE_PHASE_RUNNING,
		.supervisor = 7,
		.leader = 8,
		.leader_starttime = 1234567890123,
		.image = strdup("/var/lib/machines/we b%\n"),
		.cgroup = strdup("/redd/web"),
		.os = strdup("Debian \033[1mX"),
		.uid_shift = 524288,
		.uid_range = 65536,
		.managed = true,
		.stop_timeout_us = UINT64_MAX,
		.boots = 2,
		.nix_system = strdup("/nix/store/x"),
		.nix_generation = 3,
		.nix_store = strdup("closure"),
	};
}

static void add_network(struct machine_state *state)
{
	(void)strv_add(&state->addresses, "10.0.0.2");
	(void)strv_add(&state->addresses, "fd00::2");
	(void)strv_add(&state->ports, "tcp:[::1]:8080-8081:80-81");
	state->zone = strdup("a b%");
	(void)strv_add(&state->network_notes,
		       "firewalld drops what 20% of\nthe machine sends: fix it");
	(void)strv_add(&state->network_notes, "second");
	(void)strv_add(&state->network_rules, "masquerade");
}

static void test_state_round_trip(void **unused)
{
	automachine struct machine_state in = example(), out = {};
	autoclose int fd = -1;
	char dir[] = "/tmp/redd-test-XXXXXX";

	add_network(&in);
	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(machine_state_write(fd, &in), 0);
	assert_int_equal(machine_state_read(fd, &out), 0);
	assert_string_equal(out.name, in.name);
	assert_int_equal(strv_length(out.addresses), 2);
	assert_string_equal(out.addresses[0], "10.0.0.2");
	assert_string_equal(out.addresses[1], "fd00::2");
	assert_int_equal(strv_length(out.ports), 1);
	assert_string_equal(out.ports[0], in.ports[0]);
	assert_string_equal(out.zone, in.zone);
	assert_null(out.bridge);
	assert_int_equal(strv_length(out.network_notes), 2);
	assert_string_equal(out.network_notes[0], in.network_notes[0]);
	assert_int_equal(strv_length(out.network_rules), 1);
	assert_string_equal(out.image, in.image);
	assert_string_equal(out.os, in.os);
	assert_null(out.uuid);
	assert_int_equal(out.phase, in.phase);
	assert_int_equal(out.leader, in.leader);
	assert_true(out.leader_starttime == in.leader_starttime);
	assert_true(out.stop_timeout_us == UINT64_MAX);
	assert_int_equal(out.uid_range, in.uid_range);
	assert_true(out.managed);
	assert_false(out.booted);
	assert_int_equal(out.boots, 2);
	assert_string_equal(out.nix_system, "/nix/store/x");
	assert_string_equal(out.nix_store, "closure");
	assert_int_equal(out.nix_generation, 3);
	assert_int_equal(unlinkat(fd, "state", 0), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void test_state_refuses(void **unused)
{
	static const char *const bad[] = {
		"",
		"NAME=web",
		"NAME\n",
		"NAME=web\nLEADER=-1\n",
		"NAME=web\nLEADER=x\n",
		"NAME=web\nPHASE=dead\n",
		"NAME=%0\n",
		"NAME=%00\n",
		"LEADER=5\n",
		"NAME=web\nBOOTS=4294967296\n",
	};
	char dir[] = "/tmp/redd-test-XXXXXX";
	autoclose int fd = -1;

	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct machine_state out = {};

		assert_int_equal(io_replace_file_at(fd, "state", bad[i], 0600, false), 0);
		assert_int_equal(machine_state_read(fd, &out), -EBADMSG);
		assert_null(out.name);
	}
	assert_int_equal(unlinkat(fd, "state", 0), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void test_json(void **unused)
{
	automachine struct machine_state state = example();
	struct json_object *object = machine_state_to_json(&state), *value;

	assert_true(json_object_object_get_ex(object, "uidShift", &value));
	assert_int_equal(json_object_get_int64(value), 524288);
	assert_true(json_object_object_get_ex(object, "uuid", &value));
	assert_null(value);
	json_object_put(object);
}

static void test_claim_and_release(void **unused)
{
	automachine struct machine_state state = example(), found = {};
	autoclose int dir = -1, lock = -1, other = -1;
	int before;

	need_private();
	before = fd_count();
	dir = machine_claim("web", &lock);
	assert_true(dir >= 0);
	/* Claimed, but without a state yet. */
	assert_int_equal(machine_find("web", &found), 0);
	assert_string_equal(found.name, "web");
	machine_state_done(&found);
	assert_int_equal(machine_claim("web", &other), -EEXIST);
	assert_int_equal(machine_state_write(dir, &state), 0);
	assert_int_equal(machine_find("web", &found), 0);
	assert_int_equal(found.leader, 8);
	assert_int_equal(machine_clean_dead(USEC_PER_SEC, NULL), 0);
	assert_int_equal(machine_release("web", dir), 0);
	assert_int_equal(access(MACHINE_RUN_DIR "/web", F_OK), -1);
	assert_int_equal(close(take_fd(&dir)), 0);
	assert_int_equal(close(take_fd(&lock)), 0);
	assert_int_equal(fd_count(), before);
}

/* security row: S03 */
static void test_dead_is_not_found(void **unused)
{
	automachine struct machine_state state = example(), found = {};
	struct machine_state *list;
	autoclose int dir = -1, lock = -1;
	size_t count;

	need_private();
	dir = machine_claim("web", &lock);
	assert_int_equal(machine_state_write(dir, &state), 0);
	assert_int_equal(close(take_fd(&lock)), 0);
	assert_int_equal(machine_find("web", &found), -ESRCH);
	assert_int_equal(machine_list(&list, &count), 0);
	assert_int_equal(count, 0);
	assert_int_equal(machine_clean_dead(USEC_PER_SEC, NULL), 1);
	assert_int_equal(access(MACHINE_RUN_DIR "/web", F_OK), -1);
	assert_int_equal(machine_find("../x", &found), -ESRCH);
	assert_int_equal(machine_claim("../x", &lock), -EINVAL);
}

static void test_list_is_sorted(void **unused)
{
	static const char *const names[] = {"b", "a", "c.d"};
	struct machine_state *list;
	int dirs[3], locks[3];
	size_t count;

	need_private();
	for (size_t i = 0; i < 3; i++)
		assert_true((dirs[i] = machine_claim(names[i], &locks[i])) >= 0);
	assert_int_equal(machine_list(&list, &count), 0);
	assert_int_equal(count, 3);
	assert_string_equal(list[0].name, "a");
	assert_string_equal(list[2].name, "c.d");
	machine_list_free(list, count);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(machine_release(names[i], dirs[i]), 0);
		(void)close(dirs[i]);
		(void)close(locks[i]);
	}
}

/* Many processes compete for one name: never do two hold it at once. */
static void claim_in_a_loop(int rounds)
{
	for (int i = 0; i < rounds; i++) {
		autoclose int dir = -1, lock = -1, mark = -1;

		dir = machine_claim("race", &lock);
		(void)machine_clean_dead(USEC_PER_SEC, NULL);
		if (dir == -EEXIST)
			continue;
		if (dir < 0)
			_exit(1);
		mark = open("/run/held", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
		if (mark < 0)
			_exit(2);
		(void)unlink("/run/held");
		/* Every third holder dies without a release. */
		if (i % 3 != 0 && machine_release("race", dir) < 0)
			_exit(3);
	}
	_exit(0);
}

/*
 * security row: S02
 * attack: two starts of one name or of one tree
 * defence: locks on name, tree (shared with systemd-nspawn) and range of users, held until the
 * holder ends
 */
static void test_claims_race(void **unused)
{
	int status;

	need_private();
	for (int i = 0; i < 6; i++) {
		if (fork() == 0)
			claim_in_a_loop(60);
	}
	while (wait(&status) > 0)
		assert_int_equal(status, 0);
	(void)machine_clean_dead(USEC_PER_SEC, NULL);
	assert_int_equal(rmdir(MACHINE_RUN_DIR), 0);
}

static void test_wait_for_the_end(void **unused)
{
	int ready[2];
	automachine struct machine_state found = {};
	int dir, lock, status;
	char byte;
	pid_t pid;

	need_private();
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		dir = machine_claim("web", &lock);
		(void)!write(ready[1], "x", 1);
		(void)usleep(50 * 1000);
		_exit(machine_release("web", dir) < 0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	dir = machine_open("web", &found);
	assert_true(dir >= 0);
	assert_true(machine_is_alive(dir));
	assert_int_equal(machine_wait_end(dir), 0);
	assert_false(machine_is_alive(dir));
	(void)close(dir);
	assert_int_equal(access(MACHINE_RUN_DIR "/web", F_OK), -1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

/*
 * security row: S14
 * A process that waits for a machine doesn't wait for the next of that name, not even if the first
 * was killed and its directory was left.
 */
static void test_next_machine_is_another(void **unused)
{
	automachine struct machine_state state = example(), found = {};
	autoclose int first = -1, dir = -1, lock = -1, next = -1, next_lock = -1;

	need_private();
	dir = machine_claim("web", &lock);
	assert_int_equal(machine_state_write(dir, &state), 0);
	first = machine_open("web", &found);
	assert_true(first >= 0);
	assert_true(machine_is_alive(first));
	assert_int_equal(close(take_fd(&lock)), 0); /* kill -9 */
	next = machine_claim("web", &next_lock);
	assert_true(next >= 0);
	assert_true(machine_is_alive(next));
	assert_false(machine_is_alive(first));
	(void)alarm(20);
	assert_int_equal(machine_wait_end(first), 0);
	(void)alarm(0);
	assert_int_equal(machine_release("web", next), 0);
}

/* security row: X08 */
/* X08: a pid that is another process by now, or from another boot, is rejected. */
static void test_leader_is_verified(void **unused)
{
	automachine struct machine_state state = {.leader = getpid()};
	autoclose int fd = -1;

	assert_int_equal(machine_read_boot_id(&state.boot_id), 0);
	assert_int_equal(machine_read_starttime(getpid(), &state.leader_starttime), 0);
	fd = machine_open_leader(&state);
	assert_true(fd >= 0);
	state.leader_starttime++;
	assert_int_equal(machine_open_leader(&state), -ESRCH);
	state.leader_starttime--;
	state.boot_id[0] = state.boot_id[0] == '0' ? '1' : '0';
	assert_int_equal(machine_open_leader(&state), -ESRCH);
}

static void test_dead_cgroups_are_killed(void **unused)
{
	autoclose int root = -1, cgroup = -1, lock = -1, dir = -1;
	int status;
	pid_t pid;

	need_private();
	root = cgroups_open_unified();
	if (root < 0)
		skip();
	dir = machine_claim("unit-test", &lock);
	(void)mkdirat(root, "redd", 0755);
	assert_int_equal(mkdirat(root, "redd/unit-test", 0755), 0);
	assert_int_equal(mkdirat(root, "redd/unit-test/payload", 0755), 0);
	cgroup = openat(root, "redd/unit-test/payload", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pid = fork();
	if (pid == 0) {
		(void)close(lock);
		(void)io_write_file_at(cgroup, "cgroup.procs", "0");
		for (;;)
			(void)pause();
	}
	(void)usleep(20 * 1000);
	/* A live machine keeps its cgroup. */
	assert_int_equal(machine_clean_dead(USEC_PER_SEC, NULL), 0);
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	assert_int_equal(close(take_fd(&lock)), 0);
	assert_int_equal(machine_clean_dead(USEC_PER_SEC, NULL), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WTERMSIG(status), SIGKILL);
	assert_int_equal(faccessat(root, "redd/unit-test", F_OK, 0), -1);
	(void)unlinkat(root, "redd", AT_REMOVEDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state_round_trip),
		cmocka_unit_test(test_state_refuses),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_claim_and_release),
		cmocka_unit_test(test_dead_is_not_found),
		cmocka_unit_test(test_list_is_sorted),
		cmocka_unit_test(test_claims_race),
		cmocka_unit_test(test_wait_for_the_end),
		cmocka_unit_test(test_next_machine_is_another),
		cmocka_unit_test(test_leader_is_verified),
		cmocka_unit_test(test_dead_cgroups_are_killed),
	};

	is_private = private_run_enter() == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
