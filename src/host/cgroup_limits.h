/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bounds on what a machine makes: between cgroup.c and cgroup_limits.c. Supervisor's side. */
#pragma once

#include "host/host.h"

/* Both when the cgroups of cgroup2 stand, if they do. What can't be bounded is said. */
void cgroup_limit_tree(const struct host *host);
/* With a v1 controller: fills PLAN_SLOT_PIDS and sets has_v1_pids. */
void cgroup_limit_processes(struct host *host);
/* The facts alone. root_fd: of cgroup2, or negative. */
void cgroup_look_at_limits(struct host *host, int root_fd);
/* Removes what a v1 hierarchy has of it. Quiet: 0, or -EBUSY and its like: then try again. */
int cgroup_unlimit_processes(struct host *host);
