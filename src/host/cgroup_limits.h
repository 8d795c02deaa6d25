/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Limits on processes and cgroups of a machine, for cgroup.c only. Supervisor's side. */
#pragma once

#include "host/host.h"

/* Call both after the cgroups of cgroup2 are made, if they are. They warn of a missing limit. */
void cgroup_limit_tree(const struct host *host);
/* With a v1 controller: fills PLAN_SLOT_PIDS and sets has_v1_pids. */
void cgroup_limit_processes(struct host *host);
/* Gathers the facts only. root_fd: of cgroup2, or negative. */
void cgroup_look_at_limits(struct host *host, int root_fd);
/* Removes the machine's v1 cgroups. Quiet: 0, or -EBUSY and the like: try again. */
int cgroup_unlimit_processes(struct host *host);
