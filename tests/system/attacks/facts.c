/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints what a process inherits from its parent, as lines "key: value". */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

static void print_file(const char *key, const char *path)
{
	char line[256] = "";
	FILE *in = fopen(path, "r");

	if (in && fgets(line, sizeof(line), in))
		line[strcspn(line, "\n")] = '\0';
	printf("%s: %s\n", key, line);
	if (in)
		fclose(in);
}

static void print_status(void)
{
	static const char *const keys[] = {
		"Umask:",  "Uid:",    "Gid:",	 "Groups:", "SigBlk:",	   "SigIgn:", "CapInh:",
		"CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:", "Seccomp:"};
	FILE *in = fopen("/proc/self/status", "r");
	char line[4096];

	while (in && fgets(line, sizeof(line), in))
		for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
			if (strncmp(line, keys[i], strlen(keys[i])) == 0)
				fputs(line, stdout);
	if (in)
		fclose(in);
}

static void print_keyring(void)
{
	char text[256] = "";
	long id = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);

	if (id < 0) {
		printf("Keyring: %s\n",
		       errno == EPERM || errno == ENOSYS ? "refused" : strerror(errno));
		return;
	}
	syscall(SYS_keyctl, KEYCTL_DESCRIBE, id, text, sizeof(text) - 1);
	printf("Keyring: %s\nKeyringId: %ld\n", text, id);
}

int main(void)
{
	print_status();
	print_keyring();
	print_file("OomScoreAdj", "/proc/self/oom_score_adj");
	printf("Personality: %x\n", personality(0xffffffff));
	printf("Securebits: %x\n", prctl(PR_GET_SECUREBITS));
	printf("Nice: %d\n", getpriority(PRIO_PROCESS, 0));
	printf("Scheduler: %d\n", sched_getscheduler(0));
	printf("Session: %s\n", getsid(0) == getpid() || getsid(0) > 0 ? "own" : "of the host");
	for (char **variable = environ; *variable; variable++)
		printf("env %s\n", *variable);
	return 0;
}
