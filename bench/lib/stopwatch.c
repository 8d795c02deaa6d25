/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Times commands without the weight of an interpreter around them: vfork, execve, wait.
 * Commands are separated by "---"; "{}" in an argument becomes a number used only once; a
 * first word "@FILE" names a mount namespace to run it in. Standard input and output are
 * /dev/null. Prints lines of "INDEX NANOSECONDS EXIT_CODE".
 *
 *	stopwatch rounds N SEED REST --- COMMAND... --- COMMAND...
 *		each once per round, in random order, REST milliseconds after the one before
 *	stopwatch flood N AT_ONCE --- COMMAND...
 *		N of it, AT_ONCE at a time: one line
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS_MAX 32
#define ARGUMENTS_MAX 64
#define ARGUMENT_MAX 512

extern char **environ;

struct command {
	char **argv;
	int argc;
	int mount_namespace; /* or -1 */
};

static struct command commands[COMMANDS_MAX];
static int command_count;
static FILE *report;

static long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void split(int argc, char *argv[])
{
	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "---")) {
			argv[i] = NULL;
			if (command_count == COMMANDS_MAX)
				die("too many commands");
			commands[command_count++].argv = argv + i + 1;
		} else if (command_count > 0) {
			commands[command_count - 1].argc++;
		}
	}
}

static void open_namespaces(void)
{
	for (int i = 0; i < command_count; i++) {
		struct command *command = &commands[i];

		command->mount_namespace = -1;
		if (command->argv[0][0] != '@')
			continue;
		command->mount_namespace = open(command->argv[0] + 1, O_RDONLY | O_CLOEXEC);
		if (command->mount_namespace < 0)
			die(command->argv[0]);
		command->argv++;
		command->argc--;
	}
}

/* The arguments with "{}" replaced; valid until the next call. */
static char **numbered(const struct command *command)
{
	static char texts[ARGUMENTS_MAX][ARGUMENT_MAX];
	static char *argv[ARGUMENTS_MAX + 1];
	static unsigned number;

	number++;
	for (int i = 0; i < command->argc && i < ARGUMENTS_MAX; i++) {
		char *braces = strstr(command->argv[i], "{}");

		argv[i] = command->argv[i];
		argv[i + 1] = NULL;
		if (!braces)
			continue;
		(void)snprintf(texts[i], ARGUMENT_MAX, "%.*s%u%s", (int)(braces - argv[i]), argv[i],
			       number, braces + 2);
		argv[i] = texts[i];
	}
	return argv;
}

static pid_t spawn(const struct command *command)
{
	char **argv = numbered(command);
	pid_t pid = vfork();

	if (pid < 0)
		die("vfork");
	if (pid == 0) {
		if (command->mount_namespace >= 0 &&
		    setns(command->mount_namespace, CLONE_NEWNS) < 0)
			_exit(126);
		execve(argv[0], argv, environ);
		_exit(127);
	}
	return pid;
}

static int exit_code(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void time_once(int index)
{
	long long start = now_ns();
	pid_t pid = spawn(&commands[index]);
	int status;

	if (waitpid(pid, &status, 0) < 0)
		die("waitpid");
	fprintf(report, "%d %lld %d\n", index, now_ns() - start, exit_code(status));
}

static void run_rounds(int rounds, unsigned seed, int rest_ms)
{
	const struct timespec rest = {rest_ms / 1000, rest_ms % 1000 * 1000000L};
	int order[COMMANDS_MAX];

	srandom(seed);
	for (int i = 0; i < command_count; i++)
		order[i] = i;
	for (int round = 0; round < rounds; round++) {
		for (int i = command_count - 1; i > 0; i--) {
			int other = (int)(random() % (i + 1)), kept = order[i];

			order[i] = order[other];
			order[other] = kept;
		}
		for (int i = 0; i < command_count; i++) {
			(void)nanosleep(&rest, NULL);
			time_once(order[i]);
		}
	}
}

static void run_flood(int count, int at_once)
{
	long long start = now_ns();
	int running = 0, worst = 0, status;

	while (count > 0 || running > 0) {
		if (count > 0 && running < at_once) {
			(void)spawn(&commands[0]);
			running++;
			count--;
			continue;
		}
		if (waitpid(-1, &status, 0) < 0)
			die("waitpid");
		running--;
		worst = exit_code(status) > worst ? exit_code(status) : worst;
	}
	fprintf(report, "0 %lld %d\n", now_ns() - start, worst);
}

int main(int argc, char *argv[])
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), report_fd;

	if (argc < 6 || null < 0)
		return 2;
	split(argc, argv);
	open_namespaces();
	/* The report goes to the first standard output; the commands see /dev/null there. */
	report_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	report = fdopen(report_fd, "w");
	dup2(null, STDERR_FILENO);
	if (!strcmp(argv[1], "rounds"))
		run_rounds(atoi(argv[2]), (unsigned)atoi(argv[3]), atoi(argv[4]));
	else
		run_flood(atoi(argv[2]), atoi(argv[3]));
	fclose(report);
	return 0;
}
