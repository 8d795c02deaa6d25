// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Entering a machine: a process of the test plays its PID 1, in its own pid and mount namespaces,
 * with the host's tree as root. Needs root; the system tests cover the rest.
 */
#include "check.h"

#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "kernel/sys.h"
#include "lib/str.h"
#include "machine/enter.h"
#include "machine/enter_child.h"
#include "machine/registry.h"

#define WAIT_MS (60 * 1000)

static struct machine_state machine;

static int be_init(void *unused)
{
	(void)mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)pause();
	return 0;
}

static int start_machine(void **state)
{
	static _Alignas(16) char stack[16384];

	if (geteuid() != 0)
		return 0;
	machine = (struct machine_state){.name = strdup("unit")};
	machine.leader =
		clone(be_init, stack + sizeof(stack), CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, NULL);
	assert_true(machine.leader > 0);
	assert_int_equal(machine_read_starttime(machine.leader, &machine.leader_starttime), 0);
	return machine_read_boot_id(&machine.boot_id);
}

/* Born in a namespace of time of its own: these are for children only. */
static int start_machine_of_another_time(void **state)
{
	autoclose int ours = open("/proc/self/ns/time", O_RDONLY | O_CLOEXEC);

	if (geteuid() != 0 || ours < 0)
		return 0;
	assert_int_equal(unshare(CLONE_NEWTIME), 0);
	(void)start_machine(state);
	return setns(ours, CLONE_NEWTIME);
}

static int end_machine(void **state)
{
	if (machine.leader > 0) {
		(void)kill(machine.leader, SIGKILL);
		assert_int_equal(waitpid(machine.leader, NULL, 0), machine.leader);
	}
	machine_state_done(&machine);
	machine = (struct machine_state){};
	return 0;
}

static void need_root(void)
{
	if (geteuid() != 0)
		skip();
}

static int enter_with(const char *script, int in, int out, pid_t *ret_pid)
{
	char *argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)script, NULL};
	struct enter_request request = {.argv = argv, .chdir = "/", .stdio = {in, out, out}};

	return machine_enter(&machine, &request, ret_pid);
}

static int enter_quietly(const char *script, pid_t *ret_pid)
{
	autoclose int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	return enter_with(script, null, null, ret_pid);
}

static int code_of(const char *script)
{
	int status;
	pid_t pid;

	assert_int_equal(enter_quietly(script, &pid), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_exit_codes(void **state)
{
	need_root();
	assert_int_equal(code_of("exit 0"), 0);
	assert_int_equal(code_of("exit 7"), 7);
	assert_int_equal(code_of("kill -9 $$"), 128 + SIGKILL);
}

/* A namespace that nobody can join who shares memory with others. */
static void test_another_time(void **state)
{
	autofree char *script = NULL;
	char ours[64] = "";

	need_root();
	if (machine.leader == 0)
		skip(); /* a kernel without such namespaces */
	assert_true(readlink("/proc/self/ns/time", ours, sizeof(ours) - 1) > 0);
	script = str_printf("! [ \"$(readlink /proc/self/ns/time)\" = \"%s\" ]", ours);
	assert_int_equal(code_of(script), 0);
}

/* security row: X02 */
static void test_no_descriptor_but_three(void **state)
{
	int leaked[8];

	need_root();
	for (size_t i = 0; i < ARRAY_SIZE(leaked); i++) {
		leaked[i] = open("/", O_RDONLY | O_DIRECTORY);
		assert_true(leaked[i] >= 0);
	}
	assert_int_equal(code_of("for fd in 3 4 5 6 7 8 9; do ( : <&$fd ) 2>/dev/null && exit $fd; "
				 "done; exit 0"),
			 0);
	for (size_t i = 0; i < ARRAY_SIZE(leaked); i++)
		(void)close(leaked[i]);
}

static void test_failures(void **state)
{
	char *missing[] = {(char *)"/not/there", NULL}, *folder[] = {(char *)"/etc", NULL};
	autoclose int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	autoclose int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct enter_request request = {.argv = missing, .chdir = "/", .stdio = {null, null, null}};
	pid_t pid;

	need_root();
	assert_int_equal(machine_enter(&machine, &request, &pid), -ENOENT);
	request.argv = folder;
	assert_int_equal(machine_enter(&machine, &request, &pid), -EACCES);
	request.chdir = "/not/there";
	assert_int_equal(machine_enter(&machine, &request, &pid), -ENOTDIR);
	request.chdir = "/";
	request.user = "nobody-of-that-name";
	assert_int_equal(machine_enter(&machine, &request, &pid), -ESRCH);
	request.user = NULL;
	request.stdio[1] = root;
	assert_int_equal(machine_enter(&machine, &request, &pid), -EISDIR);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), 0); /* only PID 1 is left */
}

