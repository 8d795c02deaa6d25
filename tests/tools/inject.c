/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a command, and lets the N-th system call of it and its children fail, or kills the process
 * that makes it. strace counts calls per process; here one count covers the whole tree, so N from
 * 1 to the count of a run without a fault visits every call.
 *
 *	inject -n N -e EIO|KILL|… [-p PID] [-t SECONDS] [-r REPORT] COMMAND [ARGUMENT…]
 *
 * -n 0 only counts. -p also follows a running process (a supervisor). A process that executes
 *another program than COMMAND belongs to a guest and is detached. When the command has ended, all
 *others are detached too. REPORT gets "calls COUNT", and "hit NUMBER" of the call that failed. Exit
 *code: the command's, 128 and the signal's number, 124 when it took more than SECONDS, and 125 when
 *this program fails.
 */
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS                                                                                    \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |  \
	 PTRACE_O_TRACEEXEC)
#define TRACEES_MAX 1024
#define EXIT_FAILED 125
#define EXIT_TIMEOUT 124

static const struct {
	const char *name;
	int error; /* 0: kill the process */
} faults[] = {
	{"KILL", 0},	    {"EIO", EIO},	{"ENOMEM", ENOMEM}, {"EINTR", EINTR},
	{"ENOSPC", ENOSPC}, {"EMFILE", EMFILE}, {"EPERM", EPERM},   {"EAGAIN", EAGAIN},
};

static struct {
	unsigned long at, calls;
	long hit; /* -1: none yet */
	int error;
	unsigned timeout_s;
	pid_t root, other;
	const char *report;
	struct stat program;
} run = {.hit = -1, .timeout_s = 30};

/* Followed processes; `fails`: between the entry and the exit of the call that must fail. */
static struct tracee {
	pid_t pid;
	bool fails;
} tracees[TRACEES_MAX];

static volatile sig_atomic_t is_late;

static void on_alarm(int signal)
{
	is_late = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILED);
}

static struct tracee *find(pid_t pid, bool add)
{
	struct tracee *free_place = NULL;

	for (size_t i = 0; i < TRACEES_MAX; i++) {
		if (tracees[i].pid == pid)
			return &tracees[i];
		if (!tracees[i].pid && !free_place)
			free_place = &tracees[i];
	}
	if (!add)
		return NULL;
	if (!free_place) {
		errno = ENOSPC;
		die("follow so many processes");
	}
	*free_place = (struct tracee){.pid = pid};
	return free_place;
}

static void forget(pid_t pid)
{
	struct tracee *tracee = find(pid, false);

	if (tracee)
		*tracee = (struct tracee){};
}

#if defined(__x86_64__)
static void set_number(pid_t pid, long number)
{
	(void)ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.orig_rax), number);
}

static void set_result(pid_t pid, long result)
{
	(void)ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rax), result);
}
#elif defined(__aarch64__)
static void set_number(pid_t pid, long number)
{
	int value = (int)number;
	struct iovec part = {&value, sizeof(value)};

	(void)ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &part);
}

static void set_result(pid_t pid, long result)
{
	struct user_regs_struct registers;
	struct iovec part = {&registers, sizeof(registers)};

	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &part) < 0)
		return;
	registers.regs[0] = (unsigned long)result;
	(void)ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &part);
}
#else
#error "how a system call's number and result are set is not known for this processor"
#endif

/*
 * Calls that can't fail with these errors, so an injected one would prove nothing. The C library
 * waits by futexes and doesn't expect such errors; brk() never returns an error, but the old end
 * of the heap.
 */
static bool can_fail(long number)
{
	return number != SYS_exit && number != SYS_exit_group && number != SYS_rt_sigreturn &&
	       number != SYS_futex && number != SYS_brk;
}

static void on_entry(struct tracee *tracee, long number)
{
	run.calls++;
	if (run.hit >= 0 || run.at == 0 || run.calls < run.at || (run.error && !can_fail(number)))
		return;
	run.hit = number;
	if (run.error == 0) {
		(void)kill(tracee->pid, SIGKILL);
		return;
	}
	tracee->fails = true;
	set_number(tracee->pid, -1);
}

static void on_syscall(struct tracee *tracee)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tracee->pid, sizeof(info), &info) < 0)
		return;
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
		on_entry(tracee, (long)info.entry.nr);
	} else if (info.op == PTRACE_SYSCALL_INFO_EXIT && tracee->fails) {
		tracee->fails = false;
		set_result(tracee->pid, -run.error);
	}
}

/* Compare the file, not its path: redd executes itself from a read-only mount. */
static bool is_our_program(pid_t pid)
{
	char path[32];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return stat(path, &st) == 0 && st.st_ino == run.program.st_ino &&
	       st.st_dev == run.program.st_dev;
}

