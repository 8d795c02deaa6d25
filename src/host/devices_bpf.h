/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which device nodes a machine's processes may open or make, whoever made the node: a BPF program
 * on the machine's cgroup2, or the v1 devices controller where there is no cgroup2. Everything that
 * no rule names is refused. Quiet; runs in the parent, needs CAP_SYS_ADMIN (or CAP_BPF +
 * CAP_NET_ADMIN).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEVICE_ANY UINT32_MAX
#define DEVICE_RULE_TEXT_MAX sizeof("c 4294967295:4294967295 rwm")
#define DEVICE_RULES_MAX 256

enum device_access {
	DEVICE_MKNOD = 1, /* the values of BPF_DEVCG_ACC_* */
	DEVICE_READ = 2,
	DEVICE_WRITE = 4,
	DEVICE_RWM = 7,
};

struct device_rule {
	char type;	 /* 'c' or 'b' */
	uint32_t major;	 /* or DEVICE_ANY */
	uint32_t minor;	 /* or DEVICE_ANY */
	unsigned access; /* enum device_access, together */
};

/*
 * null zero full random urandom tty ptmx, pseudo terminals, net/tun, fuse. Not 5:1: that is the
 * host's console, while a machine's /dev/console is a pseudo terminal.
 */
extern const struct device_rule devices_default[];
extern const size_t devices_default_count;

/*
 * Loads the program; returns its descriptor. -EINVAL for a rule that is none, -E2BIG for more than
 * DEVICE_RULES_MAX, else the kernel's -errno: EPERM without the capability, ENOSYS or EINVAL in a
 * kernel without CONFIG_CGROUP_BPF.
 */
int devices_bpf_load(const struct device_rule *rules, size_t n);

/* Whether this kernel filters devices in cgroup2: 0, -EPERM not told, -EINVAL or -ENOSYS: no. */
int devices_bpf_probe(int cgroup_fd);

/*
 * To a cgroup2 directory, beside what is already there: each program of the cgroup and of those
 * above must agree. It stays until the cgroup is removed; `prog_fd` may be closed. 0 or -errno.
 */
int devices_bpf_attach(int cgroup_fd, int prog_fd);

/* "c 1:3 rwm", as the v1 controller and --explain have it. 0 or -EINVAL. */
int device_rule_format(const struct device_rule *rule, char ret[DEVICE_RULE_TEXT_MAX]);

/*
 * The same rules to a v1 devices cgroup directory: all denied, then the rules allowed. Processes
 * must be put there afterwards, or they lose /dev/null for an instant. 0 or -errno.
 */
int devices_v1_rules(int cgroup_fd, const struct device_rule *rules, size_t n);
