# SPDX-License-Identifier: LGPL-2.1-or-later
"""Control groups, in all hierarchies of this machine, v1 and v2."""

import os
import time
from pathlib import Path


def hierarchies():
    """Mount points of all cgroup file systems."""
    mounts = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split()
            if fields[fields.index("-") + 1] in ("cgroup", "cgroup2"):
                mounts.append(Path(fields[4]))
    return mounts


def folders():
    """Every control group but the roots, as path strings."""
    return {path for top in hierarchies() for path, _, _ in os.walk(top) if path != str(top)}


def unified():
    """The cgroup2 mount point, or None."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split()
            if fields[fields.index("-") + 1] == "cgroup2":
                return Path(fields[4])
    return None


def remove_tagged(tag):
    """Remove the (by now empty) groups with `tag` in their path; the kernel may need a moment after the last exit."""
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        ours = sorted((path for path in folders() if tag in path), key=len, reverse=True)
        if not ours:
            return
        for path in ours:
            try:
                os.rmdir(path)
            except OSError:
                pass
        time.sleep(0.05)