/* False if it was detached. */
static bool on_event(struct tracee *tracee, int event)
{
	if (event != PTRACE_EVENT_EXEC || is_our_program(tracee->pid))
		return true;
	(void)ptrace(PTRACE_DETACH, tracee->pid, NULL, NULL);
	forget(tracee->pid);
	return false;
}

static void on_stop(pid_t pid, int status)
{
	struct tracee *tracee = find(pid, true);
	int signal = WSTOPSIG(status), event = status >> 16;

	if (signal == (SIGTRAP | 0x80)) {
		on_syscall(tracee);
		signal = 0;
	} else if (event == PTRACE_EVENT_STOP) {
		/* Deliver a signal that stopped it; otherwise it is new, or we interrupted it. */
		if (signal != SIGTRAP) {
			(void)ptrace(PTRACE_LISTEN, pid, NULL, NULL);
			return;
		}
		signal = 0;
	} else if (event) {
		if (!on_event(tracee, event))
			return;
		signal = 0;
	}
	(void)ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)signal);
}

/* Only a stopped process can be detached. */
static void let_go(pid_t pid)
{
	int status;

	if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
		return;
	while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
		int signal = WSTOPSIG(status), event = status >> 16;
		struct tracee *tracee = find(pid, true);

		if (signal == (SIGTRAP | 0x80) && tracee->fails)
			on_syscall(tracee);
		if (event || signal == (SIGTRAP | 0x80))
			signal = 0;
		(void)ptrace(PTRACE_DETACH, pid, NULL, (void *)(long)signal);
		break;
	}
}

static void end_all(void)
{
	for (size_t i = 0; i < TRACEES_MAX; i++) {
		if (!tracees[i].pid)
			continue;
		if (is_late && tracees[i].pid != run.other)
			(void)kill(tracees[i].pid, SIGKILL);
		else
			let_go(tracees[i].pid);
	}
}

static int follow(void)
{
	int status, code = -1;

	while (code < 0 && !is_late) {
		pid_t pid = waitpid(-1, &status, __WALL);

		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			die("wait");
		if (WIFSTOPPED(status)) {
			on_stop(pid, status);
			continue;
		}
		forget(pid);
		if (pid == run.root)
			code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
	return is_late ? EXIT_TIMEOUT : code;
}

static void seize(pid_t pid)
{
	if (ptrace(PTRACE_SEIZE, pid, NULL, OPTIONS) < 0 ||
	    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
		die("follow a process");
	(void)find(pid, true);
}

static void start(char *argv[])
{
	int gate[2];
	char byte;

	if (stat(argv[0], &run.program) < 0)
		die(argv[0]);
	if (pipe(gate) < 0)
		die("make a pipe");
	run.root = fork();
	if (run.root < 0)
		die("fork");
	if (run.root == 0) {
		(void)close(gate[1]);
		(void)!read(gate[0], &byte, 1);
		(void)close(gate[0]);
		(void)execv(argv[0], argv);
		die(argv[0]);
	}
	(void)close(gate[0]);
	if (ptrace(PTRACE_SEIZE, run.root, NULL, OPTIONS) < 0)
		die("follow the command");
	(void)find(run.root, true);
	/* Its first stop is the exec; calls before it don't count. */
	(void)close(gate[1]);
}

static int parse_fault(const char *name)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (strcmp(faults[i].name, name) == 0)
			return faults[i].error;
	errno = EINVAL;
	die(name);
	return -1;
}

static void parse(int argc, char *argv[])
{
	int option;

	while ((option = getopt(argc, argv, "+n:e:p:t:r:")) != -1) {
		if (option == 'n')
			run.at = strtoul(optarg, NULL, 10);
		else if (option == 'e')
			run.error = parse_fault(optarg);
		else if (option == 'p')
			run.other = (pid_t)strtol(optarg, NULL, 10);
		else if (option == 't')
			run.timeout_s = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 'r')
			run.report = optarg;
		else
			exit(EXIT_FAILED);
	}
	if (optind >= argc) {
		fprintf(stderr, "inject: no command\n");
		exit(EXIT_FAILED);
	}
}

static void report(void)
{
	FILE *file = run.report ? fopen(run.report, "we") : NULL;

	if (!file)
		return;
	fprintf(file, "calls %lu\n", run.calls);
	if (run.hit >= 0)
		fprintf(file, "hit %ld\n", run.hit);
	(void)fclose(file);
}

int main(int argc, char *argv[])
{
	struct sigaction late = {.sa_handler = on_alarm};
	int code;

	parse(argc, argv);
	/* No SA_RESTART: it has to interrupt the wait. */
	(void)sigaction(SIGALRM, &late, NULL);
	start(argv + optind);
	if (run.other)
		seize(run.other);
	(void)alarm(run.timeout_s);
	code = follow();
	end_all();
	report();
	return code;
}
