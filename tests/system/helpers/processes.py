# SPDX-License-Identifier: LGPL-2.1-or-later
"""Looks at other processes, which may change meanwhile."""

import contextlib
import os


def descriptors(pid):
    """The targets of the open descriptors of a process, without those that are closed meanwhile."""
    targets = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            targets.append(os.readlink(f"/proc/{pid}/fd/{number}"))
    return targets


def can_lower_oom_score():
    """Whether there is CAP_SYS_RESOURCE, which redd in a container may lack."""
    with open("/proc/self/status", encoding="ascii") as file:
        effective = next(line for line in file if line.startswith("CapEff:")).split()[1]
    return bool(int(effective, 16) >> 24 & 1)


def oom_score_of_machines():
    """The score that machines get: above the supervisor's, which is as low as allowed."""
    return "0" if can_lower_oom_score() else "100"