static void assert_ended(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char byte;

	while (poll(&p, 1, WAIT_MS) > 0) {
		if (read(fd, &byte, 1) == 0)
			return;
	}
	fail_msg("nothing has ended");
}

static void assert_said(int fd, char what)
{
	char byte = 0;

	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(byte, what);
}

static void test_signals_are_passed_on(void **state)
{
	int ends[2], status;
	pid_t pid;

	need_root();
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(enter_with("trap 'exit 5' TERM; echo .; while :; do sleep 0.1; done",
				    ends[0], ends[1], &pid),
			 0);
	assert_said(ends[0], '.');
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 5);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* A process that enters, and continues on request. Its program has the pipe. */
static pid_t start_caller(const char *script, int how, int ends[2])
{
	pid_t caller, pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	caller = fork();
	if (caller == 0) {
		int r = enter_with(script, ends[0], ends[1], &pid);

		if (r < 0)
			_exit(1);
		(void)raise(how);
		_exit(0);
	}
	(void)close(ends[1]);
	return caller;
}

/* security row: X15 */
static void test_ends_with_its_caller(void **state)
{
	static const char *const scripts[] = {
		"echo .; exec sleep 1000",
		"echo .; sleep 1000; echo unreached",		  /* the shell's child too */
		"trap '' HUP; echo .; while :; do sleep 1; done", /* gets killed */
	};

	need_root();
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		int ends[2];
		pid_t caller = start_caller(scripts[i], SIGSTOP, ends);

		assert_said(ends[0], '.');
		assert_int_equal(kill(caller, SIGKILL), 0);
		assert_int_equal(waitpid(caller, NULL, 0), caller);
		assert_said(ends[0], '\n');
		assert_ended(ends[0]);
		(void)close(ends[0]);
	}
}

/* security row: X17 */
static void test_stopped_caller_holds_nothing_up(void **state)
{
	int ends[2], status;
	pid_t caller;

	need_root();
	caller = start_caller("echo .; sleep 1000", SIGSTOP, ends);
	assert_said(ends[0], '.');
	assert_int_equal(waitpid(caller, &status, WUNTRACED), caller);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(kill(machine.leader, SIGKILL), 0);
	for (int i = 0; i < WAIT_MS / 10; i++) {
		if (waitpid(machine.leader, NULL, WNOHANG) == machine.leader) {
			machine.leader = 0;
			break;
		}
		(void)usleep(10 * 1000);
	}
	assert_int_equal(machine.leader, 0);
	assert_int_equal(kill(caller, SIGKILL), 0);
	assert_int_equal(waitpid(caller, NULL, 0), caller);
	(void)close(ends[0]);
}

static bool is_inside(const struct enter_job *job, const void *p)
{
	return (uintptr_t)p >= job->place.start && (uintptr_t)p < job->place.end;
}

/* security row: X03 */
static void test_job_is_in_one_place(void **state)
{
	char *programs[] = {(char *)"/bin/a", (char *)"/bin/b", NULL},
	     *argv[] = {(char *)"a", NULL};
	struct sock_filter filter[3] = {{.code = 6}, {.k = 7}};
	gid_t groups[] = {1, 2};
	struct enter_job job = {
		.seccomp = {.len = 3, .filter = filter},
		.groups = groups,
		.n_groups = 2,
		.chdir = "/home",
		.programs = programs,
		.argv = argv,
	};
	autocall(enter_job_freep) struct enter_job *packed = NULL;

	assert_int_equal(enter_job_pack(&job, &packed), 0);
	assert_true(is_inside(packed, packed));
	assert_true(is_inside(packed, packed->seccomp.filter));
	assert_memory_equal(packed->seccomp.filter, filter, sizeof(filter));
	assert_true(is_inside(packed, packed->groups) && packed->groups[1] == 2);
	assert_true(is_inside(packed, packed->chdir) && streq(packed->chdir, "/home"));
	assert_true(is_inside(packed, packed->programs) && is_inside(packed, packed->programs[1]));
	assert_string_equal(packed->programs[1], "/bin/b");
	assert_null(packed->programs[2]);
	assert_true(is_inside(packed, packed->argv[0]) && !packed->argv[1]);
	assert_true(is_inside(packed, packed->environment) && !packed->environment[0]);
	assert_int_equal(packed->report->state, ENTER_STATE_UNKNOWN);
}

