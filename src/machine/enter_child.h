/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between enter.c, which resolves everything, and enter_child.c, which only makes system calls. */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "machine/oom.h"

#define ENTER_STAGES(X)                                                                            \
	X(PREPARE, "prepare the process")                                                          \
	X(CGROUP, "join the machine's cgroups")                                                    \
	X(NAMESPACES, "join the machine's namespaces")                                             \
	X(ROOT, "enter the machine's root directory")                                              \
	X(FORK, "fork inside the machine")                                                         \
	X(TERMINAL, "take the terminal")                                                           \
	X(KEYRING, "make a session keyring")                                                       \
	X(SECCOMP, "install the system call filter")                                               \
	X(CAPS, "drop capabilities")                                                               \
	X(USER, "become the user")                                                                 \
	X(CHDIR, "change to the working directory")                                                \
	X(EXEC, "execute")

#define ENTER_STAGE_ENUM(id, text) ENTER_STAGE_##id,
enum enter_stage { ENTER_STAGES(ENTER_STAGE_ENUM) ENTER_STAGE_COUNT };

/* One write each, below PIPE_BUF. End of file without an error: executed. */
struct enter_report {
	uint32_t stage;
	int32_t error; /* negative errno, or 0: `pid` is the process */
	int32_t pid;
};

struct enter_job {
	int pidfd, root_fd;
	int report_fd;	/* close-on-exec */
	int go_fd;	/* one byte: the parent has done its part (v1 cgroups) */
	int namespaces; /* CLONE_NEW… */
	int stdio[3];
	bool new_session;
	bool kill_with_caller;
	uint64_t caps_bounding;
	bool no_new_privileges;
	unsigned long personality;
	char oom_score[OOM_SCORE_TEXT];
	struct rlimit limits[RLIM_NLIMITS];
	const struct sock_fprog *seccomp; /* NULL: none */
	uint32_t uid, gid;
	const gid_t *groups;
	size_t n_groups;
	const char *chdir;
	bool chdir_is_home;    /* may be missing: then "/" */
	char *const *programs; /* tried one after the other */
	char *const *argv;
	char *const *environment;
};

/* Runs in the helper, whose parent is the caller. Never returns. */
void enter_child_run(const struct enter_job *job) __attribute__((noreturn));