/* A tracer of the process inside can write anything there. security row: X03 */
static void test_forged_reports(void **state)
{
	static const struct enter_report forged[] = {
		{.state = ENTER_STATE_FAILED, .stage = ENTER_STAGE_COUNT, .error = -1},
		{.state = ENTER_STATE_FAILED, .stage = UINT32_MAX, .error = -1},
		{.state = ENTER_STATE_FAILED, .stage = ENTER_STAGE_CAPS, .error = -1},
		{.state = ENTER_STATE_FAILED, .stage = ENTER_STAGE_USER, .error = -1},
		{.state = ENTER_STATE_FAILED, .stage = ENTER_STAGE_EXEC, .error = 0},
		{.state = ENTER_STATE_FAILED, .stage = ENTER_STAGE_EXEC, .error = 1},
		{.state = ENTER_STATE_FAILED, .stage = ENTER_STAGE_EXEC, .error = INT32_MIN},
		{.state = ENTER_STATE_STARTED, .stage = ENTER_STAGE_EXEC, .error = -1},
		{.state = 77, .stage = ENTER_STAGE_EXEC, .error = -1},
	};
	struct enter_report honest = {}, read = enter_read_inside(&honest);

	assert_int_equal(read.state, ENTER_STATE_STARTED);
	enter_tell(&honest, ENTER_STATE_FAILED, ENTER_STAGE_EXEC, -ENOENT);
	read = enter_read_inside(&honest);
	assert_int_equal(read.state, ENTER_STATE_FAILED);
	assert_int_equal(read.stage, ENTER_STAGE_EXEC);
	assert_int_equal(read.error, -ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(forged); i++) {
		read = enter_read_inside(&forged[i]);
		assert_int_equal(read.state, ENTER_STATE_FAILED);
		assert_int_equal(read.stage, ENTER_STAGE_FORK);
		assert_int_equal(read.error, -EPROTO);
	}
}

/* The result of enter_change_directory() in a process whose working directory is outside its root.
 */
static int change_from_outside(const char *path)
{
	char template[] = "/tmp/redd-unit-XXXXXX", *root = mkdtemp(template);
	int status;
	pid_t pid;

	assert_non_null(root);
	pid = fork();
	if (pid == 0) {
		if (chdir("/") < 0 || chroot(root) < 0)
			_exit(1);
		_exit(-enter_change_directory(path));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)rmdir(root);
	return -WEXITSTATUS(status);
}

/* security row: P07 */
static void test_directory_outside_the_root(void **state)
{
	need_root();
	assert_int_equal(change_from_outside("."), -EXDEV);
	assert_int_equal(change_from_outside("etc"), -EXDEV);
	assert_int_equal(change_from_outside("/"), 0);
	assert_int_equal(change_from_outside("/etc"), -ENOENT);
}

static void test_magic_links_are_not_followed(void **state)
{
	assert_int_equal(enter_change_directory("/proc/self/root"), -ELOOP);
	assert_int_equal(enter_change_directory("/proc/self/cwd"), -ELOOP);
}

#define machine_test(fn) cmocka_unit_test_setup_teardown(fn, start_machine, end_machine)
#define other_time_test(fn)                                                                        \
	cmocka_unit_test_setup_teardown(fn, start_machine_of_another_time, end_machine)

int main(void)
{
	const struct CMUnitTest tests[] = {
		machine_test(test_exit_codes),
		other_time_test(test_another_time),
		machine_test(test_no_descriptor_but_three),
		machine_test(test_failures),
		machine_test(test_signals_are_passed_on),
		machine_test(test_ends_with_its_caller),
		machine_test(test_stopped_caller_holds_nothing_up),
		cmocka_unit_test(test_job_is_in_one_place),
		cmocka_unit_test(test_forged_reports),
		cmocka_unit_test(test_directory_outside_the_root),
		cmocka_unit_test(test_magic_links_are_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
